"""HR times from the plan or the file, never from a guess."""

from dataclasses import replace

import numpy as np
import pytest

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import find_hr_times, given_hr_times, neighbours, seen_targets
from napari_xfusion.core.types import Metadata
from napari_xfusion.errors import PairingError, UnknownTimesError
from tests.sequences import stack


def sequences(lr_frames=21, hr_frames=3, **hr_fields):
    lr = stack(np.zeros((lr_frames, 4, 4), np.uint8), "lr.tif")
    return lr, stack(np.zeros((hr_frames, 16, 16), np.uint8), "hr.tif", **hr_fields)


@pytest.mark.parametrize(
    ("settings", "fields", "times"),
    [
        pytest.param({"hr_step": 10}, {}, [0, 10, 20], id="step"),
        pytest.param({"hr_step": 5, "hr_start": 3}, {}, [3, 8, 13], id="step and start"),
        pytest.param({"hr_times": (0, 7.5, 20)}, {}, [0, 7.5, 20], id="times"),
        pytest.param({}, {"metadata": Metadata(hr_times=(0.0, 4.0, 9.0))}, [0, 4, 9], id="the file's"),
        pytest.param(
            {"hr_step": 10},
            {"metadata": Metadata(hr_times=(0.0, 4.0, 9.0))},
            [0, 10, 20],
            id="plan beats file",
        ),
    ],
)
def test_times(settings, fields, times):
    assert find_hr_times(*sequences(**fields), make_plan(**settings)).tolist() == times


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        pytest.param({"hr_time_offset": 2500}, [2.5, 12.5], id="hr"),
        pytest.param({"lr_time_offset": -500, "hr_time_offset": 1000}, [1.5, 11.5], id="both"),
        pytest.param({"lr_time_offset": 700, "hr_time_offset": 700}, [0, 10], id="none in sum"),
    ],
)
def test_offsets_move_the_times_of_a_camera(settings, times):
    lr, hr = sequences(hr_frames=2)
    lr = replace(lr, clock=Clock.regular(21, 1e-6))
    plan = make_plan(hr_step=10, **settings)
    assert find_hr_times(lr, hr, plan).tolist() == times
    assert given_hr_times(lr, hr, plan).tolist() == [0, 10]


def test_an_offset_follows_uneven_times_of_lr():
    lr, hr = sequences(4, 2)
    lr = replace(lr, clock=Clock(times_ps=(0, 10_000, 20_000, 60_000), source="stamps"))
    plan = make_plan(hr_times=(1, 2), hr_time_offset=20)
    assert find_hr_times(lr, hr, plan).tolist() == [2.25, 2.5]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"hr_time_offset": 1}, "offset in nanoseconds has no meaning", id="no times"),
        pytest.param({"hr_time_offset": 1e300}, "less than or equal to", id="too long"),
    ],
)
def test_offsets_that_have_no_meaning_are_refused(settings, said):
    with pytest.raises(PairingError, match=said):
        find_hr_times(*sequences(), make_plan(hr_step=10, **settings))


@pytest.mark.parametrize(
    ("settings", "counts", "said"),
    [
        pytest.param({"hr_step": 11}, {}, "HR frame 2 at LR frame 22", id="behind the end"),
        pytest.param({"hr_step": 5, "hr_start": -1}, {}, "HR frame 0 at LR frame -1", id="before the start"),
        pytest.param({"hr_times": (0, 10)}, {}, "3 times", id="one time too few"),
        pytest.param({"hr_step": 10}, {"hr_frames": 1}, "at least 2 HR", id="one HR frame"),
    ],
)
def test_times_that_cannot_be(settings, counts, said):
    with pytest.raises(PairingError, match=said):
        find_hr_times(*sequences(**counts), make_plan(**settings))


def test_times_that_nobody_gives_are_their_own_error():
    with pytest.raises(UnknownTimesError) as caught:
        find_hr_times(*sequences(), make_plan())
    assert (caught.value.setting, caught.value.subject) == ("hr_times", "hr.tif")
    assert "{hr_step}" in caught.value.hint


def test_frame_intervals_are_offered_as_a_hint_and_not_taken():
    lr, hr = sequences()
    lr = stack(np.zeros((21, 4, 4)), "lr.tif", interval=1.0)
    hr = stack(np.zeros((3, 16, 16)), "hr.tif", interval=1.0)
    with pytest.raises(PairingError, match="suggest a step of 1"):
        find_hr_times(lr, hr, make_plan())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(0, (0, 0), id="before the first"),
        pytest.param(2, (0, 1), id="at the first"),
        pytest.param(5, (0, 1), id="between"),
        pytest.param(10, (1, 2), id="at an HR time the frame itself is the one before"),
        pytest.param(20, (2, 2), id="at the last"),
        pytest.param(25, (2, 2), id="behind the last"),
    ],
)
def test_neighbours(target, expected):
    assert neighbours(np.array([2.0, 10.0, 20.0]), target) == expected


def test_seen_targets_are_those_with_an_hr_frame_at_their_time():
    assert seen_targets(np.array([0.0, 2.4, 5.0]), 6).tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param((0, 10, 20.000001), [0, 10, 20], id="rounded beyond the end"),
        pytest.param((0, 10, 20.5), [0, 10, 20], id="half a frame beyond the end"),
        pytest.param((-1e-9, 10, 20), [0, 10, 20], id="rounded before the start"),
        pytest.param((-0.5, 10, 19.5), [0, 10, 19.5], id="half a frame before the start"),
    ],
)
def test_a_time_half_a_frame_outside_is_that_of_the_nearest_frame(times, expected):
    assert find_hr_times(*sequences(), make_plan(hr_times=times)).tolist() == expected


@pytest.mark.parametrize(
    ("times", "said"),
    [
        pytest.param((0, 10, 20.51), "HR frame 2 at LR frame 20.51", id="more than half a frame beyond"),
        pytest.param((-0.6, 10, 20), "HR frame 0 at LR frame -0.6", id="more than half a frame before"),
        pytest.param((0, 20.1, 20.2), "increase", id="two beyond the end"),
        pytest.param((0, 1e-9, 2e-9), "increase", id="no different times"),
        pytest.param((1, 11, 21), "numbered from 0", id="numbers from 1"),
    ],
)
def test_times_further_outside_are_refused(times, said):
    with pytest.raises(PairingError, match=said):
        find_hr_times(*sequences(), make_plan(hr_times=times))


def test_times_outside_are_explained_by_their_unit():
    lr = stack(np.zeros((51, 4, 4), np.uint8), "lr.tif", interval=2e-5)
    hr = stack(np.zeros((3, 16, 16), np.uint8), "hr.tif")
    with pytest.raises(PairingError) as caught:
        find_hr_times(lr, hr, make_plan(hr_times=(0, 400, 800)))
    assert "microseconds" in caught.value.hint
    assert "0, 20, 40" in caught.value.hint

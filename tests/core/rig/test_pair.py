"""Windows, grey matching and odd sequences, through the door that fusers use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import pair_stacks
from napari_xfusion.errors import PairingError
from tests.sequences import moving_discs, stack, two_cameras


def make_pair(sequence=None, step=4, **settings):
    sequence = moving_discs() if sequence is None else sequence
    lr, hr, times = two_cameras(sequence, step)
    return pair_stacks(stack(lr, "lr.tif"), stack(hr, "hr.tif"), make_plan(hr_times=times, **settings))


@pytest.mark.parametrize(
    ("target", "separation", "times", "hr_index"),
    [
        pytest.param(5, 1, (4, 5, 6, 4, 8), (1, 2), id="inside"),
        pytest.param(4, 1, (3, 4, 5, 4, 8), (1, 2), id="at an HR time"),
        pytest.param(0, 1, (0, 0, 1, 0, 4), (0, 1), id="first"),
        pytest.param(11, 1, (10, 11, 11, 11, 11), (3, 3), id="last"),
        pytest.param(2, 3, (0, 2, 5, 0, 4), (0, 1), id="separation 3"),
    ],
)
def test_window(target, separation, times, hr_index):
    pair = make_pair(separation=separation)
    window = pair.window(target)
    assert window.times == times
    assert window.hr_index == hr_index
    for image, time in zip(window.lr, times[:3], strict=True):
        assert image is pair.lr_frame(int(time))
    np.testing.assert_array_equal(window.hr[0], pair.hr_frame(hr_index[0]))


def test_targets_before_the_first_hr_frame_are_served_by_it():
    sequence = moving_discs()
    lr, hr, _ = two_cameras(sequence, 4)
    pair = pair_stacks(stack(lr), stack(hr[1:]), make_plan(hr_times=(4, 8, 11)))
    window = pair.window(1)
    assert window.hr_index == (0, 0)
    assert window.weights == (0.5, 0.5)


def test_lr_at_a_time_between_two_frames_is_interpolated():
    lr, hr, _ = two_cameras(moving_discs(), 4)
    pair = pair_stacks(stack(lr), stack(hr), make_plan(hr_times=(0, 4.25, 8, 11)))
    expected = 0.75 * pair.lr_frame(4) + 0.25 * pair.lr_frame(5)
    np.testing.assert_allclose(pair.window(5).lr_at_hr[0], expected, atol=1e-6)


@given(gain=st.floats(0.01, 500), offset=st.floats(-1000, 1000), noise=st.sampled_from([0, 0.02]))
@settings(max_examples=30, deadline=None)
def test_lr_of_any_gain_and_offset_is_matched_to_binned_hr(gain, offset, noise):
    """`match` undoes what the second camera does to grey values, with noise and motion present."""
    lr, hr, times = two_cameras(moving_discs(), 4)
    noisy = lr + noise * np.random.default_rng(0).standard_normal(lr.shape)
    camera = (gain * noisy + offset).astype(np.float64)
    pair = pair_stacks(stack(camera), stack(hr), make_plan(hr_times=times))
    for i in (0, 5, 11):
        expected = pair.grey.hr.to_grey(noisy[i])
        assert np.abs(pair.lr_frame(i) - expected).max() < (0.02 if noise else 0.005)
    span = pair.grey.hr.span
    assert pair.grey.lr_noise == pytest.approx(noise / span, abs=0.005)


@pytest.mark.parametrize("rule", ["match", "percentile", "none"])
def test_the_grey_scale_can_be_undone(rule):
    pair = make_pair(np.clip(moving_discs(), 0, 1), grey=rule)
    back = pair.grey.hr.from_grey(pair.hr_frame(1))
    np.testing.assert_allclose(back, pair.hr.frame(1), atol=1e-5)


def test_the_grey_scale_does_not_depend_on_the_frames_asked_for():
    assert make_pair(frames=(3, 5)).grey == make_pair().grey


def test_grey_none_refuses_values_outside_0_1():
    with pytest.raises(PairingError) as caught:
        make_pair(moving_discs() * 100, grey="none")
    assert caught.value.setting == "grey"


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        pytest.param(np.full((12, 32, 32), 5, np.uint16), "constant", id="constant"),
        pytest.param(np.zeros((12, 32, 32), np.float32), "constant", id="black"),
        pytest.param(np.random.default_rng(0).random((12, 32, 32)), "", id="white noise"),
        pytest.param(np.full((12, 32, 32), np.nan), "no finite value", id="NaN"),
    ],
)
def test_odd_sequences_pair_without_warning_or_nan(sequence, said):
    pair = make_pair(sequence)
    assert any(said in str(note) for note in pair.notes) or not said
    for target in range(12):
        window = pair.window(target)
        assert all(np.isfinite(image).all() for image in (*window.lr, *window.hr, *window.lr_at_hr))


def test_sequences_that_do_not_belong_together_are_told():
    _lr, hr, times = two_cameras(moving_discs(seed=0, shape=(64, 64)), 4)
    other = two_cameras(np.random.default_rng(3).random((12, 64, 64)).astype(np.float32), 4)[0]
    pair = pair_stacks(stack(other), stack(hr), make_plan(hr_times=times))
    assert any("agree poorly" in str(note) for note in pair.notes)


def test_nan_pixels_are_counted_and_stay_local():
    sequence = moving_discs()
    lr, hr, times = two_cameras(sequence, 4)
    holed = lr.copy()
    holed[5, 3, 4] = np.nan
    clean = pair_stacks(stack(lr), stack(hr), make_plan(hr_times=times))
    pair = pair_stacks(stack(holed), stack(hr), make_plan(hr_times=times))
    changed = pair.lr_frame(5) != clean.lr_frame(5)
    assert pair.invalid == {"LR 5": 1}
    assert changed.sum() == 1
    assert changed[3, 4]


def test_frames_outside_the_sequence_are_told():
    with pytest.raises(PairingError, match="0:12"):
        make_pair(frames=(3, 13))


def test_neighbouring_windows_read_each_frame_once():
    sequence = moving_discs(frames=30)
    lr, hr, times = two_cameras(sequence, 10)
    reads = []
    counted = stack(hr)
    object.__setattr__(counted, "read", lambda i: (reads.append(i), hr[i])[1])
    pair = pair_stacks(stack(lr), counted, make_plan(hr_times=times))
    reads.clear()
    for target in range(30):
        pair.window(target)
    assert reads == [0, 1, 2, 3]


@pytest.mark.parametrize("value", [0, 1, 5], ids=["black", "constant", "saturated"])
def test_an_hr_frame_that_shows_nothing_is_left_out_of_the_match(value):
    lr, hr, times = two_cameras(moving_discs(), 4)
    plan = make_plan(hr_times=times)
    expected = pair_stacks(stack(lr), stack(hr), plan).grey
    hr = hr.copy()
    hr[1] = value
    grey = pair_stacks(stack(lr), stack(hr), plan).grey
    assert any("1 of 4 HR frames" in str(note) for note in grey.notes)
    assert grey.correlation == pytest.approx(expected.correlation, abs=0.01)
    # The same camera value of LR stands for the same camera value of HR as before.
    for camera in (0.3, 0.7):
        value_of = [g.hr.zero + g.hr.span * (camera - g.lr.zero) / g.lr.span for g in (grey, expected)]
        assert value_of[0] == pytest.approx(value_of[1], abs=0.01)


def test_an_lr_sequence_that_shows_nothing_does_not_agree_with_hr():
    lr, hr, times = two_cameras(moving_discs(), 4)
    grey = pair_stacks(stack(np.full_like(lr, 7)), stack(hr), make_plan(hr_times=times)).grey
    assert grey.correlation == 0
    assert any("agree poorly" in str(note) for note in grey.notes)


def test_grey_none_takes_single_infinite_pixels_as_bad_and_not_as_out_of_range():
    lr, hr, times = two_cameras(moving_discs(), 4)
    lr[0, 3, 3], hr[0, 3, 3] = np.inf, np.nan
    pair = pair_stacks(stack(lr), stack(hr), make_plan(hr_times=times, grey="none"))
    assert np.isfinite(pair.lr_frame(0)).all()

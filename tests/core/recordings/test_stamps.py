"""Time stamps that cannot be true are repaired or refused, never used."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.stamps import stamped

US = 10**6
DAYS = 86_400 * 10**12
REGULAR = [i * 10 * US for i in range(40)]
FALLBACK = Clock.regular(40, 2e-5)


def changed(**values):
    times = list(REGULAR)
    for i, value in values.items():
        times[int(i[1:])] = value
    return times


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(changed(f39=292 * DAYS), id="the last, days later, as in a camera's file"),
        pytest.param(changed(f0=-292 * DAYS), id="the first"),
        pytest.param(changed(f17=400 * DAYS), id="in the middle"),
        pytest.param(changed(f17=0), id="in the middle, before"),
        pytest.param(changed(f17=16 * 10 * US), id="twice the same"),
    ],
)
def test_a_stamp_that_cannot_be_true_is_interpolated(times):
    clock, warnings = stamped(times, FALLBACK, "a.cine")
    assert clock == Clock(times_ps=tuple(REGULAR), source="stamps")
    assert [x.code for x in warnings] == ["unsure-times"]


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([0] * 40, id="all equal"),
        pytest.param(REGULAR[::-1], id="backwards"),
        pytest.param(changed(f3=99 * DAYS, f20=0, f31=0), id="too many"),
        pytest.param([i * 5 * DAYS for i in range(40)], id="longer than times can be counted"),
    ],
)
def test_stamps_that_do_not_increase_are_refused(times):
    clock, (warning,) = stamped(times, FALLBACK, "a.cine")
    assert (clock, warning.code) == (FALLBACK, "unsure-times")


def test_gaps_are_named_with_their_time():
    times = REGULAR[:20] + [t + 70 * US for t in REGULAR[20:]]
    clock, (warning,) = stamped(times, FALLBACK, "a.cine")
    assert clock.times_ps == tuple(times)
    assert warning.code == "uneven-times"
    assert "1 of 39 intervals" in warning.text
    assert "80 µs from frame 19 at 190 µs" in warning.text


def test_a_pause_between_two_halves_is_true():
    times = REGULAR[:20] + [t + 3600 * 10**12 for t in REGULAR[20:]]
    clock, (warning,) = stamped(times, FALLBACK, "a.cine")
    assert (clock.times_ps, warning.code) == (tuple(times), "uneven-times")


@given(steps=st.lists(st.integers(US, 400 * US), min_size=1, max_size=60))
def test_increasing_stamps_of_moderate_steps_are_never_changed(steps):
    times = np.cumsum([0, *steps]).tolist()
    clock, _ = stamped(times, Clock.regular(len(times)), "a.cine")
    assert clock.times_ps == tuple(times)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames(count):
    assert stamped(REGULAR[:count], FALLBACK, "a.cine") == (
        Clock(times_ps=tuple(REGULAR[:count]), source="stamps"),
        (),
    )

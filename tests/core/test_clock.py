"""Times of frames in picoseconds, and as frame numbers of another camera."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_xfusion.core.clock import LONGEST, PICOSECONDS, Clock
from napari_xfusion.core.recordings import as_stack


@pytest.mark.parametrize(
    ("interval", "known"),
    [
        pytest.param(1e-6, True, id="1 us"),
        pytest.param(1e-12, True, id="the finest"),
        pytest.param(0.9e-12, False, id="below a picosecond"),
        pytest.param(0.0, False, id="zero"),
        pytest.param(-1.0, False, id="negative"),
        pytest.param(float("nan"), False, id="NaN"),
        pytest.param(float("inf"), False, id="infinite"),
        pytest.param(1e7, False, id="months"),
        pytest.param(None, False, id="none"),
    ],
)
def test_regular_clocks(interval, known):
    clock = Clock.regular(5, interval)
    assert clock.known == known
    assert len(clock) == 5
    assert clock.interval == (pytest.approx(interval) if known else None)
    assert clock.seconds(3) == (pytest.approx(3 * interval) if known else None)
    assert clock == Clock.model_validate_json(clock.model_dump_json())


def test_one_frame_has_no_interval():
    assert Clock.regular(1, 1e-3).interval is None


@pytest.mark.parametrize(
    "times",
    [
        pytest.param((), id="none"),
        pytest.param((0, 5, 5), id="twice"),
        pytest.param((0, 5, 4), id="backwards"),
        pytest.param((0, LONGEST + 1), id="too long"),
    ],
)
def test_times_that_cannot_be(times):
    with pytest.raises(ValidationError):
        Clock(times_ps=times)


def test_time_stamps_since_1970_lose_nothing():
    """Nanoseconds since 1970, whose float64 seconds resolve 0.2 us only."""
    start = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp()) * PICOSECONDS
    clock = Clock(times_ps=tuple(start + k * 571_429 for k in range(4)), source="stamps")
    assert clock.since_start.tolist() == [0, 571_429, 1_142_858, 1_714_287]
    assert clock.interval == pytest.approx(5.71429e-7, rel=1e-12)


steps = st.lists(st.integers(1_000, 10**12), min_size=1, max_size=30)


@given(steps, st.data())
def test_frame_numbers_and_times_are_inverse(steps, data):
    """Exact at frames; between them to what a picosecond is worth."""
    clock = Clock(times_ps=tuple(np.cumsum([7, *steps]).tolist()), source="stamps")
    whole = st.integers(-3, len(steps) + 3).map(float)
    numbers = sorted(data.draw(st.sets(st.one_of(whole, st.floats(-3, len(steps) + 3)), min_size=1)))
    spread = [n for n, gap in zip(numbers, np.diff([-9, *numbers]), strict=True) if gap > 1e-2]
    if not spread:
        return
    found = clock.frames_of(clock.at(spread))
    np.testing.assert_allclose(found, spread, atol=2 / min(steps), rtol=0)
    whole_numbers = [i for i, n in enumerate(spread) if n == int(n)]
    assert found[whole_numbers].tolist() == [spread[i] for i in whole_numbers]


@given(st.lists(st.floats(0, 999), min_size=1, max_size=9, unique=True).map(sorted), st.floats(1e-7, 1e-2))
def test_typed_frame_numbers_come_back(numbers, interval):
    numbers = [round(n, 3) for n in numbers]
    if len(set(numbers)) < len(numbers):
        return
    clock = Clock.regular(1000, interval)
    assert clock.frames_of(clock.at(numbers)) == pytest.approx(numbers, abs=1e-12 / interval)


def test_frame_numbers_without_a_rate_are_exact():
    clock = Clock.regular(100_000)
    numbers = [0.0, 4.3, 17.125, 99_998.7]
    assert clock.frames_of(clock.at(numbers)).tolist() == numbers


def test_an_uneven_clock():
    clock = Clock(times_ps=(0, 10, 30), source="stamps")
    assert not clock.is_regular
    assert clock.at([0.5, 1.5, 3]).times_ps == (5, 20, 50)
    assert clock.select((0, 2)).times_ps == (0, 30)
    assert Clock.regular(9, 1e-3).is_regular


def test_a_derived_sequence_of_other_length_has_a_time_for_each_frame():
    frames = np.zeros((3, 4, 5), np.uint8)
    sequence = replace(as_stack(frames), clock=Clock.regular(3, 0.5))
    longer = sequence.derive(lambda _: frames[0], (7, 4, 5), frames.dtype)
    assert len(longer.clock) == 7
    assert longer.clock.interval == 0.5
    assert sequence.derive(sequence.read, sequence.shape, frames.dtype).clock is sequence.clock

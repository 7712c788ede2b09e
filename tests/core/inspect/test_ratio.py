"""Frame division: against NumPy's own division, and where there is nothing to divide by."""

import numpy as np
import pytest

from napari_xfusion.core.inspect.ratio import divide, divided, ratio_limits
from tests.sequences import moving_discs, stack

SEQUENCE = (moving_discs(6) * 4000 + 200).astype(np.uint16)


def test_each_frame_is_divided_by_its_previous_one():
    ratio = divided(stack(SEQUENCE))
    assert ratio.shape == SEQUENCE.shape
    for i in range(1, len(SEQUENCE)):
        np.testing.assert_allclose(ratio.frame(i), SEQUENCE[i].astype(float) / SEQUENCE[i - 1], rtol=1e-6)


def test_frame_0_says_that_nothing_changed():
    np.testing.assert_array_equal(divided(stack(SEQUENCE)).frame(0), 1)


def test_what_stands_still_is_one_whatever_its_brightness():
    still = np.repeat(SEQUENCE[:1], 3, axis=0)
    np.testing.assert_array_equal(divided(stack(still)).frame(2), 1)


@pytest.mark.parametrize(
    ("value", "previous"),
    [
        pytest.param(5.0, 0.0, id="previous is zero"),
        pytest.param(0.0, 0.0, id="both are zero"),
        pytest.param(5.0, -1.0, id="previous is negative"),
        pytest.param(5.0, np.nan, id="previous is no number"),
        pytest.param(np.inf, 2.0, id="value is infinite"),
        pytest.param(3e38, 1e-30, id="ratio beyond float32"),
    ],
)
def test_where_there_is_no_ratio_none_is_made_up(value, previous):
    ratio = divide(np.array([[value, 3.0]], np.float32), np.array([[previous, 2.0]], np.float32))
    assert np.isnan(ratio[0, 0])
    assert ratio[0, 1] == 1.5


def test_whole_numbers_do_not_wrap_around():
    darker = divide(np.full((2, 2), 10, np.uint16), np.full((2, 2), 40000, np.uint16))
    np.testing.assert_allclose(darker, 10 / 40000)


def test_reading_a_frame_reads_two_frames_of_the_sequence():
    read = []
    sequence = stack(SEQUENCE)
    watched = sequence.derive(lambda i: read.append(i) or SEQUENCE[i], sequence.shape, sequence.dtype)
    ratio = divided(watched)
    assert read == []
    ratio.frame(4)
    assert sorted(read) == [3, 4]


def test_limits_lie_evenly_about_one_and_hold_nearly_all():
    ratio = divided(stack(SEQUENCE))
    low, high = ratio_limits(ratio)
    assert (low + high) / 2 == pytest.approx(1)
    values = np.stack([ratio.frame(i) for i in range(1, len(SEQUENCE))])
    assert 0.98 < np.mean((low <= values) & (values <= high)) < 1


def test_limits_of_a_sequence_that_stands_still_have_a_width():
    assert ratio_limits(divided(stack(np.repeat(SEQUENCE[:1], 3, axis=0)))) == pytest.approx((0.99, 1.01))

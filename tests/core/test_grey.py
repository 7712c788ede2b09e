"""Percentiles, the affine map, and values that are none."""

import re

import numpy as np
import pytest

from napari_xfusion.core.grey import Affine, fill_invalid, percentile_map, sample_frames
from tests.sequences import stack


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 1000])
def test_the_sample_is_even_and_has_both_ends(count):
    sample = sample_frames(count)
    assert sample[0] == 0
    assert sample[-1] == count - 1
    assert len(sample) == min(count, 16)
    assert np.ptp(np.diff(sample)) <= 1 if count > 1 else True


def test_map_there_and_back():
    camera = np.array([[100, 4000]], np.uint16)
    scale = Affine(500.0, 2000.0)
    np.testing.assert_allclose(scale.from_grey(scale.to_grey(camera)), camera, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int16", "int32", "float32", "float64", ">u2"])
def test_percentiles_are_numpys(dtype):
    sequence = np.random.default_rng(0).normal(60, 12, (5, 40, 40)).astype(dtype)
    scale, notes = percentile_map(stack(sequence))
    low, high = np.percentile(sequence, (0.35, 99.65))
    assert (scale.zero, scale.span) == pytest.approx((low, high - low))
    assert notes == ()


def test_of_a_long_float_sequence_enough_pixels_are_looked_at():
    sequence = np.random.default_rng(0).normal(size=(16, 600, 600)).astype(np.float32)
    scale, _ = percentile_map(stack(sequence))
    low, high = np.percentile(sequence, (0.35, 99.65))
    assert (scale.zero, scale.span) == pytest.approx((low, high - low), rel=0.005)


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        pytest.param(np.full((3, 4, 4), 7, np.uint8), "constant at 7", id="constant"),
        pytest.param(np.full((3, 4, 4), np.nan, np.float32), "no finite value", id="all NaN"),
        pytest.param(np.where(np.eye(4) > 0, np.nan, np.ones((3, 4, 4))), "25.00% .* NaN", id="some NaN"),
        pytest.param(
            np.clip(np.arange(300).reshape(3, 10, 10), 0, 255).astype(np.uint8), "255", id="saturated"
        ),
    ],
)
def test_odd_sequences_are_said_and_stay_invertible(sequence, said):
    scale, notes = percentile_map(stack(sequence))
    assert any(re.search(said, str(note)) for note in notes)
    assert scale.span > 0
    assert np.isfinite([scale.zero, scale.span]).all()


def test_invalid_pixels_take_the_nearest_valid_value():
    frame = np.array([[1, np.nan, np.nan, 4]], np.float32)
    filled, count = fill_invalid(frame)
    assert filled.tolist() == [[1, 1, 4, 4]]
    assert count == 2


def test_a_frame_without_a_valid_pixel_becomes_zero():
    filled, count = fill_invalid(np.full((3, 3), np.inf))
    assert not filled.any()
    assert count == 9


def test_integers_pass_untouched():
    frame = np.array([[1, 2]], np.uint8)
    assert fill_invalid(frame) == (frame, 0)

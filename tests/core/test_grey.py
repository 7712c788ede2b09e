"""Percentiles, the affine map, and values that are none."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_xfusion.core.grey import Affine, fill_invalid, invalid_pixels, percentile_map, sample_frames
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
        pytest.param(np.where(np.eye(4) > 0, np.nan, np.ones((3, 4, 4))), "25.00%.* NaN", id="some NaN"),
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


CAMERA = np.random.default_rng(3).integers(100, 4000, (20, 30))
FLUX = np.random.default_rng(4).gamma(2, 3e11, (20, 30))
FILL_VALUES = (1e15, 1e20, 9.96921e36, -3.4e38, -1e30, 3.4028235e38, 1e12, np.nan, -np.inf)


@pytest.mark.parametrize("value", FILL_VALUES)
@pytest.mark.parametrize("count", [1, 5, 400], ids="{} pixels".format)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fill_values_are_filled_in_and_counted(value, count, dtype):
    frame = CAMERA.astype(dtype)
    frame.flat[:count] = value
    filled, found = fill_invalid(frame)
    assert found == count
    assert filled.max() < 4000
    scale, notes = percentile_map(stack(frame[None]))
    assert 0 < scale.span < 4000
    assert [note.code for note in notes if note.code == "invalid-pixels"] == ["invalid-pixels"]


def test_different_fill_values_are_all_filled_in():
    frame = CAMERA / 4000
    frame.flat[:4] = 1e20, -3e15, 5e36, -np.inf
    assert fill_invalid(frame)[1] == 4


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(FLUX, id="flux of 1e12 photons"),
        pytest.param(np.where(np.arange(600).reshape(20, 30) % 7, FLUX, 0), id="flux with dead pixels"),
        pytest.param(np.exp(-(np.arange(-300, 300.0).reshape(20, 30) ** 2) / 40), id="a narrow peak"),
        pytest.param(
            1e12 * np.exp(-(np.arange(-300, 300.0).reshape(20, 30) ** 2) / 40), id="a narrow peak of flux"
        ),
        pytest.param(np.eye(20, 30) * 4294967295, id="32-bit spots on black"),
        pytest.param(CAMERA * 1e-9, id="metres"),
        pytest.param(np.where(CAMERA.max() == CAMERA, 65535, 0), id="a hot pixel on black"),
        pytest.param(CAMERA * 1e25, id="any unit"),
        pytest.param(np.zeros((20, 30)), id="black"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signals_are_no_fill_values(frame, dtype):
    assert invalid_pixels(frame.astype(dtype)) is None


@given(
    arrays(
        np.float32,
        (6, 7),
        elements=st.integers(-(2**31), 2**32 - 1).map(float).map(np.float32) | st.floats(-1e9, 1e9, width=32),
    )
)
def test_no_value_of_an_integer_camera_is_a_fill_value(frame):
    assert invalid_pixels(frame) is None


@pytest.mark.parametrize(
    ("dtype", "zero"), [("uint32", 2_000_000_000), ("int32", -1_000_000_000), ("float64", 1e12)]
)
def test_a_small_signal_on_a_large_offset_keeps_its_steps(dtype, zero):
    camera = (np.arange(2000).reshape(40, 50) + zero).astype(dtype)
    scale = Affine(zero + 3.0, 1990.0)
    back = scale.from_grey(scale.to_grey(camera), camera.dtype)
    assert np.rint(back).astype(dtype).tolist() == camera.tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32"])
def test_units_of_other_cameras_are_float32(dtype):
    assert Affine(5.0, 9.0).from_grey(np.ones((2, 2), np.float32), np.dtype(dtype)).dtype == np.float32

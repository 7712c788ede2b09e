"""Motion between LR frames and warping, against motions that are known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_xfusion.core.degrade import binning
from napari_xfusion.core.optical_flow import enlarge, find_motion, warp


def ground(shape=(240, 320), seed=0):
    """Smooth random texture on [0, 1]."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 6)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def shifted(image, dy, dx):
    """The middle 160 x 200 pixels of ``image``, its content moved by (dy, dx)."""
    y, x = np.mgrid[40:200, 60:260].astype(float)
    return map_coordinates(image, [y - dy, x - dx], order=3).astype(np.float32)


def seen(image, scale=4):
    h, w = image.shape[0] // scale, image.shape[1] // scale
    return binning(image.shape, (h, w), (scale, scale))(image)


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (3, 0), (0, -5), (2.5, 7.25), (-10, 12)])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_shift_is_found_in_hr_pixels_across_then_down(dy, dx, scale):
    image = ground()
    here, there = shifted(image, 0, 0), shifted(image, dy, dx)
    motion = find_motion(seen(here, scale), seen(there, scale), here.shape, (scale, scale))
    inner = motion[24:-24, 24:-24]
    assert np.abs(np.median(inner, axis=(0, 1)) - (dx, dy)).max() < 0.1
    assert np.abs(inner - (dx, dy)).mean() < 0.25


def test_warping_along_the_motion_gives_the_other_frame():
    """The two functions share one convention: here[p] = there[p + motion[p]]."""
    image = ground()
    here, there = shifted(image, 0, 0), shifted(image, 3, -6)
    motion = find_motion(seen(here), seen(there), here.shape, (4, 4))
    error = (warp(there, motion) - here)[24:-24, 24:-24]
    assert error.std() < 0.1 * (there - here)[24:-24, 24:-24].std()


def test_low_contrast_shows_the_same_motion():
    """Eight bits are filled by what the two frames show, not by the whole grey scale."""
    image = ground()
    here, there = seen(shifted(image, 0, 0)), seen(shifted(image, 2, 4))
    full = find_motion(here, there, (160, 200), (4, 4))
    faint = find_motion(0.5 + 0.01 * here, 0.5 + 0.01 * there, (160, 200), (4, 4))
    np.testing.assert_allclose(faint, full, atol=0.1)


def test_warping_by_whole_pixels_copies_them():
    image = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    motion = np.broadcast_to(np.array([3, -2], np.float32), (20, 30, 2)).copy()
    np.testing.assert_allclose(warp(image, motion)[5:-5, 5:-5], image[3:-7, 8:-2], atol=1e-6)


def test_beyond_the_edge_the_edge_pixel_is_repeated():
    image = np.arange(12, dtype=np.float32)[None].repeat(9, axis=0)
    far = np.zeros((9, 12, 2), np.float32)
    far[..., 0] = 100
    np.testing.assert_allclose(warp(image, far), 11, atol=1e-5)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        pytest.param(np.full((20, 30), 0.4, np.float32), np.full((20, 30), 0.4, np.float32), id="constant"),
        pytest.param(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32), id="one pixel"),
        pytest.param(ground((7, 40)), ground((7, 40), 1), id="too flat"),
    ],
)
def test_what_cannot_show_motion_shows_none(here, there):
    shape = (here.shape[0] * 4, here.shape[1] * 4)
    assert not find_motion(here, there, shape, (4, 4)).any()


@given(h=st.integers(1, 40), w=st.integers(1, 40), scale=st.floats(1, 5))
@settings(max_examples=40, deadline=None)
def test_any_size_gives_finite_motion_on_the_hr_grid(h, w, scale):
    rng = np.random.default_rng(h * 41 + w)
    shape = max(round(h * scale), h), max(round(w * scale), w)
    here, there = rng.random((2, h, w), dtype=np.float32)
    motion = find_motion(here, there, shape, (shape[0] / h, shape[1] / w))
    assert motion.shape == (*shape, 2)
    assert motion.dtype == np.float32
    assert np.isfinite(motion).all()


@pytest.mark.parametrize(
    ("size", "shape", "scale"),
    [
        pytest.param((5, 6), (20, 24), (4.0, 4.0), id="whole"),
        pytest.param((5, 6), (22, 27), (4.0, 4.0), id="HR has an unfinished pixel more"),
        pytest.param((5, 6), (18, 21), (4.0, 4.0), id="the last LR pixel reaches over the edge"),
        pytest.param((24, 37), (70, 108), (70 / 24, 108 / 37), id="2.92"),
    ],
)
def test_enlarging_keeps_a_ramp_in_place_and_repeats_the_edge(size, shape, scale):
    """Value = position of the pixel's centre in HR pixels from the shared upper left corner."""
    field = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) * s for n, s in zip(size, scale, strict=True)]), -1)
    field = field.transpose(1, 0, 2).astype(np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    first, last = field[0, 0], field[-1, -1]
    expected = np.stack([np.clip(y, first[0], last[0]), np.clip(x, first[1], last[1])], -1)
    np.testing.assert_allclose(enlarge(field, shape, scale), expected, atol=0.1)


def test_the_same_frames_give_the_same_bytes_in_any_thread():
    image = ground()
    here, there = seen(shifted(image, 0, 0)), seen(shifted(image, 3, 5))

    def search(_):
        return find_motion(here, there, (160, 200), (4, 4)).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(search, range(8)))) == 1

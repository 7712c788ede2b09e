"""Binning and cubic resampling against definitions and against torch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_xfusion.core.degrade import binning, cubic


def test_binning_is_the_mean_of_blocks():
    image = np.random.default_rng(0).random((24, 36), dtype=np.float32)
    expected = image.reshape(6, 4, 9, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(binning((24, 36), (6, 9), (4, 4))(image), expected, atol=1e-6)


def test_an_unfinished_last_pixel_is_the_mean_of_what_is_there():
    image = np.arange(10, dtype=np.float32)[None].repeat(4, axis=0)
    assert binning((4, 10), (1, 3), (4, 4))(image).tolist() == [[1.5, 5.5, 8.5]]


@given(h=st.integers(1, 9), w=st.integers(1, 9), scale=st.floats(1, 6))
@settings(max_examples=60, deadline=None)
def test_binning_weights_every_hr_pixel_by_its_area(h, w, scale):
    """At any scale: a constant stays, and the mean of the sequence is kept."""
    height, width = max(round(h * scale), h), max(round(w * scale), w)
    down = binning((height, width), (h, w), (height / h, width / w))
    image = np.random.default_rng(1).random((height, width), dtype=np.float32)
    np.testing.assert_allclose(down(np.ones_like(image)), 1, atol=1e-6)
    np.testing.assert_allclose(down(image).mean(), image.mean(), atol=1e-5)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param((20, 24), (80, 96), id="up 4"),
        pytest.param((20, 24), (58, 70), id="up 2.9"),
        pytest.param((80, 96), (20, 24), id="down 4"),
        pytest.param((80, 96), (27, 33), id="down 2.9"),
    ],
)
def test_cubic_equals_torch_away_from_the_edge(source, target):
    """torch's antialiased bicubic has a = -0.5 too; at the edge it cuts the kernel where ours repeats."""
    functional = pytest.importorskip("torch").nn.functional
    from torch import from_numpy

    image = np.random.default_rng(2).random(source, dtype=np.float32)
    scale = (source[0] / target[0], source[1] / target[1])
    ours = cubic(source, target, scale)(image)
    theirs = functional.interpolate(
        from_numpy(image)[None, None], size=target, mode="bicubic", antialias=True
    )
    margin = int(np.ceil(max(2 / min(scale), 2))) + 1
    inner = slice(margin, -margin), slice(margin, -margin)
    np.testing.assert_allclose(ours[inner], theirs[0, 0].numpy()[inner], atol=1e-5)


@given(h=st.integers(1, 9), w=st.integers(1, 9), scale=st.floats(1, 6))
@settings(max_examples=60, deadline=None)
def test_cubic_keeps_a_constant_at_any_size(h, w, scale):
    up = cubic((h, w), (round(h * scale), round(w * scale)), (1 / scale, 1 / scale))
    image = up(np.full((h, w), 0.7, dtype=np.float32))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 0.7, atol=1e-6)


def test_enlarging_keeps_a_ramp_in_place():
    """Half-pixel centres: a linear ramp stays the same ramp, not shifted by half a pixel."""
    ramp = (np.arange(10, dtype=np.float32) + 0.5)[None].repeat(10, axis=0)
    large = cubic((10, 10), (40, 40), (0.25, 0.25))(ramp)
    expected = (np.arange(40) + 0.5) / 4
    np.testing.assert_allclose(large[20, 8:-8], expected[8:-8], atol=1e-5)

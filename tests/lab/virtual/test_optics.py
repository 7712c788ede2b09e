"""What the coarse camera sees through a mapping: means over its pixels' areas, wherever these lie."""

import math

import numpy as np
import pytest

from napari_xfusion.core.degrade import binning
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.lab.virtual.optics import View, expose

SHAPE = (8, 12)


@pytest.mark.parametrize("scale", [3.0, 2.5])
def test_without_a_turn_it_is_binning(scale):
    size = round(8 * scale), round(12 * scale)
    image = np.random.default_rng(0).random(size, np.float32)
    seen = View.of(Mapping.scaled((scale, scale)), SHAPE, size)(image)
    np.testing.assert_allclose(seen, binning(size, SHAPE, (scale, scale))(image), atol=1e-5)


@pytest.mark.parametrize("radial", [(0.0, 0.0), (0.01, -0.004)], ids=["affine", "radial"])
def test_a_ramp_is_seen_at_the_centre_of_each_pixel(radial):
    angle = math.radians(3)
    cos, sin = 2.9 * math.cos(angle), 2.9 * math.sin(angle)
    mapping = Mapping(
        linear=((cos, sin), (sin, -cos)), shift=(20.3, 55.6), radial=radial, centre=(30, 40), reach=50
    )  # mirrored
    y, x = np.mgrid[:80, :100].astype(np.float32)
    seen = View.of(mapping, SHAPE, (80, 100), blur=0.4)(2 * y + x)
    places = mapping.to_output(np.stack(np.mgrid[:8, :12], axis=-1))
    inside = (places.min(axis=-1) > 4) & (places[..., 0] < 75) & (places[..., 1] < 95)
    assert inside.mean() > 0.7
    np.testing.assert_allclose(seen[inside], (2 * places[..., 0] + places[..., 1])[inside], atol=0.1)


def test_an_exposure_weighs_frames_by_the_time_they_share():
    values = [0.0, 10.0, 20.0, 30.0]
    read = [np.full((2, 2), v, np.float32) for v in values].__getitem__
    assert expose(read, 4, 1.25, 1.0)[0, 0] == pytest.approx(0.75 * 10 + 0.25 * 20)
    assert expose(read, 4, 0.5, 2.0)[0, 0] == pytest.approx((0.5 * 0 + 10 + 0.5 * 20) / 2)
    assert expose(read, 4, 3.5, 1.0)[0, 0] == pytest.approx(30)

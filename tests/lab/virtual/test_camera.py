"""Synthetic radiographs: optics and camera."""

import numpy as np
import pytest

from napari_xfusion.lab.virtual.camera import Camera, radiograph


def test_a_slab_attenuates_by_beer_lambert():
    slab = np.full((32, 32), 50.0, np.float32)
    np.testing.assert_allclose(radiograph(slab, 0.02, 3.0), np.exp(-1.0), rtol=1e-5)


def test_a_ball_is_dark_with_a_dark_rim_and_a_bright_fringe():
    y, x = np.mgrid[:41, :41]
    ball = 2 * np.sqrt(np.clip(100 - (y - 20) ** 2 - (x - 20) ** 2, 0, None)).astype(np.float32)
    row = radiograph(ball, 0.01, 3.0)[20]
    assert row[:6] == pytest.approx(1.0, abs=1e-3)
    assert row[8:12].max() > 1.01  # outside
    assert row[11:14].min() < np.exp(-0.01 * ball[20])[11:14].min()  # inside


def test_refraction_moves_light_and_makes_none():
    rng = np.random.default_rng(0)
    thickness = rng.uniform(0, 20, (64, 64)).astype(np.float32)
    with_edges, without = (radiograph(thickness, 0.01, fringe).mean() for fringe in (3.0, 0.0))
    assert with_edges == pytest.approx(without, rel=5e-3)


def test_camera_noise_is_that_of_its_photons():
    camera = Camera(flicker=0.0, pattern=0.0, blur=0.0, read_noise=4.0)
    sequence = camera.sequence(np.ones((40, 24, 24), np.float32), np.random.default_rng(0)).astype(float)
    counts = sequence.mean(0) - camera.offset
    expected = counts * camera.level / camera.photons + 16 + 1 / 12
    assert sequence.var(0).mean() == pytest.approx(expected.mean(), rel=0.03)


def test_camera_saturates():
    sequence = Camera(level=6000.0).sequence(np.ones((2, 16, 16), np.float32), np.random.default_rng(0))
    assert sequence.dtype == np.uint16
    assert sequence.max() == 4095

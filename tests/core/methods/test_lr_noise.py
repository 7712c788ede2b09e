"""LR noise against brightness."""

import numpy as np
import pytest

from napari_xfusion.core.methods.lr_noise import fit_lr_noise


@pytest.mark.parametrize("photons", [20, 1000])
def test_photon_noise_is_found_at_every_brightness(photons):
    rng = np.random.default_rng(0)
    truth = np.repeat(np.linspace(0.05, 1, 200, dtype=np.float32)[None], 100, axis=0)
    lr = (rng.poisson(truth * photons) / photons).astype(np.float32)
    lr[:5] += 3  # what differs otherwise is no noise
    curve = fit_lr_noise([lr], [truth], 0.1)
    found = np.interp(truth[0], curve.brightness, curve.variance)
    np.testing.assert_allclose(found[8:-8], truth[0, 8:-8] / photons, rtol=0.25)


def test_without_noise_or_enough_pixels_the_one_number_holds():
    small = np.zeros((4, 4), np.float32)
    assert fit_lr_noise([small], [small], 0.2)(small) == pytest.approx(0.04)
    large = np.random.default_rng(0).random((200, 200), np.float32)
    assert not fit_lr_noise([large], [large + 1], 0.0)(large).any()

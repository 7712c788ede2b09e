"""How much LR is blurred beyond its pixels: measured on the pair, and what is taken from a kernel."""

import numpy as np
import pytest
from scipy import ndimage

from napari_xfusion.core.degrade import binning
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.rig import Grids
from napari_xfusion.core.rig.blur import Pair, blur_of, find_blur

LR, HR = (30, 40), (120, 160)
GRIDS = Grids(LR, HR, Mapping.scaled((4, 4)))


def pair(blur, seed, noise=0.01):
    rng = np.random.default_rng(seed)
    hr = ndimage.gaussian_filter(rng.standard_normal(HR), 1.5).astype(np.float32)
    hr /= np.ptp(hr)
    lr = (
        ndimage.gaussian_filter(hr, 4 * np.array(blur), mode="nearest")
        .reshape(30, 4, 40, 4)
        .mean(axis=(1, 3))
    )
    lr = 3 + 2 * (lr + noise * rng.standard_normal(LR))
    return Pair(lr.astype(np.float32), hr, np.ones(LR, bool))


@pytest.mark.parametrize("blur", [(0.0, 0.0), (0.3, 0.3), (0.7, 0.4)])
def test_the_blur_of_lr_is_found(blur):
    found = find_blur([pair(blur, seed) for seed in (1, 2)], GRIDS)
    assert found == pytest.approx(blur, abs=0.05)


def test_noise_alone_has_no_blur():
    pairs = [each._replace(hr=pair((0, 0), 9).hr) for each in (pair((0.5, 0.5), 1), pair((0.5, 0.5), 2))]
    assert find_blur(pairs, GRIDS) == (0, 0)


def test_binning_blurs_as_another_library():
    image = pair((0, 0), 3).hr
    seen = binning(HR, LR, (4, 4), (0.5, 0.8))(image)
    expected = (
        ndimage.gaussian_filter(image, (2.0, 3.2), mode="nearest").reshape(30, 4, 40, 4).mean(axis=(1, 3))
    )
    np.testing.assert_allclose(seen, expected, atol=1e-4)


def test_a_kernel_is_a_gaussian_of_its_variances():
    off = np.arange(-9, 10)
    kernel = np.exp(-0.5 * (off[:, None] / 2.0) ** 2 - 0.5 * (off / 1.5) ** 2)
    mapping = Mapping(linear=((0.0, 3.0), (-2.0, 0.0)))  # turned by 90 degrees
    assert blur_of(kernel.tolist(), mapping) == pytest.approx((1.5 / 2, 2 / 3), rel=1e-3)

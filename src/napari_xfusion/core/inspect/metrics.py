"""Three metrics of the distance between an image and the truth (paper, Figs 4 to 6).

They are computed in float: rounding to 8 bits first, as the research code did, would cap PSNR near 59 dB.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import skimage

from napari_xfusion.core.types import Image


class Metrics(NamedTuple):
    """The metrics of one frame; grey values in [0, 1]."""

    psnr: float
    """Peak signal-to-noise ratio in dB, peak 1; infinite when the images are equal."""
    aad: float
    """Average absolute difference in 8-bit grey levels, 0 to 255."""
    ssim: float
    """Structural similarity with a 7x7 uniform filter, the default of scikit-image."""
    ssim_gaussian: float
    """Structural similarity with the Gaussian filter of Wang et al. 2004 (11 pixels, sigma 1.5)."""


def measure(truth: Image, result: Image) -> Metrics:
    """Compare two images (H, W) with values in [0, 1].

    SSIM is NaN where the image is smaller than its filter.
    """
    return Metrics(
        psnr=psnr(truth, result),
        aad=255 * float(np.mean(np.abs(np.subtract(result, truth, dtype=np.float64)))),
        ssim=ssim(truth, result),
        ssim_gaussian=_ssim(truth, result, window=11),
    )


def psnr(truth: Image, result: Image) -> float:
    """Return the PSNR in dB (``Metrics.psnr``) of images (H, W) with values in [0, 1]."""
    mse = float(np.mean(np.subtract(result, truth, dtype=np.float64) ** 2))
    return -10 * float(np.log10(mse)) if mse > 0 else float("inf")


def ssim(truth: Image, result: Image) -> float:
    """Return ``Metrics.ssim`` of images (H, W) with values in [0, 1]."""
    return _ssim(truth, result, window=7)


def _ssim(truth: Image, result: Image, window: int) -> float:
    if min(truth.shape) < window:
        return float("nan")
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options = gaussian if window == 11 else {"win_size": window}
    return float(skimage.metrics.structural_similarity(truth, result, data_range=1.0, **options))

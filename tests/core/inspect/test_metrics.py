"""The three numbers against formulas written out, and against scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_xfusion.core.inspect.metrics import measure

RNG = np.random.default_rng(0)
TRUTH = RNG.random((40, 50), dtype=np.float32)
NOISY = np.clip(TRUTH + 0.1 * RNG.standard_normal(TRUTH.shape), 0, 1).astype(np.float32)


def test_psnr_and_ssim_are_scikit_images():
    metrics = measure(TRUTH, NOISY)
    assert metrics.psnr == pytest.approx(peak_signal_noise_ratio(TRUTH, NOISY, data_range=1), abs=1e-4)
    assert metrics.ssim == pytest.approx(structural_similarity(TRUTH, NOISY, data_range=1), abs=1e-6)
    gaussian = structural_similarity(
        TRUTH, NOISY, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.ssim_gaussian == pytest.approx(gaussian, abs=1e-6)


def test_ssim_is_the_formula_of_wang_2004():
    """Independent of scikit-image: means and covariances over 7x7 windows, written out."""
    a, b = TRUTH.astype(float), NOISY.astype(float)
    mean_a, mean_b = uniform_filter(a, 7), uniform_filter(b, 7)
    unbiased = 49 / 48
    var_a = unbiased * (uniform_filter(a * a, 7) - mean_a**2)
    var_b = unbiased * (uniform_filter(b * b, 7) - mean_b**2)
    covariance = unbiased * (uniform_filter(a * b, 7) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    ssim /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert measure(TRUTH, NOISY).ssim == pytest.approx(ssim[3:-3, 3:-3].mean(), abs=1e-5)


def test_aad_is_in_8_bit_grey_levels_without_rounding():
    assert measure(np.zeros((8, 8), np.float32), np.full((8, 8), 0.001, np.float32)).aad == pytest.approx(
        0.255
    )


def test_equal_images():
    metrics = measure(TRUTH, TRUTH)
    assert metrics.psnr == float("inf")
    assert metrics.aad == 0
    assert metrics.ssim == pytest.approx(1)


def test_ssim_of_an_image_smaller_than_its_window_is_not_a_number():
    metrics = measure(TRUTH[:8, :8], NOISY[:8, :8])
    assert np.isfinite(metrics.ssim)
    assert np.isnan(metrics.ssim_gaussian)

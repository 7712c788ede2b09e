"""Photon noise, and the number of photons for a wished LR PSNR."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from skimage.metrics import peak_signal_noise_ratio

from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual import noise
from tests.sequences import binned, moving_discs


def sequence(frames=6, shape=(96, 128)):
    return dict(enumerate(binned(moving_discs(frames, shape))))


def test_noise_has_the_mean_and_variance_of_photons():
    grey = np.full((400, 400), 0.3, np.float32)
    noisy = noise.poisson_noise(grey, 1000.0, np.random.default_rng(0)).astype(np.float64)
    assert noisy.mean() == pytest.approx(0.3, rel=1e-3)
    assert noisy.var() == pytest.approx(0.3 / 1000, rel=0.02)


def test_noise_counts_photons_and_never_leaves_the_scale():
    grey = np.linspace(-0.2, 1.3, 400, dtype=np.float32).reshape(20, 20)
    noisy = noise.poisson_noise(grey, 7.0, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert set(np.round(noisy.ravel() * 7, 4)) <= set(range(8))
    assert not noisy[grey <= 0].any()


@pytest.mark.parametrize("b0", [1.0, 1.9, 2.5, 30.0, 1e4])
@pytest.mark.parametrize("grey", [0.0, 1e-4, 0.3, 0.97, 1.0])
def test_expected_error_is_the_sum_over_all_counts(grey, b0):
    counts = np.arange(int(3 * b0 + 60))
    summed = np.sum(poisson.pmf(counts, grey * b0) * (np.minimum(counts / b0, 1) - grey) ** 2)
    assert noise.expected_error(np.array([grey]), b0)[0] == pytest.approx(summed, rel=1e-7, abs=1e-15)


@pytest.mark.parametrize("target", [15, 20, 30, 40, 50, 60, 70])
@pytest.mark.parametrize(
    "levels",
    [
        pytest.param(None, id="float"),
        pytest.param((-0.1, 1 / 60000), id="16-bit"),
        pytest.param((-0.3, 1 / 3000), id="12-bit"),
    ],
)
def test_target_is_reached(target, levels):
    clean = sequence()
    b0, reached = noise.solve_b0(clean, target, 3, grid=levels)
    assert abs(reached - target) < 0.1
    noisy = [
        noise.to_grid(noise.poisson_noise(x, b0, noise.frame_rng(3, i)), levels) for i, x in clean.items()
    ]
    truth = np.stack(list(clean.values())).clip(0, 1)
    assert peak_signal_noise_ratio(truth, np.stack(noisy), data_range=1) == pytest.approx(reached, abs=0.01)


@given(seed=st.integers(0, 2**31), target=st.floats(15, 70))
@settings(max_examples=20)
def test_small_sequences_reach_the_target_too(seed, target):
    """Where the luck of the draw is worth more than 0.1 dB, b0 makes up for it."""
    clean = sequence(2, (32, 32))
    assert abs(noise.solve_b0(clean, target, seed)[1] - target) < 0.1


def test_same_seed_same_photons():
    clean = sequence()
    assert noise.solve_b0(clean, 35, 1) == noise.solve_b0(clean, 35, 1)
    assert noise.solve_b0(clean, 35, 1) != noise.solve_b0(clean, 35, 2)


@pytest.mark.parametrize(
    ("clean", "target", "told"),
    [
        pytest.param(np.full((24, 32), 1e-4), 15.0, "40.0 to", id="near-black sequence cannot be that noisy"),
        pytest.param(np.full((24, 32), 0.5), 1.0, "6.0 to", id="too low"),
        pytest.param(np.full((24, 32), 0.5), 200.0, "to 123.0 dB", id="too high"),
        pytest.param(np.zeros((24, 32)), 40.0, "inf", id="black"),
    ],
)
def test_a_target_out_of_reach_is_told_with_what_can_be_reached(clean, target, told):
    with pytest.raises(InputError, match=re.escape(told)):
        noise.solve_b0({0: clean.astype(np.float32)}, target, 0)


def test_rounding_of_the_file_bounds_what_can_be_reached():
    with pytest.raises(InputError, match=re.escape("to 50.8 dB")):
        noise.solve_b0(sequence(), 60.0, 0, grid=(0.0, 1 / 100))

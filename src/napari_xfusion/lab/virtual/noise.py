"""Photon noise of the fast camera, and the number of photons for a given LR PSNR.

The grey scale is that on which the 0.35 and 99.65 percentiles of a sequence are 0 and 1.
``b0`` is the number of photons that a pixel of grey value 1 collects.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy

from napari_xfusion.core.types import Image
from napari_xfusion.errors import InputError

B0_RANGE = (1.0, 1e12)
"""Below the range, a single photon is already white; above it, the noise is invisible."""
_BINS = 4096
_CLOSE = 0.03
"""Tolerance of the search in dB."""


def poisson_noise(image: Image, b0: float, rng: np.random.Generator) -> Image:
    """Return ``clip(poisson(image * b0) / b0, 0, 1)`` (paper, D7).

    ``image`` (h, w), finite, is clipped to [0, 1] first: photon numbers are not negative, and the camera
    saturates.
    """
    photons = rng.poisson(np.clip(image, 0.0, 1.0).astype(np.float64) * b0)
    return np.minimum(photons / b0, 1.0).astype(np.float32)


def frame_rng(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of frame ``index``; it does not depend on the frames read before."""
    return np.random.default_rng([seed, index])


def to_grid(image: Image, grid: tuple[float, float] | None) -> Image:
    """Round ``image`` to the grey values that a file can store: ``first + k * step`` for integer k."""
    if grid is None:
        return image
    first, step = grid
    return (np.round((image - first) / step) * step + first).astype(np.float32)


def lr_psnr(
    clean: Mapping[int, Image], b0: float, seed: int, *, grid: tuple[float, float] | None = None
) -> float:
    """Return the PSNR in dB, peak 1, of the frames in ``clean`` {frame number: (h, w)} after noise and rounding.

    It is computed from the mean squared error over all frames; infinite where nothing changed.
    """
    squares, pixels = 0.0, 0
    for index, image in clean.items():
        reference = np.clip(image, 0.0, 1.0)
        noisy = to_grid(poisson_noise(image, b0, frame_rng(seed, index)), grid)
        squares += float(np.square(noisy - reference, dtype=np.float64).sum())
        pixels += image.size
    return _decibel(squares / pixels)


def solve_b0(
    clean: Mapping[int, Image],
    target: float,
    seed: int,
    *,
    grid: tuple[float, float] | None = None,
    where: str = "the sequence",
) -> tuple[float, float]:
    """Return the ``b0`` that gives LR a PSNR of ``target`` dB (paper, D8), and the PSNR reached with ``seed``.

    ``clean`` {frame number: (h, w)} is a sample of the sequence without noise, in [0, 1]; ``grid`` is the
    rounding of the file, see `to_grid`. The expected error is known in closed form. The drawn
    noise deviates from it, which matters in small sequences: there nearby b0 are tried until the drawn noise
    fits, too. Raises InputError where no b0 gives the target.
    """
    levels, shares = _histogram(clean)
    rounding = 0.0 if grid is None else grid[1] ** 2 / 12

    def expected(log_b0: float) -> float:
        return _decibel(float(shares @ expected_error(levels, 10.0**log_b0)) + rounding)

    lowest, highest = (float(np.log10(b0)) for b0 in B0_RANGE)
    worst, best = expected(lowest), expected(highest)
    if not worst <= target <= best:
        raise InputError(
            where,
            expected=f"an LR PSNR that photon noise can give this sequence, {worst:.1f} to {best:.1f} dB",
            found=f"{target:g} dB",
            hint="choose a value between them or simulate without noise",
        )
    middle = 10.0 ** scipy.optimize.brentq(lambda x: expected(x) - target, lowest, highest, xtol=1e-6)
    return _draw(clean, target, middle, seed=seed, grid=grid)


def _draw(
    clean: Mapping[int, Image], target: float, middle: float, *, seed: int, grid: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the b0 closest to ``middle`` whose drawn noise gives ``target``, or else the best one."""
    pixels = sum(image.size for image in clean.values())
    tries = int(np.clip(4e6 / pixels, 8, 400))
    steps = [(-1) ** k * ((k + 1) // 2) * 0.02 for k in range(tries)]
    best = (middle, np.inf)
    for step in steps:
        b0 = middle * 10 ** (step / 10)
        reached = lr_psnr(clean, b0, seed, grid=grid)
        if abs(reached - target) < abs(best[1] - target):
            best = (b0, reached)
        if abs(reached - target) <= _CLOSE:
            break
    return best


def expected_error(grey: npt.NDArray[np.float64], b0: float) -> npt.NDArray[np.float64]:
    """Return the mean of ``(min(K / b0, 1) - grey)**2`` for K Poisson with mean ``grey * b0``; ``b0`` at least 1.

    Without clipping it would be grey / b0. With m the last count below white, F the distribution
    function and p the probabilities, the sums over k <= m of k p(k) and k (k-1) p(k) are again F at m-1, m-2.
    """
    mean = grey * b0
    m = np.floor(b0)
    pdtr = scipy.special.pdtr
    at_m, below, below2 = pdtr(m, mean), pdtr(m - 1, mean), pdtr(m - 2, mean) if m >= 2 else 0.0 * mean
    curvature = (at_m - below) - (below - below2)
    error: npt.NDArray[np.float64] = grey / b0 * below + grey**2 * curvature + (1 - grey) ** 2 * (1 - at_m)
    return error


def _histogram(clean: Mapping[int, Image]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the grey values in the sequence, and the share of the pixels at each."""
    counts, sums = np.zeros(_BINS), np.zeros(_BINS)
    for image in clean.values():
        values = np.clip(image.ravel(), 0.0, 1.0).astype(np.float64)
        place = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
        counts += np.bincount(place, minlength=_BINS)
        sums += np.bincount(place, weights=values, minlength=_BINS)
    met = counts > 0
    return sums[met] / counts[met], counts[met] / counts.sum()


def _decibel(error: float) -> float:
    return float(-10 * np.log10(error)) if error > 0 else float("inf")

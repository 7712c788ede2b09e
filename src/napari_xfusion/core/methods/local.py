"""Energies of fine structure over small neighbourhoods, and the Kalman update that methods share."""

from __future__ import annotations

import cv2
import numpy as np

from napari_xfusion.core.types import Image

NEIGHBOURHOOD = 2.0
"""Standard deviation, in LR pixels, of the Gaussian over which energies are averaged."""
CHANCE = np.float32(1.2)
"""Part of the noise, a variance, that its mean over a neighbourhood reaches by chance."""
TINY = np.float32(1e-9)
"""Energy that keeps a quotient finite."""
NEGLIGIBLE = np.float32(1e-6)
"""Energy that counts as zero: a thousandth of the grey scale, squared."""


def local_mean(field: Image) -> Image:
    """Gaussian mean over the neighbourhood, (h, w)."""
    mean: Image = cv2.GaussianBlur(field, (0, 0), NEIGHBOURHOOD, borderType=cv2.BORDER_REPLICATE)
    return mean


def error_energy(residual: Image, variance: Image) -> Image:
    """Local mean square (h, w) of an LR residual beyond the LR noise ``variance`` (h, w); never zero.

    What noise hides is unknown, so a fiftieth of it stays.
    """
    energy: Image = np.maximum(local_mean(residual * residual) - variance, variance / 50) + NEGLIGIBLE
    return energy


def kalman_update(seen: Image, expected: Image, variance: Image) -> Image:
    """An LR frame (h, w) between what was seen, with noise ``variance`` (h, w), and what was expected.

    The Kalman gain p / (p + r), the variance p of the expectation taken from how far it misses locally.
    """
    if not variance.any():
        return seen
    innovation = seen - expected
    error: Image = np.maximum(local_mean(innovation * innovation) - CHANCE * variance, 0)
    image: Image = expected + error / np.maximum(error + variance, TINY) * innovation
    return image

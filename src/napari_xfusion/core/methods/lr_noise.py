"""The noise of LR against brightness: how far LR is from binned HR at the same time.

Photon noise grows with brightness. With one number for all of a frame, the noise of its bright half would be taken
for motion, and small changes in its dark half for noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.methods.hr_noise import NoiseCurve
from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.types import Image

SHARES = (0.02, 0.08, 0.15, 0.25, 0.25, 0.15, 0.08, 0.02)
"""Of the pixels, from dark to bright, in each range of brightness: narrow at the ends, where few pixels are."""
OUTLIER = 4.0
"""Standard deviations beyond which a residual is none of noise."""
FEWEST = 200
"""Pixels that tell the noise of a range."""


def fit_lr_noise(lr: Sequence[Image], binned: Sequence[Image], overall: float) -> NoiseCurve:
    """The curve by LR frames and binned HR frames (h, w) of the same times; ``overall`` is the standard deviation.

    It is used where there are too few pixels, and 0 of it is no noise at all.
    """
    brightness = np.stack(binned).ravel()
    residual = np.stack(lr).ravel() - brightness
    edges = np.round(np.cumsum(SHARES)[:-1] * brightness.size).astype(int)
    parts = np.split(np.argsort(brightness), edges)
    if overall == 0 or len(parts[0]) < FEWEST:
        return NoiseCurve(np.zeros(1), np.full(1, overall**2))
    centres = [float(np.median(brightness[part])) for part in parts]
    return NoiseCurve(np.array(centres), np.array([_variance(residual[part]) for part in parts]))


def _variance(residual: NDArray[np.float32]) -> float:
    """Variance without outliers. Unlike the median absolute deviation, it counts the long tail of few photons."""
    near = np.abs(residual - np.median(residual)) <= OUTLIER * spread(residual)
    return float(residual[near].var(dtype=np.float64))

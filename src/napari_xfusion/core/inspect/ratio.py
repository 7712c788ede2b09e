"""Frame division: each frame divided by the previous one, so that static parts become 1 (paper, M11, Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image, Stack


def divide(frame: NDArray[Any], previous: NDArray[Any]) -> Image:
    """Return ``frame`` / ``previous``, pixel by pixel, float32 (H, W); both in camera units.

    NaN where the previous value is not a positive number. Grey units cannot be used, because their zero
    is a percentile of the sequence and not darkness.
    """
    below = previous.astype(np.float64)
    known = np.isfinite(below) & (below > 0)
    ratio = np.full(frame.shape, np.nan)
    np.divide(frame, below, out=ratio, where=known)
    ratio[~(np.abs(ratio) <= np.finfo(np.float32).max)] = np.nan
    image: Image = ratio.astype(np.float32)
    return image


def divided(sequence: Stack) -> Stack:
    """Return the sequence (T, H, W) of frames divided by their previous ones; float32, computed when read.

    Frame 0 has no previous one. All its pixels are 1 ("no change"), so that the length and times stay the same.
    """

    def read(i: int) -> Image:
        if i == 0:
            return np.ones(sequence.shape[1:], np.float32)
        return divide(sequence.frame(i), sequence.frame(i - 1))

    return sequence.derive(
        read, sequence.shape, np.dtype(np.float32), source=f"{sequence.source}, frame-divided"
    )


def ratio_limits(sequence: Stack) -> tuple[float, float]:
    """Return ``limits_about_one`` of a ``divided`` sequence, from at most 8 evenly spaced frames, without frame 0."""
    frames = np.unique(np.linspace(min(1, len(sequence) - 1), len(sequence) - 1, 8).astype(int))
    return limits_about_one(sequence.frame(i) for i in frames.tolist())


def limits_about_one(ratios: Iterable[Image]) -> tuple[float, float]:
    """Return contrast limits (1 - d, 1 + d) for frame ratios (H, W).

    d is the 99.5th percentile of the distance from 1, at least 0.01; pixels that are not finite are ignored.
    """
    distance = np.concatenate([np.abs(ratio - 1).ravel() for ratio in ratios])
    distance = distance[np.isfinite(distance)]
    reach = max(float(np.percentile(distance, 99.5)) if distance.size else 0.0, 0.01)
    return 1 - reach, 1 + reach

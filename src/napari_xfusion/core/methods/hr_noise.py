"""The noise of the HR camera's fine structure, measured on its own frames.

Photon noise grows with brightness, so it is a curve. Where a frame is smooth, the finest structure is noise
alone; where nothing moves, so is half the difference of two frames. Most places are neither, so that of both the
smaller counts, and of all places of one brightness those with the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.methods.local import local_mean
from napari_xfusion.core.types import Image

BINS = 6
"""Ranges of brightness with the same number of places each."""
QUIETEST = 2.0
"""Per cent of the places of one brightness that tell its noise."""
SECOND = np.outer((1, -2, 1), (1, -2, 1)).astype(np.float32) / 6
"""Second differences down and across, as a filter that leaves the variance of white noise as it is."""
REACH = 9
"""LR pixels of the neighbourhood over which a place is averaged."""
LEAST = 1e-9
"""Variance that counts as none, grey units squared."""


@dataclass(frozen=True, eq=False)
class NoiseCurve:
    """Variance of one HR pixel's fine structure against brightness, linear between points."""

    brightness: NDArray[np.float64]
    """(n,) increasing, grey units."""
    variance: NDArray[np.float64]
    """(n,) grey units squared."""

    def __call__(self, lr: Image) -> Image:
        """Variance (h, w) at the brightness of an LR frame (h, w)."""
        found: Image = np.interp(local_mean(lr), self.brightness, self.variance).astype(np.float32)
        return found


def fit_noise(quiet: Sequence[Image], lr: Sequence[Image], hidden: NDArray[np.bool_]) -> NoiseCurve:
    """The curve of places (h, w) whose fine structure varies by ``quiet`` at most, and the LR frames (h, w) of them.

    In ``hidden`` places (h, w) HR frames are filled in and have no noise of their own.
    """
    around = cv2.dilate(hidden.astype(np.uint8), np.ones((REACH, REACH), np.uint8)) == 0
    seen = around if around.any() else np.ones_like(around)
    places, brightness = (np.stack([x[seen] for x in each]).ravel() for each in (quiet, map(local_mean, lr)))
    order = np.array_split(np.argsort(brightness), BINS)
    centres = [float(np.median(brightness[part])) for part in order if len(part)]
    least = [max(float(np.percentile(places[part], QUIETEST)), LEAST) for part in order if len(part)]
    return NoiseCurve(np.array(centres), np.array(least))


def finest(fine: Image, shape: tuple[int, int]) -> Image:
    """Local mean square (h, w) of the second differences down and across of ``fine`` (H, W) (Immerkaer, 1996).

    White noise has its own variance there, everything that a lens and a scintillator have blurred much less, and so has
    noise that was interpolated.
    """
    return local_mean(cv2.resize(roughness(fine), shape[::-1], interpolation=cv2.INTER_AREA))


def roughness(image: Image) -> Image:
    """Square (H, W) of the second differences down and across of an image (H, W)."""
    second = cv2.filter2D(image, -1, SECOND, borderType=cv2.BORDER_REFLECT_101)
    square: Image = second * second
    return square

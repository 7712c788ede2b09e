"""Grey values of one sequence: the affine map to [0, 1] and back, and what to do with values that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import XFusionWarning

PERCENTILES = (0.35, 99.65)
"""What becomes 0 and 1 (paper, D4)."""
SAMPLE = 16
"""Frames looked at for the percentiles, evenly spaced over the sequence."""
MOST_VALUES = 2**22
"""Pixels looked at where values cannot be counted one by one."""


@dataclass(frozen=True)
class Affine:
    """Grey value g = (x - zero) / span of a camera value x."""

    zero: float
    span: float

    def to_grey(self, frame: NDArray[Any]) -> Image:
        """Grey units, float32, not clipped."""
        # 32-bit integers and float64 can hold a small signal on a large offset; float32 cannot.
        wide = np.float64 if frame.dtype.itemsize > 2 and frame.dtype != np.float32 else np.float32
        grey = np.subtract(frame, wide(self.zero), dtype=wide)
        grey *= wide(1 / self.span)
        image: Image = grey.astype(np.float32, copy=False)
        return image

    def to_8bit(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        """For pictures: grey units 0 to 1 as 0 to 255, what lies beyond as black and white."""
        return (np.clip(self.to_grey(frame), 0, 1) * 255).astype(np.uint8)

    def from_grey(self, image: Image) -> Image:
        """Camera units, float32."""
        return image * np.float32(self.span) + np.float32(self.zero)


def sample_frames(count: int, at_most: int = SAMPLE) -> list[int]:
    """Numbers of at most ``at_most`` frames, evenly spaced, first and last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, at_most))})


def percentile_map(stack: Stack, at_most: int = SAMPLE) -> tuple[Affine, tuple[XFusionWarning, ...]]:
    """The map that takes a sequence's 0.35 and 99.65 percentiles to 0 and 1, and warnings of odd values.

    A constant sequence gets span 1, so that the map stays invertible.
    """
    values, counts, invalid = _distribution(stack, sample_frames(len(stack), at_most))
    if not values.size:
        return Affine(0.0, 1.0), (
            XFusionWarning("no-finite-value", "the sampled frames hold no finite value.", stack.source),
        )
    low, high = _percentiles(values, counts)
    notes = []
    if invalid:
        share = invalid / (invalid + counts.sum())
        text = f"{share:.2%} of the sampled pixels are NaN or infinite; they are filled in."
        notes.append(XFusionWarning("invalid-pixels", text, stack.source))
    if not high > low:
        text = f"the sampled frames are constant at {low:g}."
        notes.append(XFusionWarning("constant", text, stack.source))
        return Affine(low, 1.0), tuple(notes)
    share = counts[values == values[-1]].sum() / counts.sum()
    if share > 0.01:
        text = f"{share:.1%} of the pixels share the highest value, {values[-1]:g}: they may be saturated."
        notes.append(XFusionWarning("saturated", text, stack.source))
    return Affine(low, high - low), tuple(notes)


def _distribution(stack: Stack, frames: list[int]) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    """Ascending values, how often each occurs, and the number of pixels that are NaN or infinite.

    Whole numbers of up to 16 bits are counted one by one. Of others every k-th pixel is looked at, such
    that all of them fit into memory whatever the sequence's length.
    """
    if stack.dtype.kind in "ui" and stack.dtype.itemsize <= 2:
        ends = np.iinfo(stack.dtype)
        counts = np.zeros(ends.max - ends.min + 1, np.int64)
        for i in frames:
            counts += np.bincount(stack.frame(i).ravel().astype(np.int64) - ends.min, minlength=len(counts))
        found = np.flatnonzero(counts)
        return found + ends.min, counts[found], 0
    every = max(1, len(frames) * stack.shape[1] * stack.shape[2] // MOST_VALUES)
    values = np.concatenate([stack.frame(i).ravel()[::every] for i in frames])
    finite = np.sort(values[np.isfinite(values)])
    return finite, np.ones(len(finite), np.int64), len(values) - len(finite)


def _percentiles(values: NDArray[Any], counts: NDArray[np.int64]) -> tuple[float, float]:
    """PERCENTILES of ascending values, linear between neighbours as in ``np.percentile``."""
    ranks = np.cumsum(counts)
    position = np.array(PERCENTILES) / 100 * (ranks[-1] - 1)
    below, above = (
        values[np.searchsorted(ranks, edge(position), side="right")].astype(np.float64)
        for edge in (np.floor, np.ceil)
    )
    low, high = below + (position - np.floor(position)) * (above - below)
    return float(low), float(high)


def fill_invalid(frame: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """``frame`` with NaN and infinite pixels replaced by the nearest valid ones, and how many they were.

    A frame without a valid pixel becomes zero.
    """
    if frame.dtype.kind != "f":
        return frame, 0
    invalid = ~np.isfinite(frame)
    count = int(invalid.sum())
    if count == 0:
        return frame, 0
    if count == frame.size:
        return np.zeros_like(frame), count
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415 - slow to import, and seldom needed

    nearest = distance_transform_edt(invalid, return_distances=False, return_indices=True)
    return frame[tuple(nearest)], count

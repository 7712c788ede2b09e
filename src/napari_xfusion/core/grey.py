"""Grey values of one sequence: the affine map to [0, 1] and back, and what to do with values that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import XFusionWarning

PERCENTILES = (0.35, 99.65)
"""What becomes 0 and 1 (paper, D4)."""
SAMPLE = 16
"""Frames looked at for the percentiles, evenly spaced over the sequence."""
MOST_VALUES = 2**22
"""Pixels looked at where values cannot be counted one by one."""
CAMERA_LIMIT = 2.0**32
"""No camera counts further; floating-point values up to here are never fill values."""
FAR = 1e6
"""Fill values are this many times larger than the largest value below them."""
FAR_FROM_ZERO = 1e15
"""Fill values are larger than this where all other pixels are 0, which gives no scale."""
LARGEST = 1e36
"""Squares and sums of larger values leave float32 and float64: fill values of NetCDF (1e37) and GDAL (3e38)."""
FEW_VALUES, FEW_PIXELS = 4, 0.01
"""Fill values are few different ones, or few pixels; signals are neither."""


@dataclass(frozen=True)
class Affine:
    """Grey value g = (x - zero) / span of a camera value x."""

    zero: float
    span: float

    def to_grey(self, frame: NDArray[Any]) -> Image:
        """Grey units, float32, not clipped."""
        wide = units_dtype(frame.dtype).type
        grey = np.subtract(frame, wide(self.zero), dtype=wide)
        grey *= wide(1 / self.span)
        image: Image = grey.astype(np.float32, copy=False)
        return image

    def to_8bit(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        """For pictures: grey units 0 to 1 as 0 to 255, what lies beyond as black and white."""
        return (np.clip(self.to_grey(frame), 0, 1) * 255).astype(np.uint8)

    def from_grey(self, image: Image, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
        """Camera units of a camera of ``dtype``: float64 where that needs it, else float32."""
        wide = np.float32 if dtype is None else units_dtype(dtype).type
        units = np.multiply(image, wide(self.span), dtype=wide)
        units += wide(self.zero)
        return units


def units_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of images in the units of a camera of ``dtype``.

    32-bit integers and float64 can hold a small signal on a large offset; float32 cannot.
    """
    return np.dtype(np.float64 if dtype.itemsize > 2 and dtype != np.float32 else np.float32)


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
        text = f"{invalid} of the sampled pixels ({share:.2%}) are NaN, infinite or fill values; they are filled in."
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
    """Ascending values, how often each occurs, and the number of pixels without a valid value.

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
    parts, invalid = [], 0
    for i in frames:
        frame = stack.frame(i)
        part, wrong = frame.ravel()[::every], invalid_pixels(frame)
        if wrong is not None:
            chosen = wrong.ravel()[::every]
            part, invalid = part[~chosen], invalid + int(chosen.sum())
        parts.append(part)
    values = np.sort(np.concatenate(parts))
    return values, np.ones(len(values), np.int64), invalid


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


def invalid_pixels(frame: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Mask (H, W) of the pixels that are NaN, infinite or a fill value; None where there are none.

    A fill value is a number that no camera gives, such as 1e20, 9.96921e36 or -3.4e38: larger than CAMERA_LIMIT
    and FAR times larger than all other pixels, or larger than LARGEST. Integers have none.
    """
    if frame.dtype.kind != "f" or not frame.size:
        return None
    with np.errstate(invalid="ignore"):
        if frame.min() >= -CAMERA_LIMIT and frame.max() <= CAMERA_LIMIT:  # false where one is NaN
            return None
        sizes = np.abs(frame, dtype=np.float64)
        invalid: NDArray[np.bool_] = ~(sizes <= LARGEST)
    invalid |= sizes >= _least_fill_value(np.sort(sizes[~invalid]))
    return invalid if invalid.any() else None


def _least_fill_value(sizes: NDArray[np.float64]) -> float:
    """The smallest fill value among ascending finite magnitudes, infinity where there is none."""
    begin = int(np.searchsorted(sizes, CAMERA_LIMIT, side="right"))
    large = sizes[max(begin - 1, 0) :]  # the largest value that a camera can give, and those beyond
    with np.errstate(over="ignore"):
        gaps = np.flatnonzero(large[1:] > np.where(large[:-1] > 0, FAR * large[:-1], FAR_FROM_ZERO))
    if not len(gaps):
        return np.inf
    beyond = large[gaps[0] + 1 :]
    few = len(beyond) <= FEW_PIXELS * len(sizes) or len(np.unique(beyond)) <= FEW_VALUES
    return float(beyond[0]) if few else np.inf


def fill_invalid(frame: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """``frame`` with invalid pixels replaced by the nearest valid ones, and how many they were.

    Invalid are NaN, infinity and fill values, see ``invalid_pixels``. A frame without a valid pixel becomes zero.
    """
    invalid = invalid_pixels(frame)
    if invalid is None:
        return frame, 0
    count = int(invalid.sum())
    if count == frame.size:
        return np.zeros_like(frame), count
    nearest = scipy.ndimage.distance_transform_edt(invalid, return_distances=False, return_indices=True)
    return frame[tuple(nearest)], count


def as_dtype(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in a camera's dtype, rounded where it holds integers."""
    if dtype.kind in "ui":
        ends = np.iinfo(dtype)
        values = np.clip(np.rint(values), ends.min, ends.max)
    return values.astype(dtype)

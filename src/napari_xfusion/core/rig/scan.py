"""A quick look at every frame of a recording: coarse images of it, and which frames repeat the one before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.grey import fill_invalid, sample_frames
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.types import Image, Stack

LARGEST_GRID = 32
"""Blocks of a coarse image, down and across at most."""
MOST_FRAMES, MOST_PIXELS = 10_000, 2**31
"""Of a recording all of whose frames are looked at; it takes some ten seconds then."""
RANGE = (1.0, 99.0)
"""Percentiles of the sampled pixels; values further from them than they are from each other are clipped."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What was seen of all frames."""

    blocks: NDArray[np.float32]
    """(T, rows * columns) means of blocks, camera units about ``zero``; single LR pixels that are off do not count."""
    zero: float
    """Camera value that is 0 in ``blocks``; large offsets would cost float32 its precision."""
    repeats: NDArray[np.bool_]
    """(T,) frames that equal the frame before in every pixel."""
    noisy: bool
    """Whether most pixels change from each frame to the next, as those of a camera do."""


def too_long(stack: Stack) -> bool:
    """Whether looking at all frames takes too much time and memory."""
    return len(stack) > MOST_FRAMES or int(np.prod(stack.shape, dtype=np.int64)) > MOST_PIXELS


def scan(stack: Stack, shape: tuple[int, int], align: Alignment | None = None) -> Scan:
    """Look at all frames of ``stack``, in blocks of an LR camera of ``shape`` (h, w); see ``grid_of``.

    ``align`` places the frames of an HR camera there; what it does not see is as the nearest pixel that it sees.
    Repeated calls do not read again.
    """
    align = align if align is not None and align.needed else None
    known = _KNOWN.setdefault(stack, {})
    if (shape, align) not in known:
        known[shape, align] = _scan(stack, shape, _resize(shape) if align is None else _mean_over(align))
    return known[shape, align]


_KNOWN: WeakKeyDictionary[Stack, dict[tuple[tuple[int, int], Alignment | None], Scan]] = WeakKeyDictionary()


def grid_of(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of blocks for images of ``shape`` (h, w): as square as possible, a pixel at least."""
    side = max(1.0, max(shape) / LARGEST_GRID)
    rows, columns = (max(1, round(n / side)) for n in shape)
    return rows, columns


def plain(frame: NDArray[np.generic], zero: float) -> Image:
    """A frame as float32 about ``zero``, in C order, invalid pixels filled in."""
    filled = fill_invalid(frame)[0]
    if zero:
        filled = filled - np.float64(zero)
    return np.ascontiguousarray(filled, np.float32)


def zero_of(stack: Stack) -> float:
    """Camera value to count from: 0 where float32 holds all values anyway."""
    if stack.dtype.itemsize <= 2 or stack.dtype == np.float32:
        return 0.0
    return float(np.median(fill_invalid(stack.frame(0))[0]))


def hidden(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.bool_]:
    """The blocks (rows * columns) with an LR pixel in ``mask`` (h, w)."""
    share = cv2.resize(mask.astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share.ravel() > 0)


Reduce = Callable[[Image], Image]
"""An image (H, W) to the means of larger pixels (h, w)."""


def _resize(shape: tuple[int, int]) -> Reduce:
    return lambda image: np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA))


def _mean_over(align: Alignment) -> Reduce:
    """The means over the HR pixels in each LR pixel."""
    shape = align.grids.lr_shape
    seen, pixels = ~align.unseen(None), math.prod(shape)
    owner = align.owner[seen]
    count = np.bincount(owner, minlength=pixels).reshape(shape)
    if not count.any():
        return lambda _image: np.zeros(shape, np.float32)
    nearest = scipy.ndimage.distance_transform_edt(count == 0, return_distances=False, return_indices=True)

    def reduce(image: Image) -> Image:
        total = np.bincount(owner, image[seen], pixels).reshape(shape)
        mean: Image = (total / np.maximum(count, 1))[tuple(nearest)].astype(np.float32)
        return mean

    return reduce


def _scan(stack: Stack, shape: tuple[int, int], reduce: Reduce) -> Scan:
    zero = zero_of(stack)
    sample = [plain(stack.frame(i), zero) for i in sample_frames(len(stack), 8)]
    low, high = np.percentile([frame[::2, ::2] for frame in sample], RANGE)
    span, coarse = max(float(high - low), 1e-6), _resize(grid_of(shape))
    blocks = []
    repeats, changed = np.zeros(len(stack), bool), np.zeros(len(stack))
    before = stack.frame(0)
    middle = len(before) // 2
    for i in range(len(stack)):
        raw = stack.frame(i)
        changed[i] = np.mean(raw[middle] != before[middle])
        repeats[i] = i > 0 and not changed[i] and np.array_equal(raw, before)
        image = np.clip(plain(raw, zero), np.float32(low - span), np.float32(high + span))
        # On LR's pixels for both cameras: where there is fine structure, medians of finer pixels have another mean.
        smooth = cv2.medianBlur(reduce(image), 3)
        blocks.append(coarse(smooth).ravel())
        before = raw
    return Scan(
        np.stack(blocks), zero, repeats, bool(np.median(changed[1:]) > 0.5) if len(stack) > 1 else False
    )

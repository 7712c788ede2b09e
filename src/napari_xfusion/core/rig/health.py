"""Frames and pixels of one camera that show nothing of the event, and how they are filled in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from napari_xfusion.core.grey import as_dtype
from napari_xfusion.core.optical_flow import find_motion, warp
from napari_xfusion.core.rig.scan import plain, zero_of
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.core.value import Value

Mask = NDArray[np.bool_]


class Health(Value):
    """What of a camera's frames is not used. ``Health()`` is a camera in order."""

    frames: tuple[int, ...] = ()
    """Numbers of frames that show something else: closed shutter, flash, a repetition of the frame before."""
    pixels: tuple[int, ...] = ()
    """Numbers of pixels, row by row, that are dead, hot, or part of a time stamp."""
    blind: tuple[int, ...] = ()
    """Numbers of LR pixels, row by row, where the camera sees nothing (outside its round field, behind an aperture)
    and the other one does; of an HR camera all its pixels there."""
    spike: Annotated[float, Field(gt=0)] | None = None
    """Camera units by which a pixel stands out from its neighbours in one frame when it is no image but a particle
    that hit the sensor; None where the camera shows none."""
    lasting: bool = False
    """Whether frames are so close in time that what is seen in one frame is near its place in the next."""

    @cached_property
    def good(self) -> bool:
        """Whether there is nothing to fill in."""
        # What is blind needs the other camera.
        return not self.frames and not self.pixels and self.spike is None

    def usable(self, count: int) -> NDArray[np.intp]:
        """Numbers of the usable ones of ``count`` frames."""
        return np.setdiff1d(np.arange(count), self.frames)

    def comparable(self, times: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which of ``times`` (N,), in frames, are at a usable frame or between two; all, if fewer than two are."""
        lost = np.isin(np.floor(times), self.frames) | np.isin(np.ceil(times), self.frames)
        found = np.flatnonzero(~lost)
        return found if len(found) > 1 else np.arange(len(times))


def mask_of(numbers: Sequence[int], shape: tuple[int, int]) -> Mask:
    """The pixels (h, w) of ``numbers``, counted row by row."""
    mask = np.zeros(shape, bool)
    mask.ravel()[list(numbers)] = True
    return mask


def repaired(stack: Stack, health: Health) -> Stack:
    """The recording with everything filled in: pixels from their neighbours, frames from the frames next to them.

    Frames are read when they are asked for; they keep dtype and units.
    """
    if health.good:
        return stack
    frames = _Repaired(stack, health)
    return stack.derive(frames, stack.shape, stack.dtype, metadata=stack.metadata, digest=stack.digest)


class _Repaired:
    """Reads repaired frames of a recording. Thread-safe: what is cached is replaced, never changed."""

    def __init__(self, stack: Stack, health: Health) -> None:
        self.stack, self.health = stack, health
        self._bad = mask_of(health.pixels, stack.shape[1:])
        self._usable = health.usable(len(stack))
        self._zero = zero_of(stack) if health.spike is not None else 0.0
        self._raw: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def __call__(self, i: int) -> NDArray[Any]:
        if i not in self.health.frames or not len(self._usable):
            return self._frame(i)
        after = int(np.searchsorted(self._usable, i))
        left, right = (int(self._usable[np.clip(j, 0, len(self._usable) - 1)]) for j in (after - 1, after))
        if left == right:
            return self._frame(left)
        part = (i - left) / (right - left)
        return as_dtype(between(self._frame(left), self._frame(right), part)[0], self.stack.dtype)

    def _frame(self, i: int) -> NDArray[Any]:
        frame = self._read(i)
        if self.health.spike is None:
            return fill(frame, self._bad)
        image = plain(frame, self._zero)
        spikes = np.abs(excess(image)) > self.health.spike
        if not self.health.lasting or not spikes.any():
            return fill(frame, self._bad | spikes)
        last = len(self.stack) - 1
        near = {0: (1, 2), last: (last - 1, last - 2)}.get(i, (i - 1, i + 1))
        others = {j: plain(self._read(j), self._zero) for j in near if 0 <= j <= last}
        spikes &= ~_seen_nearby(image, [(abs(j - i), other) for j, other in others.items()])
        filled = fill(frame, self._bad | spikes)
        # Where little moves, the next frames show what is below.
        next_to = [others[j] for j in others if abs(j - i) == 1 and j not in self.health.frames]
        guides = [self._without_spikes(other, image, self.health.spike) for other in next_to]
        if not guides:
            return filled
        guide: Image = np.stack(guides).mean(axis=0)
        guided = fill_like(plain(filled, self._zero), guide, spikes)
        result = filled.copy()
        result[spikes] = as_dtype(guided[spikes] + np.float64(self._zero), frame.dtype)
        return result

    def _without_spikes(self, image: Image, other: Image, spike: float) -> Image:
        """A frame (H, W) without what stands out in it and not in the ``other`` next to it."""
        struck = (np.abs(excess(image)) > spike) & (np.abs(image - other) > spike / 2)
        filled: Image = fill(image, self._bad | struck)
        return filled

    def _read(self, i: int) -> NDArray[Any]:
        frame = self._raw.get(i)
        if frame is None:
            frame = self.stack.frame(i)
            cached = OrderedDict(list(self._raw.items())[-3:])
            cached[i] = frame
            self._raw = cached
        return frame


def between(before: NDArray[Any], after: NDArray[Any], part: float) -> tuple[NDArray[np.float64], Image]:
    """The image (H, W) at ``part``, 0 to 1, of the way from one frame to another, and its variance (H, W).

    Both are moved along the motion; the variance is what they then differ by, as of two measurements of the image.
    """
    zero = float(before.mean(dtype=np.float64))
    a, b = (np.asarray(frame - np.float64(zero), np.float32) for frame in (before, after))
    there, back = (find_motion(x, y, x.shape, (1.0, 1.0)) for x, y in ((a, b), (b, a)))
    middle = (1 - part) * warp(a, np.float32(part) * back) + part * warp(b, np.float32(1 - part) * there)
    mixed = (1 - part) * a + part * b
    # Where the two moved frames disagree as much as the frames themselves, no motion was found.
    apart = local_square(warp(a, np.float32(part) * back) - warp(b, np.float32(1 - part) * there))
    moved = apart / np.maximum(apart + local_square(a - b), np.float32(1e-30))
    image: NDArray[np.float64] = (middle + moved * (mixed - middle)).astype(np.float64) + zero
    return image, np.float32(part * (1 - part)) * apart


def local_square(difference: Image) -> Image:
    """Mean square (H, W) of 5 x 5 pixels."""
    mean: Image = cv2.blur(difference * difference, (5, 5))
    return mean


def _seen_nearby(frame: Image, others: list[tuple[int, Image]]) -> Mask:
    """Pixels (H, W) that have one half as bright, or dark, next to them in all ``others``, frames and how far they are.

    A spark moves by a pixel or two from frame to frame; a hit of the sensor is in one frame only. What stays at its
    place next to it is no spark that came from there.
    """
    height = frame - cv2.medianBlur(frame, 5)
    seen = np.ones(frame.shape, bool)
    for far, other in others:
        kernel = np.ones((4 * far + 1, 4 * far + 1), np.uint8)
        here, change = other - cv2.medianBlur(other, 5), other - frame
        bright = np.maximum(here, cv2.dilate(change, kernel)) > height / 2
        dark = np.minimum(here, cv2.erode(change, kernel)) < height / 2
        seen &= np.where(height > 0, bright, dark)
    return seen


def excess(image: Image) -> Image:
    """By how much each pixel (H, W) exceeds the second largest, or falls below the second smallest, of its eight
    neighbours; 0 in between. Edges and corners of objects have none; two pixels next to each other both have it.
    """
    padded = cv2.copyMakeBorder(
        image, 1, 1, 1, 1, cv2.BORDER_REFLECT_101 if min(image.shape) > 1 else cv2.BORDER_REPLICATE
    )
    height, width = image.shape
    around = [
        np.ascontiguousarray(padded[1 + y : 1 + y + height, 1 + x : 1 + x + width])
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (y, x) != (0, 0)
    ]
    high, low = _second(around, cv2.min, cv2.max), _second(around, cv2.max, cv2.min)
    above = np.maximum(image - high, 0)
    result: Image = np.where(above > 0, above, np.minimum(image - low, 0))
    return result


def _second(images: list[Image], inner: Any, outer: Any) -> Image:
    """The second largest (inner min, outer max) or second smallest of ``images``, pixel by pixel."""
    first, second = outer(images[0], images[1]), inner(images[0], images[1])
    for image in images[2:]:
        second = outer(second, inner(first, image))
        first = outer(first, image)
    found: Image = second
    return found


def grown(mask: Mask) -> Mask:
    """A mask and the two pixels around it."""
    grown: Mask = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    return grown


def fill(frame: NDArray[Any], bad: Mask) -> NDArray[Any]:
    """``frame`` (H, W) with ``bad`` pixels as the mean of the good ones around them, the nearer the better."""
    if not bad.any() or bad.all():
        return frame
    # Of a large frame with few bad pixels, only those and their neighbours are touched.
    width, numbers = frame.shape[1], np.flatnonzero(bad)
    values, known = np.zeros(len(numbers)), np.pad(~bad, 1)
    flat, flat_bad = frame.ravel(), bad.ravel()
    left = np.arange(len(numbers))
    for _ in range(ROUNDS):
        rows, columns = np.divmod(numbers[left], width)
        total, weight = np.zeros(len(left)), np.zeros(len(left))
        for y, x, w in _AROUND:
            good = known[rows + (y + 1), columns + (x + 1)]
            here = numbers[left][good] + (y * width + x)
            seen, filled = flat[here].astype(np.float64), flat_bad[here]
            seen[filled] = values[np.searchsorted(numbers, here[filled])]
            total[good] += w * seen
            weight[good] += w
        found = weight > 0
        values[left[found]] = total[found] / weight[found]
        known[rows[found] + 1, columns[found] + 1] = True
        left = left[~found]
        if not len(left):
            break
    result = frame.copy()
    result.ravel()[numbers] = as_dtype(values, frame.dtype)
    if len(left):
        nearest = scipy.ndimage.distance_transform_edt(
            ~known[1:-1, 1:-1], return_distances=False, return_indices=True
        )
        result = result[tuple(nearest)]
    return result


ROUNDS = 8
"""Pixels from the edge of a bad area that become the mean of those around them; further ones are copied."""


def fill_like(image: Image, guide: Image, bad: Mask) -> Image:
    """``image`` (H, W) with ``bad`` pixels as in ``guide``, an image of the same by another camera.

    Single pixels lie between the guide and their neighbours, by how much each differs around them.
    """
    offset, around = fill(image - guide, bad), fill(image, bad)
    guided = guide + offset
    own, apart = _variance(around, bad), _variance(offset, bad)
    share = own / np.maximum(own + apart, np.float32(1e-30))
    lone = cv2.boxFilter((~bad).astype(np.float32), -1, (3, 3), borderType=cv2.BORDER_REPLICATE) > 0.5
    mixed = np.where(lone, share * guided + (1 - share) * around, guided)
    return np.where(bad, mixed, image).astype(np.float32)


def _variance(image: Image, bad: Mask) -> Image:
    """Variance of the good pixels around each pixel (H, W)."""
    good = (~bad).astype(np.float32)
    count = np.maximum(cv2.blur(good, (3, 3)), np.float32(1e-6))
    mean = cv2.blur(image * good, (3, 3)) / count
    square: Image = cv2.blur((image - mean) ** 2 * good, (3, 3)) / count
    return square


_AROUND = tuple(
    (y, x, 1.0 if y == 0 or x == 0 else 0.5) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)
)
"""Places of the eight neighbours and what they count."""

"""Motion between two LR frames on the HR grid, and carrying an image along it.

OpenCV's dense inverse search (Kroeger et al., 2016) takes 8-bit images; how grey values reach those 8 bits
is settled here and nowhere else. Nothing is cached between calls, so all of it may run in several threads.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image

Motion = NDArray[np.float32]
"""(H, W, 2): displacement across (x) and down (y) in HR pixels."""

FINER = 2
"""Flow is sought on a grid this many times finer than LR: twice as fine was as good as four times."""
SMALLEST = 16
"""Shortest side of that grid, in its pixels; the search divides smaller images into nothing and fails."""
TAILS = (0.35, 99.65)
"""Percentiles of the two frames together that become 0 and 255."""

NO_CONTRAST = 1e-5
"""In grey units; less than a step of a 16-bit camera."""


def find_motion(here: Image, there: Image, shape: tuple[int, int], scale: tuple[float, float]) -> Motion:
    """Where each HR pixel of ``here`` is found in ``there``: here[p] is there[p + motion[p]].

    ``here`` and ``there`` are LR frames (h, w) in grey units, ``shape`` is (H, W) and ``scale`` is
    HR pixels per LR pixel, down and across. Frames that are too small, or of one grey, show no motion.
    """
    h, w = here.shape
    low, high = np.percentile((here, there), TAILS)
    if min(h, w) * FINER < SMALLEST or high - low < NO_CONTRAST:
        return np.zeros((*shape, 2), np.float32)
    images = []
    for frame in (here, there):
        # Enlarged before it is rounded: interpolation of rounded values would keep steps of one grey level.
        fine = cv2.resize(frame, (w * FINER, h * FINER), interpolation=cv2.INTER_LINEAR)
        levels = (fine - np.float32(low)) * np.float32(255 / (high - low))
        images.append(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))
    motion = cv2.GaussianBlur(_search().calc(images[0], images[1], None), (0, 0), 1)
    motion *= np.array([scale[1] / FINER, scale[0] / FINER], np.float32)
    return enlarge(motion, shape, (scale[0] / FINER, scale[1] / FINER))


def warp(image: Image, motion: Motion) -> Image:
    """``image`` (H, W) fetched along ``motion`` (H, W, 2): result[p] = image[p + motion[p]], cubic.

    Beyond the edge the edge pixel is repeated.
    """
    height, width = image.shape
    x = motion[..., 0] + np.arange(width, dtype=np.float32)
    y = motion[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    warped: Image = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return warped


def enlarge(
    field: NDArray[np.float32], shape: tuple[int, int], scale: tuple[float, float]
) -> NDArray[np.float32]:
    """A smooth field (h, w) or (h, w, 2) on the HR grid ``shape``, linear, the edge repeated.

    ``scale`` is the size of a pixel of the field in HR pixels. Both grids begin at the same corner; an
    unfinished last LR pixel makes h * scale differ from H by less than one LR pixel.
    """
    h, w = field.shape[:2]
    size = round(h * scale[0]), round(w * scale[1])
    large: NDArray[np.float32] = cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    if size == shape:
        return large
    below, beside = (max(n - m, 0) for n, m in zip(shape, size, strict=True))
    large = cv2.copyMakeBorder(large, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(large[: shape[0], : shape[1]])


def _search() -> cv2.DISOpticalFlow:
    """The search and its settings; a new one each time, because it works in buffers of its own."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    search.setPatchStride(4)
    search.setGradientDescentIterations(6)
    search.setVariationalRefinementIterations(2)
    return search

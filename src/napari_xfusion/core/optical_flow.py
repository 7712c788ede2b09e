"""Motion between two LR frames on the HR grid, and carrying an image along it.

OpenCV's dense inverse search (Kroeger et al., 2016) takes 8-bit images; how grey values reach those 8 bits
is settled here and nowhere else. Nothing is cached between calls, so all of it may run in several threads.

A search of OpenCV over all scales prefers a direction: patches take over the result of the patch above and on the
left, lie on a grid that begins at one corner, start from the motion next to their middle, and every scale ends with a
refinement that is not symmetric. Therefore each scale is searched on its own, without taking over, on a
grid that is symmetric, from the motion in the middle; only the finest scale is refined. A mirrored or turned
pair then gives the mirrored or turned motion up to what the refinement leaves.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image

Motion = NDArray[np.float32]
"""(H, W, 2): displacement across (x) and down (y) in HR pixels."""
Bytes = NDArray[np.uint8]
"""An image (h, w) of grey levels 0 to 255."""

PATCH = 8
"""Side of a patch, in pixels of the scale; patches overlap by half."""
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
        fine = cv2.resize(frame, (w * FINER, h * FINER), interpolation=cv2.INTER_CUBIC)
        images.append(np.clip((fine - np.float32(low)) * np.float32(255 / (high - low)), 0, 255))
    motion = cv2.GaussianBlur(_search(images[0], images[1]), (0, 0), 1)
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


def _search(here: Image, there: Image) -> Motion:
    """Where each pixel of ``here`` (h, w) is found in ``there``, (h, w, 2), from the coarsest scale to the finest.

    Grey levels are 0 to 255. They are rounded at each scale: rounding twice would prefer bright to dark.
    """
    motion = np.zeros((1, 1, 2), np.float32)
    for size in _scales(here.shape[:2]):
        images = [_rounded(cv2.resize(x, size[::-1], interpolation=cv2.INTER_AREA)) for x in (here, there)]
        finer = np.array([size[1] / motion.shape[1], size[0] / motion.shape[0]], np.float32)
        start = cv2.resize(motion, size[::-1], interpolation=cv2.INTER_LINEAR) * finer
        motion = _search_scale(images[0], images[1], start)
    refined: Motion = _refinement().calc(images[0], images[1], motion)
    return refined


def _rounded(image: Image) -> Bytes:
    return np.rint(image).astype(np.uint8)


def _scales(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes (h, w) of the images of all scales, coarsest first, each about half the next one.

    They are even, so that a patch grid can be symmetric. The number of scales is that of OpenCV.
    """
    coarsest = min(round(np.log2(max(shape) / (4 * PATCH))), int(np.log2(min(shape) / PATCH)))
    return [
        (2 * round(shape[0] / 2 ** (k + 1)), 2 * round(shape[1] / 2 ** (k + 1)))
        for k in reversed(range(max(coarsest, 0) + 1))
    ]


def _search_scale(here: Bytes, there: Bytes, start: Motion) -> Motion:
    """Search at one scale, from ``start``."""
    (h, w), symmetric = here.shape[:2], PATCH // 2
    down, across = (-side % symmetric // 2 for side in (h, w))
    padded = (
        cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_REPLICATE)
        for image in (here, there, start)
    )
    here, there, start = padded
    # OpenCV starts from the pixel after the middle of a patch of even size.
    middle = cv2.blur(start, (2, 2), anchor=(1, 1), borderType=cv2.BORDER_REPLICATE)
    motion = _patch_search().calc(here, there, middle)
    return np.ascontiguousarray(motion[down : down + h, across : across + w])


def _patch_search() -> cv2.DISOpticalFlow:
    """The search at one scale; a new one each time, because it works in buffers of its own."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setCoarsestScale(0)
    search.setFinestScale(0)
    search.setPatchSize(PATCH)
    search.setPatchStride(PATCH // 2)
    search.setUseSpatialPropagation(False)
    search.setGradientDescentIterations(18)
    search.setVariationalRefinementIterations(0)
    return search


def _refinement() -> cv2.VariationalRefinement:
    """The refinement of the finest scale; a new one each time, because it works in buffers of its own."""
    refinement = cv2.VariationalRefinement.create()
    refinement.setFixedPointIterations(2)
    refinement.setEpsilon(0.1)  # ten times that of the search: it hides the forward differences
    return refinement

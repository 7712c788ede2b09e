"""How much LR is blurred beyond HR: the optics of two cameras differ, and so do their images of one moment.

The kernel is a Gaussian with a width for each axis, that with which binned HR agrees best with LR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.degrade import binning
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.optical_flow import find_motion, warp
from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.types import Image

SHORTEST = 0.15
"""LR pixels; what is less changes results by less than 0.1 dB."""
LONGEST = 2.5
"""LR pixels."""
STARTS = (0.0, 0.2, 0.4, 0.7, 1.1, 1.8)
"""LR pixels, of both axes."""
SIDE = 128
"""LR pixels of the middle of the field that are compared, at most; it makes it quick."""
MOST_PAIRS = 4
FEWEST = 200
"""LR pixels in all pairs."""
LEAST_GAIN = 0.01
"""Share of the mean square difference of LR and binned HR that the blur must remove, and some of it in each pair."""
AROUND = 1.5
"""Standard deviation, LR pixels, of the Gaussian over which a change is averaged."""
MOST_CHANGE = 1.5
"""Mean square change from one LR frame to the next, in that of noise, of pixels that are compared between them."""
LEAST_STILL = 0.5
"""Share of the pixels that must be static between two LR frames; else slow motion looks like blur."""
UNLIKE_NEIGHBOURS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
CHANCE = 12
"""Times the share that the two widths explain of noise by chance."""

Blur = tuple[float, float]
"""Standard deviation down and across, LR pixels."""


class Pair(NamedTuple):
    """Both cameras at one time."""

    lr: Image
    """(h, w)."""
    hr: Image
    """(H, W) on the grid on which methods fuse."""
    good: NDArray[np.bool_]
    """(h, w): the pixels that both cameras see, and for which LR is known at that time."""


def find_blur(pairs: Sequence[Pair], grids: Grids) -> Blur:
    """The blur of LR; (0, 0) where it is not significant. ``grids`` has none."""
    cut = _middle(grids.lr_shape)
    compared = [_Compared.of(pair, grids, cut) for pair in pairs[:MOST_PAIRS]]
    compared = [each for each in compared if each.good.any()]
    pixels = sum(int(each.good.sum()) for each in compared)
    if pixels < FEWEST:
        return 0.0, 0.0

    def left(variances: NDArray[np.float64]) -> float:
        y, x = np.sqrt(variances)
        return sum(each.left((float(y), float(x))) for each in compared)

    start = min(STARTS, key=lambda sigma: left(np.full(2, sigma**2)))
    simplex = start**2 + np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.05]])
    search = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 0.0, "maxfev": 60}
    settings: dict[str, Any] = {"bounds": [(0.0, LONGEST**2)] * 2, "options": search}
    best = np.sqrt(scipy.optimize.minimize(left, simplex[0], method="Nelder-Mead", **settings).x)
    found = float(best[0]), float(best[1])
    none = (0.0, 0.0)
    gain = 1 - left(best**2) / max(left(np.zeros(2)), 1e-30)
    least = max(LEAST_GAIN, CHANCE * 2 / pixels)
    if max(found) < SHORTEST or gain < least or any(x.left(found) >= x.left(none) for x in compared):
        return 0.0, 0.0
    return round(found[0], 3), round(found[1], 3)


def blur_of(kernel: Sequence[Sequence[float]], mapping: Mapping) -> Blur:
    """The Gaussian with the variances of a square ``kernel`` of HR pixels, where ``mapping`` places LR pixels."""
    weights = np.asarray(kernel) / np.sum(kernel)
    place = np.arange(len(weights)) - len(weights) // 2
    y, x = np.meshgrid(place, place, indexing="ij")
    off = np.stack([y, x]) - np.sum(weights * np.stack([y, x]), axis=(1, 2), keepdims=True)
    to_lr = np.linalg.inv(mapping.linear)
    variances = np.diag(to_lr @ np.einsum("iyx,jyx,yx->ij", off, off, weights) @ to_lr.T)
    down, across = np.sqrt(np.clip(variances, 0, LONGEST**2)).tolist()
    return down, across


def kernel_of(blur: Blur, mapping: Mapping) -> tuple[tuple[float, ...], ...]:
    """The square kernel of HR pixels whose ``blur_of`` is a ``blur``, at least SHORTEST along each axis."""
    wanted = np.maximum(blur, SHORTEST)
    linear = np.array(mapping.linear)
    reach = math.ceil(3 * float(wanted.max()) * max(mapping.scale)) + 1
    place = np.arange(-reach, reach + 1)
    off = np.stack(np.meshgrid(place, place, indexing="ij"), axis=-1) @ np.linalg.inv(linear).T
    sigma = wanted
    kernel = np.ones((1, 1))
    for _ in range(8):  # a Gaussian that is sampled at few pixels has another width
        kernel = np.exp(-0.5 * ((off / sigma) ** 2).sum(axis=-1))
        sigma = sigma * wanted / np.maximum(blur_of(kernel.tolist(), mapping), 1e-3)
    return tuple(map(tuple, (kernel / kernel.sum()).tolist()))


def static(before: Image, after: Image) -> NDArray[np.bool_]:
    """The LR pixels (h, w) around which nothing changes between two frames, so that LR is known at the time between.

    What moves would look blurred there.
    """
    change = after - before
    around = cv2.GaussianBlur(change * change, (0, 0), AROUND, borderType=cv2.BORDER_REPLICATE)
    # Motion changes neighbours alike, noise does not (Immerkaer, Comput. Vis. Image Underst. 64, 300, 1996).
    noise = spread(cv2.filter2D(change, -1, UNLIKE_NEIGHBOURS)) / 6
    quiet: NDArray[np.bool_] = around <= MOST_CHANGE * noise**2
    return quiet


def moved_pair(lr: tuple[Image, Image], part: float, hr: Image, grids: Grids) -> Pair:
    """Both cameras at the time of an LR frame, HR (H, W) moved to it along the motion.

    ``hr`` was taken at ``part`` of the way from that LR frame to another one, the second of ``lr`` (h, w). LR is not
    interpolated in time or space, which would blur it; pixels to which the motion does not lead are not good.
    """
    here, there = lr
    motion = find_motion(here, there, grids.hr_shape, grids.scale)
    coarse = find_motion(here, there, grids.lr_shape, (1.0, 1.0))
    good = static(here, warp(there, coarse))
    return Pair(here, warp(hr, np.float32(part) * motion), good)


class _Compared(NamedTuple):
    """The middle of a pair."""

    lr: Image
    hr: Image
    good: NDArray[np.bool_]
    scale: tuple[float, float]

    @classmethod
    def of(cls, pair: Pair, grids: Grids, cut: tuple[slice, slice]) -> _Compared:
        scale = grids.scale
        large = tuple(slice(round(c.start * s), round(c.stop * s)) for c, s in zip(cut, scale, strict=True))
        return cls(pair.lr[cut], pair.hr[large], pair.good[cut], scale)

    def left(self, blur: Blur) -> float:
        """Mean square difference of LR and binned HR of this blur, whatever their grey scales are."""
        binned = binning(self.hr.shape, self.lr.shape, self.scale, blur)(self.hr)[self.good].astype(
            np.float64
        )
        lr = self.lr[self.good].astype(np.float64)
        lr, binned = lr - lr.mean(), binned - binned.mean()
        slope = (lr @ binned) / max(float(binned @ binned), 1e-30)
        return float(np.mean((lr - slope * binned) ** 2))


def _middle(shape: tuple[int, int]) -> tuple[slice, slice]:
    first = [max(0, (n - SIDE) // 2) for n in shape]
    return slice(first[0], min(first[0] + SIDE, shape[0])), slice(first[1], min(first[1] + SIDE, shape[1]))

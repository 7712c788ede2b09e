"""Where the detail of a fused image comes from: measured now, seen in an HR frame, or made by the method alone.

The image is split into what LR could show, up(down(F)), and fine structure, F - up(down(F)).

*What LR could show* is compared with LR at the target's time. What agrees was measured now; what differs by more than
LR noise was not measured by anybody at that time, and counts as the method's own.

*Fine structure* is explained by that of the HR frames: those before and after the target, as they are and warped to
its time along the motion seen in LR, and the mean of all others within reach. In each neighbourhood the weights of
a sum of them are sought that come closest to the fine structure, none below 0 and together at most 1: an HR
frame can vouch for what it shows, not for more of it nor for its negative. What no such sum explains is the
method's own.

This needs the image and the recordings only, not the method: it works for any method, and for an image that somebody
has changed since. It does not tell whether detail is right: a static HR frame may explain perfectly what has
long moved away. Nor is all that is the method's own invented: a network that sharpens, or removes noise, adds what no
frame shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.methods.local import NEGLIGIBLE, TINY
from napari_xfusion.core.methods.sharp import SharpFrames
from napari_xfusion.core.optical_flow import find_motion, warp
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Image, Region, Stack


class Source(NamedTuple):
    """Something that detail can come from."""

    name: str
    title: str
    colour: str
    """#rrggbb, of the palette by Okabe and Ito, which colour-blind people tell apart."""


LR = Source("lr", "LR: nothing finer here", "#999999")
FINE = (
    Source("before", "HR frame before", "#0072B2"),
    Source("before-moved", "HR frame before, moved", "#56B4E9"),
    Source("after", "HR frame after", "#009E73"),
    Source("after-moved", "HR frame after, moved", "#F0E442"),
    Source("others", "other HR frames", "#E69F00"),
    Source("method", "the method alone", "#CC79A7"),
)
"""What fine structure can come from, in the order of ``SourceMap.energy``."""
SOURCES = (LR, *FINE)
"""In the order of the numbers in ``SourceMap.main``."""
METHOD = len(SOURCES) - 1
RIDGE = (1e-3, 5e-3, 1e-3, 5e-3, 1e-2)
"""Of the weights of the five kinds of HR images, in parts of their energy: of equal ones, the simplest is preferred."""
HERE = 0.7
"""Standard deviation, in LR pixels, of the Gaussian over which images are compared."""
SWEEPS = 25
"""Of coordinate descent; the weights change by less than 0.01 after."""
CHANCE = np.float32(2)
"""Part of LR's noise, a variance, that its mean over so few pixels reaches by chance."""
QUIET = 0.25
"""Part of the HR noise, a variance, up to which there is no fine structure: methods take most of the noise off."""


class Shares(NamedTuple):
    """Where the detail of a frame comes from."""

    lr: float
    """Part of the picture that shows nothing finer than LR, 0..1."""
    fine: dict[str, float]
    """Share of each source of FINE in the detail of the rest, by name; together 1, or all 0 where there is none."""


@dataclass(frozen=True, eq=False)
class SourceMap:
    """Where the detail of one fused image comes from, on the grid on which methods fuse."""

    target: int
    energy: Image
    """(6, h, w): energy of the detail that LR does not show, by source, grey units squared; not negative."""
    alone: Image
    """(H, W): what is the method's own, signed, grey units."""
    quiet: NDArray[np.bool_]
    """(h, w): where there is no such detail, which noise could not be."""

    @property
    def main(self) -> NDArray[np.uint8]:
        """(h, w): number in SOURCES of the source with most of the detail; 0 where there is none beyond LR."""
        return np.where(self.quiet, 0, 1 + np.argmax(self.energy, axis=0)).astype(np.uint8)

    def part(self, seen: NDArray[np.bool_]) -> Shares:
        """Shares in the pixels ``seen`` (h, w)."""
        some = seen & ~self.quiet
        sums = self.energy[:, some].sum(axis=1, dtype=np.float64)
        total = max(float(sums.sum()), float(TINY))
        area = 1 - float(some.sum()) / max(int(seen.sum()), 1)
        return Shares(area, {source.name: float(x) / total for source, x in zip(FINE, sums, strict=True)})


class Sources:
    """Source maps of fused images on one rig; caches what neighbouring targets share, within bounds."""

    def __init__(self, reader: FrameReader) -> None:
        self.reader, self.rig, self.grids = reader, reader.rig, reader.rig.grids
        self.sharp = SharpFrames(reader)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """The LR pixels (h, w) that both cameras see."""
        return ~(self.rig.alignment.blind | self.reader.hr_blind)

    def of(self, target: int, image: NDArray[Any], region: Region | None = None) -> SourceMap:
        """The source map of a fused image (H, W) of ``region`` at ``target``, in the HR camera's units.

        Outside ``region`` it means nothing.
        """
        image = self.placed(target, image, region)
        lr, noise = self.reader.lr_frame(target), self.sharp.variance(target)
        low = self.grids.down(image)
        fine = image - self.grids.up(low)
        candidates = self._candidates(target)
        weights = self._explained(fine, candidates)
        parts = [self.sharp.enlarge(w) * x for w, x in zip(weights, candidates, strict=True)]
        rest = fine - np.sum(parts, axis=0)
        off = low - lr
        unexplained = np.maximum(_here(np.square(off)) - CHANCE * noise, 0)
        kept = unexplained / np.maximum(unexplained + noise, TINY)  # what noise does not explain
        energy = np.stack([np.maximum(self._product(each, fine), 0) for each in (*parts, rest)])
        energy[-1] += unexplained
        quiet = energy.sum(axis=0) <= QUIET * self.sharp.curve(lr) + NEGLIGIBLE
        return SourceMap(target, energy, rest + self.grids.up(kept * off), quiet)

    def within(self, region: Region | None) -> NDArray[np.bool_]:
        """The LR pixels (h, w) that have an HR pixel in ``region``."""
        inside = np.zeros(self.rig.hr.shape[1:], np.float32)
        rows, columns = _slices(region)
        inside[rows, columns] = 1
        return self.rig.alignment.down(inside) > 0

    def shown(self, image: Image, region: Region | None) -> Image:
        """An image (H, W) of the grid on which methods fuse, as results of ``region`` show it."""
        fused = self.rig.alignment.region(region)
        rows, columns = _slices(fused)
        return self.rig.alignment.back(np.ascontiguousarray(image[rows, columns]), region)

    def shown_main(self, found: SourceMap, region: Region | None) -> NDArray[np.uint8]:
        """The main sources (H, W) of the pixels of results of ``region``."""
        rows, columns = _slices(region)
        owner = self.rig.alignment.owner[rows, columns]
        main: NDArray[np.uint8] = found.main.ravel()[owner]
        return main

    def placed(self, target: int, image: NDArray[Any], region: Region | None) -> Image:
        """A fused image in grey units on the grid on which methods fuse; LR with detail outside of ``region``."""
        grey = self.rig.compared(target, image)
        if region is not None:
            nearest = min(
                neighbours(self.rig.hr_times, target), key=lambda k: abs(self.rig.hr_times[k] - target)
            )
            around = self.grids.up(self.reader.lr_frame(target)) + self.sharp.fine(nearest)
            whole = self.rig.alignment.back(around, None).copy()
            whole[_slices(region)] = grey
            grey = whole
        return np.ascontiguousarray(self.rig.alignment.place(grey), np.float32)

    def _candidates(self, target: int) -> list[Image]:
        """Fine structure (H, W) of the HR images, in the order of FINE."""
        found = []
        ends = neighbours(self.rig.hr_times, target)
        here = self.reader.lr_frame(target)
        for k in ends:
            motion = find_motion(here, self.sharp.seen(k), self.grids.hr_shape, self.grids.scale)
            found += [self.sharp.fine(k), self.sharp.fine_of(warp(self.reader.hr_frame(k), motion))]
        found.append(self.sharp.mean(target, without=ends).fine)
        return found

    def _product(self, a: Image, b: Image) -> Image:
        """Mean (h, w) of the product of two images (H, W) over little more than each LR pixel."""
        return _here(self.grids.down(a * b))

    def _explained(self, fine: Image, candidates: list[Image]) -> Image:
        """Weights (5, h, w) of the candidates whose sum is closest to ``fine``, at least 0, together at most 1."""
        number = len(candidates)
        gram = [[self._product(candidates[i], candidates[j]) for j in range(i + 1)] for i in range(number)]
        wanted = [self._product(fine, each) for each in candidates]
        weights = np.zeros((number, *self.grids.lr_shape), np.float32)
        for _ in range(SWEEPS):
            for i in range(number):
                others = sum(
                    (gram[max(i, j)][min(i, j)] * weights[j] for j in range(number) if j != i),
                    np.float32(0),
                )
                own = gram[i][i] * np.float32(1 + RIDGE[i]) + TINY
                weights[i] = np.maximum((wanted[i] - others) / own, 0)
        weights /= np.maximum(weights.sum(axis=0), 1)
        return weights


def own_of(fused: Stack, sources: Sources, targets: Sequence[int], region: Region | None = None) -> Stack:
    """What is the method's own in fused frames (T, H, W) of ``targets``, float32 in their units; made when read.

    NaN in frames without a number, which are not fused.
    """
    span = np.float32(sources.rig.hr.grey.span)

    def read(number: int) -> Image:
        image = fused.frame(number)
        if not np.isfinite(image).any():
            return np.full(image.shape, np.nan, np.float32)
        return sources.shown(sources.of(targets[number], image, region).alone, region) * span

    return fused.derive(read, fused.shape, np.dtype(np.float32), source=f"{fused.source}, the method's own")


def main_of(fused: Stack, sources: Sources, targets: Sequence[int], region: Region | None = None) -> Stack:
    """Number in SOURCES of the main source of each pixel of fused frames (T, H, W), uint8; made when it is read.

    0 in frames without a number, which are not fused.
    """

    def read(number: int) -> NDArray[np.uint8]:
        image = fused.frame(number)
        if not np.isfinite(image).any():
            return np.zeros(image.shape, np.uint8)
        return sources.shown_main(sources.of(targets[number], image, region), region)

    return fused.derive(read, fused.shape, np.dtype(np.uint8), source=f"{fused.source}, main source")


def _slices(region: Region | None) -> tuple[slice, slice]:
    if region is None:
        return slice(None), slice(None)
    return slice(region.top, region.bottom), slice(region.left, region.right)


def _here(energy: Image) -> Image:
    """Mean of an energy (h, w) over little more than each LR pixel, so that small detail is not lost among other."""
    mean: Image = cv2.GaussianBlur(energy, (0, 0), HERE, borderType=cv2.BORDER_REPLICATE)
    return mean

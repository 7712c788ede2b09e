"""The grid a network works on, and how a frame is cut into tiles on it. Knows no torch.

A network takes HR frames and LR frames a quarter their size, with LR sides that can be halved twice. Any
other pair is brought onto such a grid: LR resampled where the scale is another, both padded by reflection.
All rectangles here are in pixels of that LR grid; the HR grid is four times as fine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from napari_xfusion.core.degrade import Resampler, cubic
from napari_xfusion.core.rig import Grids
from napari_xfusion.core.types import SCALE, Image, Region

ALIGN = 4
"""Tiles begin at multiples of this, in step with the network's pyramid."""
HALO = 96
"""LR pixels around a tile that can change it in the paper's networks; with fewer its border shows."""
LITE_HALO = 48
"""The same for the lite network, whose convolutions reach no further."""


class _Sliceable(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


Sliced = TypeVar("Sliced", bound=_Sliceable)


class Rect(NamedTuple):
    """A rectangle of LR pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def cut(self, image: Sliced, scale: int = 1) -> Sliced:
        """That part of an array or tensor (..., H, W) whose pixels are ``scale`` times as fine."""
        part: Sliced = image[
            ..., scale * self.top : scale * self.bottom, scale * self.left : scale * self.right
        ]
        return part

    def seen_from(self, outer: Rect) -> Rect:
        """The same place, counted from the corner of ``outer``."""
        return Rect(
            self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left
        )


class Tile(NamedTuple):
    """What is computed, and the part of it that is kept."""

    outer: Rect
    inner: Rect


@dataclass(frozen=True, eq=False)
class Grid:
    """The network's grid for a pair of sequences."""

    size: tuple[int, int]
    """(h, w): a quarter of the HR frame, rounded up."""
    padded: Rect
    """From 0 to the next multiples of 4."""
    hr_shape: tuple[int, int]
    resample: Resampler | None
    """LR (h', w') to (h, w), where the sequences' scale is not 4."""

    @classmethod
    def of(cls, grids: Grids) -> Grid:
        """The grid for two cameras on those grids."""
        height, width = grids.hr_shape
        size = math.ceil(height / SCALE), math.ceil(width / SCALE)
        padded = Rect(0, _up(size[0]), 0, _up(size[1]))
        resample = None
        if grids.scale != (float(SCALE), float(SCALE)) or grids.lr_shape != size:
            y, x = grids.scale
            resample = cubic(grids.lr_shape, size, (SCALE / y, SCALE / x))
        return cls(size, padded, grids.hr_shape, resample)

    def lr(self, image: Image) -> Image:
        """An LR frame (h', w') on the padded grid, clipped to [0, 1] as the paper's networks want it."""
        return np.clip(self.padded_lr(image), 0, 1)

    def padded_lr(self, image: Image) -> Image:
        """An LR frame (h', w') on the padded grid, with the values it has."""
        image = image if self.resample is None else self.resample(image)
        return _pad(image, (self.padded.bottom, self.padded.right))

    def hr(self, image: Image) -> Image:
        """An HR frame (H, W) on the padded grid, four times as fine, clipped to [0, 1]."""
        return self.padded_hr(np.clip(image, 0, 1))

    def padded_hr(self, image: Image) -> Image:
        """An HR frame (H, W) on the padded grid, with the values it has."""
        return _pad(image, (SCALE * self.padded.bottom, SCALE * self.padded.right))

    def area(self, region: Region | None) -> Rect:
        """The LR pixels that cover a region of HR pixels; all of the frame when None."""
        if region is None:
            return Rect(0, self.size[0], 0, self.size[1])
        return Rect(
            region.top // SCALE,
            math.ceil(region.bottom / SCALE),
            region.left // SCALE,
            math.ceil(region.right / SCALE),
        )

    def cut(self, area: Rect, region: Region | None) -> tuple[slice, slice]:
        """Where the asked HR pixels lie in an image of ``area``."""
        asked = Region(0, self.hr_shape[0], 0, self.hr_shape[1]) if region is None else region
        y, x = SCALE * area.top, SCALE * area.left
        return slice(asked.top - y, asked.bottom - y), slice(asked.left - x, asked.right - x)


def cut_tiles(padded: Rect, area: Rect, side: int | None, halo: int = HALO) -> Iterator[Tile]:
    """Tiles of ``side`` LR pixels that cover ``area``, each with its halo; one tile when None.

    Outer rectangles begin at multiples of 4 and end at such or at the border of the ``padded`` grid.
    """
    height, width = (side, side) if side else area.shape
    for top in range(area.top, area.bottom, height):
        for left in range(area.left, area.right, width):
            inner = Rect(top, min(top + height, area.bottom), left, min(left + width, area.right))
            outer = Rect(
                max(_down(inner.top - halo), 0),
                min(_up(inner.bottom + halo), padded.bottom),
                max(_down(inner.left - halo), 0),
                min(_up(inner.right + halo), padded.right),
            )
            yield Tile(outer, inner)


def batch_that_fits(padded: Rect, pixels: float, batches: tuple[int, ...]) -> int:
    """The first of ``batches`` whose frames together have at most ``pixels``; the last one where none has."""
    return next((n for n in batches if n * padded.bottom * padded.right <= pixels), batches[-1])


def side_that_fits(padded: Rect, pixels: float, halo: int = HALO) -> int | None:
    """Side of the largest tiles whose outer rectangle has at most ``pixels``; None when a frame has no more.

    At least 16, however little there is.
    """
    if padded.bottom * padded.right <= pixels:
        return None
    return max(16, _down(int(math.sqrt(pixels)) - 2 * halo))


def _pad(image: Image, shape: tuple[int, int]) -> Image:
    below, beside = shape[0] - image.shape[0], shape[1] - image.shape[1]
    return np.pad(image, ((0, below), (0, beside)), mode="symmetric") if below or beside else image


def _up(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def _down(n: int) -> int:
    return n // ALIGN * ALIGN

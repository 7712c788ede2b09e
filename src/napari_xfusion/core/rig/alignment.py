"""The grid on which methods fuse, where LR is more than a scale away from HR: LR's pixels, divided.

LR stays as it is, because its pixels are too large to be resampled without loss. HR images are brought to that
grid, and results back from it, each of them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.types import Image, Region

REACH = 4
"""Pixels by which the interpolation reaches beyond its place."""
STEPS = 32
"""Places per pixel that the interpolation tells apart."""


@dataclass(frozen=True)
class Alignment:
    """The way of images between the HR camera's grid, which results have, and the one on which methods fuse.

    Where LR lies upon HR they are one grid, and images stay as they are. Interpolation is Lanczos' of 8 x 8 pixels;
    shifts by complete HR pixels change no value.
    """

    grids: Grids
    """LR's grid, and the one on which methods fuse."""
    mapping: Mapping
    """Of LR pixels to the HR camera's grid."""
    hr_shape: Shape
    """(H, W) of the HR camera's frames; ``grids.hr_shape`` is that of fused ones."""

    @property
    def needed(self) -> bool:
        """Whether there are two grids."""
        return self.mapping != self.grids.mapping or self.hr_shape != self.grids.hr_shape

    @cached_property
    def to_hr(self) -> Mapping:
        """Of the grid on which methods fuse to the HR camera's."""
        return self.grids.mapping.inverse.then(self.mapping)

    def place(self, image: NDArray[Any]) -> NDArray[Any]:
        """An HR image (H, W) of the camera on the grid on which methods fuse, edge pixels repeated."""
        return _resampled(image, _Way(_whole(self.grids.hr_shape), self.to_hr)) if self.needed else image

    def region(self, region: Region | None) -> Region | None:
        """The pixels to fuse for the results in a region; None for complete frames."""
        if not self.needed or (region is None and self.hr_shape == self.grids.hr_shape):
            return region
        fused = self.to_hr.from_output(_rim(region or self._all))
        first, last = np.floor(fused.min(axis=0)) - REACH, np.ceil(fused.max(axis=0)) + REACH + 1
        (t, x), (b, y) = np.clip([first, last], 0, self.grids.hr_shape).astype(int).tolist()
        t, x = min(t, self.grids.hr_shape[0] - 1), min(x, self.grids.hr_shape[1] - 1)
        return Region(t, max(b, t + 1), x, max(y, x + 1))

    def back(self, image: Image, region: Region | None) -> Image:
        """A result for ``region``, from what was fused for it; edge pixels are repeated."""
        if not self.needed:
            return image
        fused = self.region(region)
        corner = (0, 0) if fused is None else (fused.top, fused.left)
        return _resampled(image, _Way(region or self._all, self.to_hr, inverse=True), corner)

    def unseen(self, region: Region | None) -> NDArray[np.bool_]:
        """The HR pixels of results for ``region`` that LR does not see."""
        return _outside(_Way(region or self._all, self.to_hr, inverse=True), self.grids.hr_shape)

    @cached_property
    def overlap(self) -> Region | None:
        """The smallest rectangle of HR pixels that contains all that LR sees; None where LR sees none of them."""
        rows, columns = (np.flatnonzero((~self.unseen(None)).any(axis=axis)).tolist() for axis in (1, 0))
        return Region(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows else None

    @cached_property
    def blind(self) -> NDArray[np.bool_]:
        """The LR pixels (h, w) that HR does not see completely."""
        if not self.needed:
            return np.zeros(self.grids.lr_shape, bool)
        outside = _outside(_Way(_whole(self.grids.hr_shape), self.to_hr), self.hr_shape)
        blind: NDArray[np.bool_] = self.grids.down(outside.astype(np.float32)) > 0.01
        return blind

    def down(self, image: Image) -> Image:
        """An HR image (H, W) of the camera, binned to the LR grid (h, w)."""
        return self.grids.down(self.place(image))

    @cached_property
    def owner(self) -> NDArray[np.intp]:
        """Number of the LR pixel (H, W) that has most of each pixel of the HR camera, counted row by row.

        Outside LR's field, that of the nearest one.
        """
        if not self.needed:
            return self.grids.owner
        h, w = self.grids.lr_shape
        rows, columns = np.rint(self.mapping.from_output(_pixels(self._all))).astype(np.intp).T
        numbers: NDArray[np.intp] = np.clip(rows, 0, h - 1) * w + np.clip(columns, 0, w - 1)
        return numbers.T

    def enlarged(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels (H, W) of the HR camera of the LR pixels in ``mask`` (h, w)."""
        large: NDArray[np.bool_] = mask.ravel()[self.owner]
        return large

    @property
    def _all(self) -> Region:
        return _whole(self.hr_shape)


class _Way(NamedTuple):
    """From the pixels of a region to their places in another image."""

    region: Region
    mapping: Mapping
    inverse: bool = False
    """Whether the mapping is of the other image's pixels."""

    @property
    def places(self) -> NDArray[np.float64]:
        """Coordinates (H, W, 2) in the other image."""
        pixels = _pixels(self.region)
        return self.mapping.from_output(pixels) if self.inverse else self.mapping.to_output(pixels)


def _whole(shape: Shape) -> Region:
    return Region(0, shape[0], 0, shape[1])


def _pixels(region: Region) -> NDArray[np.float64]:
    """Coordinates (H, W, 2) of the pixels of a region."""
    y, x = np.arange(region.top, region.bottom), np.arange(region.left, region.right)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).astype(np.float64)


def _rim(region: Region) -> NDArray[np.float64]:
    """Coordinates (N, 2) of the pixels at the border of a region, which surround all others on any smooth map."""
    top, bottom, left, right = region
    y, x = np.arange(top, bottom), np.arange(left, right)
    rows = [np.stack(np.broadcast_arrays(row, x), axis=1) for row in (top, bottom - 1)]
    columns = [np.stack(np.broadcast_arrays(y, column), axis=1) for column in (left, right - 1)]
    return np.concatenate([*rows, *columns]).astype(np.float64)


def _resampled(image: NDArray[Any], way: _Way, corner: tuple[int, int] = (0, 0)) -> NDArray[Any]:
    """Values of ``image``, whose first pixel is ``corner``, at the places of a way."""
    small = image.dtype == np.float32 or image.dtype.itemsize < 4
    rows, columns = _places(way)
    found: NDArray[Any] = cv2.remap(
        image.astype(np.float32 if small else np.float64),
        columns - np.float32(corner[1]),
        rows - np.float32(corner[0]),
        cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found


@lru_cache(maxsize=2)  # the way to the grid and the way back are the same for all frames of a run
def _places(way: _Way) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Row and column (H, W) of the places of a way; the same steps in a part as in all of it."""
    places = (np.rint(way.places * STEPS) / STEPS).astype(np.float32)
    return np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])


@lru_cache(maxsize=2)
def _outside(way: _Way, shape: Shape) -> NDArray[np.bool_]:
    """The pixels of a way whose places are outside an image of ``shape`` (H, W)."""
    places = way.places
    beyond: NDArray[np.bool_] = (places < -0.5) | (places > np.array(shape) - 0.5)
    return np.asarray(beyond.any(axis=-1))

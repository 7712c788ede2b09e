"""The pixel grids of the two cameras, and the way of an image from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.degrade import Resampler, binning, cubic
from napari_xfusion.core.mapping import Mapping, Shape, fit_mapping
from napari_xfusion.errors import PairingError


@dataclass(frozen=True)
class Grids:
    """The LR grid and the grid on which methods fuse, LR's pixels divided; HR's where LR lies upon HR.

    Raises PairingError where they differ in more than scale; see ``Alignment``.
    """

    lr_shape: Shape
    """(h, w)."""
    hr_shape: Shape
    """(H, W) of the grid on which methods fuse."""
    mapping: Mapping
    """Of LR pixels to that grid."""
    blur: tuple[float, float] = (0.0, 0.0)
    """See ``Camera.blur``, of LR."""

    @classmethod
    def of(cls, lr_shape: Shape, hr_shape: Shape, divisions: int | None) -> Self:
        """LR pixels (h, w) divided into so many along each axis; as the sizes of the frames say when None."""
        if divisions is None:
            return cls(lr_shape, hr_shape, fit_mapping(lr_shape, hr_shape))
        h, w = lr_shape
        return cls(lr_shape, (h * divisions, w * divisions), Mapping.scaled((divisions, divisions)))

    def __post_init__(self) -> None:
        if not self.mapping.is_scaling:
            raise PairingError(
                "LR mapping",
                expected="LR and HR images that differ in scale only",
                found="a shift, turn or mirror between the two cameras",
                hint="align and crop both recordings first",
            )

    @property
    def scale(self) -> tuple[float, float]:
        """HR pixels per LR pixel, down and across."""
        return self.mapping.scale

    @cached_property
    def down(self) -> Resampler:
        """Bin an HR image (H, W) to the LR grid (h, w), blurred as LR is."""
        return binning(self.hr_shape, self.lr_shape, self.scale, self.blur)

    @cached_property
    def up(self) -> Resampler:
        """Enlarge an LR image (h, w) to the HR grid (H, W), cubic."""
        y, x = self.scale
        return cubic(self.lr_shape, self.hr_shape, (1 / y, 1 / x))

    def enlarged(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The HR pixels (H, W) of the LR pixels in ``mask`` (h, w)."""
        large: NDArray[np.bool_] = mask.ravel()[self.owner]
        return large

    @cached_property
    def owner(self) -> NDArray[np.intp]:
        """Number of the LR pixel (H, W) that has most of each HR pixel, counted row by row."""
        box = binning(self.hr_shape, self.lr_shape, self.scale)
        rows, columns = (np.asarray(x.argmax(axis=0)).ravel() for x in (box.rows, box.columns))
        numbers: NDArray[np.intp] = rows[:, None] * self.lr_shape[1] + columns[None, :]
        return numbers

"""The pixel grids of the two cameras, and the way of an image from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.degrade import Resampler, binning, cubic
from napari_xfusion.core.rig.mapping import Mapping, Shape
from napari_xfusion.errors import PairingError


@dataclass(frozen=True)
class Grids:
    """The LR grid and the output grid, which is HR's. Raises PairingError for what methods cannot use yet."""

    lr_shape: Shape
    """(h, w)."""
    hr_shape: Shape
    """(H, W)."""
    mapping: Mapping
    """Of LR pixels to the output grid."""

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
        """Bin an HR image (H, W) to the LR grid (h, w)."""
        return binning(self.hr_shape, self.lr_shape, self.scale)

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
        rows, columns = (np.asarray(x.argmax(axis=0)).ravel() for x in (self.down.rows, self.down.columns))
        numbers: NDArray[np.intp] = rows[:, None] * self.lr_shape[1] + columns[None, :]
        return numbers

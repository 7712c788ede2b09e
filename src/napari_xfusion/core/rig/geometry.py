"""Which HR pixels an LR pixel covers, from the two frame sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from napari_xfusion.core.degrade import Resampler, binning, cubic
from napari_xfusion.errors import PairingError

Shape = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Two grids that share their upper left corner."""

    lr_shape: Shape
    hr_shape: Shape
    scale: tuple[float, float]
    """HR pixels per LR pixel, down and across."""

    @cached_property
    def down(self) -> Resampler:
        """Bin an HR image (H, W) to the LR grid (h, w)."""
        return binning(self.hr_shape, self.lr_shape, self.scale)

    @cached_property
    def up(self) -> Resampler:
        """Enlarge an LR image (h, w) to the HR grid (H, W), cubic."""
        y, x = self.scale
        return cubic(self.lr_shape, self.hr_shape, (1 / y, 1 / x))


def fit_geometry(lr_shape: Shape, hr_shape: Shape) -> Geometry:
    """The geometry of frames of the sizes ``lr_shape`` (h, w) and ``hr_shape`` (H, W).

    The scale is HR size over LR size. Where a whole number explains both sizes up to an unfinished last
    pixel, it is that number and nothing is stretched. Raises PairingError when HR is smaller than LR, or
    when the ratios of the two axes differ by more than one LR pixel.
    """
    (h, w), (height, width) = lr_shape, hr_shape
    sizes = f"LR {h}x{w} and HR {height}x{width} (rows x columns)"
    if height < h or width < w:
        raise PairingError(
            "frame sizes",
            expected="HR frames at least as large as LR frames",
            found=sizes,
            hint="check that LR and HR are not swapped",
        )
    longer = width / w if w >= h else height / h
    if abs(height / longer - h) > 1 or abs(width / longer - w) > 1:
        raise PairingError(
            "frame sizes",
            expected="one scale for both axes, to within one LR pixel",
            found=f"{sizes}: {height / h:.3f} and {width / w:.3f} HR pixels per LR pixel",
            hint="crop both sequences to the same field of view",
        )
    whole = round(longer)
    if _explains(whole, h, height) and _explains(whole, w, width):
        return Geometry(lr_shape, hr_shape, (float(whole), float(whole)))
    return Geometry(lr_shape, hr_shape, (height / h, width / w))


def _explains(scale: int, small: int, large: int) -> bool:
    return small in (large // scale, math.ceil(large / scale))

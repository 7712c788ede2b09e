"""Where the pixels of a camera lie on the output grid, which is that of the HR camera."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import FiniteFloat

from napari_xfusion.core.value import Value
from napari_xfusion.errors import PairingError

Shape = tuple[int, int]
Vector = tuple[FiniteFloat, FiniteFloat]


class Mapping(Value):
    """An affine map of pixel coordinates (y, x) to those of the output grid: ``linear @ pixel + shift``.

    Whole numbers are pixel centres, as in napari and scikit-image.
    """

    linear: tuple[Vector, Vector] = ((1.0, 0.0), (0.0, 1.0))
    """Rows give y and x of the output grid; invertible."""
    shift: Vector = (0.0, 0.0)
    """Output pixels."""

    @classmethod
    def scaled(cls, scale: tuple[float, float]) -> Mapping:
        """The map of pixels that are ``scale`` (down, across) output pixels wide, from the same outer corner.

        The centre of the first one lies half the difference of the sides further than that of the first output
        pixel.
        """
        y, x = scale
        return cls(linear=((y, 0.0), (0.0, x)), shift=((y - 1) / 2, (x - 1) / 2))

    @property
    def affine(self) -> NDArray[np.float64]:
        """The homogeneous matrix (3, 3), as a napari layer takes it."""
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = self.linear, self.shift
        return matrix

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels per camera pixel along the camera's rows and columns, (down, across)."""
        (yy, yx), (xy, xx) = self.linear
        return (abs(yy), abs(xx)) if yx == xy == 0 else (math.hypot(yy, xy), math.hypot(yx, xx))

    @property
    def is_scaling(self) -> bool:
        """Whether both grids share their outer corner and axes, so that nothing but the scale differs."""
        return self == Mapping.scaled(self.scale)

    def to_output(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Camera pixels (..., 2) as coordinates of the output grid."""
        points: NDArray[np.float64] = np.asarray(pixels, np.float64) @ np.transpose(self.linear) + self.shift
        return points

    def from_output(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Coordinates of the output grid (..., 2) as camera pixels."""
        return self.inverse.to_output(pixels)

    def then(self, other: Mapping) -> Mapping:
        """This map, followed by ``other``."""
        both = other.affine @ self.affine
        return Mapping(linear=both[:2, :2].tolist(), shift=both[:2, 2].tolist())

    @property
    def inverse(self) -> Mapping:
        """The map from the output grid to the camera."""
        if self.is_scaling:  # exact, where the general inverse rounds
            y, x = self.scale
            return Mapping.scaled((1 / y, 1 / x))
        inverse = np.linalg.inv(self.affine)
        return Mapping(linear=inverse[:2, :2].tolist(), shift=inverse[:2, 2].tolist())


def fit_mapping(lr_shape: Shape, hr_shape: Shape) -> Mapping:
    """The mapping of LR frames (h, w) that show the field of HR frames (H, W), the output grid.

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
    nearest = round(longer)
    if _explains(nearest, h, height) and _explains(nearest, w, width):
        return Mapping.scaled((float(nearest), float(nearest)))
    return Mapping.scaled((height / h, width / w))


def _explains(scale: int, small: int, large: int) -> bool:
    return small in (large // scale, math.ceil(large / scale))

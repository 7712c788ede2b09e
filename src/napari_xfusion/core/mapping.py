"""Where the pixels of a camera lie on the output grid, which is that of the HR camera."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, FiniteFloat, model_validator

from napari_xfusion.core.value import Value
from napari_xfusion.errors import PairingError

Shape = tuple[int, int]
Vector = tuple[FiniteFloat, FiniteFloat]
FURTHEST = 1.5
"""Distances from the centre, in ``reach``, up to which a radial term must not fold the image."""
NEWTON_STEPS = 20
"""Of the inverse radial term; five suffice for one of 5 %."""
WARP_STEPS, WARP_ENOUGH = 40, 1e-6
"""Of the inverse of a warp, and camera pixels within which it is found."""
STEP_ENOUGH = 1e-14
"""In ``reach``; rounding of a pixel's coordinates is larger."""


class Warp(Value):
    """Displacements on a grid of places, output pixels: a cubic spline between them, the outermost ones beyond."""

    linear: tuple[Vector, Vector]
    shift: Vector
    """Camera pixel (y, x) to (row, column) of the grid."""
    down: Annotated[tuple[tuple[FiniteFloat, ...], ...], Field(min_length=2)]
    across: Annotated[tuple[tuple[FiniteFloat, ...], ...], Field(min_length=2)]
    """Rows of displacements."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        lengths = {len(row) for row in (*self.down, *self.across)}
        if len(self.down) != len(self.across) or len(lengths) != 1 or lengths.pop() < 2:
            raise ValueError("the displacements must be two grids of one size")
        return self

    @cached_property
    def _splines(self) -> list[NDArray[np.float64]]:
        return [
            scipy.ndimage.spline_filter(np.array(each), order=3, mode="nearest")
            for each in (self.down, self.across)
        ]

    def __call__(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements (..., 2) of camera pixels (..., 2)."""
        last = np.array(np.shape(self.down)) - 1
        places = np.clip(pixels @ np.transpose(self.linear) + self.shift, 0, last)
        at = np.moveaxis(places, -1, 0)
        found = [
            scipy.ndimage.map_coordinates(x, at, order=3, mode="nearest", prefilter=False)
            for x in self._splines
        ]
        return np.stack(found, axis=-1)

    @property
    def steepest(self) -> float:
        """Largest change of a displacement from one place of the grid to the next, output pixels."""
        steps = [np.diff(each, axis=axis) for each in (self.down, self.across) for axis in (0, 1)]
        return max(float(np.abs(step).max()) for step in steps)

    def after(self, first: Mapping) -> Warp:
        """The displacements of pixels that ``first``, an affine map, takes to the camera's."""
        linear = np.array(self.linear) @ np.array(first.linear)
        shift = np.array(self.linear) @ np.array(first.shift) + self.shift
        return self.model_copy(update={"linear": _pairs(linear), "shift": tuple(shift.tolist())})


def _pairs(matrix: NDArray[np.float64]) -> tuple[Vector, Vector]:
    (a, b), (c, d) = matrix.tolist()
    return (a, b), (c, d)


class Mapping(Value):
    """A map of pixel coordinates (y, x) to those of the output grid: ``a = linear @ pixel + shift``, and radial terms.

    Radial terms move ``a`` to ``centre + (a - centre) * (1 + k1 r^2 + k2 r^4)`` with ``r = |a - centre| / reach``
    (Brown, Photogramm. Eng. 32, 444, 1966). A warp adds displacements. Whole numbers are pixel centres, as in napari
    and scikit-image.
    """

    linear: tuple[Vector, Vector] = ((1.0, 0.0), (0.0, 1.0))
    """Rows give y and x of the output grid; invertible."""
    shift: Vector = (0.0, 0.0)
    """Output pixels."""
    radial: Vector = (0.0, 0.0)
    """(k1, k2); (0, 0) for an affine map."""
    centre: Vector = (0.0, 0.0)
    """Of the radial terms, output pixels (y, x)."""
    reach: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """Output pixels for which r is 1: half the diagonal of HR."""
    warp: Warp | None = None
    """What is added to the place of each camera pixel."""

    @model_validator(mode="after")
    def _one_to_one(self) -> Self:
        (yy, yx), (xy, xx) = self.linear
        if yy * xx == yx * xy:
            raise ValueError("the map of pixels must be invertible")
        if self.is_radial:
            r = np.linspace(0, FURTHEST, 50)
            if (self._slope(r) <= 0).any():
                raise ValueError("the radial terms fold the image")
        if self.warp is not None:
            to_pixels = np.array(self.linear) @ np.linalg.inv(self.warp.linear)
            if 4 * self.warp.steepest > float(np.linalg.svd(to_pixels, compute_uv=False).min()):
                raise ValueError("the warp folds the image")
        return self

    @property
    def is_affine(self) -> bool:
        """Whether the map is a matrix: without radial terms and warp."""
        return not self.is_radial and self.warp is None

    @property
    def is_radial(self) -> bool:
        """Whether there are radial terms."""
        return self.radial != (0, 0)

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
        """The homogeneous matrix (3, 3) without radial terms and warp, as a napari layer takes it."""
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = self.linear, self.shift
        return matrix

    @property
    def without_radial(self) -> Mapping:
        """The affine part."""
        return Mapping(linear=self.linear, shift=self.shift)

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
        points = self._bent(points) if self.is_radial else points
        return points if self.warp is None else points + self.warp(np.asarray(pixels, np.float64))

    def from_output(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Coordinates of the output grid (..., 2) as camera pixels."""
        if self.warp is not None:
            return self._unwarped(np.asarray(pixels, np.float64), self.warp)
        if not self.is_radial:
            return self.inverse.to_output(pixels)
        return self.without_radial.from_output(self._unbent(np.asarray(pixels, np.float64)))

    def _unwarped(self, points: NDArray[np.float64], warp: Warp) -> NDArray[np.float64]:
        """The inverse of ``to_output`` by fixed-point iteration, which converges as the warp does not fold."""
        smooth = self.model_copy(update={"warp": None})
        found = smooth.from_output(points)
        for _ in range(WARP_STEPS):
            better = smooth.from_output(points - warp(found))
            moved = float(np.abs(better - found).max(initial=0.0))
            found = better
            if moved < WARP_ENOUGH:
                break
        return found

    def then(self, other: Mapping) -> Mapping:
        """This map, followed by ``other``; raises PairingError where this one is no matrix."""
        if not self.is_affine:
            raise _no_matrix("followed by another one")
        both = other.affine @ self.affine
        return Mapping(
            linear=both[:2, :2].tolist(),
            shift=both[:2, 2].tolist(),
            radial=other.radial,
            centre=other.centre,
            reach=other.reach,
            warp=None if other.warp is None else other.warp.after(self),
        )

    @property
    def inverse(self) -> Mapping:
        """The map from the output grid to the camera; raises PairingError where this one is no matrix."""
        if not self.is_affine:
            raise _no_matrix("inverted")
        if self.is_scaling:  # exact, where the general inverse rounds
            y, x = self.scale
            return Mapping.scaled((1 / y, 1 / x))
        inverse = np.linalg.inv(self.affine)
        return Mapping(linear=inverse[:2, :2].tolist(), shift=inverse[:2, 2].tolist())

    def _bent(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        away = points - self.centre
        return self.centre + away * self._factor(np.linalg.norm(away, axis=-1) / self.reach)[..., None]

    def _unbent(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of ``_bent``, by Newton's method along the radius."""
        away = points - self.centre
        bent = np.linalg.norm(away, axis=-1) / self.reach
        r = bent.copy()
        for _ in range(NEWTON_STEPS):
            step = (r * self._factor(r) - bent) / self._slope(r)
            r -= step
            if not (np.abs(step) > STEP_ENOUGH).any():
                break
        return self.centre + away / self._factor(r)[..., None]

    def _factor(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2 = self.radial
        factor: NDArray[np.float64] = 1 + k1 * r**2 + k2 * r**4
        return factor

    def _slope(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the distance from the centre after the radial terms, by that before them."""
        k1, k2 = self.radial
        slope: NDArray[np.float64] = 1 + 3 * k1 * r**2 + 5 * k2 * r**4
        return slope


def _no_matrix(done: str) -> PairingError:
    return PairingError(
        "LR mapping",
        problem=f"a mapping with radial terms or a warp cannot be {done} as a matrix",
        hint="calibrate again with an affine model",
    )


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

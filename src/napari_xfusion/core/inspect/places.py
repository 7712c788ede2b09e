"""What is measured in every frame, and where: quantities, lines and areas. See ``measure``.

Places are given in pixels (y, x), integers at pixel centres.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_xfusion.core.types import Region, Stack
from napari_xfusion.core.value import Value

Quantity = Literal["kymograph", "edge", "width", "mean", "area"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
ALONG_A_LINE: tuple[Quantity, ...] = ("kymograph", "edge", "width", "mean")
IN_A_REGION: tuple[Quantity, ...] = ("area", "mean")
STEP = 0.5
"""Pixels from one sample of a line to the next."""
Point = tuple[float, float]
Values = NDArray[np.float64]


class Scale(NamedTuple):
    """Size of a pixel."""

    y: float = 1.0
    x: float = 1.0
    unit: str = "pixel"

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """That of a sequence: in micrometres where it knows the size of its pixels, else in pixels."""
        size = stack.pixel_size
        return cls() if size is None else cls(size, size, "um")


class Line(Value):
    """A straight line in a frame."""

    start: Point
    stop: Point
    width: Annotated[float, Field(ge=1)] = 1.0
    """Pixels across the line over which values are averaged."""

    @property
    def length(self) -> float:
        """In pixels."""
        return math.dist(self.start, self.stop)

    @cached_property
    def points(self) -> Values:
        """(2, A, N): y and x of N samples along A parallel lines."""
        start, stop = np.array(self.start), np.array(self.stop)
        along = np.linspace(0, 1, max(math.ceil(self.length / STEP), 2) + 1)
        normal = np.array([start[1] - stop[1], stop[0] - start[0]]) / max(self.length, 1e-12)
        count = math.ceil(self.width)
        across = (np.arange(count) - (count - 1) / 2) * self.width / count
        points: Values = (
            start[:, None, None]
            + (stop - start)[:, None, None] * along
            + normal[:, None, None] * across[:, None]
        )
        return points

    def positions(self, scale: Scale) -> Values:
        """Distance (N,) of the samples from the start, in the unit of ``scale``."""
        (y, x), (to_y, to_x) = self.start, self.stop
        length = math.hypot((to_y - y) * scale.y, (to_x - x) * scale.x)
        return np.linspace(0, length, self.points.shape[2])


class Area(Value):
    """A polygon in a frame."""

    corners: Annotated[tuple[Point, ...], Field(min_length=3)]

    @classmethod
    def of_region(cls, region: Region) -> Self:
        """All of the pixels of a rectangle."""
        top, bottom, left, right = (value - 0.5 for value in region)
        return cls(corners=((top, left), (top, right), (bottom, right), (bottom, left)))

    def box(self, shape: tuple[int, int]) -> Region:
        """The pixels of a frame (H, W) around the polygon; none where it lies outside."""
        corners = np.array(self.corners) + 0.5
        low = np.clip(np.floor(corners.min(axis=0)), 0, shape).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), 0, shape).astype(int)
        return Region(int(low[0]), int(high[0]), int(low[1]), int(high[1]))


class Measure(Value):
    """What is measured, and where."""

    what: Quantity
    place: Line | Area
    threshold: float | None = None
    """Grey value of an edge or of the outline of an area.

    None: the steepest point; of areas half way between the medians of the two classes that Otsu's threshold separates.
    """
    side: Literal["above", "below"] = "above"
    """Of the threshold, for an area."""
    turn: Literal["any", "rising", "falling"] = "any"
    """Direction of an edge along the line."""
    smooth: Annotated[float, Field(ge=0)] = 1.0
    """Standard deviation of the Gaussian filter along a line before an edge is searched for, in pixels."""

    @property
    def fits(self) -> bool:
        """Whether the quantity can be measured at such a place."""
        return self.what in (ALONG_A_LINE if isinstance(self.place, Line) else IN_A_REGION)

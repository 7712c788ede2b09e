"""How the grey values of a camera are corrected, and the fits that several corrections use."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from napari_xfusion.core.rig.grey import HUBER
from napari_xfusion.core.rig.middle import median
from napari_xfusion.core.rig.pattern import Pattern
from napari_xfusion.core.types import Image
from napari_xfusion.core.value import Value

BINS = 24
"""Points of a response curve, between ENDS."""
ENDS = (0.2, 99.8)
"""Percentiles."""
CLEARLY = 0.8
"""Share of the square difference that a curve must leave less than, of that of a line, where pixels are judged."""
ITERATIONS = 6
"""Of reweighted least squares."""
AT_ONCE = 256
"""Frames whose lines are fitted at once: what a processor's cache holds, and no more memory for long recordings."""
LEAST_GAIN = 0.05
"""Of a line."""
Array = NDArray[np.float64]


class Shading(Value):
    """A grey value g at position (y, x) becomes (g - offset) / gain; both are Legendre polynomials over -1..1."""

    gain: tuple[tuple[float, ...], ...]
    offset: tuple[tuple[float, ...], ...]

    def at(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Gain and offset (N,) at positions -1..1."""
        gain, offset = (np.asarray(legendre.legval2d(y, x, np.array(c))) for c in (self.gain, self.offset))
        return gain, offset

    def field(self, shape: tuple[int, int]) -> tuple[Image, Image]:
        """Gain and offset (h, w)."""
        y, x = (np.linspace(-1, 1, n) for n in shape)
        gain, offset = (
            legendre.leggrid2d(y, x, np.array(c)).astype(np.float32) for c in (self.gain, self.offset)
        )
        return gain, offset


class Photometry(Value):
    """What is done to a camera's grey values, in this order. ``Photometry()`` changes nothing."""

    lines: tuple[tuple[float, float], ...] = ()
    """(T,) gain and offset of each frame: g becomes (g - offset) / gain."""
    restored: tuple[tuple[float, float], ...] = ()
    """(T,) gain and offset that results get again: the flicker of LR, where that is asked for."""
    response: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Grey values, increasing, and what they become; linear between and beyond them."""
    shading: Shading | None = None
    """Illumination that differs from the other camera's by position."""
    pattern: Pattern | None = None
    """Sensitivity of single pixels."""

    def with_line(self, gain: float, offset: float) -> Photometry:
        """Followed by g becomes (g - offset) / gain; of one with lines."""
        lines = tuple((a * gain, a * offset + b) for a, b in self.lines)
        return self.model_copy(update={"lines": lines})

    @cached_property
    def good(self) -> bool:
        """Whether there is nothing to correct."""
        return self == Photometry()

    @property
    def uniform(self) -> bool:
        """Whether all pixels of a frame are changed by one line, so that it may be resampled before."""
        return not self.response[0] and self.shading is None and self.pattern is None

    @cached_property
    def _fields(self) -> dict[tuple[int, int], tuple[Image, Image]]:
        return {}

    def __call__(self, i: int, image: Image) -> Image:
        """Frame ``i`` (h, w), corrected."""
        if self.lines:
            gain, offset = self.lines[i]
            image = (image - np.float32(offset)) * np.float32(1 / gain)
        if self.response[0]:
            image = along(image, *map(np.array, self.response)).astype(np.float32)
        if self.shading is not None:
            shape = image.shape[0], image.shape[1]
            if shape not in self._fields:
                self._fields[shape] = self.shading.field(shape)
            gain_field, offset_field = self._fields[shape]
            image = (image - offset_field) / gain_field
        return image if self.pattern is None else self.pattern(image)

    def restore(self, i: int, image: Image) -> Image:
        """A result (H, W) for the time of frame ``i``, with its brightness where that is restored."""
        if not self.restored:
            return image
        gain, offset = self.restored[i]
        return image * np.float32(gain) + np.float32(offset)

    def taken_off(self, i: int, image: Image) -> Image:
        """The inverse of ``restore``."""
        if not self.restored:
            return image
        gain, offset = self.restored[i]
        return (image - np.float32(offset)) / np.float32(gain)


def robust_gain(seen: NDArray[np.floating], expected: NDArray[np.floating]) -> tuple[float, float]:
    """Gain and offset of seen = gain * expected + offset, both (n,); see ``robust_gains``."""
    gain, offset = robust_gains(seen[None], expected[None])[0]
    return float(gain), float(offset)


def robust_gains(
    seen: NDArray[np.floating], expected: NDArray[np.floating], weights: Array | None = None
) -> Array:
    """Gain and offset (N, 2) of frames ``seen`` = gain * ``expected`` + offset, both (N, n).

    By iteratively reweighted least squares with Huber's weights; ``weights`` (n,) multiply them. Where there is no
    increasing line, the gain is 1.
    """
    x = np.broadcast_to(np.asarray(expected, np.float64), seen.shape)
    base = np.ones(seen.shape[1]) if weights is None else weights / weights.mean()
    parts = (slice(first, first + AT_ONCE) for first in range(0, max(len(seen), 1), AT_ONCE))
    return np.concatenate([_gains(np.asarray(seen[part], np.float64), x[part], base) for part in parts])


def _gains(y: Array, x: Array, base: Array) -> Array:
    """See ``robust_gains``: of frames ``y`` over ``x``, both (N, n), with weights ``base`` (n,)."""
    weight = np.broadcast_to(base, y.shape)
    gain = offset = np.zeros(len(y))
    for _ in range(ITERATIONS):
        total = weight.sum(axis=1)
        x_mean, y_mean = (np.einsum("tn,tn->t", weight, each) / total for each in (x, y))
        away = x - x_mean[:, None]
        variance = np.einsum("tn,tn,tn->t", weight, away, away)
        covariance = np.einsum("tn,tn,tn->t", weight, away, y - y_mean[:, None])
        gain = covariance / np.where(variance > 0, variance, np.inf)
        offset = y_mean - gain * x_mean
        residual = np.abs(y - gain[:, None] * x - offset[:, None])
        limit = HUBER * 1.4826 * median(residual)[:, None]
        weight = base * np.where(limit > 0, np.minimum(1.0, limit / np.maximum(residual, 1e-300)), 1.0)
    level = gain <= LEAST_GAIN
    gain = np.where(level, 1.0, gain)
    return np.stack([gain, np.where(level, median(y - x), offset)], axis=1)


def monotone_curve(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Array, Array]:
    """Points (n,) of an increasing curve through the middle of ``y`` (N,) at each ``x``; none where there is none."""
    none = np.zeros(0), np.zeros(0)
    low, high = np.percentile(x, ENDS).tolist()
    edges = np.linspace(low, high, BINS + 1)
    if not edges[-1] > edges[0]:
        return none
    order = np.argsort(x)
    parts = np.split(order, np.searchsorted(x[order], edges[1:-1]))
    least = max(8, len(x) // 2000)
    points = np.array([(np.mean(x[part]), median(y[part])) for part in parts if len(part) >= least])
    if len(points) < 4:
        return none
    xs, ys = points[:, 0], np.maximum.accumulate(points[:, 1])
    rising = np.concatenate([[True], np.diff(ys) > 1e-4 * np.ptp(ys)])
    return (xs[rising], ys[rising]) if rising.sum() >= 4 else none


def follow(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Array, Array]:
    """Points of the increasing line, or of a curve where that is clearly better, through ``y`` (N,) at ``x``."""
    gain, offset = robust_gain(y, x)
    ends = np.array([x.min(), max(x.max(), x.min() + 1e-6 * (1 + abs(x.min())))], np.float64)
    line = ends, gain * ends + offset
    rest = np.abs(y - along(x, *line))
    limit = 4 * 1.4826 * float(median(rest))
    half = np.arange(len(x)) % 2 == 0
    left = 0.0
    for mask in (half, ~half):
        points = monotone_curve(x[mask], y[mask])
        if not len(points[0]):
            return line
        other = np.minimum(np.abs(y[~mask] - along(x[~mask], *points)), limit)
        left += float(other @ other)
    clipped, curve = np.minimum(rest, limit), monotone_curve(x, y)
    return curve if len(curve[0]) and left < CLEARLY * float(clipped @ clipped) else line


def along(values: NDArray[np.floating], points: Array, results: Array) -> Array:
    """Piecewise linear, continued beyond the ends."""
    found: Array = np.interp(values, points, results)
    low = (results[1] - results[0]) / (points[1] - points[0])
    high = (results[-1] - results[-2]) / (points[-1] - points[-2])
    beyond: Array = np.minimum(values - points[0], 0) * low + np.maximum(values - points[-1], 0) * high
    return found + beyond

"""Measurements over time: a kymograph, the position of an edge, a width, an area or a mean, for every frame.

Positions along a line are sub-pixel: values are interpolated linearly. An edge is where the smoothed values cross a
threshold, or where they are steepest (the vertex of the parabola through the steepest sample and its neighbours).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates
from skimage.draw import polygon2mask
from skimage.filters import threshold_otsu

from napari_xfusion.core.clock import PICOSECONDS
from napari_xfusion.core.grey import sample_frames
from napari_xfusion.core.inspect.places import (
    ALONG_A_LINE,
    IN_A_REGION,
    Area,
    Line,
    Measure,
    Quantity,
    Scale,
    Values,
)
from napari_xfusion.core.types import Progress, Region, Stack, Token
from napari_xfusion.errors import InputError

FINE = 4
"""Parts of a pixel along each axis, of areas."""
COLUMNS = ("sequence", "frame", "time_s")
"""With which a table begins."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A quantity of every frame of a sequence; NaN where there is none."""

    what: Quantity
    values: Values
    """(T,), of a kymograph (T, N)."""
    unit: str
    """'' of grey values."""
    frames: Values
    """(T,) LR frame numbers."""
    seconds: Values
    """(T,) since LR frame 0; NaN where times are not known."""
    positions: Values | None = None
    """(N,) of a kymograph, in ``unit``."""
    threshold: float | None = None
    """The grey value that was used, where there is one."""


def measure(
    stack: Stack,
    measure: Measure,
    *,
    scale: Scale | None = None,
    numbers: Sequence[float] | None = None,
    interval: float | None = None,
    available: Callable[[int], bool] = lambda _frame: True,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Measured:
    """Measure every frame of a sequence (T, H, W).

    ``scale`` is the size of its pixels (default: as the sequence knows it), ``numbers`` (T,) the LR frame numbers of
    its frames (default: from 0), ``interval`` the seconds from one LR frame to the next (default: that of a sequence
    without ``numbers``), and frames of the sequence that are not ``available`` are NaN. Lengths are in the unit of
    ``scale``, areas in its square, others in grey values of the sequence. Ends early when ``stop`` is set: the
    remaining values are NaN. Raises InputError where the quantity needs another kind of place, or the place lies
    outside of the frame.
    """
    scale = Scale.of(stack) if scale is None else scale
    single = _quantity(stack, measure, scale)
    rows = np.full((len(stack), *_shape(measure)), np.nan)
    for i in range(len(stack)):
        if stop is not None and stop.is_set():
            break
        if available(i):
            rows[i] = single(stack.frame(i))
        progress(i + 1, len(stack))
    place = measure.place
    return Measured(
        measure.what,
        rows,
        unit_of(measure.what, scale),
        *_times(stack, numbers, interval),
        place.positions(scale) if measure.what == "kymograph" and isinstance(place, Line) else None,
        single.threshold,
    )


def _times(stack: Stack, numbers: Sequence[float] | None, interval: float | None) -> tuple[Values, Values]:
    """LR frame numbers and seconds (T,) of a sequence; seconds are NaN where they are not known."""
    frames = np.arange(len(stack), dtype=float) if numbers is None else np.asarray(numbers, float)
    if interval is None and numbers is None and stack.clock.known:
        return frames, stack.clock.since_start / PICOSECONDS
    return frames, frames * (math.nan if interval is None else interval)


def unit_of(what: Quantity, scale: Scale) -> str:
    """The unit of a quantity: a length, ``um2`` of an area, '' of grey values."""
    return {"mean": "", "area": f"{scale.unit}2"}.get(what, scale.unit)


def edges(profile: Values, threshold: float | None, smooth: float = 0.0) -> list[tuple[float, bool]]:
    """Positions of edges in samples of ``profile`` (N,), and whether the values rise there.

    All crossings of ``threshold`` in order, or without one the steepest rise and the steepest fall, the steeper one
    first. ``smooth`` is the standard deviation of a Gaussian filter in samples. Samples at the ends that are NaN are
    left out, others are interpolated.
    """
    known = np.flatnonzero(np.isfinite(profile))
    if len(known) < 3:
        return []
    first = int(known[0])
    values = np.interp(np.arange(first, known[-1] + 1), known, profile[known])
    if smooth:
        values = gaussian_filter1d(values, smooth, mode="nearest")
    if threshold is None:
        return [(first + position, rises) for position, rises in _steepest(values)]
    above = values > threshold
    crossed = np.flatnonzero(above[1:] != above[:-1])
    part = (threshold - values[crossed]) / (values[crossed + 1] - values[crossed])
    return list(zip((first + crossed + part).tolist(), above[crossed + 1].tolist(), strict=True))


def write_csv(path: Path, measured: Mapping[str, Measured], half_widths: Mapping[str, float]) -> None:
    """Write one row per sequence and frame: sequence, frame, time_s, and the quantity with its unit in the heading.

    A kymograph has one column per position. ``half_widths`` are those of intervals, by sequence; the column is left
    out where there are none.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        positions = None
        for name, each in measured.items():
            if positions is None or not np.array_equal(positions, _columns_of(each)):
                positions = _columns_of(each)
                writer.writerow([*COLUMNS, *_headings(each), *(["half_width"] if half_widths else [])])
            half = [_text(half_widths.get(name, math.nan))] if half_widths else []
            for row, frame, seconds in zip(each.values, each.frames, each.seconds, strict=True):
                numbers = map(_text, np.atleast_1d(row))
                writer.writerow([name, f"{frame:g}", _text(seconds), *numbers, *half])


class Interval(NamedTuple):
    """An interval of a measured number: the number plus or minus ``half_width``."""

    half_width: float
    coverage: float
    """Probability with which the interval contains what a new HR frame would give."""
    frames: int
    """HR frames that were left out."""


def conformal_interval(
    measured: Sequence[float], reference: Sequence[float], coverage: float = 0.9
) -> Interval | None:
    """The interval of a number, from the same number measured on left-out HR frames and on what was fused there.

    Split conformal prediction (Lei et al., J. Am. Stat. Assoc. 113, 1094, 2018): the k-th smallest of the n absolute
    differences, k = ceil((n + 1) coverage), is not exceeded by that of a further frame with at least that probability,
    where the frames are exchangeable. Where n is too small for ``coverage``: the largest difference, with coverage
    n / (n + 1). Pairs that are not finite are left out; None where none is left. Intervals of pixels do not give this
    one: their errors depend on each other.
    """
    errors = np.abs(np.asarray(measured, float) - np.asarray(reference, float))
    errors = np.sort(errors[np.isfinite(errors)])
    n = len(errors)
    if not n:
        return None
    rank = math.ceil(round((n + 1) * coverage, 9))
    if rank > n:
        return Interval(float(errors[-1]), n / (n + 1), n)
    return Interval(float(errors[rank - 1]), coverage, n)


def _quantity(stack: Stack, measure: Measure, scale: Scale) -> _AlongLine | _InArea:
    """Measures one frame of ``stack``; raises InputError."""
    place = measure.place
    if not measure.fits:
        region = measure.what in IN_A_REGION
        raise InputError(
            f"measure {measure.what}",
            expected="a rectangle or polygon" if region else "a line",
            found="a line" if isinstance(place, Line) else "a region",
            hint=f"along a line, measure {', '.join(ALONG_A_LINE)}; in a region, {', '.join(IN_A_REGION)}",
        )
    height, width = stack.shape[1:]
    if isinstance(place, Line):
        y, x = place.points
        seen = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
        inside = place.length > 0 and bool(seen.all(axis=0).any())
        if inside:
            return _AlongLine(measure, place, scale)
    elif place.box((height, width)).holds_pixels and _mask(place, place.box((height, width))).any():
        return _InArea(stack, measure, place, scale)
    raise InputError(
        stack.source,
        expected=f"a place within the frame, rows 0 to {height - 1} and columns 0 to {width - 1}",
        found="one outside, or without extent",
        hint="move it",
    )


def _shape(measure: Measure) -> tuple[int, ...]:
    """Of the values of a frame."""
    if measure.what == "kymograph" and isinstance(measure.place, Line):
        return (measure.place.points.shape[2],)
    return ()


class _AlongLine:
    """A quantity along a line."""

    def __init__(self, measure: Measure, line: Line, scale: Scale) -> None:
        self._measure, self._line, self.threshold = measure, line, measure.threshold
        positions = line.positions(scale)
        self._step = float(positions[1] - positions[0])
        self._smooth = measure.smooth * (len(positions) - 1) / line.length

    def __call__(self, frame: NDArray[Any]) -> Values | float:
        profile = _profile(frame, self._line)
        if self._measure.what == "kymograph":
            return profile
        if self._measure.what == "mean":
            known = profile[np.isfinite(profile)]
            return float(known.mean()) if len(known) else math.nan
        found = edges(profile, self._measure.threshold, self._smooth)
        return self._step * (self._width(found) if self._measure.what == "width" else self._edge(found))

    def _edge(self, found: list[tuple[float, bool]]) -> float:
        turn = self._measure.turn
        wanted = [position for position, rises in found if turn == "any" or rises == (turn == "rising")]
        return wanted[0] if wanted else math.nan

    def _width(self, found: list[tuple[float, bool]]) -> float:
        return abs(found[-1][0] - found[0][0]) if len(found) > 1 else math.nan


class _InArea:
    """A quantity of the pixels in a polygon."""

    def __init__(self, stack: Stack, measure: Measure, area: Area, scale: Scale) -> None:
        self._measure = measure
        box = area.box((stack.shape[1], stack.shape[2]))
        self._box = slice(box.top, box.bottom), slice(box.left, box.right)
        self._mask = _mask(area, box)
        self._part = scale.y * scale.x / FINE**2
        self.threshold = measure.threshold
        if measure.what == "area" and self.threshold is None:
            self.threshold = self._half_way(stack)

    def __call__(self, frame: NDArray[Any]) -> float:
        part = np.ascontiguousarray(frame[self._box], np.float32)
        if self._measure.what == "mean":
            weights = self._mask.reshape(part.shape[0], FINE, part.shape[1], FINE).sum(axis=(1, 3))
            known = np.isfinite(part) & (weights > 0)
            return float(np.average(part[known], weights=weights[known])) if known.any() else math.nan
        fine = cv2.resize(part, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)
        if self.threshold is None or not np.isfinite(fine[self._mask]).all():
            return math.nan
        beyond = fine > self.threshold if self._measure.side == "above" else fine < self.threshold
        return float(np.count_nonzero(beyond & self._mask)) * self._part

    def _half_way(self, stack: Stack) -> float | None:
        """Half way between dark and bright pixels in some frames; None where all are equal.

        Otsu's threshold itself lies nearer to the larger class where edges are blurred.
        """
        pixels = self._mask[FINE // 2 :: FINE, FINE // 2 :: FINE]
        seen = [stack.frame(i)[self._box][pixels] for i in sample_frames(len(stack))]
        values = np.concatenate(seen).astype(np.float32)
        values = values[np.isfinite(values)]
        if not values.size or np.ptp(values) == 0:
            return None
        bright = values > threshold_otsu(values)
        return float(np.median(values[bright]) + np.median(values[~bright])) / 2


def _profile(frame: NDArray[Any], line: Line) -> Values:
    """Values (N,) along a line; NaN outside of the frame (H, W)."""
    values = map_coordinates(frame.astype(np.float64), line.points, order=1, cval=np.nan)
    mean: Values = values.mean(axis=0)
    return mean


def _mask(area: Area, box: Region) -> NDArray[np.bool_]:
    """The parts of the pixels of ``box`` that lie in the polygon, ``FINE`` along each axis."""
    corners = (np.array(area.corners) + 0.5 - (box.top, box.left)) * FINE - 0.5
    mask: NDArray[np.bool_] = polygon2mask((FINE * box.shape[0], FINE * box.shape[1]), corners)
    return mask


def _steepest(values: Values) -> list[tuple[float, bool]]:
    """The steepest rise and fall of ``values``, the steeper one first; flat values have none."""
    slope = (values[2:] - values[:-2]) / 2
    found = []
    for sign in (1.0, -1.0):
        steepness = sign * slope
        i = int(np.argmax(steepness))
        if steepness[i] > 0:
            found.append((float(steepness[i]), i + 1 + _vertex(steepness, i), sign > 0))
    return [(position, rises) for _, position, rises in sorted(found, reverse=True)]


def _vertex(values: Values, i: int) -> float:
    """Distance from sample ``i``, a maximum, to the vertex of the parabola through it and its neighbours."""
    if not 0 < i < len(values) - 1:
        return 0.0
    before, here, after = values[i - 1 : i + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _columns_of(measured: Measured) -> Values:
    return np.zeros(1) if measured.positions is None else measured.positions


def _headings(measured: Measured) -> list[str]:
    if measured.positions is not None:
        return [f"at_{position:.6g}_{measured.unit}" for position in measured.positions]
    return [f"{measured.what}_{measured.unit}" if measured.unit else measured.what]


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.9g}"

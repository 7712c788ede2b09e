"""Brightness that the two cameras do not share: flicker, drift, uneven illumination, a response that is no line.

Everything is estimated from the pair itself: what moves is not illumination, and both cameras saw the same event.
Grey values of HR are the reference; what is corrected in HR is how its frames differ from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from napari_xfusion.core.types import Image
from napari_xfusion.core.value import Value
from napari_xfusion.errors import XFusionWarning

LEAST_CHANGE = 0.003
"""Grey units; changes of brightness below it are neither corrected nor reported."""
FEWEST_PIXELS = 200
"""Pixels of LR, or blocks of them, that both cameras see; fewer show too little."""
FEWEST_FRAMES = 4
"""Frames of a camera whose brightness is followed."""
CERTAIN = 6.5
"""Standard errors by which brightness must change."""
FEW = 16
"""Frames of which none may be left out as an outlier."""
MOVING = 0.7
"""Share of the difference to what stays the same that counts as error where things move."""
LEAST_SLOPE = 0.2
"""Relative change of contrast by a change of brightness of 1 grey unit; with less, brightness is added."""
SHARED = 0.2
"""Flicker of HR over LR, as a share of LR's, below which both cameras see it: it is the beam's."""
LEAST_SHARED = 0.03
"""Grey units of such flicker; methods cope with less."""
SMOOTH = 0.35
"""Share of all change that frames differ from the mean of the frames next to them, where a change is a drift."""
LEAST_GAIN = 0.15
"""Share of the mean square difference between the cameras, on frames not used for the fit, that a model must remove."""
CLEARLY = 0.8
"""Share of the square difference that a curve must leave less than, of that of a line, where pixels are judged."""
SIMPLER = 0.98
"""A model of more parameters must leave less than this share of what the simpler one leaves."""
ORDER = 2
"""Of the polynomials of position."""
BINS = 24
"""Points of a response curve, between ENDS."""
ENDS = (0.2, 99.8)
"""Percentiles."""
MOST_PIXELS = 60_000
"""Pixels that a model is fitted to."""
WINDOW = 31
"""Frames over which slow changes of brightness are followed where no line or parabola describes them."""

Array = NDArray[np.float64]


class Shading(Value):
    """A grey value g at position (y, x) becomes (g - offset) / gain; both are Legendre polynomials over -1..1."""

    gain: tuple[tuple[float, ...], ...]
    offset: tuple[tuple[float, ...], ...]

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
    kept: tuple[tuple[float, float], ...] = ()
    """(T,) gain and offset that results get again: flicker that both cameras show, or that is asked for."""
    response: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Grey values, increasing, and what they become; linear between and beyond them."""
    shading: Shading | None = None
    """Illumination that differs from the other camera's by position."""

    def with_line(self, gain: float, offset: float) -> Photometry:
        """Followed by g becomes (g - offset) / gain; of one with lines."""
        lines = tuple((a * gain, a * offset + b) for a, b in self.lines)
        return self.model_copy(update={"lines": lines})

    @cached_property
    def good(self) -> bool:
        """Whether there is nothing to correct."""
        return self == Photometry()

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
        return image

    def restored(self, i: int, image: Image) -> Image:
        """A result (H, W) for the time of frame ``i``, with its brightness where that is kept."""
        if not self.kept:
            return image
        gain, offset = self.kept[i]
        return image * np.float32(gain) + np.float32(offset)


class Photometries(NamedTuple):
    """The findings of both cameras."""

    lr: Photometry
    hr: Photometry
    warnings: tuple[XFusionWarning, ...]


class Blocks(NamedTuple):
    """Coarse images of all usable frames of a camera, in grey units."""

    values: Array
    """(N, n)."""
    frames: NDArray[np.intp]
    """(N,) their numbers."""
    count: int
    """Frames of the camera."""


def follow_brightness(lr: Blocks, hr: Blocks, hr_times: Array, *, keep: bool = False) -> Photometries:
    """Gain and offset of each LR and HR frame where brightness flickers or drifts.

    ``hr_times`` (N,) are those of ``hr.frames`` in LR frame numbers. Results have LR's flicker again where HR shows it
    too, or with ``keep``.
    """
    if lr.values.shape[1] < FEWEST_PIXELS:
        return Photometries(Photometry(), Photometry(), ())
    at = np.clip(np.searchsorted(lr.frames, np.rint(hr_times)), 0, len(lr.frames) - 1)
    own = _follow_alone(lr.values)
    beside = _follow_other(hr.values, lr.values[at])
    shared = _fast(beside.level) < SHARED * _fast(own.level)
    dark = own.dark if shared else beside.dark
    lr_lines, found = np.tile(_SAME, (len(lr.frames), 1)), []
    flicker = _fast(own.level)
    if flicker > max(LEAST_SHARED if shared else LEAST_CHANGE, CERTAIN * own.error):
        lr_lines = own.without_slow().lines(dark)
        if not shared:
            found.append(_said("flicker", "LR", flicker))
    own_lines, steady = lr_lines, (lr_lines == _SAME).all()
    beside = _follow_other(hr.values, _undone(lr.values, lr_lines)[at])
    hr_lines = np.tile(_SAME, (len(hr.frames), 1))
    change, fast = float(beside.level.std()), _fast(beside.level)
    if (
        len(hr.frames) < FEWEST_FRAMES
        or max(change, fast) < max(LEAST_CHANGE, CERTAIN * beside.error)
        or (shared and steady)
    ):
        pass
    elif fast < SMOOTH * change:
        lr_lines = _drift(lr, lr_lines, beside.lines(dark), hr_times)
        found.append(_said("drift", "LR", float(np.ptp(beside.level))))
    else:
        hr_lines = beside.without_slow().lines(dark)
        if not shared:
            found.append(_said("flicker", "HR", fast))
    return Photometries(
        Photometry(lines=_of_all(lr, lr_lines), kept=_of_all(lr, own_lines) if keep or shared else ()),
        Photometry(lines=_of_all(hr, hr_lines)),
        tuple(found),
    )


class _Course(NamedTuple):
    """The brightness of frames."""

    level: Array
    """(N,) grey value that each frame has where it is ``middle`` on the whole, less that."""
    gain: Array
    """(N,) contrast of each frame, 1 on the whole."""
    middle: float
    error: float
    """Standard error of a level."""

    def without_slow(self) -> _Course:
        """What changes from frame to frame; what changes slowly may be the event."""
        return self._replace(
            level=self.level - _slow(self.level), gain=1 + self.gain - _running_median(self.gain)
        )

    @property
    def dark(self) -> float | None:
        """Grey value that the beam's intensity leaves alone; None where brightness is added, not multiplied.

        Levels are precise, gains are not where things move; how gains follow levels tells it.
        """
        change = self.gain - np.median(self.gain)
        limit = 3 * 1.4826 * float(np.median(np.abs(change))) + 1e-9
        slope = float(
            np.clip(change, -limit, limit) @ self.level / max(float(self.level @ self.level), 1e-12)
        )
        return self.middle - 1 / slope if slope > LEAST_SLOPE else None

    def lines(self, dark: float | None) -> Array:
        """Gain and offset (N, 2) of each frame by one cause, the beam's intensity over ``dark``."""
        slope = 0.0 if dark is None or dark >= self.middle else 1 / (self.middle - dark)
        gain = np.maximum(1 + slope * self.level, 0.05)
        return np.stack([gain, self.middle + self.level - gain * self.middle], axis=1)


def _follow_alone(values: Array) -> _Course:
    """From frames (N, n) alone: by what stays the same in all of them, or by their means where nothing does."""
    lines, reference = _own_lines(values)
    middle = float(np.median(reference))
    error = max(_jitter(values), _error(values, np.broadcast_to(reference, values.shape), lines) * MOVING)
    still = _Course(lines @ [middle, 1.0] - middle, lines[:, 0], middle, error)
    means, deviations = values.mean(axis=1), values.std(axis=1)
    whole = float(np.median(means))
    gain = deviations / max(float(np.median(deviations)), 1e-12)
    moving = _Course(means - whole, gain, whole, error)
    return min((still, moving), key=lambda course: _fast(course.level))  # errors add to what changes


def _follow_other(seen: Array, expected: Array) -> _Course:
    """From frames (N, n) and those of the other camera at the same times."""
    lines = np.array([robust_gain(a, b) for a, b in zip(seen, expected, strict=True)])
    error = _error(seen, expected, lines)
    typical = np.median(lines, axis=0)
    middle = float(np.median(seen))
    gain = lines[:, 0] / typical[0]
    level = gain * (middle - typical[1]) + lines[:, 1] - middle
    return _Course(level, gain, middle, error)


def _jitter(values: Array) -> float:
    """Standard error of the brightness of frames (N, n) by what changes from frame to frame in single blocks."""
    if len(values) < 3:
        return np.inf
    second = values[1:-1] - (values[:-2] + values[2:]) / 2
    second = second - np.median(second, axis=1, keepdims=True)
    return float(np.median(second.std(axis=1)) / np.sqrt(1.5 * values.shape[1]))


def _error(seen: Array, expected: Array, lines: Array) -> float:
    """Typical standard error of the brightness of frames (N, n) by their lines."""
    rest = np.median(np.abs(seen - lines[:, :1] * expected - lines[:, 1:]), axis=1)
    return float(np.median(1.4826 * rest) / np.sqrt(seen.shape[1]))


_SAME = np.array([1.0, 0.0])


def _said(code: str, name: str, size: float) -> XFusionWarning:
    verb = "flickers by" if code == "flicker" else "drifts against HR by"
    return XFusionWarning(code, f"the brightness of {name} {verb} {size:.1%} of full scale; it is corrected.")


def _of_all(blocks: Blocks, lines: Array) -> tuple[tuple[float, float], ...]:
    """Lines of all frames, those that are not usable have the one before; none where nothing changes."""
    if (lines == _SAME).all():
        return ()
    nearest = np.clip(np.searchsorted(blocks.frames, np.arange(blocks.count), side="right") - 1, 0, None)
    return tuple((float(a), float(b)) for a, b in lines[nearest])


def _own_lines(values: Array) -> tuple[Array, Array]:
    """Gain and offset (N, 2) of frames (N, n) against what stays the same in all of them, (n,)."""
    lines = np.tile(_SAME, (len(values), 1))
    chosen = values[np.unique(np.linspace(0, len(values) - 1, min(len(values), 128)).astype(int))]
    reference, weights = np.median(chosen, axis=0), np.ones(values.shape[1])
    for _ in range(3):
        lines = np.array([robust_gain(frame, reference, weights) for frame in values])
        even = _undone(values, lines)
        some = even[:: max(1, len(even) // 128)]
        reference = np.median(some, axis=0)
        moved = np.median(np.abs(some - reference), axis=0)
        weights = 1 / (moved**2 + np.median(moved) ** 2 / 4 + 1e-12)
    return lines, reference


def robust_gain(
    seen: NDArray[np.floating], expected: NDArray[np.floating], weights: Array | None = None
) -> tuple[float, float]:
    """Gain and offset of seen = gain * expected + offset by iteratively reweighted least squares."""
    seen, expected = np.asarray(seen, np.float64), np.asarray(expected, np.float64)
    base = np.ones(len(seen)) if weights is None else weights / weights.mean()
    weight, gain, offset = base, 1.0, 0.0
    for _ in range(6):
        total = weight.sum()
        x, y = weight @ expected / total, weight @ seen / total
        variance = weight @ (expected - x) ** 2 / total
        if variance < 1e-30:
            return 1.0, float(y - x)
        gain = float(weight @ ((expected - x) * (seen - y)) / total / variance)
        offset = float(y - gain * x)
        residual = np.abs(seen - gain * expected - offset)
        limit = 1.345 * 1.4826 * float(np.median(residual))
        if not limit > 0:
            break
        weight = base * np.minimum(1.0, limit / np.maximum(residual, 1e-300))
    return (gain, offset) if gain > 0.05 else (1.0, float(np.median(seen - expected)))


def _undone(values: Array, lines: Array) -> Array:
    undone: Array = (values - lines[:, 1:]) / lines[:, :1]
    return undone


def _fast(level: Array) -> float:
    """Standard deviation of what changes from each frame to the next, without what goes on."""
    if len(level) < 3:
        return 0.0
    second = level[1:-1] - (level[:-2] + level[2:]) / 2
    size = np.sqrt(np.mean(second**2)) if len(second) < FEW else 1.4826 * np.median(np.abs(second))
    return float(size / np.sqrt(1.5))


def _slow(values: Array) -> Array:
    """What of ``values`` (N,) changes slowly: nothing, a line or a parabola where that is significant, else a running
    median."""
    count = len(values)
    time = np.linspace(-1, 1, count)
    fast = max(_fast(values), 1e-12)
    for degree in (0, 1, 2):
        if count <= degree + 2:
            break
        fitted: Array = _robust_polynomial(time, values, degree)
        rest = values - fitted
        # Sums of neighbours tell what is left of a slow change from what changes at random.
        size = max(2, count // 8)
        sums = np.convolve(np.clip(rest, -3 * fast, 3 * fast), np.ones(size), "valid")
        if np.abs(sums).max() < 4 * fast * np.sqrt(size):
            return fitted
    return _running_median(values)


def _running_median(values: Array) -> Array:
    count = len(values)
    half = min(WINDOW, count) // 2
    padded = np.pad(values, half, mode="reflect")
    return np.array([np.median(padded[i : i + 2 * half + 1]) for i in range(count)])


def _robust_polynomial(time: Array, values: Array, degree: int) -> Array:
    weight = np.ones_like(values)
    fitted = values
    for _ in range(6):
        fitted = legendre.legval(time, legendre.legfit(time, values, degree, w=np.sqrt(weight)))
        rest = np.abs(values - fitted)
        limit = 2 * 1.4826 * float(np.median(rest))
        weight = np.minimum(1.0, limit / np.maximum(rest, 1e-300)) if limit > 0 else weight
    return fitted


def _drift(lr: Blocks, lr_lines: Array, hr_lines: Array, hr_times: Array) -> Array:
    """LR lines with which LR follows HR, ``hr_lines`` being HR over LR at ``hr_times``; linear in between."""
    lines = np.stack([np.interp(lr.frames, hr_times, each) for each in hr_lines.T], axis=1)
    inverse = np.stack([1 / lines[:, 0], -lines[:, 1] / lines[:, 0]], axis=1)
    # Seen = flicker(drift(LR as it should be)).
    gain = lr_lines[:, 0] * inverse[:, 0]
    return np.stack([gain, lr_lines[:, 0] * inverse[:, 1] + lr_lines[:, 1]], axis=1)


Common = Sequence[tuple[Image, Image]]
"""LR frames (h, w) and HR frames binned to (h, w), of common times, in grey units."""


def fit_field(
    common: Common, which: Sequence[str], usable: NDArray[np.bool_]
) -> tuple[Photometry, tuple[XFusionWarning, ...]]:
    """What makes LR differ from HR by position (``shading``) and by grey value (``response``), as far as named.

    ``usable`` (h, w) are the pixels that both cameras see. The simplest model is taken that leaves least on frames, or
    parts of the field, that it was not fitted to.
    """
    if int(usable.sum()) < FEWEST_PIXELS:
        return Photometry(), ()
    sample = _Sample.of(common, usable)
    models: dict[tuple[str, ...], Callable[[_Sample], Photometry]] = {(): lambda _: Photometry()}
    if "shading" in which:
        models["shading",] = _fit_shading
    if "response" in which:
        models["response",] = _fit_response
    if len(models) == 3:
        models["response", "shading"] = _fit_both
    left = {name: _left(sample, fit) for name, fit in models.items()}
    best = ()
    for name in models:
        needed = LEAST_GAIN if best == () else 1 - SIMPLER
        if left[name] < (1 - needed) * left[best]:
            best = name
    if best == ():
        return Photometry(), ()
    found = models[best](sample)
    return found, tuple(_explain(found, sample))


class _Sample(NamedTuple):
    """Pixels of common times."""

    seen: Array
    """(N,) LR."""
    expected: Array
    """(N,) binned HR."""
    y: Array
    x: Array
    """(N,) position, -1..1."""
    half: NDArray[np.bool_]
    """(N,) which half each belongs to."""

    @classmethod
    def of(cls, common: Common, usable: NDArray[np.bool_]) -> _Sample:
        shape = usable.shape
        y, x = (
            np.broadcast_to(each, shape)
            for each in np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        )
        rows, columns = np.indices(shape)
        halves = [
            np.full(shape, bool(k % 2)) if len(common) >= 4 else ((rows // 8 + columns // 8) % 2 == 1)
            for k in range(len(common))
        ]
        every = max(1, len(common) * int(usable.sum()) // MOST_PIXELS)
        at = np.flatnonzero(usable)
        parts = [
            [array.ravel()[at[k % every :: every]] for array in (low, high, y, x, half)]
            for k, ((low, high), half) in enumerate(zip(common, halves, strict=True))
        ]
        seen, expected, ys, xs, half = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(*(np.asarray(each, np.float64) for each in (seen, expected, ys, xs)), half.astype(bool))

    def select(self, mask: NDArray[np.bool_]) -> _Sample:
        """Some of the pixels."""
        return _Sample(*(each[mask] for each in self))

    def corrected(self, photometry: Photometry) -> Array:
        """LR values after ``photometry``, which has no lines."""
        values = self.seen
        if photometry.response[0]:
            values = along(values, *map(np.array, photometry.response))
        if photometry.shading is not None:
            gain, offset = (
                legendre.legval2d(self.y, self.x, np.array(c))
                for c in (photometry.shading.gain, photometry.shading.offset)
            )
            values = (values - offset) / gain
        return values


def _left(sample: _Sample, fit: Callable[[_Sample], Photometry]) -> float:
    """Mean square difference of the cameras in each half with what was fitted to the other one; large ones clipped."""
    rest = [
        part.corrected(fit(sample.select(~mask))) - part.expected
        for mask in (sample.half, ~sample.half)
        for part in (sample.select(mask),)
    ]
    before = sample.seen - sample.expected
    limit = 4 * 1.4826 * float(np.median(np.abs(before - np.median(before)))) + 1e-9
    together = np.concatenate(rest)
    return float(np.mean(np.minimum(together**2, limit**2)))


def _fit_shading(sample: _Sample) -> Photometry:
    """Polynomials of gain and offset, by iteratively reweighted least squares."""
    terms = legendre.legvander2d(sample.y, sample.x, (ORDER, ORDER))
    chosen = [i * (ORDER + 1) + j for i in range(ORDER + 1) for j in range(ORDER + 1) if i + j <= ORDER]
    basis = terms[:, chosen]
    design = np.concatenate([basis * sample.expected[:, None], basis], axis=1)
    solution = _robust(design, sample.seen)
    coefficients = np.zeros((2, (ORDER + 1) ** 2))
    coefficients[:, chosen] = solution.reshape(2, -1)
    gain, offset = (tuple(map(tuple, each.reshape(ORDER + 1, ORDER + 1).tolist())) for each in coefficients)
    shading = Shading(gain=gain, offset=offset)
    if min(each.min() for each in shading.field((9, 9))[:1]) < 0.1:
        return Photometry()
    return Photometry(shading=shading)


def _robust(design: Array, values: Array) -> Array:
    weight = np.ones(len(values))
    solution = np.zeros(design.shape[1])
    for _ in range(5):
        weighted = design * weight[:, None]
        normal = design.T @ weighted
        normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
        solution = np.linalg.solve(normal, weighted.T @ values)
        rest = np.abs(values - design @ solution)
        limit = 1.345 * 1.4826 * float(np.median(rest))
        weight = np.minimum(1.0, limit / np.maximum(rest, 1e-300)) if limit > 0 else weight
    return solution


def _fit_response(sample: _Sample) -> Photometry:
    expected, seen = monotone_curve(sample.expected, sample.seen)
    return Photometry(response=(tuple(seen.tolist()), tuple(expected.tolist())))


def monotone_curve(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Array, Array]:
    """Points (n,) of an increasing curve through the middle of ``y`` (N,) at each ``x``; none where there is none."""
    none = np.zeros(0), np.zeros(0)
    edges = np.linspace(*np.percentile(x, ENDS), BINS + 1)
    if not edges[-1] > edges[0]:
        return none
    order = np.argsort(x)
    parts = np.split(order, np.searchsorted(x[order], edges[1:-1]))
    least = max(8, len(x) // 2000)
    points = np.array([(np.mean(x[part]), np.median(y[part])) for part in parts if len(part) >= least])
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
    limit = 4 * 1.4826 * float(np.median(rest))
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


def _fit_both(sample: _Sample) -> Photometry:
    """A curve, then polynomials of what it leaves; twice."""
    response, shading = _fit_response(sample), Photometry()
    for _ in range(2):
        straight = sample._replace(seen=sample.corrected(response))
        shading = _fit_shading(straight)
        if shading.shading is None:
            return response
        gain, offset = (
            legendre.legval2d(sample.y, sample.x, np.array(c))
            for c in (shading.shading.gain, shading.shading.offset)
        )
        response = _fit_response(sample._replace(expected=gain * sample.expected + offset))
    return Photometry(response=response.response, shading=shading.shading)


def along(values: NDArray[np.floating], points: Array, results: Array) -> Array:
    """Piecewise linear, continued beyond the ends."""
    found: Array = np.interp(values, points, results)
    low = (results[1] - results[0]) / (points[1] - points[0])
    high = (results[-1] - results[-2]) / (points[-1] - points[-2])
    return found + np.minimum(values - points[0], 0) * low + np.maximum(values - points[-1], 0) * high


def _explain(found: Photometry, sample: _Sample) -> Iterator[XFusionWarning]:
    if found.response[0]:
        seen, meant = (np.array(each) for each in found.response)
        line = np.polyval(np.polyfit(meant, seen, 1), meant)
        text = (
            f"LR does not follow HR by a straight line: it bends by {np.abs(seen - line).max():.1%} of full scale "
            "(gamma, saturation?). The curve is applied."
        )
        yield XFusionWarning("response", text)
    if found.shading is not None:
        gain, offset = found.shading.field((17, 17))
        size = float(np.ptp(gain * float(np.median(sample.expected)) + offset))
        text = f"the illumination of LR and HR differs by {size:.1%} of full scale across the field; it is corrected."
        yield XFusionWarning("shading", text)

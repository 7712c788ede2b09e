"""Whether LR and HR lie upon each other and HR times are right: measured on frames of common times."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.rig.frames import interpolate
from napari_xfusion.core.rig.middle import median
from napari_xfusion.core.rig.misfit import SHORTEST_DELAY, Misfit, Placement
from napari_xfusion.core.types import Image

LONGEST_SIDE = 192
"""LR pixels of the images that are compared; larger ones are reduced, which makes it quick and averages noise."""
SMALLEST_SIDE = 8
"""LR pixels; smaller images show too little."""
BORDER = 2
"""Pixels at the border that are not compared: what lies beyond it is not known, and a blurred image shows some of it.
At most a sixth of the shorter side."""
DELAYS = range(-6, 7)
"""LR frames by which HR times may be found to be off."""
JUMPS = range(-3, 4)
"""The same where that changes during the recording."""
REACH = 5
"""LR frames around an HR frame that are compared with it, at least, where there are such HR frames."""
FINEST = 0.02
"""LR pixels, of a turn or a scale at the border, that are corrected with the rest."""
BLUR = 1.0
"""Standard deviation in pixels by which images are blurred before they are compared."""
SMOOTH = 4.0
"""Standard deviation in pixels of what is subtracted then: illumination that differs between the cameras."""
LEAST_CORRELATION = 0.5
"""Of aligned images, the median."""
LEAST_EXPLAINED = 0.5
"""Share of the mean square difference that a placement should explain, which alignment must remove."""
LEAST_SLOPE = 0.3
"""Contrast of LR against HR, at least, by the correlation of images that do not lie upon each other yet."""
LEAST_CHANGE = 1e-3
"""Share of the square of a change in time that is more than noise, at least."""
ALIKE = 2 * math.pi * BLUR**2
"""Pixels in which blurred noise is alike."""
TREND = (1.5, 2.5, 3.5)
"""LR frames before and after a time from which the change of LR there is taken; nearer ones are compared with HR."""
CLEARLY = 3.0
"""Times by which the square of a change exceeds that of noise where something moves."""
FAR = 8.0
"""Standard deviations of noise at which a difference counts no more: a label, a particle that one camera saw."""
ROUNDS = 24
"""Of the search, at most."""
SIGMAS = 6.0
"""Standard errors, from the scatter among the HR frames, that make a shift, turn or scale significant."""
SIGMAS_DELAY = 4.0
"""The same for a delay; its standard error is on the safe side."""
PLACED, LATE = (0, 1, 2, 3), 4
"""Of the five numbers that are found: those of a ``Placement``, and by how many LR frames HR times are too large."""

LATER = np.eye(5)[LATE]
"""One LR frame of delay."""
PLACE = 1 - LATER
"""What is no delay."""

Common = Sequence[tuple[float, Image]]
"""HR times in LR frame numbers, and the HR frames of these times, binned to (h, w), in grey units."""
Five = NDArray[np.float64]
"""(5,); see PLACED."""


def find_misfit(
    common: Common, lr: Callable[[float], Image], last: int
) -> tuple[Misfit | None, Split | None]:
    """How LR is placed against HR, how late HR times are, and where that changes; None where that is not significant.

    ``lr`` gives the LR frame (h, w) of a time in grey units, 0 to ``last``. Where everything moves alike, a shift and a
    delay look alike: the one that explains the difference better is returned. A split explains it better than one delay
    for all HR frames; its delays are JUMPS.
    """
    shape = common[0][1].shape
    if min(shape) < SMALLEST_SIDE:
        return None, None
    factor = _factor(shape)
    compared = _Comparison(common, lr, last)
    found = compared.misfit()
    split = compared.split(found)
    if not found.any():
        return None, split
    down, right, turn, larger, late = found.tolist()
    placement = Placement(round(factor * down, 4), round(factor * right, 4), round(turn, 6), round(larger, 6))
    return Misfit(placement, round(late, 3)), split


class Split(NamedTuple):
    """HR times that are late by other numbers of LR frames from some HR frame on."""

    first: int
    """Which of the HR frames is the first one after the change."""
    before: int
    after: int
    """LR frames by which HR times are too large before it and from it on."""


def before_split(
    common: Common, lr: Callable[[float], Image], last: int, placement: Placement, split: Split
) -> int:
    """How many of HR frames between those of a ``split`` lie before the change, by their likeness to LR."""
    compared = _Comparison(common, lr, last)
    down, right, turn, larger = placement
    factor = _factor(common[0][1].shape)
    at = np.array([down / factor, right / factor, turn, larger, 0])
    one, other = ([compared.left(k, at + late * LATER) for k in range(len(common))] for late in split[1:])
    return int(np.argmin([sum(one[:n]) + sum(other[n:]) for n in range(len(common) + 1)]))


def find_delay(common: Common, lr: Callable[[float], Image], last: int) -> float:
    """LR frames by which HR times are late where LR lies where it should; 0 where that is not significant.

    See ``find_misfit``.
    """
    if min(common[0][1].shape) < SMALLEST_SIDE:
        return 0.0
    compared = _Comparison(common, lr, last)
    fit = compared.delay(np.zeros(5))
    return round(float(fit.at[LATE]), 3) if fit is not None and compared.is_late(fit, np.zeros(5)) else 0.0


class _Step(NamedTuple):
    """What one HR frame says of the five numbers, near given ones."""

    curvature: NDArray[np.float64]
    """(5, 5) products of the changes of the difference with each number, those in time without noise."""
    push: Five
    """Products of these changes and the difference."""
    left: float
    """Mean square difference, were LR not interpolated in time, which makes its noise smaller."""
    explained: float
    """Mean square that the change of place would explain."""
    correlation: float


class _Fit(NamedTuple):
    """The five numbers by which LR explains HR best."""

    at: Five
    error: Five
    """Standard errors; infinite where a number was not looked for."""
    left: float
    """Mean logarithm of the mean square differences."""
    which: Sequence[int]
    """HR frames."""
    steps: Sequence[_Step]
    """What each of them says there."""

    @property
    def alike(self) -> bool:
        """Whether the cameras show the same there."""
        return float(np.median([step.correlation for step in self.steps])) >= LEAST_CORRELATION


@dataclass(frozen=True, eq=False)
class _Difference:
    """By how much HR differs from LR."""

    left: NDArray[np.float64]
    """(n,)"""
    slope: float
    """Contrast of LR against HR."""
    correlation: float

    @cached_property
    def noise(self) -> float:
        """Mean square, outliers left out."""
        return max((1.4826 * float(median(np.abs(self.left)))) ** 2, 1e-30)

    @property
    def clipped(self) -> NDArray[np.float64]:
        """(n,) without outliers."""
        far = FAR * math.sqrt(self.noise)
        return np.clip(self.left, -far, far)


class _View(NamedTuple):
    """An HR frame."""

    time: float
    """As stated."""
    image: NDArray[np.float64]
    """(n,) without its mean."""
    square: float
    slopes: NDArray[np.float64]
    """Its change (4, n) with its placement, as far as that is no change of the grey scale."""

    @classmethod
    def of(cls, time: float, image: Image, inside: tuple[slice, slice]) -> _View:
        y, x = (np.arange(n) - (n - 1) / 2 for n in image.shape)
        down, right = np.gradient(image)
        slopes = [down, right, down * x - right * y[:, None], down * y[:, None] + right * x]
        flat, *rest = (each[inside].astype(np.float64).ravel() for each in (image, *slopes))
        flat -= flat.mean()
        view = cls(time, flat, max(float(flat @ flat), 1e-30), np.stack(rest))
        return view._replace(slopes=view.other(view.slopes))

    def other(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (..., n) without what is a difference in the grey scale of this frame, whose noise is small."""
        values = values - values.mean(axis=-1, keepdims=True)
        rest: NDArray[np.float64] = values - np.multiply.outer(values @ self.image / self.square, self.image)
        return rest


class _Comparison:
    """HR frames against LR. What differs is explained by small changes of place and time, in all frames together."""

    def __init__(self, common: Common, lr: Callable[[float], Image], last: int) -> None:
        self.last = last
        self.images = [_band(_reduced(image)) for _, image in common]
        self.shape = h, w = self.images[0].shape
        border = min(BORDER, min(h, w) // 6)
        self.inside = np.s_[border : h - border, border : w - border]
        self.reach = np.array([1, 1, max(h, w) / 2, max(h, w) / 2, 1])
        """Pixels, or LR frames, at the border for one unit of each number."""
        self.times = [time for time, _ in common]
        self.views = [
            _View.of(time, image, self.inside) for time, image in zip(self.times, self.images, strict=True)
        ]

        @cache
        def frame(i: int) -> Image:
            return _reduced(lr(float(min(max(i, 0), last))))

        self.frame = frame
        inner = [k for k, time in enumerate(self.times) if REACH <= time <= last - REACH]
        if len(inner) < 2:  # the first and the last one may lie at the ends of LR
            inner = list(range(1, len(self.times) - 1))
        self.inner = inner
        self.delays = [d for d in DELAYS if all(0 <= self.times[k] - d <= last for k in inner)]

    def misfit(self) -> Five:
        """The numbers that are significant; 0 for the others."""
        none = np.zeros(5)
        if len(self.times) < 2:
            return none
        placed = self.fit(self._start(), PLACED, range(len(self.times)))
        place = none if placed is None else self._significant(placed)
        late = self.delay(none)
        if late is None:
            return place
        is_late = self.is_late(late, none)
        if placed is None:
            return late.at if is_late else none
        if place.any() or is_late or abs(self._points(none)) > SIGMAS_DELAY:
            both = self._placed_and_late(placed, late)
            if both is not None:
                return both
        if is_late and (not place.any() or late.left < self._left(placed.at, self.inner)):
            return late.at
        return place

    def split(self, at: Five) -> Split | None:
        """Where the delay changes, at most once, with what else is wrong as in ``at``; None where not significant."""
        # Before its start LR counts as its first frame: that is alike for all delays, and says nothing.
        inside = [k for k, time in enumerate(self.times) if time <= self.last + JUMPS[0]]
        if len(inside) < 2:
            return None
        left = np.array([[self.left(k, at * PLACE + late * LATER) for late in JUMPS] for k in inside])
        parts = [(left[:n].sum(axis=0), left[n:].sum(axis=0)) for n in range(1, len(inside))]
        n, (one, other) = min(enumerate(parts, 1), key=lambda part: sum(each.min() for each in part[1]))
        constant = min(float(left.sum(axis=0).min()), sum(self.left(k, at) for k in inside))
        if constant - float(one.min() + other.min()) <= self.by_chance(len(inside)):
            return None
        return Split(inside[n], JUMPS[int(one.argmin())], JUMPS[int(other.argmin())])

    def _placed_and_late(self, placed: _Fit, late: _Fit) -> Five | None:
        """The significant numbers, a delay among them; None where they explain no more than one of these fits."""
        after = self.delay(placed.at)
        starts = placed.at + late.at, late.at, *(() if after is None else (after.at,))
        both = self._best(starts, (*PLACED, LATE))
        # A little of a wrong placement may look like a delay; it is measured again without what is known of it.
        alone = late.steps, [self.step(k, placed.at, late=True) for k in self.inner]
        if both is None or not all(self._better(both.steps, steps) for steps in alone):
            return None
        found = self._significant(both)
        if not found.any() or not self.is_late(both, placed.at):
            return None
        found[LATE] = both.at[LATE]
        return found

    def delay(self, place: Five) -> _Fit | None:
        """The delay that explains HR best where LR is placed so; None where it cannot be known."""
        if len(self.inner) < 2 or len(self.delays) < 3:
            return None
        tried = [place + d * LATER for d in self.delays]
        best = min(tried, key=lambda at: self._left(at, self.inner))
        return self._best({tuple(at): at for at in (place, best)}.values(), (LATE,))

    def is_late(self, fit: _Fit, otherwise: Five) -> bool:
        """Whether a delay is significant, against the numbers ``otherwise``."""
        late, error = fit.at[LATE], fit.error[LATE]
        if abs(late) <= max(SHORTEST_DELAY, SIGMAS_DELAY * error) or not fit.alike:
            return False
        # The standard error is that near the best place. Where a jump of the picture alone holds it there, other LR
        # frames are as good: HR resembles LR more there, or the difference already points there at the stated times.
        return (
            self._resembles(fit.at, otherwise)
            or float(np.sign(late)) * self._points(otherwise) > SIGMAS_DELAY
        )

    def _best(self, starts: Iterable[Five], free: Sequence[int]) -> _Fit | None:
        """The best fit of the inner HR frames from these first guesses."""
        fits = (self.fit(start, free, self.inner) for start in starts)
        return min((fit for fit in fits if fit is not None), key=lambda fit: fit.left, default=None)

    def fit(self, start: Five, free: Sequence[int], which: Sequence[int]) -> _Fit | None:
        """The numbers ``free`` from a first guess, by HR frames ``which``; None where they show too little.

        By Gauss-Newton.
        """
        at, numbers = start.copy(), list(free)
        ends = (self.delays[0], self.delays[-1]) if self.delays else (0, 0)
        for _ in range(ROUNDS):
            steps = [self.step(k, at, late=LATE in free) for k in which]
            if not all(sum(step.curvature[n, n] for step in steps) > 0 for n in numbers):
                return None
            change, error = _solved(steps, numbers)
            if (np.abs(change) * self.reach[numbers] < 1e-3).all():
                break
            at[numbers] += np.clip(change * self.reach[numbers], -1, 1) / self.reach[numbers]
            at[LATE] = np.clip(at[LATE], *ends)
        errors = np.full(5, np.inf)
        errors[numbers] = error
        return _Fit(at, errors, float(np.mean([math.log(step.left) for step in steps])), which, steps)

    def step(self, k: int, at: Five, *, late: bool) -> _Step:
        """What HR frame ``k`` says of the numbers near ``at``; of time only where it may be ``late``."""
        view = self.views[k]
        time = view.time - at[LATE]
        i = min(max(math.floor(time), 0), self.last)
        share = _of_frame(time)
        difference = self._difference(view, at)
        clipped, noise = difference.clipped, difference.noise / share
        slopes = view.slopes
        curvature, push = np.zeros((5, 5)), np.zeros(5)
        curvature[:LATE, :LATE], push[:LATE] = slopes @ slopes.T, slopes @ clipped
        if late:
            # Change from frames that are not compared, so that their noise has nothing to do with the difference.
            change = view.other(self._moved(self._trend(i, (1 / 3,)), at)) / difference.slope
            of_noise = noise * 2 / 9
            moving = self._moving(change, of_noise)
            size = float((moving * change) @ change)
            curvature[LATE, :LATE] = curvature[:LATE, LATE] = slopes @ (moving * change)
            curvature[LATE, LATE] = max(size - of_noise * float(moving.sum()), LEAST_CHANGE * size)
            push[LATE] = (moving * change) @ clipped
        return _Step(
            curvature=curvature,
            push=push,
            left=max(float(np.mean(difference.left**2)) + noise * (1 - share), 1e-30),
            explained=float(np.mean((at[:LATE] @ slopes) ** 2)),
            correlation=difference.correlation,
        )

    def _difference(self, view: _View, at: Five) -> _Difference:
        here = self._moved(self._frame_at(view.time - at[LATE]), at)
        here -= here.mean()
        product, square = float(here @ view.image), max(float(here @ here), 1e-30)
        steepest = math.sqrt(square / view.square)
        slope = max(product / view.square, LEAST_SLOPE * steepest)
        return _Difference(-view.other(here) / slope, slope, product / (view.square * steepest))

    @property
    def _size(self) -> int:
        """Pixels that are compared."""
        return len(self.views[0].image)

    def _better(self, after: Sequence[_Step], before: Sequence[_Step]) -> bool:
        """Whether the difference of the inner HR frames is smaller, by more than noise of two LR frames differs."""
        gain = sum(math.log(b.left / a.left) for a, b in zip(after, before, strict=True))
        return gain > self.by_chance(len(self.inner))

    def by_chance(self, count: int) -> float:
        """By how much the sum of ``left`` of so many HR frames may differ between LR frames by noise alone."""
        return SIGMAS_DELAY * math.sqrt(4 * ALIKE * count / self._size)

    def _resembles(self, at: Five, otherwise: Five) -> bool:
        """Whether the inner HR frames resemble LR ``at`` these numbers more than ``otherwise``, where both differ.

        A small part of the picture may be all that moves. There, the squares of the differences differ by the change of
        LR times the sum of both: known to twice the noise times the change. Between two LR frames there is less noise
        than in one of them, so the times that are compared differ by entire frames.
        """
        near = otherwise + (at - np.rint(at)) * LATER
        gain = variance = 0.0
        for k in self.inner:
            now, before = (self._difference(self.views[k], each) for each in (at, near))
            change = before.left - now.left
            moving = self._moving(change, 2 * now.noise)
            gain += float(moving @ (before.left**2 - now.left**2)) / now.noise
            variance += 4 * ALIKE * float(moving @ change**2) / now.noise
        return gain > SIGMAS_DELAY * math.sqrt(variance)

    def _points(self, at: Five) -> float:
        """By how many standard errors of noise the difference of the inner HR frames is what a delay would leave,
        positive where HR times are late.

        Of what moves slowly, the change in many LR frames has little noise.
        """
        trend = np.array(TREND) / (2 * np.square(TREND).sum())
        push = variance = 0.0
        for view in (self.views[k] for k in self.inner):
            time = view.time - at[LATE]
            difference = self._difference(view, at)
            noise = difference.noise / _of_frame(time)
            moved = self._moved(self._trend(math.floor(time), trend.tolist()), at)
            change = view.other(moved) / difference.slope
            change *= self._moving(change, 2 * noise * float(trend @ trend))
            push += float(change @ difference.clipped) / noise
            variance += ALIKE * float(change @ change) / noise
        return push / math.sqrt(max(variance, 1e-30))

    def _trend(self, i: int, weights: Sequence[float]) -> Image:
        """Frames before the middle of LR frame ``i`` and the next one less those after it (h, w), without both.

        ``weights`` of the nearest pair and of further ones.
        """
        change = np.zeros(self.shape, np.float32)
        for n, weight in enumerate(weights, 1):
            change += np.float32(weight) * (self.frame(i - n) - self.frame(i + 1 + n))
        return change

    def left(self, k: int, at: Five) -> float:
        """Logarithm of the mean square difference of HR frame ``k`` at these numbers."""
        return math.log(self.step(k, at, late=False).left)

    def _left(self, at: Five, which: Collection[int]) -> float:
        return float(np.mean([self.left(k, at) for k in which]))

    def _significant(self, fit: _Fit) -> Five:
        """A placement without what is not significant, and without a delay."""
        far = (np.abs(fit.at) > SIGMAS * fit.error) & (np.abs(fit.at) * self.reach > FINEST)
        far[LATE] = False
        before = [self.step(k, fit.at * LATER, late=False) for k in fit.which]  # where LR lies as it should
        gains = [b.left - step.left for b, step in zip(before, fit.steps, strict=True)]
        expected = [min(step.explained, b.left) for b, step in zip(before, fit.steps, strict=True)]
        explained = np.median(np.divide(gains, np.maximum(expected, 1e-30)))
        if explained < LEAST_EXPLAINED or not fit.alike:  # something else makes them differ
            far[:] = False
        return np.where(far, fit.at, 0.0)

    def _start(self) -> Five:
        """A first guess of the placement: none, or the shift of the phase correlation."""
        window = cv2.createHanningWindow(self.shape[::-1], cv2.CV_32F)
        shifts = [  # it writes into its arguments
            cv2.phaseCorrelate(image.copy(), _band(self._frame_at(time)), window)[0]
            for time, image in zip(self.times, self.images, strict=True)
        ]
        right, down = np.median(shifts, axis=0)
        guesses = np.zeros(5), np.array([down, right, 0, 0, 0])
        return min(guesses, key=lambda at: self._left(at, range(len(self.times))))

    def _frame_at(self, time: float) -> Image:
        frame: Image = interpolate(self.frame, time)
        return frame

    def _moved(self, image: Image, at: Five) -> NDArray[np.float64]:
        """An LR image as it would lie on HR, without noise and illumination (n,)."""
        if at[:LATE].any():
            linear, shift = Placement(*at[:LATE].tolist()).matrix(self.shape)
            (yy, yx), (xy, xx) = linear
            matrix = np.array([[xx, xy, shift[1]], [yx, yy, shift[0]]])
            # Not cubic, by which OpenCV moves smooth images; before the filters, which then see the same at borders.
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            image = cv2.warpAffine(
                image, matrix, self.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        moved: NDArray[np.float64] = _band(image)[self.inside].astype(np.float64).ravel()
        return moved

    def _moving(self, change: NDArray[np.float64], of_noise: float) -> NDArray[np.float64]:
        """How much (n,) of a change in time is motion, 0 to 1."""
        h, w = (len(range(*part.indices(n))) for part, n in zip(self.inside, self.shape, strict=True))
        around = cv2.GaussianBlur((change**2).reshape(h, w), (0, 0), BLUR).ravel()
        moving: NDArray[np.float64] = np.maximum(1 - CLEARLY * of_noise / np.maximum(around, 1e-30), 0)
        return moving


def _of_frame(time: float) -> float:
    """The variance of noise between two LR frames, as a share of that of one of them."""
    part = time - math.floor(time)
    return part**2 + (1 - part) ** 2


def _solved(
    steps: Sequence[_Step], numbers: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much the ``numbers`` differ from those of the steps, and the standard errors."""
    weights = np.array([1 / step.left for step in steps])
    pushes = weights[:, None] * np.array([step.push[numbers] for step in steps])
    curvature = np.einsum("k,kij->ij", weights, [step.curvature for step in steps])
    inverse = np.linalg.pinv(curvature[np.ix_(numbers, numbers)])
    scatter = inverse @ (pushes.T @ pushes) @ inverse * len(steps) / (len(steps) - 1)
    variance = np.maximum(np.diag(scatter), np.diag(inverse) * ALIKE)
    error = np.sqrt(np.where(variance > 0, variance, np.inf))
    return inverse @ pushes.sum(axis=0), error


def _band(image: Image) -> Image:
    """An image without its noise and without illumination."""
    band: Image = cv2.GaussianBlur(image, (0, 0), BLUR) - cv2.GaussianBlur(image, (0, 0), SMOOTH)
    return band


def _factor(shape: tuple[int, ...]) -> int:
    return -(-max(shape) // LONGEST_SIDE)


def _reduced(image: Image) -> Image:
    """An image of at most LONGEST_SIDE; hot pixels are clipped, so that they do not decide."""
    image, factor = np.clip(image, -0.5, 1.5), _factor(image.shape)
    if factor == 1:
        return image
    size = image.shape[1] // factor, image.shape[0] // factor
    cropped = image[: size[1] * factor, : size[0] * factor]
    return np.asarray(cv2.resize(cropped, size, interpolation=cv2.INTER_AREA))

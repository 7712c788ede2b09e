"""Whether LR and HR lie upon each other and HR times are right: measured on frames of common times."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.frames import interpolate
from napari_xfusion.core.rig.plausibility import FORGIVEN
from napari_xfusion.core.rig.timing import CLOSEST, Times
from napari_xfusion.core.types import Image
from napari_xfusion.errors import XFusionWarning

LONGEST_SIDE = 192
"""LR pixels of the images that are compared; larger ones are reduced, which makes it quick and averages noise."""
SMALLEST_SIDE = 8
"""LR pixels; smaller images show too little."""
DELAYS = range(-6, 7)
"""LR frames by which HR times may be found to be off."""
REACH = 5
"""LR frames around an HR frame that are compared with it, at least, where there are such HR frames."""
SHORTEST_SHIFT = 0.15
"""LR pixels; what is less is not worth a warning."""
SHORTEST_TURN = 0.06
"""LR pixels at the border; the same."""
FINEST = 0.02
"""LR pixels, of a turn at the border, that are corrected with the rest."""
BLUR = 1.5
"""Standard deviation in pixels by which images are blurred before they are aligned."""
SMOOTH = 4.0
"""Standard deviation in pixels of what is subtracted then: illumination that differs between the cameras."""
SHORTEST_DELAY = 0.3
"""LR frames."""
LEAST_CORRELATION = 0.5
"""Of aligned images."""
LEAST_EXPLAINED = 0.5
"""Share of the mean square difference that a placement should explain, which alignment must remove."""
LEAST_CHANGE = 1e-3
"""Share of the square of a change in time that is more than noise, at least."""
ALIKE = 2 * math.pi * BLUR**2
"""Pixels in which blurred noise is alike."""
LEAST_MOTION = 0.2
"""By which changes of LR must exceed those of noise, as a share of these, for times to be known."""
CLEARLY = 3.0
"""Times by which the square of a change exceeds that of noise where something moves."""
FAR = 8.0
"""Standard deviations of noise at which a difference counts no more: a label, a particle that one camera saw."""
ROUNDS = 24
"""Of the search for a delay, at most."""
SIGMAS = 6.0
"""Standard errors, from the scatter among the HR frames, that make a shift or turn significant."""
SIGMAS_DELAY = 4.0
"""The same for a delay; its standard error is on the safe side."""

Common = Sequence[tuple[float, Image]]
"""HR times in LR frame numbers, and the HR frames of these times, binned to (h, w), in grey units."""


class Placement(NamedTuple):
    """Where LR lies on the binned HR image."""

    down: float = 0.0
    """LR pixels, at the middle of the frame."""
    right: float = 0.0
    turn: float = 0.0
    """Radians, from the rows to the columns: clockwise on the screen."""

    @classmethod
    def of(cls, source: Mapping, shape: Shape) -> Placement:
        """From the map of the places where the pixels of a frame (h, w) should lie to those where they lie."""
        middle = (np.array(shape) - 1) / 2
        down, right = source.to_output(middle) - middle
        return cls(float(down), float(right), math.atan2(source.linear[0][1], source.linear[0][0]))

    def source(self, shape: Shape) -> Mapping:
        """The map of the places where the pixels of a frame (h, w) should lie to those where they lie."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        linear, middle = ((cos, sin), (-sin, cos)), (np.array(shape) - 1) / 2
        shift = middle - np.array(linear) @ middle + (self.down, self.right)
        return Mapping(linear=linear, shift=tuple(shift.tolist()))


class Misfit(NamedTuple):
    """Where and when images were taken, against what was assumed."""

    placement: Placement = Placement()
    late: float = 0.0
    """LR frames by which HR times are too large."""

    def matters(self, shape: Shape) -> bool:
        """Whether it is worth a warning about frames of (h, w)."""
        return bool(in_words(self.placement, shape)) or abs(self.late) >= SHORTEST_DELAY

    def then(self, other: Misfit, shape: Shape) -> Misfit:
        """With what is seen of frames (h, w) when this is corrected."""
        source = other.placement.source(shape).then(self.placement.source(shape))
        return Misfit(Placement.of(source, shape), self.late + other.late)

    def only(self, which: Collection[str]) -> Misfit:
        """The parts that are named ``shift``, ``turn`` and ``time``."""
        down, right, turn = self.placement
        shift = (down, right) if "shift" in which else (0.0, 0.0)
        return Misfit(
            Placement(*shift, turn if "turn" in which else 0.0), self.late if "time" in which else 0.0
        )

    def mapping(self, grid: Mapping, shape: Shape) -> Mapping:
        """Of the pixels (h, w) of LR to the output grid, where they were assumed to have that of ``grid``."""
        return self.placement.source(shape).inverse.then(grid) if any(self.placement) else grid

    def hr_times(self, stated: Times, last: int) -> Times:
        """The times (N,) of the HR frames; those a little outside of LR frames 0 to ``last`` become one of these."""
        if not self.late:
            return stated
        times = stated - self.late
        inside = np.clip(times, 0, last)
        moved: Times = np.where(np.abs(times - inside) <= FORGIVEN, inside, times)
        return times if (np.diff(moved) < CLOSEST).any() else moved


def find_misfit(common: Common, lr: Callable[[float], Image], last: int) -> Misfit | None:
    """A shift or turn between the cameras, or HR times that are early or late; None where nothing is significant.

    ``lr`` gives the LR frame (h, w) of a time in grey units, 0 to ``last``. A shift and a delay look alike where
    everything moves alike: the one that explains the difference better is returned.
    """
    shape = common[0][1].shape
    if min(shape) < SMALLEST_SIDE:
        return None
    factor = _factor(shape)
    common = [(time, _reduced(image)) for time, image in common]

    @cache  # both searches look at LR of the common times
    def reduced(time: float) -> Image:
        return _reduced(lr(time))

    placement, moved = _find_placement(common, reduced)
    delay, delayed = _find_delay(common, reduced, last)
    if delay and (placement is None or delayed < moved):
        return Misfit(late=round(delay, 3))
    if placement is None:
        return None
    down, right, turn = placement
    return Misfit(Placement(round(factor * down, 4), round(factor * right, 4), round(turn, 6)))


def find_delay(common: Common, lr: Callable[[float], Image], last: int) -> float:
    """LR frames by which HR times are late where LR lies where it should; 0 where that is not significant.

    See ``find_misfit``.
    """
    if min(common[0][1].shape) < SMALLEST_SIDE:
        return 0.0
    reduced = [(time, _reduced(image)) for time, image in common]
    return _find_delay(reduced, cache(lambda time: _reduced(lr(time))), last)[0]


def misfit_warnings(seen: Misfit, corrected: Misfit, shape: Shape, plan: Plan) -> tuple[XFusionWarning, ...]:
    """What was ``seen`` of LR frames (h, w), against the rig file where there is one; what of it is ``corrected``."""
    against = "HR" if plan.calibration is None else "what the rig file says"
    mend = "Align the recordings" if plan.calibration is None else "Calibrate the cameras again"
    check = "Check {hr_start} or {hr_times}" if plan.clock is None else "Synchronise the recordings again"
    done = corrected.placement
    left = Placement(*(a - b for a, b in zip(seen.placement, done, strict=True)))
    found = []
    if words := in_words(done, shape):
        text = f"LR appears {words} against {against}; HR is resampled to LR, and results back."
        found.append(XFusionWarning("aligned", text))
    if words := in_words(left, shape):
        names = " and ".join(name for name in ("shift", "turn") if name in words)
        text = (
            f"LR appears {words} against {against}. {mend}, or have {{correct}} include {names}: every method loses "
            "detail otherwise."
        )
        found.append(XFusionWarning("misplaced", text))
    if abs(seen.late) >= SHORTEST_DELAY:
        direction = "late" if seen.late > 0 else "early"
        agrees = f"each HR frame agrees best with LR at its time {-seen.late:+.1f}"
        text = f"HR times look {abs(seen.late):.1f} LR frames too {direction}: {agrees}"
        if corrected.late:
            found.append(XFusionWarning("retimed", f"{text}, which is taken as its time."))
        else:
            text += f". {check}, or have {{correct}} include time."
            found.append(XFusionWarning("delayed", text))
    return tuple(found)


def in_words(placement: Placement, shape: Shape) -> str:
    """A placement of frames (h, w), without what is not worth mentioning."""
    shifts = [
        f"{abs(value):.2f} LR pixels {directions[value < 0]}"
        for value, directions in (
            (placement.right, ("to the right", "to the left")),
            (placement.down, ("down", "up")),
        )
        if abs(value) >= SHORTEST_SHIFT
    ]
    found = [f"shifted by {' and '.join(shifts)}"] if shifts else []
    if abs(placement.turn) * max(shape) / 2 >= SHORTEST_TURN:
        direction = "clockwise" if placement.turn > 0 else "counterclockwise"
        found.append(f"turned by {abs(math.degrees(placement.turn)):.2f} degrees {direction}")
    return " and ".join(found)


class _Aligned(NamedTuple):
    """One HR frame against LR."""

    placement: Placement
    variance: NDArray[np.float64]
    """(3,) of the placement, from what is left unexplained."""
    left: float
    """Mean square difference of the aligned images."""
    explained: float
    """By how much alignment reduces it, as a share of what the placement should explain."""


def _find_placement(common: Common, lr: Callable[[float], Image]) -> tuple[Placement | None, float]:
    """The placement of LR where it is significant, and the mean square difference that it leaves."""
    found = [aligned for time, image in common if (aligned := _align(image, lr(time))) is not None]
    if len(found) < 2:
        return None, np.inf
    values = np.array([each.placement for each in found])
    scatter = values.var(axis=0, ddof=1) / len(found)
    noise = np.mean([each.variance for each in found], axis=0) / len(found)
    error, middle = np.sqrt(scatter + noise), np.median(values, axis=0)
    reach = np.array([1, 1, max(common[0][1].shape) / 2])  # a turn in pixels at the border
    significant = (np.abs(middle) > SIGMAS * error) & (np.abs(middle) * reach > FINEST)
    if not significant.any():
        return None, np.inf
    if np.median([each.explained for each in found]) < LEAST_EXPLAINED:  # something else makes them differ
        return None, np.inf
    placement = Placement(*np.where(significant, middle, 0.0).tolist())
    return placement, float(np.mean([each.left for each in found]))


def _align(image: Image, lr: Image) -> _Aligned | None:
    """How ``image`` is shifted and turned to become ``lr``; None where they have nothing in common.

    Evangelidis and Psarakis 2008, from no shift and from that of the phase correlation; images are blurred
    beforehand, as the blur of the search itself biases the result.
    """
    here, there = _band(image), _band(lr)
    window = cv2.createHanningWindow(image.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(here.copy(), there.copy(), window)  # which writes into its arguments
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-5)
    best, matrix = LEAST_CORRELATION, None
    for right, down in ((0.0, 0.0), shift):
        start = np.array([[1, 0, right], [0, 1, down]], np.float32)
        try:
            score, found = cv2.findTransformECC(
                here, there, start, cv2.MOTION_EUCLIDEAN, criteria, inputMask=None, gaussFiltSize=1
            )
        except cv2.error:  # no contrast, or nothing in common
            continue
        if score > best:
            best, matrix = score, found.astype(np.float64)
    if matrix is None:
        return None
    middle = (np.array(image.shape[::-1]) - 1) / 2
    right, down = matrix[:, :2] @ middle + matrix[:, 2] - middle
    placement = Placement(float(down), float(right), float(np.arctan2(matrix[1, 0], matrix[0, 0])))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size, border = image.shape[::-1], cv2.BORDER_REPLICATE
    aligned = cv2.warpAffine(there, matrix, size, flags=flags, borderMode=border)
    before, left = _difference(here, there), _difference(here, aligned)
    slopes = _slopes(here)
    expected = min(float(np.mean((np.array(placement) @ slopes) ** 2)), before)
    # Blurred noise is alike in some 4 pi BLUR^2 pixels.
    information = slopes @ slopes.T / max(4 * np.pi * BLUR**2 * left, 1e-30)
    variance = np.diag(np.linalg.pinv(information))
    return _Aligned(placement, variance, left, (before - left) / max(expected, 1e-30))


def _slopes(image: Image) -> NDArray[np.float64]:
    """Change (3, h * w) of an image with each number of its placement, without what is a change of brightness."""
    down, right = np.gradient(image)
    y, x = (np.arange(n) - (n - 1) / 2 for n in image.shape)
    slopes = np.stack([down, right, down * x - right * y[:, None]]).reshape(3, -1)
    brightness, _ = np.linalg.qr(np.stack([np.ones(image.size), image.ravel()], axis=1))
    found: NDArray[np.float64] = slopes - slopes @ brightness @ brightness.T
    return found


def _find_delay(common: Common, lr: Callable[[float], Image], last: int) -> tuple[float, float]:
    """How late HR times are in LR frames, 0 where it is not significant; and the mean square difference then."""
    inner = [each for each in common if REACH <= each[0] <= last - REACH]
    if len(inner) < 2:
        inner = list(common[1:-1])  # the first and the last one may lie at the ends of LR
    tried = [d for d in DELAYS if all(0 <= time - d <= last for time, _ in inner)]
    if len(inner) < 2 or len(tried) < 3:
        return 0.0, np.inf

    @cache
    def frame(i: int) -> Image:
        return _band(lr(float(min(max(i, 0), last))))

    timed = [_Timed.of(time, _band(image)) for time, image in inner]
    absolute = np.array([[each.difference(frame, d) for d in tried] for each in timed])
    coarse = (absolute / np.maximum(absolute[:, [tried.index(0)]], 1e-30)).mean(axis=0)
    starts = {0.0, float(tried[int(coarse.argmin())])}
    found = [_refined(timed, frame, start, (tried[0], tried[-1])) for start in starts]
    best = min(found, key=lambda each: each.left)
    before = float(np.mean([each.step(frame, 0.0).left for each in timed]))
    chance = math.sqrt(2 * ALIKE / (len(timed) * timed[0].image.size))
    moves = best.moves > 1 + max(LEAST_MOTION, SIGMAS_DELAY * chance)
    significant = abs(best.late) > max(SHORTEST_DELAY, SIGMAS_DELAY * best.error) and best.left < before
    return (best.late, best.left) if moves and significant else (0.0, np.inf)


class _Delay(NamedTuple):
    """What all HR frames together say of a delay."""

    late: float
    error: float
    """Standard error."""
    left: float
    """Mean square difference that it leaves."""
    moves: float
    """See ``_Step``."""


def _refined(
    timed: Sequence[_Timed], frame: Callable[[int], Image], late: float, ends: tuple[float, float]
) -> _Delay:
    """A delay from a first guess.

    By Gauss-Newton: what HR differs from LR is explained by how LR changes in time, in all HR frames together.
    """
    steps: list[_Step] = []
    for _ in range(ROUNDS):
        steps = [each.step(frame, late) for each in timed]
        weights = np.array([1 / max(step.left, 1e-30) for step in steps])
        size = float(weights @ [step.size for step in steps])
        push = weights * [step.push for step in steps]
        if not size > 0:  # nothing moves
            return _Delay(late, np.inf, np.inf, 0.0)
        change = float(np.clip(push.sum() / size, -1, 1))
        if abs(change) < 1e-3:
            break
        late = float(np.clip(late + change, *ends))
    scatter = float(push @ push) * len(push) / (len(push) - 1)
    left, moves = (float(np.mean(each)) for each in zip(*((s.left, s.moves) for s in steps), strict=True))
    return _Delay(late, math.sqrt(max(scatter, ALIKE * size)) / size, left, moves)


class _Step(NamedTuple):
    """What an HR frame says of a delay."""

    push: float
    """Product of what is left and its change with the delay."""
    size: float
    """Square of that change, without noise."""
    left: float
    """Mean square of what is left, were LR not interpolated, which makes its noise smaller."""
    moves: float
    """Mean square of the change over that of noise."""


class _Timed(NamedTuple):
    """An HR frame of a stated time."""

    time: float
    image: Image
    brightness: NDArray[np.float64]
    """(h * w, 2) orthonormal, what may differ in grey scale."""

    @classmethod
    def of(cls, time: float, image: Image) -> _Timed:
        brightness, _ = np.linalg.qr(np.stack([np.ones(image.size), image.ravel()], axis=1))
        return cls(time, image, brightness)

    def difference(self, frame: Callable[[int], Image], late: int) -> float:
        """Mean square difference to LR where the time is ``late`` LR frames too large."""
        return _difference(self.image, interpolate(frame, self.time - late))

    def step(self, frame: Callable[[int], Image], late: float) -> _Step:
        """What explains the difference to LR where the time is ``late`` LR frames too large."""
        time = self.time - late
        i = math.floor(time)
        part = time - i
        # Change from frames that are not compared, so that their noise has nothing to do with the difference.
        change = self._other(frame(i - 1) - frame(i + 2)) / 3
        left = self._other(self.image - interpolate(frame, time))
        sigma = 1.4826 * float(np.median(np.abs(left)))
        noise = sigma**2 / (part**2 + (1 - part) ** 2)
        of_noise = noise * 2 / 9
        around = cv2.GaussianBlur((change**2).reshape(self.image.shape), (0, 0), BLUR).ravel()
        moving = np.maximum(1 - CLEARLY * of_noise / np.maximum(around, 1e-30), 0)
        size = float((moving * change) @ change)
        return _Step(
            push=float((moving * change) @ np.clip(left, -FAR * sigma, FAR * sigma)),
            size=max(size - of_noise * float(moving.sum()), LEAST_CHANGE * size),
            left=float(np.mean(left**2)) + noise * 2 * part * (1 - part),
            moves=float(np.mean(change**2)) / max(of_noise, 1e-30),
        )

    def _other(self, image: Image) -> NDArray[np.float64]:
        """What is no difference in grey scale (h * w,)."""
        flat = image.astype(np.float64).ravel()
        rest: NDArray[np.float64] = flat - self.brightness @ (self.brightness.T @ flat)
        return rest


def _band(image: Image) -> Image:
    """An image without its noise and without illumination."""
    band: Image = cv2.GaussianBlur(image, (0, 0), BLUR) - cv2.GaussianBlur(image, (0, 0), SMOOTH)
    return band


def _difference(a: Image, b: Image) -> float:
    """Mean square difference, without what differs in grey scale: that may be fitted to frames that do not fit."""
    a, b = a - a.mean(), b - b.mean()
    slope = float((a * b).sum() / max(float((b * b).sum()), 1e-30))
    return float(np.mean((a - np.float32(slope) * b) ** 2))


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

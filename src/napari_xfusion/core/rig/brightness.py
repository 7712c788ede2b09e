"""Brightness that changes in time: flicker of each camera, drift of LR against HR.

What moves is not illumination, and both cameras saw the same event. HR is the reference; what is corrected in HR is how
its frames differ from each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.polynomial import legendre
from numpy.typing import NDArray

from napari_xfusion.core.rig.grey import huber_weights
from napari_xfusion.core.rig.middle import median
from napari_xfusion.core.rig.photometry import Array, Photometry, robust_gains
from napari_xfusion.errors import XFusionWarning

LEAST_CHANGE = 0.003
"""Grey units, of the typical pixel; changes of brightness below it are neither corrected nor reported."""
SMOOTH = 0.35
"""Share of all change that frames differ from the mean of the frames next to them, where a change is a drift."""
WINDOW = 31
"""Frames over which slow changes of brightness are followed where no line or parabola describes them."""
FEWEST_PIXELS = 200
"""Pixels of LR, or blocks of them, that both cameras see; fewer show too little."""
FEWEST_FRAMES = 4
"""Frames of a camera whose brightness is followed."""
CERTAIN = 8.0
"""Standard errors by which brightness must change."""
FEW = 16
"""Frames of which none may be left out as an outlier."""
BANDS = 6
"""Parts of the field, of neighbouring rows. The beam and a camera change all of them alike; the event does not."""
LEAST_SLOPE = 0.2
"""Relative change of contrast by a change of brightness of 1 grey unit; with less, brightness is added."""
AGREES = 0.1
"""Share by which such a change may differ from that of intensities where its standard error is less."""
LEAST_LIGHT = 1e-3
"""Grey value of a part of the field, over that of no light."""
SHARED = 0.25
"""Flicker of HR over LR, as a share of LR's, below which both cameras see it: it is the beam's."""
LEAST_SHARED = 0.025
"""Grey units of such flicker; methods cope with less."""


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
    total: int
    """Frames of the camera."""
    black: float
    """Grey value of no light."""


def follow_brightness(lr: Blocks, hr: Blocks, hr_times: Array, *, keep: bool = False) -> Photometries:
    """Gain and offset of each LR and HR frame where brightness flickers or drifts.

    ``hr_times`` (N,) are those of ``hr.frames`` in LR frame numbers. Flicker that both cameras show is
    the beam's; methods cope with a little of it. With ``keep`` results have LR's flicker again.
    """
    if lr.values.shape[1] < FEWEST_PIXELS:
        return Photometries(Photometry(), Photometry(), ())
    at = np.clip(np.searchsorted(lr.frames, np.rint(hr_times)), 0, len(lr.frames) - 1)
    own, beside = _follow_alone(lr), _follow_other(hr, lr.values[at])
    # What drifts is straight in one of them and bends in the other.
    apart = beside, _follow_other(lr._replace(values=lr.values[at]), hr.values)
    shared = min(_about_line(each.level) - 2 * each.error for each in apart) < SHARED * _fast(own.level)
    lr_lines, hr_lines = np.tile(_SAME, (len(lr.frames), 1)), np.tile(_SAME, (len(hr.frames), 1))
    found = []
    size = _fast(own.level) * own.effect
    least, certain = (LEAST_SHARED if shared else LEAST_CHANGE), CERTAIN
    if not shared and _fast(beside.level) > CERTAIN * beside.error:  # one of the cameras flickers for certain
        least, certain = least / 2, certain / 2
    if size > least and _fast(own.level) > certain * own.error:
        lr_lines = own.without_slow().lines
        found.append(_flickers("both cameras" if shared else "LR", size))
    own_lines = lr_lines
    if shared:
        hr_lines = np.stack([np.interp(hr_times, lr.frames, each) for each in lr_lines.T], axis=1)
    beside = _follow_other(
        hr._replace(values=_undone(hr.values, hr_lines)), _undone(lr.values[at], lr_lines[at])
    )
    change, fast = float(beside.level.std()), _fast(beside.level)
    if len(hr.frames) < FEWEST_FRAMES or max(change, fast) < max(
        LEAST_CHANGE / beside.effect, CERTAIN * beside.error
    ):
        pass
    elif beside.drifts:
        lr_lines = _drift(lr, lr_lines, beside.lines, hr_times)
        found.append(_drifts(float(np.ptp(beside.level)) * beside.effect))
    elif not shared:
        hr_lines = beside.without_slow().lines
        found.append(_flickers("HR", fast * beside.effect))
    return Photometries(
        Photometry(lines=_of_all(lr, lr_lines), restored=_of_all(lr, own_lines) if keep else ()),
        Photometry(lines=_of_all(hr, hr_lines)),
        tuple(found),
    )


class _Course(NamedTuple):
    """The brightness of frames."""

    level: Array
    """(N,) grey value that each frame has where it is typically ``middle``, less that."""
    gain: Array
    """(N,) contrast of each frame, 1 where it is typical."""
    middle: float
    strength: float
    """Root mean square of the grey values over that of no light."""
    black: float
    """See ``Blocks``."""
    error: float
    """Standard error of a level."""

    def without_slow(self) -> _Course:
        """What changes from frame to frame; what changes slowly may be the event."""
        return self._replace(
            level=self.level - _slow(self.level), gain=1 + self.gain - _running_median(self.gain)
        )

    @property
    def drifts(self) -> bool:
        """Whether most of the change is slow."""
        return _fast(self.level) < SMOOTH * float(self.level.std())

    @property
    def slope(self) -> float:
        """Relative change of contrast by a change of brightness of 1 grey unit; 0 where brightness is added.

        How gains follow levels tells it, roughly where things move or few frames are known. Where that agrees with what
        is known of no light, it is that of the beam.
        """
        change = self.gain - np.median(self.gain)
        limit = 3 * 1.4826 * float(np.median(np.abs(change))) + 1e-9
        change, square = np.clip(change, -limit, limit), max(float(self.level @ self.level), 1e-12)
        slope = float(change @ self.level) / square
        error = float(np.sqrt(np.mean((change - slope * self.level) ** 2) / square))
        expected = 1 / max(self.middle - self.black, 1e-6)
        if abs(slope - expected) < max(3 * error, AGREES * expected):
            slope = expected
        return slope if slope > LEAST_SLOPE else 0.0

    @property
    def effect(self) -> float:
        """Change of a typical pixel over that of one of ``middle``."""
        return 1 + self.slope * max(self.strength - (self.middle - self.black), 0)

    @property
    def lines(self) -> Array:
        """Gain and offset (N, 2) of each frame by one cause, the beam's intensity."""
        gain = np.maximum(1 + self.slope * self.level, 0.05)
        return np.stack([gain, self.middle + self.level - gain * self.middle], axis=1)


def _follow_alone(blocks: Blocks) -> _Course:
    """From frames alone: by what stays the same in all of them, or by their means where nothing does."""
    values, black = blocks.values, blocks.black
    lines, reference = _own_lines(values)
    middle, strength = float(np.median(reference)), _strength(reference, black)
    error = _disagreement(values, black) * max(middle - black, 0)
    static = _Course(lines @ [middle, 1.0] - middle, lines[:, 0], middle, strength, black, error)
    means, deviations = values.mean(axis=1), values.std(axis=1)
    mean = float(np.median(means))
    gain = deviations / max(float(np.median(deviations)), 1e-12)
    moving = _Course(means - mean, gain, mean, strength, black, error)
    return min((static, moving), key=lambda course: _fast(course.level))  # errors add to what changes


def _follow_other(blocks: Blocks, expected: Array) -> _Course:
    """From frames (N, n) and those of the other camera at the same times."""
    seen = blocks.values
    lines = robust_gains(seen, expected)
    error = _error(seen, expected, lines)
    typical = np.median(lines, axis=0)
    middle = float(np.median(seen))
    gain = lines[:, 0] / typical[0]
    level = gain * (middle - typical[1]) + lines[:, 1] - middle
    return _Course(level, gain, middle, _strength(seen, blocks.black), blocks.black, error)


def _strength(values: Array, black: float) -> float:
    return float(np.sqrt(np.mean((values - black) ** 2)))


def _disagreement(values: Array, black: float) -> float:
    """Standard error of the relative brightness of frames (N, n) by how its changes differ between parts."""
    if len(values) < 3:
        return np.inf
    courses = []
    for part in np.array_split(values, BANDS, axis=1):
        lines, reference = _own_lines(part)
        middle = float(np.median(reference))
        courses.append((lines @ [middle, 1.0] - middle) / max(middle - black, LEAST_LIGHT))
    each = np.stack(courses)
    second = each[:, 1:-1] - (each[:, :-2] + each[:, 2:]) / 2
    return float(np.median((second - np.median(second, axis=0)).std(axis=0)) / np.sqrt(1.5 * BANDS))


def _error(seen: Array, expected: Array, lines: Array) -> float:
    """Typical standard error of the brightness of frames (N, n) by their lines."""
    rest = np.median(np.abs(seen - lines[:, :1] * expected - lines[:, 1:]), axis=1)
    return float(np.median(1.4826 * rest) / np.sqrt(seen.shape[1]))


_SAME = np.array([1.0, 0.0])


def _flickers(name: str, size: float) -> XFusionWarning:
    text = f"the brightness of {name} flickers by {size:.1%} of full scale; it is corrected."
    return XFusionWarning("flicker", text)


def _drifts(size: float) -> XFusionWarning:
    text = f"the brightness of LR drifts against HR by {size:.1%} of full scale; it is corrected."
    return XFusionWarning("drift", text)


def _of_all(blocks: Blocks, lines: Array) -> tuple[tuple[float, float], ...]:
    """Lines of all frames, those that are not usable have the one before; none where nothing changes."""
    if (lines == _SAME).all():
        return ()
    nearest = np.clip(np.searchsorted(blocks.frames, np.arange(blocks.total), side="right") - 1, 0, None)
    return tuple((float(a), float(b)) for a, b in lines[nearest])


def _own_lines(values: Array) -> tuple[Array, Array]:
    """Gain and offset (N, 2) of frames (N, n) against what stays the same in all of them, (n,)."""
    lines = np.tile(_SAME, (len(values), 1))
    chosen = values[np.unique(np.linspace(0, len(values) - 1, min(len(values), 128)).astype(int))]
    every = slice(None, None, max(1, len(values) // 128))
    reference, weights = median(chosen, axis=0), np.ones(values.shape[1])
    for _ in range(3):
        lines = robust_gains(values, reference[None], weights)
        some = _undone(values[every], lines[every])
        reference = median(some, axis=0)
        moved = median(np.abs(some - reference), axis=0)
        weights = 1 / (moved**2 + median(moved) ** 2 / 4 + 1e-12)
    return lines, reference


def _undone(values: Array, lines: Array) -> Array:
    undone: Array = (values - lines[:, 1:]) / lines[:, :1]
    return undone


def _fast(level: Array) -> float:
    """Standard deviation of what changes from each frame to the next, without what changes over more."""
    if len(level) < 3:
        return 0.0
    second = level[1:-1] - (level[:-2] + level[2:]) / 2
    size = np.sqrt(np.mean(second**2)) if len(second) < FEW else 1.4826 * np.median(np.abs(second))
    return float(size / np.sqrt(1.5))


def _about_line(level: Array) -> float:
    """As ``_fast``; of few frames, of which the last ones count little there, their standard deviation about a line."""
    if not 3 <= len(level) < FEW:
        return _fast(level)
    time = np.linspace(-1, 1, len(level))
    rest = level - legendre.legval(time, legendre.legfit(time, level, 1))
    return float(np.sqrt(np.sum(rest**2) / (len(level) - 2)))


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
    medians: Array = scipy.ndimage.median_filter(
        values, 2 * (min(WINDOW, len(values)) // 2) + 1, mode="mirror"
    )
    return medians


def _robust_polynomial(time: Array, values: Array, degree: int) -> Array:
    weight: Array = np.ones_like(values)
    fitted = values
    for _ in range(6):
        coefficients = legendre.legfit(time, values, degree, w=np.sqrt(weight))
        fitted = np.asarray(legendre.legval(time, coefficients), np.float64)
        rest = np.abs(values - fitted)
        weight = huber_weights(rest, weight, 2.0)
    return fitted


def _drift(lr: Blocks, lr_lines: Array, hr_lines: Array, hr_times: Array) -> Array:
    """LR lines with which LR follows HR, ``hr_lines`` being HR over LR at ``hr_times``; linear in between."""
    inverses = 1 / hr_lines[:, 0], -hr_lines[:, 1] / hr_lines[:, 0]
    inverse = np.stack([np.interp(lr.frames, hr_times, each) for each in inverses], axis=1)
    # Seen = flicker(drift(LR as it should be)).
    gain = lr_lines[:, 0] * inverse[:, 0]
    return np.stack([gain, lr_lines[:, 0] * inverse[:, 1] + lr_lines[:, 1]], axis=1)

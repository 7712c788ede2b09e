"""Brightness that changes in time: flicker of each camera, drift of LR against HR.

What moves is not illumination, and both cameras saw the same event. HR is the reference; what is corrected in HR is how
its frames differ from each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from napari_xfusion.core.rig.grey import huber_weights
from napari_xfusion.core.rig.photometry import Array, Photometry, robust_gains
from napari_xfusion.errors import XFusionWarning

LEAST_CHANGE = 0.003
"""Grey units; changes of brightness below it are neither corrected nor reported."""
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
MOVING = 0.7
"""Share of the difference to what stays the same that counts as error where things move."""
LEAST_SLOPE = 0.2
"""Relative change of contrast by a change of brightness of 1 grey unit; with less, brightness is added."""
SHARED = 0.2
"""Flicker of HR over LR, as a share of LR's, below which both cameras see it: it is the beam's."""
LEAST_SHARED = 0.03
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


def follow_brightness(lr: Blocks, hr: Blocks, hr_times: Array, *, keep: bool = False) -> Photometries:
    """Gain and offset of each LR and HR frame where brightness flickers or drifts.

    ``hr_times`` (N,) are those of ``hr.frames`` in LR frame numbers. Flicker that both cameras show is
    the beam's; methods cope with a little of it. With ``keep`` results have LR's flicker again.
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
        found.append(_flickers("LR", flicker))
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
        found.append(_drifts(float(np.ptp(beside.level))))
    else:
        hr_lines = beside.without_slow().lines(dark)
        found.append(_flickers("HR", fast))
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
    static = _Course(lines @ [middle, 1.0] - middle, lines[:, 0], middle, error)
    means, deviations = values.mean(axis=1), values.std(axis=1)
    mean = float(np.median(means))
    gain = deviations / max(float(np.median(deviations)), 1e-12)
    moving = _Course(means - mean, gain, mean, error)
    return min((static, moving), key=lambda course: _fast(course.level))  # errors add to what changes


def _follow_other(seen: Array, expected: Array) -> _Course:
    """From frames (N, n) and those of the other camera at the same times."""
    lines = robust_gains(seen, expected)
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
    reference, weights = np.median(chosen, axis=0), np.ones(values.shape[1])
    for _ in range(3):
        lines = robust_gains(values, reference[None], weights)
        even = _undone(values, lines)
        some = even[:: max(1, len(even) // 128)]
        reference = np.median(some, axis=0)
        moved = np.median(np.abs(some - reference), axis=0)
        weights = 1 / (moved**2 + np.median(moved) ** 2 / 4 + 1e-12)
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
    medians: Array = median_filter(values, 2 * (min(WINDOW, len(values)) // 2) + 1, mode="mirror")
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
    lines = np.stack([np.interp(lr.frames, hr_times, each) for each in hr_lines.T], axis=1)
    inverse = np.stack([1 / lines[:, 0], -lines[:, 1] / lines[:, 0]], axis=1)
    # Seen = flicker(drift(LR as it should be)).
    gain = lr_lines[:, 0] * inverse[:, 0]
    return np.stack([gain, lr_lines[:, 0] * inverse[:, 1] + lr_lines[:, 1]], axis=1)

"""Whether the score would be better with HR times, or LR's place on HR, other than the rig says.

HR frames are left out and fused by ``interpolation``, which costs little and puts LR's coarse structure at the target's
time: where HR times or the placement are wrong, that structure is not where the HR frame has it. The mean square error
against shift is a parabola near its minimum; a time offset is what ``core/rig/misfit.py`` finds.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout.compare import compare
from napari_xfusion.core.holdout.left_out import Gap, LeftOut, spread
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.methods import Fuser, make_fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Rig
from napari_xfusion.core.rig.registration import find_delay
from napari_xfusion.core.rig.timing import CLOSEST

TIMED = 24
"""HR frames that are compared with LR to find a time offset, at most."""
SHIFTS = (-2, -1, 0, 1, 2)
"""HR pixels."""
FRAMES = 6
"""HR frames that are left out for it, at most."""
PLACED = 4
"""The same for shifts, for which every frame is resampled."""
SIGMAS = 3.0
"""Standard errors, from the scatter among these frames, by which a finding must differ from 0."""
LEAST_GAIN = 0.005
"""Share of the mean square error of interpolation, most of which has other reasons, that it must remove."""
ALONE = 0.1
"""The standard error of a place that one HR frame tells."""
TINY = 1e-12
"""Curvature that counts as none."""
LEAST_SHIFT = 0.3
"""HR pixels; what is less is not worth a warning."""
Values = NDArray[np.float64]


class Found(NamedTuple):
    """A change of the rig that lowers the error."""

    late: float = 0.0
    """LR frames by which HR times are too large."""
    down: float = 0.0
    right: float = 0.0
    """HR pixels by which LR lies further down and to the right than the rig says."""
    removed: float = 0.0
    """Mean square error that it removes."""
    share: float = 0.0
    """The same as a share of that of interpolation."""

    def of(self, rig: Rig) -> Rig:
        """``rig`` with this change."""
        return later(rig, -self.late) if self.late else moved(rig, self.down, self.right)


class _Minimum(NamedTuple):
    """Where the error is least; see ``Found``."""

    place: float = 0.0
    removed: float = 0.0
    share: float = 0.0


def find_offset(left: LeftOut, plan: Plan, frames: Sequence[int]) -> Found | None:
    """The time offset or the shift that explains more of the error of HR ``frames``; None where none is significant."""
    plan = plan.model_copy(update={"method": "interpolation", "model": None})
    fuser = make_fuser(plan)

    def errors(rigs: Sequence[Rig], which: Sequence[int]) -> Values:
        return np.array([[error(left, rig, k, plan, fuser) for rig in rigs] for k in which])

    some = [frames[i] for i in spread(len(frames), PLACED)]
    found = (
        _find_late(left.rig, lambda rigs: errors(rigs, frames)),
        _find_shift(left.rig, lambda rigs: errors(rigs, some)),
    )
    best = max(found, key=lambda each: each.share)
    return best if best.share > 0 else None


def _find_late(rig: Rig, errors: Callable[[Sequence[Rig]], Values]) -> Found:
    """The time offset of HR."""
    reader = FrameReader(rig)
    common = [(float(rig.hr_times[k]), reader.binned_hr(k)) for k in rig.common_exposures(TIMED)]
    late = find_delay(common, reader.lr_at, len(rig) - 1)
    if not late:
        return Found()
    now, then = errors([rig, later(rig, -late)]).T
    both = np.isfinite(now) & np.isfinite(then)
    if not both.any():
        return Found()
    removed = float(np.median(now[both] - then[both]))
    return Found(round(late, 3), removed=removed, share=removed / float(np.median(now[both])))


def _find_shift(rig: Rig, errors: Callable[[Sequence[Rig]], Values]) -> Found:
    """Down, right with that, and down again with that."""

    def search(place: Callable[[float], Rig]) -> _Minimum:
        return _minimum(SHIFTS, errors([place(shift) for shift in SHIFTS]), LEAST_SHIFT)

    down = search(lambda shift: moved(rig, shift, 0))
    right = search(lambda shift: moved(rig, down.place, shift))
    if right.place:
        down = search(lambda shift: moved(rig, shift, right.place))
    return Found(0.0, down.place, right.place, down.removed + right.removed, down.share + right.share)


def error(left: LeftOut, rig: Rig, k: int, plan: Plan, fuser: Fuser) -> float:
    """Mean square error of HR frame ``k`` of ``left.rig`` with ``rig``; NaN where it cannot be left out there."""
    exposure = left.rig.exposures[k]
    if exposure not in rig.exposures[1:-1]:
        return float("nan")
    there = LeftOut(left.plan, rig)
    (guess,) = there.guesses(Gap(rig.exposures.index(exposure), 1), plan, fuser, threading.Event())
    return compare(guess, there.hidden).square


def later(rig: Rig, offset: float) -> Rig:
    """``rig`` with HR times so many LR frames later; those outside LR become its first or last frame."""
    cameras = []
    for camera in rig.sharp:
        times = np.clip(rig.fast.clock.frames_of(camera.clock) + offset, 0, len(rig) - 1)
        if (np.diff(times) < CLOSEST).any():  # several outside
            times = rig.fast.clock.frames_of(camera.clock) + offset
        cameras.append(camera.model_copy(update={"clock": rig.fast.clock.at(times)}))
    return rig.replaced(sharp=tuple(cameras))


def moved(rig: Rig, down: float, right: float) -> Rig:
    """``rig`` with LR moved against HR by so many HR pixels."""
    mapping = rig.fast.mapping
    shift = (mapping.shift[0] + down, mapping.shift[1] + right)
    return rig.replaced(fast=rig.fast.model_copy(update={"mapping": _shifted(mapping, shift)}))


def _shifted(mapping: Mapping, shift: tuple[float, float]) -> Mapping:
    if shift == mapping.shift:
        return mapping
    return mapping.model_copy(update={"shift": shift})


def _minimum(places: Sequence[int], errors: Values, least: float) -> _Minimum:
    """Where ``errors`` (frames, places) are least, by the parabolas of the frames; 0 where that is not significant."""
    usable: NDArray[np.bool_] = np.all(np.isfinite(errors), axis=0)
    now = places.index(0)
    if not len(errors) or not usable[now - 1 : now + 2].all():
        return _Minimum()
    places = [place for place, good in zip(places, usable, strict=True) if good]
    errors, now = errors[:, usable], places.index(0)
    relative = errors / errors.mean(
        axis=1, keepdims=True
    )  # a frame in which much changes counts as any other
    best = int(np.clip(relative.mean(axis=0).argmin(), 1, len(places) - 2))
    before, at, after = errors[:, best - 1 : best + 2].T
    slope, curve = (after - before) / 2, before - 2 * at + after
    if (curve <= 0).sum() > len(curve) / 4:
        return _Minimum()
    offsets = np.clip(-slope / np.maximum(curve, TINY), -1, 1)
    offset = float(np.median(offsets))
    removed = float(np.median(errors[:, now] - (at + slope * offset + curve * offset**2 / 2)))
    place, share = places[best] + offset, removed / float(np.median(errors[:, now]))
    if abs(place) < max(least, SIGMAS * _scatter(offsets)) or share < LEAST_GAIN:
        return _Minimum()
    return _Minimum(round(place, 3), removed, share)


def _scatter(offsets: Values) -> float:
    """Standard error of the median of ``offsets`` (N,), from their distances to it."""
    if len(offsets) < 2:
        return ALONE
    spread = 1.4826 * float(np.median(np.abs(offsets - np.median(offsets))))
    return max(1.25 * spread / math.sqrt(len(offsets)), ALONE / len(offsets))

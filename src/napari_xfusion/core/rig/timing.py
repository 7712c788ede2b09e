"""When the HR frames were taken, on the LR clock, and which of them serve a target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import ClockFit
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.plausibility import FORGIVEN, likely_meaning, listing
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import PairingError, UnknownTimesError

Times = NDArray[np.float64]

_NANOSECOND = 1000
"""Picoseconds."""
CLOSEST = 1e-6
"""LR frames between two HR frames at least; closer ones are no different times."""


class _Origin(NamedTuple):
    """Where HR times come from: a file or a setting."""

    subject: str | None
    setting: str | None


def find_hr_times(lr: Stack, hr: Stack, plan: Plan) -> Times:
    """Times of the HR frames in LR frame numbers: those of ``given_hr_times``, moved by the plan's time offsets.

    A time at most FORGIVEN outside the LR sequence becomes that of its first or last frame: steps are rounded, and
    exposures last. By the clock of a rig file further ones stay outside, and are not fused. Raises PairingError as
    ``given_hr_times``, when else a time lies further outside, or when there is an offset and LR's times are unknown.
    """
    given, said_by = _given(lr, hr, plan)
    times = _moved(given, lr, plan)
    if plan.clock is None:
        _check_inside(times, said_by, lr, hr)
    else:
        _check_common(times, lr, hr)
    nearest = np.clip(times, 0, len(lr) - 1)
    inside: Times = np.where(np.abs(times - nearest) <= FORGIVEN, nearest, times)
    if (np.diff(inside) < CLOSEST).any():
        raise _order(times, said_by)
    return inside


def given_hr_times(lr: Stack, hr: Stack, plan: Plan) -> Times:
    """Times of the HR frames in LR frame numbers: the plan's, the rig file's, else the HR file's own; never guessed.

    Raises PairingError when there are fewer than 2 HR frames, when neither says, or when there is not one time for each
    HR frame, in increasing order.
    """
    return _given(lr, hr, plan)[0]


def _given(lr: Stack, hr: Stack, plan: Plan) -> tuple[Times, _Origin]:
    if len(hr) < 2:
        raise PairingError(
            hr.source,
            problem=f"at least 2 HR frames are needed, the sequence has {len(hr)}",
            hint="give the complete HR sequence",
        )
    if plan.hr_times is not None:
        times, said_by = np.asarray(plan.hr_times, dtype=np.float64), _Origin(None, "hr_times")
    elif plan.hr_step is not None:
        times, said_by = (
            plan.hr_start + plan.hr_step * np.arange(len(hr), dtype=np.float64),
            _Origin(None, "hr_step"),
        )
    elif plan.clock is not None:
        times, said_by = times_by_clock(lr, hr, plan.clock), _Origin(None, "rig")
    elif hr.metadata.hr_times is not None:
        times, said_by = np.asarray(hr.metadata.hr_times, dtype=np.float64), _Origin(hr.source, None)
    else:
        raise UnknownTimesError(
            hr.source,
            setting="hr_times",
            problem=f"the file does not hold the times of the HR frames{_hint(lr, hr)}",
            hint=f"give {{hr_step}} (and {{hr_start}}), or {{hr_times}}{_by_trigger(lr, hr)}",
        )
    _check_order(times, said_by, hr)
    return times, said_by


def times_by_clock(lr: Stack, hr: Stack, fit: ClockFit) -> Times:
    """Times (N,) in LR frame numbers at which LR shows what the HR frames show: the centres of the exposures."""
    ticks = fit.hr_interval_ns * np.arange(len(hr), dtype=np.float64)
    if hr.clock.known:
        ticks = hr.clock.since_start.astype(np.float64) / _NANOSECOND
    later = centre_ns(lr, fit.exposure_ns, fit.lr_interval_ns)
    times: Times = fit.offset_ns + ticks / fit.rate + later
    if not lr.clock.known:
        return times / fit.lr_interval_ns
    ps = tuple(lr.clock.times_ps[0] + round(t * _NANOSECOND) for t in times.tolist())
    return lr.clock.frames_of(Clock(times_ps=ps))


def centre_ns(lr: Stack, exposure_ns: float | None, lr_interval_ns: float) -> float:
    """Nanoseconds by which the centre of an HR exposure follows that of an LR exposure that begins with it.

    An LR frame is exposed until the next one begins, where its recording does not say otherwise. Where the exposure of
    HR is unknown, the starts of the frames are compared: 0.
    """
    if exposure_ns is None:
        return 0.0
    own = lr.metadata.camera.exposure_ns
    return (exposure_ns - (lr_interval_ns if own is None else min(own, lr_interval_ns))) / 2


def _check_common(times: Times, lr: Stack, hr: Stack) -> None:
    """Raise PairingError where fewer than two HR frames were taken during the LR recording."""
    inside = (times >= -FORGIVEN) & (times <= len(lr) - 1 + FORGIVEN)
    if inside.sum() < 2:
        raise PairingError(
            hr.source,
            setting="rig",
            expected=f"at least 2 HR frames during the LR recording, LR frames 0 to {len(lr) - 1}",
            found=f"{inside.sum()}; by the clock of the rig file they were taken at LR frames {listing(times)}",
            hint="synchronise the recordings again, or give {hr_times}",
        )


def _moved(times: Times, lr: Stack, plan: Plan) -> Times:
    """HR times when the offset between the cameras is added, by the times of the LR frames."""
    offset = round((plan.hr_time_offset - plan.lr_time_offset) * _NANOSECOND)
    if offset == 0:
        return times
    if lr.clock.interval is None:
        raise PairingError(
            lr.source,
            setting="hr_time_offset" if plan.hr_time_offset else "lr_time_offset",
            problem="the times of its frames are unknown, and an offset in nanoseconds has no meaning",
            hint="omit it, and add the offset to {hr_start} or {hr_times} in LR frames",
        )
    taken = lr.clock.at(times)
    moved = tuple(t + offset for t in taken.times_ps)
    return lr.clock.frames_of(taken.model_copy(update={"times_ps": moved}))


def neighbours(hr_times: Times, target: float) -> tuple[int, int]:
    """Numbers of the last HR frame at or before ``target`` and the first after it.

    Outside the HR sequence its first or last frame serves as both.
    """
    after = int(np.searchsorted(hr_times, target, side="right"))
    return max(after - 1, 0), min(after, len(hr_times) - 1)


def seen_targets(hr_times: Times, count: int) -> NDArray[np.bool_]:
    """Which of ``count`` targets were seen, (count,): an HR frame was given closest to their time."""
    seen = np.zeros(count, dtype=bool)
    seen[np.rint(hr_times).astype(int)] = True
    return seen


def _check_order(times: Times, said_by: _Origin, hr: Stack) -> None:
    if len(times) != len(hr):
        raise PairingError(
            said_by.subject,
            setting=said_by.setting,
            expected=f"{len(hr)} times, one for each HR frame of {hr.source}",
            found=str(len(times)),
            hint="give one time for each HR frame",
        )
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise _order(times, said_by)


def _check_inside(times: Times, said_by: _Origin, lr: Stack, hr: Stack) -> None:
    outside = np.flatnonzero((times < -FORGIVEN) | (times > len(lr) - 1 + FORGIVEN))
    if len(outside):
        k, meaning = int(outside[0]), likely_meaning(times, lr)
        check = "Check {hr_step} and {hr_start}, or give {hr_times}, one time for each HR frame"
        raise PairingError(
            said_by.subject,
            setting=said_by.setting,
            expected=f"HR times inside the LR sequence, 0 to {len(lr) - 1}",
            found=f"HR frame {k} at LR frame {times[k]:.6g} ({len(lr)} LR and {len(hr)} HR frames)",
            hint=f"{meaning} {check}".strip(),
        )


def _order(times: Times, said_by: _Origin) -> PairingError:
    return PairingError(
        said_by.subject,
        setting=said_by.setting,
        expected=f"finite HR times that increase, by {CLOSEST:g} LR frames at least",
        found=listing(times),
        hint="list them in increasing order, each once",
    )


def _by_trigger(lr: Stack, hr: Stack) -> str:
    """Where HR frames are if one trigger started both cameras, of which both recordings count their times."""
    if not (lr.metadata.camera.from_trigger and hr.metadata.camera.from_trigger and lr.clock.interval):
        return ""
    first, *_, last = lr.clock.frames_of(hr.clock).tolist()
    return (
        f". If one trigger started both cameras, synchronise them with trigger as the source: that puts the HR frames "
        f"at LR frames {first:.4g} to {last:.4g}"
    )


def _hint(lr: Stack, hr: Stack) -> str:
    """The ratio of the frame intervals, where both files know theirs; the start stays unknown."""
    if lr.clock.interval is None or hr.clock.interval is None:
        return ""
    return f" (the frame intervals suggest a step of {hr.clock.interval / lr.clock.interval:.4g})"

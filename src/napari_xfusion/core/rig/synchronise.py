"""The clock of the HR camera on that of LR: from time stamps, a trigger, or what both recordings show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration, CameraFacts, ClockFit
from napari_xfusion.core.mapping import Mapping, fit_mapping
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.common_view import Views, common_views
from napari_xfusion.core.rig.content_clock import (
    DRIFT,
    FEWEST,
    LARGEST_SIGMA,
    Fit,
    Reason,
    Refused,
    find_clock,
)
from napari_xfusion.core.rig.registration import DELAYS
from napari_xfusion.core.rig.scan import too_long
from napari_xfusion.core.rig.timing import centre_ns, given_hr_times, times_by_clock
from napari_xfusion.core.types import Progress, Stack
from napari_xfusion.errors import ClockError, PairingError, UnknownTimesError, XFusionWarning

Source = Literal["auto", "stamps", "trigger", "content", "brightness"]
SOURCES: tuple[Source, ...] = ("auto", "stamps", "trigger", "content", "brightness")

PRECISE = 0.05
"""LR frames; times from stamps or a trigger that are as certain as this are not refined."""
FLICKERING = 16
"""HR frames whose brightness tells the time, at least."""
FLICKER_EVIDENCE = 6.0
"""Standard errors of its correlation; chance reaches 4 at the best of all offsets."""
REGULAR = 0.01
"""LR frames by which stated HR times may differ from regular ones."""
FLICKER_SIGMA = 0.05
"""LR frames; of an offset from brightness, in addition to that from scatter, as flicker is quicker than frames."""
_SECOND = 1e9
"""Nanoseconds."""
_NANOSECOND = 1000.0
"""Picoseconds."""


def synchronise(
    lr: Stack,
    hr: Stack,
    calibration: Calibration | None = None,
    *,
    source: Source = "auto",
    hr_step: float | None = None,
    exposure_ns: float | None = None,
    lr_time_offset: float = 0.0,
    hr_time_offset: float = 0.0,
    progress: Progress = lambda _done, _total: None,
) -> ClockFit:
    """Fit the clock of HR on that of LR.

    ``auto`` takes time stamps where the recordings prove one time base, else ``content`` (what changes in front of both
    cameras), else the ``brightness`` of the frames. ``stamps`` and ``trigger`` state that both recordings count from
    one origin; the content then decides inside their uncertainty where it can.

    ``calibration`` places LR on HR; without it both show one field. ``hr_step`` is the interval of HR in LR frames
    where the recordings do not tell it, ``exposure_ns`` the exposure of HR. The time offsets (nanoseconds) are added to
    the stamps of a camera, for delays and the like. All frames are read unless stamps are certain enough; ``progress``
    gets how many are done, and of how many.

    Raises ClockError where the clock cannot be told (``reason`` says why), UnknownTimesError where the HR interval is
    unknown, PairingError where frames or settings do not fit.
    """
    pair = _Pair(lr, hr, calibration, hr_step, exposure_ns)
    later = hr_time_offset - lr_time_offset
    stated = {"auto": _proven, "stamps": _stamped, "trigger": _by_trigger}.get(source)
    base = None if stated is None else stated(pair, later)
    if base is None and source in ("stamps", "trigger"):
        raise _no_origin(pair, source)
    if base is not None and base.uncertainty_ns <= PRECISE * pair.lr_interval and not pair.may_drift:
        return base
    try:
        return _by_content(pair, source, base, progress)
    except Refused as refused:
        if base is not None:
            return base
        raise _refusal(pair, refused) from refused


def suggest(lr: Stack, hr: Stack) -> ClockFit | None:
    """What stamps or a trigger give if both recordings count from one origin, which they do not prove."""
    pair = _Pair(lr, hr, None, None, None)
    return _by_trigger(pair, 0.0) or _by_stamps(pair, 0.0)


def with_clock(lr: Stack, hr: Stack, calibration: Calibration | None, fit: ClockFit) -> Calibration:
    """The rig file with this clock; without ``calibration`` both recordings show one field."""
    if calibration is not None:
        return calibration.model_copy(update={"clock": fit})
    mapping = fit_mapping(lr.shape[1:], hr.shape[1:])
    facts = [CameraFacts.of(stack) for stack in (lr, hr)]
    return Calibration(lr=facts[0], hr=facts[1], mapping=mapping, clock=fit, way="manual")


def delay_warning(lr: Stack, hr: Stack, plan: Plan) -> XFusionWarning | None:
    """A warning where the content tells that the plan's HR times are off by more than pairing looks for.

    Reads all frames. None where the content tells nothing, and where the recordings are too long to be compared.
    """
    times = given_hr_times(lr, hr, plan)
    if any(map(too_long, (lr, hr))):
        return None
    mapping = (
        fit_mapping(lr.shape[1:], hr.shape[1:]) if plan.calibration is None else plan.calibration.mapping
    )
    frames = np.arange(len(lr), dtype=np.float64)
    views, _ = common_views(lr, hr, mapping, (frames, times - times[0]), exposure=0.0)
    try:
        late = float(times[0]) - find_clock(views).start
    except Refused:
        return None
    if abs(late) <= DELAYS[-1]:
        return None
    text = (
        f"HR times look {abs(late):.1f} LR frames too {'late' if late > 0 else 'early'}: HR agrees with LR where HR "
        f"frame 0 is at LR frame {times[0] - late:.1f}. Check {{hr_start}} or {{hr_times}}."
    )
    return XFusionWarning("delayed", text)


@dataclass(frozen=True)
class _Pair:
    """Two recordings and what is stated about them."""

    lr: Stack
    hr: Stack
    calibration: Calibration | None
    hr_step: float | None
    stated_exposure: float | None

    def __post_init__(self) -> None:
        if self.calibration is not None:
            self.calibration.check_fits(self.lr.shape[1:], self.hr.shape[1:])
        if self.hr_step is not None and not (np.isfinite(self.hr_step) and self.hr_step > 0):
            raise PairingError(
                setting="hr_step",
                expected="a number of LR frames above 0",
                found=f"{self.hr_step:g}",
                hint="give the LR frames from one HR frame to the next",
            )
        if self.stated_exposure is not None and self._lr_interval is None:
            raise PairingError(
                setting="exposure_ns",
                problem="the frame interval of LR is unknown, and an exposure in nanoseconds has no meaning",
                hint="omit it",
            )
        if self.stated_exposure is not None and not 0 <= self.stated_exposure <= 1.001 * self.hr_interval:
            raise PairingError(
                setting="exposure_ns",
                expected=f"0 to {self.hr_interval:.6g} ns, the interval of HR",
                found=f"{self.stated_exposure:g}",
                hint="give the exposure of one HR frame in nanoseconds",
            )

    @property
    def timed(self) -> bool:
        """Whether both recordings know their frame intervals."""
        return self.lr.clock.interval is not None and self.hr.clock.interval is not None

    @property
    def lr_interval(self) -> float:
        """Nanoseconds; a frame counts as a second where nothing tells."""
        return _SECOND if self._lr_interval is None else self._lr_interval

    @property
    def _lr_interval(self) -> float | None:
        if self.lr.clock.interval is not None:
            return self.lr.clock.interval * _SECOND
        if self.hr.clock.interval is not None and self.hr_step is not None:
            return self.hr.clock.interval * _SECOND / self.hr_step
        return None

    @property
    def hr_interval(self) -> float:
        """Nanoseconds by the clock of HR."""
        if self.hr.clock.interval is not None:
            return self.hr.clock.interval * _SECOND
        return float(np.diff(self.since).mean()) * self.lr_interval if len(self.hr) > 1 else _SECOND

    @property
    def exposure(self) -> float | None:
        """Nanoseconds of an HR frame; unknown where the time of an LR frame is."""
        own = self.hr.metadata.camera.exposure_ns
        if self.stated_exposure is not None:
            return self.stated_exposure
        return None if own is None or self._lr_interval is None else min(float(own), self.hr_interval)

    @property
    def since(self) -> NDArray[np.float64]:
        """(N,) time of the HR frames since the first, in LR intervals. Raises UnknownTimesError."""
        given = self.hr.metadata.hr_times
        if self.hr_step is not None:
            ticks = self.hr.clock.since_start if self.hr.clock.known else np.arange(len(self.hr))
            return np.asarray(ticks * (self.hr_step / max(float(np.diff(ticks).mean()), 1e-30)), np.float64)
        if self.timed:
            return np.asarray(self.hr.clock.since_start / _NANOSECOND / self.lr_interval, np.float64)
        if given is not None and len(given) == len(self.hr):
            return np.asarray(given, np.float64) - given[0]
        raise UnknownTimesError(
            self.hr.source,
            setting="hr_step",
            problem="the recordings do not tell the frame intervals of both cameras",
            hint="give {hr_step}, the LR frames from one HR frame to the next",
        )

    @property
    def when(self) -> NDArray[np.float64]:
        """(T,) time of the LR frames since the first, in LR intervals."""
        if not self.lr.clock.known:
            return np.arange(len(self.lr), dtype=np.float64)
        return np.asarray(self.lr.clock.since_start / _NANOSECOND / self.lr_interval, np.float64)

    @property
    def mapping(self) -> Mapping:
        """LR pixels to HR pixels."""
        if self.calibration is not None:
            return self.calibration.mapping
        return fit_mapping(self.lr.shape[1:], self.hr.shape[1:])

    def fit(self, offset: float, sigma: float, rate: float, source: Any) -> ClockFit:
        """The fit of an offset between the starts of the first frames, nanoseconds."""
        return ClockFit(
            offset_ns=offset,
            rate=rate,
            uncertainty_ns=sigma,
            lr_interval_ns=self.lr_interval,
            hr_interval_ns=self.hr_interval,
            exposure_ns=self.exposure,
            source=source,
        )

    @property
    def may_drift(self) -> bool:
        """Whether the clocks may run apart by more than what is precise while both record."""
        lr, hr = (stack.metadata for stack in (self.lr, self.hr))
        one_clock = hr.hr_times is not None or (lr.camera.locked and hr.camera.locked)
        return not one_clock and DRIFT * min(self.when[-1], self.since[-1]) > PRECISE

    @property
    def stamp_error(self) -> float:
        """Standard deviation of stamps that may be any moment of the exposures, nanoseconds."""
        lengths = [
            min(own or interval, interval)
            for own, interval in (
                (self.lr.metadata.camera.exposure_ns, self.lr_interval),
                (self.exposure, self.hr_interval),
            )
        ]
        return float(np.linalg.norm(lengths) / np.sqrt(12))


def _proven(pair: _Pair, later: float) -> ClockFit | None:
    """The clock where the recordings themselves have one time base: LR frame numbers, or an external time code."""
    given = pair.hr.metadata.hr_times
    if given is not None and len(given) == len(pair.hr) > 1 and pair.hr_step is None:
        return _by_frame_numbers(pair, np.asarray(given, np.float64), later)
    locked = pair.lr.metadata.camera.locked and pair.hr.metadata.camera.locked
    return _by_stamps(pair, later) if locked else None


def _stamped(pair: _Pair, later: float) -> ClockFit | None:
    return _proven(pair, later) or _by_stamps(pair, later)


def _by_frame_numbers(pair: _Pair, times: NDArray[np.float64], later: float) -> ClockFit | None:
    """From HR times in LR frame numbers, where a clock can have made them."""
    interval = pair.lr_interval
    ticks = (
        pair.hr.clock.since_start / _NANOSECOND / interval if pair.hr.clock.known else np.arange(len(times))
    )
    slope, start = np.polyfit(ticks, times, 1)
    if slope <= 0 or np.abs(times - slope * ticks - start).max() > REGULAR:
        return None
    offset = float(start) * interval - centre_ns(pair.lr, pair.exposure, interval) + later
    return pair.fit(offset, 0.0, 1 / float(slope) if pair.hr.clock.known else 1.0, "stamps")


def _by_stamps(pair: _Pair, later: float) -> ClockFit | None:
    """From the time of the first frames since 1970."""
    first = [stack.metadata.camera.started for stack in (pair.lr, pair.hr)]
    if first[0] is None or first[1] is None or not pair.timed:
        return None
    return pair.fit((first[1] - first[0]) / _NANOSECOND + later, pair.stamp_error, 1.0, "stamps")


def _by_trigger(pair: _Pair, later: float) -> ClockFit | None:
    """From times since a trigger, or from the HR frame at which a signal of LR, which starts LR, reaches HR's input."""
    if not pair.timed:
        return None
    lr, hr = pair.lr.metadata.camera, pair.hr.metadata.camera
    if lr.from_trigger and hr.from_trigger:
        offset = (pair.hr.clock.times_ps[0] - pair.lr.clock.times_ps[0]) / _NANOSECOND
        return pair.fit(offset + later, pair.stamp_error, 1.0, "trigger")
    if not hr.events:
        return None
    # The input is looked at once a frame: the signal came during the interval before.
    event = int(pair.hr.clock.since_start[hr.events[0]]) / _NANOSECOND - pair.hr_interval / 2
    sigma = float(np.hypot(pair.hr_interval / np.sqrt(12), pair.stamp_error))
    return pair.fit(later - event, sigma, 1.0, "trigger")


def _by_content(pair: _Pair, source: Source, base: ClockFit | None, progress: Progress) -> ClockFit:
    """From what changes in front of both cameras, inside the uncertainty of ``base``; raises Refused."""
    for stack in (pair.lr, pair.hr):
        if too_long(stack):
            raise PairingError(
                stack.source,
                problem="the recording is too long to be compared frame by frame",
                hint="convert the part of both recordings that shows the event, and synchronise that",
            )
    since = pair.since
    if len(since) < FEWEST:
        raise Refused("few", frames=len(since))
    bounds, later = None, centre_ns(pair.lr, pair.exposure, pair.lr_interval)
    if base is not None:
        centre = (base.offset_ns + later) / pair.lr_interval
        reach = 2 * base.uncertainty_ns / pair.lr_interval + 1
        bounds = (centre - reach, centre + reach)
    exposure = (pair.exposure or 0.0) / pair.lr_interval
    views, brightness = common_views(
        pair.lr, pair.hr, pair.mapping, (pair.when, since), exposure=exposure, progress=progress
    )
    found, told = _first(views, brightness, source, bounds)
    if bounds is not None and not bounds[0] <= found.start <= bounds[1]:
        raise Refused("ambiguous", found.start, (bounds[0] + bounds[1]) / 2, found.frames)
    offset = found.start * pair.lr_interval - later
    return pair.fit(offset, found.sigma * pair.lr_interval, _rate(pair, found.stretch), told)


def _first(
    views: Views, brightness: Views, source: Source, bounds: tuple[float, float] | None
) -> tuple[Fit, Literal["content", "brightness"]]:
    """The fit of the content, or of the brightness where that alone tells, or alone is asked for."""
    if source == "brightness":
        return _flicker(brightness, bounds), "brightness"
    try:
        return find_clock(views, bounds), "content"
    except Refused as refused:
        if source == "content":
            raise
        try:
            return _flicker(brightness, bounds), "brightness"
        except Refused:
            raise refused from None


def _flicker(brightness: Views, bounds: tuple[float, float] | None) -> Fit:
    found = find_clock(brightness, bounds, FLICKER_EVIDENCE)
    if found.frames < FLICKERING:
        raise Refused("few", found.start, frames=found.frames)
    return found._replace(sigma=float(np.hypot(found.sigma, FLICKER_SIGMA)))


def _rate(pair: _Pair, stretch: float) -> float:
    """Seconds of the HR clock per second of the LR clock."""
    if pair.hr_step is None:
        return 1 / stretch
    return pair.hr_interval / (pair.hr_step * pair.lr_interval * stretch)


def _no_origin(pair: _Pair, source: str) -> ClockError:
    needs = {
        "stamps": "the date and time of the first frame and the frame interval of both recordings",
        "trigger": "times since the trigger in both recordings, or HR frames with a signal at the event input",
    }
    names = f"{pair.lr.source} and {pair.hr.source}"
    return ClockError(
        setting="source",
        problem=f"{source} needs {needs[source]}, which {names} do not hold",
        hint="set {source} to content",
    )


_HINTS: dict[Reason, str] = {
    "few": "record LR longer, or give {hr_start} and {hr_step}",
    "static": "synchronise a recording in which something moves, or give {hr_start} and {hr_step}",
    "ambiguous": "synchronise a recording in which the motion does not repeat, or give {hr_start} and {hr_step}",
    "uncertain": "synchronise a recording with quicker motion or more HR frames, or give {hr_start} and {hr_step}",
}


def _refusal(pair: _Pair, refused: Refused) -> ClockError:
    """The error that says why the content does not tell the clock, and what stamps or a trigger would."""
    at, other = f"{refused.best:.2f}", f"{refused.other:.2f}"
    problem = {
        "few": f"{refused.frames} HR frames lie inside the LR recording, and at least {FEWEST} are needed",
        "static": "nothing that changes in one recording changes in the other, beyond their noise",
        "ambiguous": f"HR agrees with LR as well with its first frame at LR frame {at} as at {other}",
        "uncertain": f"HR agrees best with its first frame at LR frame {at}, but the standard deviation of that is "
        f"{other} LR frames, more than {LARGEST_SIGMA:g}",
    }[refused.reason]
    hint, possible = _HINTS[refused.reason], suggest(pair.lr, pair.hr)
    if possible is not None:
        start = float(times_by_clock(pair.lr, pair.hr, possible)[0])
        hint += (
            f". If both cameras count from one origin, set {{source}} to {possible.source}: "
            f"that gives LR frame {start:.2f} for HR frame 0"
        )
    error = ClockError("LR and HR", problem=problem, hint=hint)
    error.reason = refused.reason
    return error

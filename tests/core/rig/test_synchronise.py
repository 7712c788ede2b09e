"""The clock of HR on that of LR: found with an error bar that holds, or refused with the reason."""

from dataclasses import replace

import numpy as np
import pytest

from napari_xfusion.core.calibration import Calibration, CameraFacts, ClockFit
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig.synchronise import suggest, synchronise
from napari_xfusion.core.rig.timing import find_hr_times, times_by_clock
from napari_xfusion.core.types import CameraFacts as Facts
from napari_xfusion.core.types import Metadata
from napari_xfusion.errors import ClockError, PairingError, UnknownTimesError
from tests.sequences import stack
from tests.two_clocks import INTERVAL, SHAPE, cameras, flickering, static, swinging

CASES = {
    "a fraction of a frame": {},
    "HR began before LR": {"start": -20.4},
    "HR ends after LR": {"start": 45.7},
    "a fractional step": {"step": 6.37},
    "exposures of 5 frames": {"exposure": 5.0},
    "noise": {"psnr": 25, "count": 16, "step": 5.0},
    "a long interval": {"step": 15.0, "count": 6},
    "brightness": {"scene": flickering, "step": 4.0, "count": 22},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_offset_is_found_within_its_error_bar(case):
    lr, hr = cameras(**case)
    found = synchronise(lr, hr, exposure_ns=1000 * case.get("exposure", 0.0))
    error = times_by_clock(lr, hr, found)[0] - case.get("start", 10.3)
    assert abs(error) < max(3 * found.uncertainty_ns / 1000, 0.02)
    assert found.uncertainty_ns < 200
    assert found.source == ("brightness" if case.get("scene") is flickering else "content")
    assert found.rate == 1


REFUSED = {
    "periodic": ({"scene": swinging, "step": 3.0, "count": 10}, "ambiguous"),
    "static": ({"scene": static}, "static"),
    "few": ({"count": 3}, "few"),
    "few inside LR": ({"step": 40.0, "count": 9}, "few"),
    "unlike": ({"psnr": -10}, "static"),
}


@pytest.mark.parametrize(("case", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_the_content_does_not_tell_is_refused(case, reason):
    with pytest.raises(ClockError) as refused:
        synchronise(*cameras(**case))
    assert refused.value.reason == reason


@pytest.mark.parametrize("source", ["auto", "stamps"])
def test_the_drift_of_two_free_running_clocks_is_found(source):
    """Their stamps give the frame intervals of each, and 1 ns of exposure alone would make the stamps precise."""
    first = 10**18
    lr, hr = cameras(frames=900, step=15.0, count=58, drift=1 + 5e-4)
    lr = timed(lr, started=first, locked=False, exposure_ns=1)
    hr = timed(hr, started=first + 10_300_000, locked=False, exposure_ns=1)
    found = synchronise(lr, hr, source=source)
    assert found.source == "content"
    assert found.rate == pytest.approx(1 + 5e-4, abs=1.5e-4)
    assert times_by_clock(lr, hr, found)[[0, -1]] == pytest.approx(
        10.3 + 15 / (1 + 5e-4) * np.array([0, 57]), abs=0.15
    )


def test_the_mapping_of_a_calibration_is_used():
    """HR is mirrored, which the calibration knows."""
    lr, hr = cameras()
    mirrored = stack(np.stack([hr.frame(k)[:, ::-1] for k in range(len(hr))]), "HR", 7 * INTERVAL)
    mapping = Mapping(linear=((4.0, 0.0), (0.0, -4.0)), shift=(1.5, SHAPE[1] - 2.5))
    calibration = Calibration(lr=CameraFacts.of(lr), hr=CameraFacts.of(hr), mapping=mapping, way="manual")
    found = synchronise(lr, mirrored, calibration)
    assert times_by_clock(lr, mirrored, found)[0] == pytest.approx(10.3, abs=0.05)
    with pytest.raises(PairingError):
        synchronise(hr, hr, calibration)


def test_a_step_stands_for_unknown_intervals():
    lr, hr = (replace(each, clock=Clock.regular(len(each))) for each in cameras())
    with pytest.raises(UnknownTimesError) as unknown:
        synchronise(lr, hr)
    assert unknown.value.setting == "hr_step"
    found = synchronise(lr, hr, hr_step=7)
    assert times_by_clock(lr, hr, found)[:2] == pytest.approx([10.3, 17.3], abs=0.05)


def test_a_step_corrects_a_wrong_frame_rate():
    lr, hr = cameras()
    wrong = replace(hr, clock=Clock.regular(len(hr), 0.7 * INTERVAL))
    found = synchronise(lr, wrong, hr_step=7)
    assert times_by_clock(lr, wrong, found)[:2] == pytest.approx([10.3, 17.3], abs=0.05)


def timed(each, first=0, **facts):
    """With frame times from ``first`` (nanoseconds) on, and what the camera says."""
    times = tuple(t + 1000 * first for t in each.clock.times_ps)
    clock = Clock(times_ps=times, source="stamps")
    return replace(each, clock=clock, metadata=Metadata(camera=Facts(**facts)))


def test_stamps_of_one_time_base_are_used_and_refined():
    """LR is exposed for 0.6 µs and HR for 2 µs; stamps tell the time to their exposures, and the content better."""
    lr, hr = cameras(exposure=2.0)
    first = 10**18
    lr = timed(lr, started=first, locked=True, exposure_ns=600)
    hr = timed(hr, started=first + 9_300_000, locked=True, exposure_ns=2000)
    found = synchronise(lr, hr)
    assert found.source == "content"
    assert times_by_clock(lr, hr, found)[0] == pytest.approx(10.3, abs=0.05)
    assert found.offset_ns == pytest.approx(9600, abs=50)
    blank = [
        replace(each, read=lambda _, shape=each.shape[1:]: np.zeros(shape, np.float32)) for each in (lr, hr)
    ]
    stamped = synchronise(*blank)
    assert (stamped.source, stamped.offset_ns) == ("stamps", 9300)
    assert stamped.uncertainty_ns == pytest.approx(np.hypot(600, 2000) / np.sqrt(12))


def test_a_trigger_tells_which_repetition_it_was():
    lr, hr = cameras(swinging, step=3.0, count=10)
    lr, hr = timed(lr, -5000, from_trigger=True), timed(hr, 6000, from_trigger=True)
    with pytest.raises(ClockError) as refused:
        synchronise(lr, hr)
    assert refused.value.reason == "ambiguous"
    assert "{source}" in refused.value.hint
    assert suggest(lr, hr).offset_ns == 11_000
    found = synchronise(lr, hr, source="trigger")
    assert (found.source, found.offset_ns) == ("content", pytest.approx(10_300, abs=100))
    with pytest.raises(UnknownTimesError) as unknown:  # a common trigger is not assumed, but named
        find_hr_times(lr, hr, make_plan())
    assert "at LR frames 11 to 38" in unknown.value.hint
    later = synchronise(lr, hr, source="trigger", hr_time_offset=16_000)
    assert later.offset_ns == pytest.approx(26_300, abs=100)


def test_an_event_in_hr_is_the_start_of_lr():
    lr, hr = cameras(static)
    lr, hr = timed(lr, exposure_ns=100), timed(hr, events=(2,), exposure_ns=100)
    found = synchronise(lr, hr, source="trigger")
    assert (found.source, found.offset_ns) == ("trigger", -2 * 7000 + 3500)
    assert found.uncertainty_ns == pytest.approx(7000 / np.sqrt(12), rel=0.01)


def test_hr_times_of_the_file_are_a_clock():
    lr, hr = cameras(frames=5)
    hr = replace(hr, metadata=Metadata(hr_times=tuple(3.5 + 7 * k for k in range(len(hr)))))
    found = synchronise(lr, hr)
    assert found == synchronise(lr, hr, source="stamps")
    assert (found.source, found.uncertainty_ns) == ("stamps", 0)
    assert times_by_clock(lr, hr, found) == pytest.approx(hr.metadata.hr_times)


@pytest.mark.parametrize("source", ["stamps", "trigger"])
def test_what_recordings_do_not_hold_is_named(source):
    with pytest.raises(ClockError) as missing:
        synchronise(*cameras(frames=5, count=2), source=source)
    assert missing.value.setting == "source"


@pytest.mark.parametrize(("setting", "value"), [("hr_step", 0), ("exposure_ns", -1), ("exposure_ns", 8000)])
def test_impossible_settings_are_refused(setting, value):
    with pytest.raises(PairingError) as refused:
        synchronise(*cameras(frames=5, count=2), **{setting: value})
    assert refused.value.setting == setting


def test_the_exposure_of_lr_counts_in_times():
    """The centres of the exposures are compared: 10 µs later, half of 4 µs minus half of 1 µs."""
    lr, hr = cameras(frames=5, count=2)
    fit = ClockFit(
        offset_ns=10_000,
        uncertainty_ns=0,
        lr_interval_ns=1000,
        hr_interval_ns=7000,
        exposure_ns=4000,
        source="manual",
    )
    assert times_by_clock(lr, hr, fit)[0] == pytest.approx(11.5)
    assert times_by_clock(timed(lr, exposure_ns=200), hr, fit)[0] == pytest.approx(11.9)

"""What is known of a recording, as plain values: the content of ``napari-xfusion info``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import Names, render

_UNEVEN = 0.1
"""Part of the median interval by which one may differ before times count as irregular."""
_NANO = 1000
"""Picoseconds."""


def facts_of(stack: Stack, name: Names = str) -> dict[str, Any]:
    """JSON values: format, frames, height, width, dtype, bits, camera, serial, exposure_ns, corrected, sensor_region,
    times, warnings.

    None where the file says nothing; ``name`` is what warnings call a setting.
    """
    camera = stack.metadata.camera
    return {
        "format": getattr(stack.recording, "reader", None),
        "frames": len(stack),
        "height": stack.shape[1],
        "width": stack.shape[2],
        "dtype": stack.dtype.name,
        "bits": camera.bits,
        "camera": camera.name,
        "serial": camera.serial,
        "exposure_ns": camera.exposure_ns,
        "corrected": stack.metadata.corrected or camera.corrected or None,
        "sensor_region": None if camera.region is None else str(camera.region),
        "times": times_of(stack.clock),
        "warnings": [render(warning, name) for warning in stack.metadata.warnings],
    }


def more_of(stack: Stack) -> dict[str, Any]:
    """The remaining facts by the words of a report; None where the file says nothing."""
    camera = stack.metadata.camera
    return {
        "black level": camera.black,
        "white level": camera.white,
        "pixel size": None if stack.pixel_size is None else f"{stack.pixel_size:g} µm",
        "sensor pitch": None if camera.pitch is None else f"{camera.pitch:g} µm",
        "first number": camera.first_number,
        "first frame at": None if camera.started is None else _date(camera.started),
        "events": ", ".join(map(str, camera.events)) or None,
        "IRIG": None if camera.locked is None else "locked" if camera.locked else "not locked",
        "times from": camera.timing or None,
    }


def _date(picoseconds: int) -> str | None:
    """Date and time of picoseconds since 1970, to the microsecond; None where no calendar has it."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=picoseconds // 10**6)
    except OverflowError:
        return None
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def times_of(clock: Clock) -> dict[str, Any]:
    """Source, first, last and median interval of a clock, the standard deviation of the intervals, all in nanoseconds,
    and whether any interval differs from the median by more than a tenth; None where times are unknown.
    """
    if not clock.known:
        return {
            "source": clock.source,
            **dict.fromkeys(("first_ns", "last_ns", "median_interval_ns", "jitter_ns", "irregular")),
        }
    steps = np.diff(clock.since_start)
    median = float(np.median(steps)) if len(steps) else None
    return {
        "source": clock.source,
        "first_ns": round(clock.times_ps[0] / _NANO),
        "last_ns": round(clock.times_ps[-1] / _NANO),
        "median_interval_ns": None if median is None else round(median / _NANO),
        "jitter_ns": None if median is None else round(float(np.std(steps)) / _NANO, 3),
        "irregular": None if median is None else bool((np.abs(steps - median) > _UNEVEN * median).any()),
    }

"""Shimadzu HPV-X: the .ini file that the camera's program writes with frames exported as TIFF.

Its fields are those of the camera's manual and of programs that read them; no file of a camera was available.
"""

from __future__ import annotations

import re
from configparser import ConfigParser, Error
from decimal import Decimal
from itertools import count as numbers
from pathlib import Path

from napari_xfusion.core.clock import PICOSECONDS, Clock
from napari_xfusion.core.recordings.sidecar import Sidecar, check_count
from napari_xfusion.core.recordings.source import damaged
from napari_xfusion.core.recordings.stamps import stamped
from napari_xfusion.core.types import CameraFacts
from napari_xfusion.errors import XFusionWarning

_UNITS = {"ns": 1_000, "us": 10**6, "µs": 10**6, "ms": 10**9, "s": 10**12, "": 1_000}
"""Picoseconds; a number without a unit is nanoseconds."""


def read_ini(path: Path, data: bytes, count: int) -> Sidecar | None:
    """Times and camera by ``data``, the content of a .ini file; None where it is of another program.

    Raises InputError where the file states no period of the recording, or other than ``count`` frames.
    """
    text = data.decode("utf-8-sig", "replace")
    if "[REC_INFO]" not in text:
        return None
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except (Error, AttributeError) as error:  # the latter where a key without value continues
        raise damaged(path, "an .ini file of a Shimadzu HPV-X", str(error)[:100]) from error
    if not parser.has_section("REC_INFO"):
        raise damaged(path, "a section [REC_INFO]", "none")
    recording = parser["REC_INFO"]
    period = picoseconds(recording.get("RecSpeed"))
    if period is None or period < 1:
        raise damaged(path, "RecSpeed, a period such as 10,000 ns", repr(recording.get("RecSpeed")))
    relative = list[int]()
    for number in numbers(1):
        section = f"IMAGE_INFO_{number}"
        time = picoseconds(parser.get(section, "ImageRelative", fallback=None))
        if time is None:
            break
        relative.append(time)
    stated = str(recording.get("RecFrame", "")).replace(",", "").strip()
    frames = int(stated) if re.fullmatch(r"\d{1,9}", stated) else len(relative)
    check_count(path, frames, count)
    clock, warnings = Clock.regular(frames, period / PICOSECONDS), tuple[XFusionWarning, ...]()
    if len(relative) == frames:
        clock, warnings = stamped(relative, clock, path)
    elif relative:
        text = f"It has times of {len(relative)} of {frames} frames; its period gives the times."
        warnings = (XFusionWarning("unsure-times", text, str(path)),)
    exposure = picoseconds(recording.get("RecExpose"))
    return Sidecar(
        path=path,
        clock=clock,
        camera=CameraFacts(
            name="Shimadzu HPV-X",
            exposure_ns=None if exposure is None else round(exposure / 1000),
            timing=_timing(clock, recording.get("TriggerDelay")),
        ),
        warnings=(*warnings, XFusionWarning("first-frame", _FIRST, str(path))),
    )


_FIRST = "The first frame of this camera often differs from the others; compare it, and omit it if so."


def _timing(clock: Clock, delay: str | None) -> str:
    origin = (
        "ImageRelative of each frame" if clock.source == "stamps" else "RecSpeed, from the first frame on"
    )
    return f"{origin}; TriggerDelay {delay.strip()} is not included" if delay else origin


def picoseconds(text: str | None) -> int | None:
    """A time such as "10,000,000 ns", or None."""
    found = re.fullmatch(r"\s*([+-]?[\d,]{1,30}(?:\.\d{1,12})?)\s*(ns|us|µs|ms|s)?\s*", text or "")
    if found is None or not found[1].strip("+-,"):
        return None
    return int(Decimal(found[1].replace(",", "")) * _UNITS[found[2] or ""])

"""Phantom: the .xml that PCC writes with frames exported as TIFF, which lists the time of each frame.

The layout is that which the research code XFusion reads: elements ``Time`` with an attribute ``frame`` and a text such
as "12:59:59.123 456.78 E", the time of day in steps of 10 ns, where E marks an active event input.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.sidecar import Sidecar, check_count
from napari_xfusion.core.recordings.source import damaged
from napari_xfusion.core.recordings.stamps import stamped
from napari_xfusion.core.types import CameraFacts

_TIME = re.compile(r"\s*(\d\d):(\d\d):(\d\d)\.(\d{3})[ .]?(\d{3})(?:\.(\d\d))?\s*([A-Z ]*)\s*")
_DAY = 86_400 * 10**12


def read_xml(path: Path, data: bytes, frames: int) -> Sidecar | None:
    """Times by ``data``, the content of an .xml; None where it lists no times of frames.

    Raises InputError where it is damaged or describes other than ``frames`` frames.
    """
    if b"TIMEBLOCK" not in data.upper() or b"<!ENTITY" in data:
        return None
    try:
        root = ET.fromstring(data)  # noqa: S314 - entities, the way to a bomb, are refused above
    except ET.ParseError as error:
        raise damaged(path, "complete XML", str(error)) from error
    lines = [
        x.text or ""
        for x in root.iter()
        if x.tag.lower() == "time" and {"frame"} & {name.lower() for name in x.attrib}
    ]
    found = [_TIME.fullmatch(line) for line in lines]
    if not found or not all(found):
        wrong = next((line for line, match in zip(lines, found, strict=True) if not match), "none")
        raise damaged(path, "times such as 12:59:59.123 456.78", repr(wrong[:40]))
    check_count(path, len(found), frames)
    times = _continued([_picoseconds(match) for match in found if match])
    active = ["E" in match[7] for match in found if match]
    origin = active.index(True) if any(active) else 0
    clock, warnings = stamped([t - times[origin] for t in times], Clock.regular(len(times)), path)
    events = tuple(i for i, on in enumerate(active) if on and (i == 0 or not active[i - 1]))
    start = "the first active event" if any(active) else "the first frame on"
    camera = CameraFacts(events=events, timing=f"times of day of the frames, from {start}")
    return Sidecar(path, clock, camera, warnings)


def _picoseconds(match: re.Match[str]) -> int:
    hours, minutes, seconds, milli, micro, hundredths = (int(x or 0) for x in match.groups()[:6])
    whole = (60 * hours + minutes) * 60 + seconds
    return (((whole * 1000 + milli) * 1000 + micro) * 100 + hundredths) * 10_000


def _continued(times: list[int]) -> list[int]:
    """Times of day that continue after midnight."""
    days = [0]
    for a, b in pairwise(times):
        days.append(days[-1] + (a - b > _DAY // 2))
    return [t + _DAY * day for t, day in zip(times, days, strict=True)]

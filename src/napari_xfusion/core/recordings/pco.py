"""Time stamps in the first pixels of frames of pco cameras: fourteen pixels of two decimal digits each.

Image number (8 digits), year, month, day, hour, minute, second and microseconds, as the manuals of pco.edge and other
cameras of the maker describe. A stamp is the end of the exposure, in the time of the computer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.stamps import stamped
from napari_xfusion.core.types import CameraFacts, Stack
from napari_xfusion.errors import XFusionWarning

PIXELS = 14
_MICROSECOND = 10**6
"""Picoseconds."""
_EPOCH = datetime(1970, 1, 1)


class PcoStamp(NamedTuple):
    """What the first pixels of a frame say."""

    number: int
    """The camera's image number."""
    time: int
    """Picoseconds since 1970, in the time of the computer."""


def digits(pixels: NDArray[Any]) -> list[int] | None:
    """The numbers 0 to 99 in (14,) pixels, None where a pixel holds no two decimal digits."""
    values = pixels.astype(np.int64)
    high, low = values >> 4, values & 15
    if len(values) != PIXELS or values.min() < 0 or values.max() > 0x99 or low.max() > 9:
        return None
    two: list[int] = (10 * high + low).tolist()
    return two


def image_number(two: Sequence[int]) -> int:
    """The camera's image number of ``digits``."""
    return 10**6 * two[0] + 10**4 * two[1] + 100 * two[2] + two[3]


def decode(pixels: NDArray[Any]) -> PcoStamp | None:
    """The stamp in (14,) unsigned pixels, None where they are no stamp."""
    two = digits(pixels)
    if two is None:
        return None
    try:
        century, year, month, day, hour, minute, second = two[4:11]
        micro = 10**4 * two[11] + 100 * two[12] + two[13]
        moment = datetime(100 * century + year, month, day, hour, minute, second, micro)
    except ValueError:
        return None
    known = 1990 <= moment.year < 2100
    return (
        PcoStamp(image_number(two), (moment - _EPOCH) // timedelta(microseconds=1) * _MICROSECOND)
        if known
        else None
    )


def with_stamps(stack: Stack, stamps: Sequence[PcoStamp]) -> Stack:
    """``stack`` with the times of one stamp per frame, from the first on; it stays as it is where one is missing."""
    if len(stamps) != len(stack) or not stamps or stack.metadata.camera != CameraFacts():
        return stack
    times = [stamp.time - stamps[0].time for stamp in stamps]
    clock, warnings = stamped(times, Clock.regular(len(times)), stack.source)
    text = (
        f"The first {PIXELS} pixels of each frame are the camera's number and time, not light. They give the frame "
        "times (end of exposure). Fusion fills them in; they are read and converted as stored."
    )
    camera = CameraFacts(
        first_number=stamps[0].number,
        started=stamps[0].time,
        timing="time stamps in the pixels (pco), end of the exposure, from the first frame on",
    )
    notes = (*stack.metadata.warnings, XFusionWarning("stamped-pixels", text, stack.source), *warnings)
    return replace(stack, clock=clock, metadata=replace(stack.metadata, camera=camera, warnings=notes))

"""Shimadzu HPV-X2: the native .dat, of blocks that begin with a tag.

Shimadzu publishes no specification and no file of a camera was available: the layout is that on which three programs
that read such files agree, for frames of 400 x 250 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import PICOSECONDS, Clock
from napari_xfusion.core.recordings.readers import HPVX_HEADER, HPVX_PIXELS, HPVX_SPEED, Options
from napari_xfusion.core.recordings.shimadzu import picoseconds
from napari_xfusion.core.recordings.source import FileBytes, check_frames, damaged, digest_files, told
from napari_xfusion.core.types import CameraFacts, Metadata, Stack
from napari_xfusion.errors import XFusionWarning

_SHAPE = 250, 400
_EXPOSURE = b"\x30\x30\x08\x30"
_COUNT, _PAYLOAD = 6, 14
"""Where a block's number of values and its content begin, from its tag on."""


def open_hpvx(path: Path, _options: Options) -> Stack:
    """Open a .dat as a Stack of int16, values as stored; raises InputError where it is cut or of another size."""
    with told(path, "a Shimadzu HPV-X recording"):
        file = FileBytes(path)
        head = file.read(0, min(file.size, HPVX_HEADER))
        place = head.find(HPVX_PIXELS)
        if place < 0 or place + _PAYLOAD > len(head):
            raise damaged(path, "a block of pixels", "none")
        values = int.from_bytes(head[place + _COUNT : place + _COUNT + 4], "little")
        frames, rest = divmod(values, _SHAPE[0] * _SHAPE[1])
        start = place + _PAYLOAD
        left = file.size - start - 2 * values
        check_frames(frames, path)
        if rest or not frames or not 0 <= left < 2 * _SHAPE[0] * _SHAPE[1]:
            expected = f"complete frames of {_SHAPE[0]} x {_SHAPE[1]} pixels of 16 bits"
            raise damaged(path, expected, f"{values} values in {file.size - start} bytes")
        period, exposure = (_time(head[:place], tag) for tag in (HPVX_SPEED, _EXPOSURE))

    def read(i: int) -> NDArray[Any]:
        with told(f"{path} frame {i}", f"a frame {_SHAPE}"):
            image = np.empty(_SHAPE, "<i2")
            file.read_into(image.reshape(-1).view(np.uint8).data, start + i * image.nbytes)
            return image.astype(np.int16, copy=False)[::-1]

    clock = Clock.regular(frames, None if period is None else period / PICOSECONDS)
    text = "Its format is not documented and was not verified with a file of a camera. Compare a frame and the times."
    return Stack(
        shape=(frames, *_SHAPE),
        dtype=np.dtype(np.int16),
        read=read,
        digest=digest_files([path], names=False),
        source=str(path),
        clock=clock,
        metadata=Metadata(
            camera=CameraFacts(
                name="Shimadzu HPV-X",
                exposure_ns=None if exposure is None else round(exposure / 1000),
                timing="" if not clock.known else "the period of the header, from the first frame on",
            ),
            warnings=(XFusionWarning("unverified", text, str(path)), *_no_times(clock, period, path)),
        ),
    )


def _no_times(clock: Clock, period: int | None, where: Path) -> Iterator[XFusionWarning]:
    if not clock.known:
        found = "no period" if period is None else f"{period / 1000:g} ns as the period"
        text = f"It gives {found} of the frames; times are unknown. Export it as TIFF with its .ini file."
        yield XFusionWarning("unsure-times", text, str(where))


def _time(head: bytes, tag: bytes) -> int | None:
    """Picoseconds of the block ``tag``, which has nanoseconds as text."""
    place = head.find(tag)
    if place < 0:
        return None
    size = int.from_bytes(head[place + _COUNT : place + _COUNT + 4], "little")
    text = head[place + _PAYLOAD : place + _PAYLOAD + min(size, 64)].split(b"\0")[0]
    return picoseconds(text.decode("ascii", "replace"))

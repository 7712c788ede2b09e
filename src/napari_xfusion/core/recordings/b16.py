"""PCO .b16 images: one frame of 16 bits per file, after a header that states its size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import FileBytes, damaged, digest_files, told
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError

_HEADER = struct.Struct("<4siiiiii")
"""The mark, bytes of file and header, width, height, -1 where an extended header follows, its colour mode."""


def open_b16(path: Path, _options: Options) -> Stack:
    """Open a .b16 as a Stack of one frame of uint16; raises InputError where it is cut, damaged or in colour."""
    with told(path, "a PCO b16 image"):
        file = FileBytes(path)
        if file.size < _HEADER.size:
            raise damaged(path, "a PCO b16 image", f"{file.size} bytes")
        _, size, start, width, height, extended, colour = _HEADER.unpack(file.read(0, _HEADER.size))
        if extended == -1 and colour:
            raise InputError(
                path,
                expected="a grey PCO b16 image",
                found="one in colour",
                hint="export it from the PCO software as grey TIFF",
            )
        needed = start + 2 * width * height
        if min(width, height) < 1 or start < _HEADER.size - 8 or not size == needed == file.size:
            found = f"{file.size}, {size} as it declares"
            raise damaged(path, f"{needed} bytes for {height} x {width} pixels", found)
    shape = (height, width)

    def read(_: int) -> NDArray[Any]:
        image = np.empty(shape, "<u2")
        file.read_into(image.reshape(-1).view(np.uint8).data, start)
        return image.astype(np.uint16, copy=False)

    return Stack(
        shape=(1, *shape),
        dtype=np.dtype(np.uint16),
        read=read,
        digest=digest_files([path], names=False),
        source=str(path),
        clock=Clock.regular(1),
    )

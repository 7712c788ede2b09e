"""The result as one TIFF: ImageJ hyperstack where possible, else OME-TIFF; BigTIFF beyond 4 GB.

The complete file is laid out before the first frame, every page with its tags, and each frame is then written
to its place: no page has incomplete tags, and saved frames do not depend on later ones. Frames are written
with positional writes and not through a memory map, which kills the process when the disk is full.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

import tifffile

from napari_xfusion.core.results.file_sink import FileSink, sync_directory
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.core.results.tiff_settings import tiff_settings

RESERVE_PIECE, RESERVE_SECONDS = 2**28, 2.0


class TiffSink(FileSink):
    """Writes ``path`` as a (T, H, W) TIFF; see ``Sink`` for the contract."""

    _file: FileIO | None = None
    _offset = 0
    _frame_bytes = 0
    # Where there is no pwrite (Windows), seek and write are two steps.
    _seek_lock = Lock()

    def _is_own_kind(self) -> bool:
        return self.path.is_file()

    def _remove_partial(self) -> None:
        self._partial.unlink(missing_ok=True)

    def _create(self, spec: OutputSpec) -> dict[str, Any]:
        offset = lay_out(self._partial, spec, ome=is_ome(self.path))
        layout = {"offset": offset, "size": self._partial.stat().st_size}
        self._reopen(spec, layout)
        file = self._opened()
        _reserve(file.fileno(), layout["size"])
        # Tags have no checksum in the journal: they must be on the disk before it.
        os.fsync(file.fileno())
        sync_directory(self.path.parent)
        return layout

    def _intact(self, layout: Mapping[str, Any]) -> bool:
        return bool(self._partial.stat().st_size == layout["size"])

    def _recover(self) -> None:
        """One rename publishes the file; there is no intermediate state."""

    def _reopen(self, spec: OutputSpec, layout: Mapping[str, Any]) -> None:
        self._offset, self._frame_bytes = layout["offset"], spec.frame_bytes
        self._file = FileIO(self._partial, "r+")

    def _write(self, position: int, data: memoryview) -> None:
        rest, offset = data, self._offset + position * self._frame_bytes
        while rest:  # the system may accept a part only, and reports the reason at the next write
            count = self._write_at(rest, offset)
            rest, offset = rest[count:], offset + count

    def _write_at(self, data: memoryview, offset: int) -> int:
        file = self._opened()
        if hasattr(os, "pwrite"):
            return os.pwrite(file.fileno(), data, offset)
        with self._seek_lock:
            file.seek(offset)
            return file.write(data)

    def _read(self, position: int) -> bytes:
        # With a file object of its own: seeking in the one that is written to would interfere without pwrite.
        try:
            with self._partial.open("rb") as file:
                file.seek(self._offset + position * self._frame_bytes)
                return file.read(self._frame_bytes)
        except FileNotFoundError:
            return b""

    def _seal(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _held(self) -> int:
        state = self._partial.stat()
        return 512 * state.st_blocks if hasattr(state, "st_blocks") else len(self._notes) * self._frame_bytes

    def _opened(self) -> FileIO:
        if self._file is None:
            raise OSError("the file is closed")
        return self._file


def is_ome(path: Path) -> bool:
    """Whether the name asks for OME-TIFF."""
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def lay_out(path: Path, spec: OutputSpec, ome: bool) -> int:
    """Write a TIFF of zeros (sparse) with all its pages and metadata; return the offset of the first frame.

    ImageJ where Fiji opens the file (uint8, uint16, float32, below 4 GB) and OME is not requested. The same
    spec gives the same bytes: no dates, no host names, the UUID is made from the identity.
    """
    settings = tiff_settings(
        (len(spec.frames), *spec.shape),
        spec.dtype,
        pixel_size=spec.pixel_size,
        interval=spec.frame_interval,
        hr_times=spec.hr_times,
        viewer=spec.viewer,
        recording=spec.recording,
        ome=ome,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, spec.identity)),
    )
    where = tifffile.imwrite(
        path,
        dtype=spec.dtype.newbyteorder("<"),
        byteorder="<",
        returnoffset=True,
        **settings,
    )
    if where is None:
        raise OSError("tifffile scattered the frames")
    return int(where[0])


def _reserve(file: int, size: int) -> None:
    """Reserve disk space for the complete file, so that the disk cannot fill up during the run.

    Where the file system does not support that, the C library writes every block instead (old NFS): after
    RESERVE_SECONDS it is abandoned, and a full disk is reported when it occurs.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    deadline = time.monotonic() + RESERVE_SECONDS
    for start in range(0, size, RESERVE_PIECE):
        if time.monotonic() > deadline:
            return
        os.posix_fallocate(file, start, min(RESERVE_PIECE, size - start))

"""Results in one file: laid out completely before the first frame, each of which is then written to its place.

Saved frames do not depend on later ones, and no part of the file is incomplete. Frames are written
with positional writes and not through a memory map, which kills the process when the disk is full.
"""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

from napari_xfusion.core.results.file_sink import FileSink, sync_directory
from napari_xfusion.core.results.spec import OutputSpec

RESERVE_PIECE, RESERVE_SECONDS = 2**28, 2.0


class OneFileSink(FileSink):
    """Common base of TIFF and NeXus sinks: one frame after the other from an offset on; see ``Sink``."""

    _file: FileIO | None = None
    _offset = 0
    _frame_bytes = 0
    # Where there is no pwrite (Windows), seek and write are two steps.
    _seek_lock = Lock()

    @abstractmethod
    def _lay_out(self, path: Path, spec: OutputSpec) -> dict[str, Any]:
        """Write the file without pixels (sparse); return the ``offset`` of the first frame, and what else to know.

        The same spec gives the same bytes: no dates, no host names.
        """

    def _is_own_kind(self) -> bool:
        return self.path.is_file()

    def _remove_partial(self) -> None:
        self._partial.unlink(missing_ok=True)

    def _create(self, spec: OutputSpec) -> dict[str, Any]:
        layout = self._lay_out(self._partial, spec)
        layout |= {"size": self._partial.stat().st_size}
        self._reopen(spec, layout)
        file = self._opened()
        _reserve(file.fileno(), layout["size"])
        # What surrounds the pixels has no checksum in the journal: it must be on the disk before it.
        os.fsync(file.fileno())
        sync_directory(self.path.parent)
        return layout

    def _intact(self, layout: Mapping[str, Any]) -> bool:
        return bool(self._partial.stat().st_size == layout["size"])

    def _recover(self) -> None:
        """One rename publishes the file; there is no intermediate state."""

    def _reopen(self, spec: OutputSpec, layout: Mapping[str, Any]) -> None:
        self._offset, self._frame_bytes = layout["offset"], spec.frame_bytes
        # Not for reading: on NFS, all of a block that was read is written, over what other machines wrote there.
        self._file = FileIO(os.open(self._partial, os.O_WRONLY | getattr(os, "O_BINARY", 0)), "w")

    def _write(self, position: int, data: memoryview) -> None:
        self._write_all(data, self._offset + position * self._frame_bytes)

    def _write_all(self, data: memoryview, offset: int) -> None:
        while data:  # the system may accept a part only, and reports the reason at the next write
            count = self._write_at(data, offset)
            data, offset = data[count:], offset + count

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

    def _flush(self) -> None:
        os.fsync(self._opened().fileno())

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

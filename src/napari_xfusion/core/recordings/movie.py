"""Movies as cameras' viewers export them (mp4, mov, mkv, avi): any frame's luma, by its number."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.names import planned
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import (
    FileBytes,
    check_frames,
    checked,
    damaged,
    digest_files,
    told,
)
from napari_xfusion.core.types import Metadata, Stack
from napari_xfusion.errors import InputError

_MOST_PARTS = 10_000
_MOST_PIXELS = 1 << 27
"""Of a frame, four times those of 8K; a decoder needs several times their memory."""
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


def open_movie(path: Path, _options: Options) -> Stack:
    """Open the first video track as a Stack of uint8, or uint16 where it holds more bits.

    Times are frame numbers: a movie's seconds are those of watching, not of recording. Raises InputError
    where it is cut or cannot be read, or PyAV is not installed.
    """
    av = _pyav(path)
    with told(path, "a movie with a video track"):
        _check_length(FileBytes(path))
        try:
            track = _Track(av, path)
        except MemoryError:  # FFmpeg refuses tables of 2 GB, whatever memory there is
            raise damaged(path, "a movie", "a table larger than any movie has") from None
        shape, dtype = track.shape, track.dtype
    warnings = (
        [planned(shape[0], track.planned, str(path), "can be read")] if track.planned > shape[0] else []
    )

    def read(i: int) -> NDArray[Any]:
        where = f"{path} frame {i}"
        with told(where, f"a frame {shape[1:]} of {dtype}"):
            return checked(track.read(i), shape[1:], dtype, where)

    return Stack(
        shape=shape,
        dtype=dtype,
        read=read,
        digest=digest_files([path], names=False),
        source=str(path),
        clock=Clock.regular(shape[0]),
        metadata=Metadata(warnings=tuple(warnings)),
    )


def _pyav(path: Path) -> Any:
    try:
        import av  # noqa: PLC0415 - an extra; most sequences are TIFF
    except ImportError:
        raise InputError(
            path,
            problem="PyAV, which reads movies, is not installed",
            hint="run pip install 'napari-xfusion[movie]', or export the sequence as TIFF",
        ) from None
    return av


def _check_length(file: FileBytes) -> None:
    """Raise DamagedFileError where a movie declares more bytes than there are: FFmpeg reads it as a shorter one."""
    declared = max(_ends(file), default=0)
    if declared > file.size:
        raise damaged(file.path, f"{declared} bytes as it declares", f"{file.size}")


def _ends(file: FileBytes) -> Iterator[int]:
    """Where the outermost parts of a movie end, up to the first that states no size, as one that is being written."""
    place, size_of = 0, {b"RIFF": _riff, _EBML: _element}.get(file.read(0, 4), _box)
    for _ in range(_MOST_PARTS):
        size = size_of(file.read(place, min(16, file.size - place)).ljust(16, b"\0"))
        if size is None:
            return
        place += size
        yield place
        if place >= file.size:
            return


def _riff(head: bytes) -> int | None:
    """Bytes of a part of an AVI by its first 16; None where it does not say."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if head[:4] == b"RIFF" and 0 < size < 2**32 - 1 else None


def _box(head: bytes) -> int | None:
    """Bytes of a part of an MP4 or QuickTime."""
    size = int.from_bytes(head[:4])
    size = int.from_bytes(head[8:]) if size == 1 else size
    return size if size >= 8 else None


def _element(head: bytes) -> int | None:
    """Bytes of a part of a Matroska; the size has as many bytes as the zeros before its first bit, and one."""
    width = 9 - head[4].bit_length()
    size, unknown = int.from_bytes(head[4 : 4 + width]) & (1 << 7 * width) - 1, (1 << 7 * width) - 1
    known = head[:4] in (_EBML, _SEGMENT) and width < 9 and size != unknown
    return 4 + width + size if known else None


class _Track:
    """A video track and the place where its decoder stands. Frames are known by their time stamps."""

    def __init__(self, av: Any, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._container = av.open(str(path))
        if not self._container.streams.video:
            raise damaged(path, "a movie with a video track", "none")
        self._stream = self._container.streams.video[0]
        stored = [p for p in self._container.demux(self._stream) if p.size]
        packets = [p for p in stored if p.pts is not None and not p.is_discard]
        self._stamps = sorted(p.pts for p in packets)
        if not self._stamps:
            raise damaged(path, "a movie with frames", "none")
        # A decoder can begin at key frames only, and finds them by when they are decoded, not shown.
        keys = sorted((p.pts, p.pts if p.dts is None else p.dts) for p in packets if p.is_keyframe)
        self._key_stamps, self._key_places = [p for p, _ in keys], [d for _, d in keys]
        if self._stream.format is None:
            raise damaged(
                path, "a movie with known pixels", f"codec {self._stream.codec_context.name} without"
            )
        deep = max(c.bits for c in self._stream.format.components) > 8
        self._format = "gray16le" if deep else "gray"
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if deep else np.uint8)
        self.shape = (len(self._stamps), int(self._stream.height), int(self._stream.width))
        if not 0 < self.shape[1] * self.shape[2] <= _MOST_PIXELS:
            raise damaged(path, f"frames of at most {_MOST_PIXELS} pixels", f"{self.shape[1:]}")
        check_frames(len(self._stamps), path)
        self.planned = len(self._stamps) + max(self._stream.frames - len(stored), self._cut_off())
        self._decoded: Iterator[Any] = iter(())
        self._next: int | None = None

    def _cut_off(self) -> int:
        """Frames that fit between the last one and the end of a movie without sound, by the time it states."""
        stamps, whole = self._stamps, self._container.duration
        rate = self._stream.average_rate
        if not (len(stamps) > 1 or rate) or not whole or len(self._container.streams) > 1:
            return 0
        usual = np.median(np.diff(stamps)) * self._stream.time_base if len(stamps) > 1 else 1 / rate
        step = float(usual)
        rest = whole / 1e6 - float((stamps[-1] - min(stamps[0], 0)) * self._stream.time_base)
        return max(0, round(rest / step) - 1) if step > 0 else 0

    def read(self, i: int) -> NDArray[Any]:
        """Frame ``i``; the decoder continues from its position, or from a key frame that is nearer."""
        wanted = self._stamps[i]
        with self._lock:
            key = bisect_right(self._key_stamps, wanted) - 1
            here = None if self._next is None else self._stamps[self._next]
            if here is None or here > wanted or (key >= 0 and self._key_stamps[key] > here):
                place = self._key_places[key] if key >= 0 else self._stamps[0]
                self._container.seek(place, stream=self._stream)
                self._decoded = self._container.decode(self._stream)
            self._next = None  # where it stands if decoding fails
            for frame in self._decoded:
                if frame.pts == wanted and frame.is_corrupt:
                    raise damaged(
                        self._path, f"frame {i}", "damaged pixels, or a reference to an absent frame"
                    )
                if frame.pts == wanted:
                    self._next = i + 1 if i + 1 < len(self._stamps) else None
                    return np.asarray(frame.to_ndarray(format=self._format))
                if frame.pts is not None and frame.pts > wanted:
                    break
        raise damaged(self._path, f"frame {i}", "a movie that lacks it")

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
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import checked, damaged, digest_files, told
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError


def open_movie(path: Path, _options: Options) -> Stack:
    """Open the first video track as a Stack of uint8, or uint16 where it holds more bits.

    Times are frame numbers: a movie's seconds are those of watching, not of recording. Raises InputError
    where it cannot be read, or PyAV is not installed.
    """
    av = _pyav(path)
    with told(path, "a movie with a video track"):
        track = _Track(av, path)
        shape, dtype = track.shape, track.dtype

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


class _Track:
    """A video track and the place where its decoder stands. Frames are known by their time stamps."""

    def __init__(self, av: Any, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._container = av.open(str(path))
        if not self._container.streams.video:
            raise damaged(path, "a movie with a video track", "none")
        self._stream = self._container.streams.video[0]
        packets = [p for p in self._container.demux(self._stream) if p.pts is not None and not p.is_discard]
        self._stamps = sorted(p.pts for p in packets)
        if not self._stamps:
            raise damaged(path, "a movie with frames", "none")
        # A decoder can begin at key frames only, and finds them by when they are decoded, not shown.
        keys = sorted((p.pts, p.pts if p.dts is None else p.dts) for p in packets if p.is_keyframe)
        self._key_stamps, self._key_places = [p for p, _ in keys], [d for _, d in keys]
        deep = max(c.bits for c in self._stream.format.components) > 8
        self._format = "gray16le" if deep else "gray"
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if deep else np.uint8)
        self.shape = (len(self._stamps), int(self._stream.height), int(self._stream.width))
        self._decoded: Iterator[Any] = iter(())
        self._next: int | None = None

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
                if frame.pts == wanted:
                    self._next = i + 1 if i + 1 < len(self._stamps) else None
                    return np.asarray(frame.to_ndarray(format=self._format))
                if frame.pts is not None and frame.pts > wanted:
                    break
        raise damaged(self._path, f"frame {i}", "a movie that lacks it")

"""Writing of MP4 movies that every player opens (H.264, 4:2:0), with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.files import replacing
from napari_xfusion.core.types import Token
from napari_xfusion.errors import OutputError, writing

QUALITY = "18"
"""Constant rate factor of x264, commonly considered visually lossless."""

RATE = 20
"""Frames a second, where nothing else is asked for."""


def write_movie(
    frames: Iterable[NDArray[np.uint8]],
    path: str | PathLike[str],
    *,
    rate: float = RATE,
    stop: Token | None = None,
) -> bool:
    """Write RGB frames (H, W, 3), all of one size, as ``path`` at ``rate`` frames a second.

    Odd sides are made even by repeating the last row or column, as 4:2:0 requires. The file gets its
    name when it is complete. Return True then, False when ``stop`` was set before. Raises OutputError where it
    cannot be written, and where PyAV (the extra ``movie``) is missing.
    """
    av = _require_av(path)
    path = Path(path)
    expected, do = "a place to write a movie", "choose another name or disk"
    with writing(path, expected=expected, hint=do, also=(av.error.FFmpegError,)), replacing(path) as part:
        whole = _encode(av, frames, part, Fraction(rate).limit_denominator(1000), stop)
        if not whole:
            part.unlink(missing_ok=True)
    return whole


def _encode(
    av: Any, frames: Iterable[NDArray[np.uint8]], path: Path, rate: Fraction, stop: Token | None
) -> bool:
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": QUALITY})
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if stop is not None and stop.is_set():
                return False
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
        file.mux(stream.encode())
    return True


def _require_av(path: object) -> Any:
    try:
        import av  # noqa: PLC0415 - 100 MB, in an extra
    except ImportError:
        raise OutputError(
            path,
            problem="PyAV, which writes movies, is not installed",
            hint='run pip install "napari-xfusion[movie]"',
        ) from None
    return av

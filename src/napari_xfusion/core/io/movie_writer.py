"""Films for people to watch: 8-bit grey frames as MP4 (PyAV, the extra ``movie``) or as GIF (Pillow)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_xfusion.errors import OutputError

Frames = Iterable[NDArray[np.uint8]]
"""(H, W) each, all of one size."""
RATE = 12
"""Frames per second."""


def best_suffix() -> str:
    """``.mp4`` where PyAV is installed, else ``.gif``."""
    return ".mp4" if find_spec("av") else ".gif"


def write_movie(path: Path, frames: Frames, rate: int = RATE) -> None:
    """Write ``frames`` as .mp4 or .gif, one at a time; raises OutputError for another suffix.

    H.264 in 4:2:0 needs even sides: an odd one gains a row or column.
    """
    if path.suffix == ".mp4" and find_spec("av"):
        _write_mp4(path, frames, rate)
    elif path.suffix == ".gif":
        pictures = (Picture.fromarray(frame) for frame in frames)
        first = next(pictures)
        first.save(path, save_all=True, append_images=pictures, duration=round(1000 / rate), loop=0)
    else:
        raise OutputError(
            path,
            expected=".mp4 (with PyAV) or .gif",
            found=path.suffix or "no suffix",
            do="choose another name, or pip install 'napari-xfusion[movie]'",
        )


def _write_mp4(path: Path, frames: Frames, rate: int) -> None:
    import av  # noqa: PLC0415 - an extra

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(_even(frames)):
            if number == 0:
                stream.height, stream.width = frame.shape
            picture = av.VideoFrame.from_ndarray(frame, format="gray")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _even(frames: Frames) -> Iterator[NDArray[np.uint8]]:
    for frame in frames:
        yield np.pad(frame, [(0, n % 2) for n in frame.shape], mode="edge")

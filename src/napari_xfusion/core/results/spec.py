"""The description of a sequence to write, the interface of all sinks, and the conversion to stored numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image
from napari_xfusion.errors import OutputError

Notes = Mapping[str, Any]
"""Data stored for one frame in addition to its pixels (seconds, scores); plain JSON values."""


@dataclass(frozen=True)
class OutputSpec:
    """A sequence to write; frame j of the file is target ``frames[j]``."""

    frames: tuple[int, ...]
    shape: tuple[int, int]
    """(H, W)."""
    dtype: np.dtype[Any]
    """float32, or the HR camera's: (u)int8, 16, 32, float16, 32 or 64."""
    identity: str
    """sha256 (hex) of resolved plan, inputs, weights and format number: equal identities mean equal results."""
    pixel_size: float | None
    """Micrometres."""
    frame_interval: float | None
    """Seconds."""
    hr_times: tuple[float, ...]
    """Times of the HR frames in LR frame numbers, if known; saved in the metadata of the file."""
    viewer: tuple[tuple[str, str], ...] = ()
    """How a viewer shows the HR camera's values and rows, see ``Metadata.viewer``."""
    times_ps: tuple[int, ...] = ()
    """Picoseconds from the first LR frame to each frame, if known; in NeXus results only."""
    recording: str = ""
    """Times and camera of a recording that is converted, see ``Recorded.text``."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one stored frame."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return len(self.frames) * self.frame_bytes

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values, to compare with those of an interrupted run."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"dtype": self.dtype.name}
        viewer, recording = values.pop("viewer"), values.pop("recording")
        values |= {"recording": recording} if recording else {}
        del values["times_ps"]  # part of the identity
        values |= {"viewer": [list(x) for x in viewer]} if viewer else {}  # runs of earlier versions resume
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


class Sink(Protocol):
    """Destination of fused frames. ``with sink: sink.begin(spec); sink.put(...); sink.commit(record)``."""

    @property
    def finished(self) -> bool:
        """Whether ``begin`` found the complete result; then ``commit`` changes nothing."""
        ...

    def begin(self, spec: OutputSpec) -> Mapping[int, Notes]:
        """Lock the output; return the targets that an earlier run with the same identity saved, with their notes.

        Raises OutputError where another file has the name, or disk space or permission is missing.
        """
        ...

    def check(self, frames: int, frame_bytes: int) -> None:
        """Raise OutputError where ``begin`` would for ``frames`` of ``frame_bytes`` each, whatever the settings.

        Touches nothing.
        """
        ...

    def put(self, index: int, image: Image, notes: Notes | None = None) -> None:
        """Save target ``index``: an (H, W) image in the units of the HR camera.

        Raises OutputError when it cannot be saved; earlier frames remain saved, and the run can be resumed.
        """
        ...

    def read(self, index: int) -> NDArray[Any]:
        """Return target ``index`` as saved, (H, W); from any thread, also when closed or finished.

        Raises OutputError where it is not saved.
        """
        ...

    def commit(self, record: Mapping[str, Any]) -> None:
        """Turn the frames into the result, with its record; raises OutputError that lists missing frames.

        ``identity`` and ``frames`` (every frame's notes) are added to the record.
        """
        ...

    def close(self) -> None:
        """Release the output; an unfinished one can be resumed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def position_of(spec: OutputSpec, positions: Mapping[int, int], index: int, image: Image) -> int:
    """Return the position in the file of target ``index``; OutputError for another target or a wrong shape."""
    if index not in positions or image.shape != spec.shape:
        raise OutputError(
            f"frame {index}",
            expected=f"one of the {len(positions)} targets, as an image of {spec.shape}",
            found=f"an image of {image.shape}",
            hint="write only what was announced",
        )
    return positions[index]


def stored(image: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert ``image`` to contiguous ``dtype`` (little-endian): integers are rounded to nearest (ties to even).

    Values beyond the range of ``dtype`` are clipped to it, never wrapped around; NaN becomes 0 in integers.
    """
    if dtype.kind == "f":
        if dtype.itemsize == 2:
            limit = np.finfo(dtype).max
            image = np.clip(image, -limit, limit)
        return np.ascontiguousarray(image, dtype.newbyteorder("<"))
    ends = np.iinfo(dtype)
    # float32 has no 2^31 - 1: the upper end of 32-bit integers needs float64.
    values = np.rint(image, dtype=np.float64 if dtype.itemsize == 4 else np.float32)
    np.clip(values, ends.min, ends.max, out=values)
    if np.isnan(values.min()):
        np.nan_to_num(values, copy=False)
    return values.astype(dtype.newbyteorder("<"))


def not_kept(where: object, index: int) -> OutputError:
    """Return the error for a requested target that a sink does not have."""
    return OutputError(where, problem=f"frame {index} is not fused yet", hint="resume the run")


def missing_frames(spec: OutputSpec, done: Mapping[int, Any], where: object) -> None:
    """Raise OutputError that lists the targets which are not ``done``."""
    missing = [t for t in spec.frames if t not in done]
    if missing:
        named = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        raise OutputError(
            where,
            problem=f"{len(missing)} of {len(spec.frames)} frames are missing: {named}",
            hint="rerun the same command to resume",
        )

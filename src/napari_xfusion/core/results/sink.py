"""Sinks for results: ``open_sink`` for a file name, ``MemorySink`` for a viewer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.quantities import byte_count
from napari_xfusion.core.results.nexus_sink import NexusSink
from napari_xfusion.core.results.record import with_frames
from napari_xfusion.core.results.spec import (
    Notes,
    OutputSpec,
    Sink,
    missing_frames,
    not_kept,
    position_of,
    stored,
)
from napari_xfusion.core.results.tiff_sink import TiffSink
from napari_xfusion.core.results.zarr_sink import ZarrSink
from napari_xfusion.core.types import Image
from napari_xfusion.errors import OutputError


def open_sink(path: str | os.PathLike[str], overwrite: bool = False) -> Sink:
    """Return the sink for a file name: ``.tif``/``.tiff`` (``.ome.tif`` for OME), ``.zarr``, ``.nxs``/``.h5``.

    Raises OutputError for others.

    Nothing is changed before ``begin``. With ``overwrite`` an existing file may be replaced; an earlier
    result exists until ``commit``.
    """
    name = Path(path).name.lower()
    if name in (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".zarr", ".ome.zarr"):
        raise OutputError(
            path, expected="a name before the ending", found="none", hint="give the output a name"
        )
    if name.endswith((".tif", ".tiff")):
        return TiffSink(path, overwrite)
    if name.endswith(".zarr"):
        return ZarrSink(path, overwrite)
    if name.endswith((".nxs", ".h5")):
        return NexusSink(path, overwrite)
    raise OutputError(
        path,
        expected="a name that ends in .tif, .tiff, .ome.tif, .ome.tiff, .zarr, .ome.zarr, .nxs or .h5",
        found=Path(path).suffix or "no ending",
        hint="give the output one of these endings",
    )


class MemorySink:
    """Stores the result in one array, ``data`` (T, H, W), that is filled while a viewer shows it.

    A second ``begin`` with an equal spec resumes in the same array; with another spec it starts again.
    """

    def __init__(self) -> None:
        self.data: NDArray[Any] = np.zeros((0, 0, 0), np.float32)
        self.record: Mapping[str, Any] | None = None
        self._spec: OutputSpec | None = None
        self._positions: dict[int, int] = {}
        self._notes: dict[int, Notes] = {}

    @property
    def finished(self) -> bool:
        """See ``Sink.finished``."""
        return self.record is not None

    def begin(self, spec: OutputSpec) -> Mapping[int, Notes]:
        """See ``Sink.begin``; OutputError when the sequence does not fit into memory."""
        if spec != self._spec:
            try:
                self.data = np.zeros((len(spec.frames), *spec.shape), spec.dtype)
            except MemoryError:
                raise OutputError(
                    "the result in memory",
                    problem=f"it needs {byte_count(spec.nbytes)}, more than the free memory",
                    hint="write to a file, or fuse fewer frames",
                ) from None
            self._spec, self._notes, self.record = spec, {}, None
            self._positions = {target: j for j, target in enumerate(spec.frames)}
        return dict(self._notes)

    def check(self, frames: int, frame_bytes: int) -> None:
        """See ``Sink.check``; nothing is known before memory is asked for."""

    def put(self, index: int, image: Image, notes: Notes | None = None) -> None:
        """See ``Sink.put``."""
        spec = self._claimed()
        self.data[position_of(spec, self._positions, index, image)] = stored(image, spec.dtype)
        self._notes[index] = notes or {}

    def read(self, index: int) -> NDArray[Any]:
        """See ``Sink.read``; shares the memory of ``data``."""
        if index not in self._notes:
            raise not_kept("the result in memory", index)
        frame: NDArray[Any] = self.data[self._positions[index]]
        return frame

    def commit(self, record: Mapping[str, Any]) -> None:
        """See ``Sink.commit``; the record is available as ``record``."""
        spec = self._claimed()
        missing_frames(spec, self._notes, "the result in memory")
        if not self.finished:
            self.record = with_frames(record, spec.identity, spec.frames, self._notes)

    def close(self) -> None:
        """See ``Sink.close``; frames and array remain available."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claimed(self) -> OutputSpec:
        if self._spec is None:
            raise OutputError(
                "the result in memory", expected="a begun result", found="none", hint="call begin() first"
            )
        return self._spec

"""The result as OME-Zarr 0.5 (Zarr format 3): a folder with one uncompressed chunk file per frame.

Written without the zarr library: an uncompressed chunk is the bytes of the frame, which are compared with the
journal's checksum, and the metadata are two small JSON files.
Specification: https://ngff.openmicroscopy.org/0.5/ and https://zarr-specs.readthedocs.io (v3).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from napari_xfusion.core.files import replace
from napari_xfusion.core.recordings.recorded import KEY
from napari_xfusion.core.results.file_sink import FileSink, sync_directory
from napari_xfusion.core.results.spec import OutputSpec

ASIDE = "replaced-by-xfusion"
"""Ending of an old result while it is replaced; unlikely as a user's file name."""
MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


class ZarrSink(FileSink):
    """Writes ``path`` as a (T, H, W) OME-Zarr image; see ``Sink`` for the contract."""

    def _is_own_kind(self) -> bool:
        return _is_zarr(self.path)

    def _remove_partial(self) -> None:
        """Delete frames first: the metadata identify our output until the end; other folders are not deleted."""
        if _is_zarr(self._partial):
            shutil.rmtree(self._partial / "0", ignore_errors=True)
            shutil.rmtree(self._partial)
        elif self._partial.exists():
            self._partial.rmdir()

    def _create(self, spec: OutputSpec) -> dict[str, Any]:
        for folder, metadata in (
            (self._partial, _group_metadata(spec, self.path.name)),
            (self._partial / "0", _array_metadata(spec)),
        ):
            folder.mkdir()
            with (folder / "zarr.json").open("w", encoding="utf-8") as file:
                json.dump(metadata, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(folder)
        return {}

    def _intact(self, layout: Mapping[str, Any]) -> bool:  # noqa: ARG002 - TIFF needs it
        return _is_zarr(self._partial)

    def _reopen(self, spec: OutputSpec, layout: Mapping[str, Any]) -> None:
        """Do nothing: a folder need not be opened."""

    def _write(self, position: int, data: memoryview) -> None:
        chunk = self._chunk(position)
        chunk.parent.mkdir(parents=True, exist_ok=True)
        # Not emptied first: another process may have written the same bytes, which the journal counts on.
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
        with FileIO(os.open(chunk, flags, 0o666), "w") as file:
            while data:  # the system may accept a part only, and reports the reason at the next write
                data = data[file.write(data) :]

    def _read(self, position: int) -> bytes:
        try:
            return self._chunk(position).read_bytes()
        except FileNotFoundError:
            return b""

    def _seal(self) -> None:
        for position in range(len(self._positions)):
            chunk = self._chunk(position)
            with chunk.open("r+b", buffering=0) as file:
                os.fsync(file.fileno())
            sync_directory(chunk.parent)
            sync_directory(chunk.parent.parent)
        sync_directory(self._partial / "0" / "c")

    def _flush(self) -> None:
        """Do nothing: files are closed, which NFS flushes."""

    def _release(self) -> None:
        """Do nothing: no file is open."""

    def _held(self) -> int:
        return sum(self._chunk(self._positions[target]).stat().st_size for target in self._notes)

    def _publish(self) -> None:
        """Rename the old folder first, because a folder cannot replace another in one step."""
        if self.path.exists():
            replace(self.path, self._beside(ASIDE))
        replace(self._partial, self.path)
        self._recover()

    def _recover(self) -> None:
        """Restore the old result under its name, unless the new one exists."""
        old = self._beside(ASIDE)
        if not old.exists():
            return
        if self.path.exists():
            shutil.rmtree(old)
        else:
            replace(old, self.path)

    def _chunk(self, position: int) -> Path:
        return self._partial / "0" / "c" / str(position) / "0" / "0"


def _is_zarr(path: Path) -> bool:
    return any((path / mark).is_file() for mark in MARKS)


def _array_metadata(spec: OutputSpec) -> dict[str, Any]:
    H, W = spec.shape
    endian = {} if spec.dtype.itemsize == 1 else {"configuration": {"endian": "little"}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [len(spec.frames), H, W],
        "data_type": spec.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, H, W]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", **endian}],
        "dimension_names": ["t", "y", "x"],
        "attributes": {},
    }


def _group_metadata(spec: OutputSpec, name: str) -> dict[str, Any]:
    second = {} if spec.frame_interval is None else {"unit": "second"}
    micrometre = {} if spec.pixel_size is None else {"unit": "micrometer"}
    side = 1.0 if spec.pixel_size is None else spec.pixel_size
    interval = 1.0 if spec.frame_interval is None else spec.frame_interval
    own: dict[str, Any] = {"hr_times": list(spec.hr_times)} if spec.hr_times else {}
    own |= {"viewer": dict(spec.viewer)} if spec.viewer else {}
    own |= {KEY: spec.recording} if spec.recording else {}
    image = {
        "name": name,
        "axes": [
            {"name": "t", "type": "time", **second},
            {"name": "y", "type": "space", **micrometre},
            {"name": "x", "type": "space", **micrometre},
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [interval, side, side]}],
            }
        ],
    }
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            "ome": {"version": "0.5", "multiscales": [image]},
            "napari_xfusion": own,
        },
    }

"""A result, or a recording that is converted, as a NeXus file (HDF5): an NXdata with axes and times, and an NXprocess
with the record; of a recording, an NXdetector and a text with camera and times.

The pixels are one contiguous dataset, whose place in the file is known before the first frame. The record is a text
of fixed size, which ``commit`` fills: no part of the file moves, whenever a run is interrupted.
Specification: https://manual.nexusformat.org (NXdata, NXprocess, NXnote).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_xfusion._version import __version__
from napari_xfusion.core.recordings.recorded import KEY, Recorded
from napari_xfusion.core.results.one_file_sink import OneFileSink
from napari_xfusion.core.results.spec import OutputSpec, missing_frames
from napari_xfusion.core.types import CameraFacts
from napari_xfusion.errors import OutputError

ROOM, ROOM_PER_FRAME = 2**16, 64
"""Bytes for the record in the file."""
_OF_ONE_RUN = frozenset(("finished", "frames_resumed"))
"""What differs between runs of the same result; the record next to the file has it."""


class NexusSink(OneFileSink):
    """Writes ``path`` as a (T, H, W) dataset ``/entry/data/data``; see ``Sink`` for the contract."""

    _record: tuple[int, int] | None = None
    """Offset and bytes of the record in the file."""

    def commit(self, record: Mapping[str, Any]) -> None:
        """See ``Sink.commit``; the record is in the file as well, without what differs between equal runs."""
        if not self.finished:
            spec, _ = self._claimed()
            missing_frames(spec, self._notes, self.path)
            with self._told():
                self._write_record(record)
        super().commit(record)

    def _lay_out(self, path: Path, spec: OutputSpec) -> dict[str, Any]:
        try:
            return lay_out(path, spec)
        except (RuntimeError, ValueError) as error:  # what h5py raises for some errors of the system
            raise OSError(str(error)) from error

    def _reopen(self, spec: OutputSpec, layout: Mapping[str, Any]) -> None:
        super()._reopen(spec, layout)
        self._record = layout["record"], layout["length"]

    def _write_record(self, record: Mapping[str, Any]) -> None:
        """Write the record, or as much of it as has space in the file."""
        if self._record is None:
            return
        offset, size = self._record
        known = {name: value for name, value in record.items() if name not in _OF_ONE_RUN}
        shorter: tuple[dict[str, Any], ...] = (
            {**known, "rig": _without_times(known.get("rig"))},
            {**known, "rig": None},
            {},
        )
        texts = (json.dumps(each).encode() for each in (known, *shorter))
        text = next(text for text in texts if len(text) <= size)
        self._write_all(memoryview(text.ljust(size, b"\0")), offset)


def _without_times(rig: Any) -> Any:
    """A rig as JSON without the time of every frame, which is most of it."""
    if isinstance(rig, dict):
        return {name: _without_times(value) for name, value in rig.items() if name != "times_ps"}
    return [_without_times(each) for each in rig] if isinstance(rig, list) else rig


def lay_out(path: Path, spec: OutputSpec) -> dict[str, Any]:
    """Write a NeXus file of zeros (sparse); return the offsets of pixels and record, and the record's bytes."""
    h5py = _h5py(path)
    room = ROOM + ROOM_PER_FRAME * len(spec.frames)
    now = h5py.h5p.create(h5py.h5p.DATASET_CREATE)  # with a place in the file, and no write of fill values
    now.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    now.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    now.set_obj_track_times(False)  # the same spec gives the same bytes
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry", default="data")
        process = _group(entry, "process", "NXprocess")
        process["program"], process["version"] = "napari-xfusion", __version__
        note = _group(process, "record", "NXnote")
        note["type"] = "application/json"
        text = h5py.h5t.C_S1.copy()
        text.set_size(room)
        text.set_cset(h5py.h5t.CSET_UTF8)
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        if spec.recording:
            _add_recording(entry, spec.recording)
        record = h5py.h5d.create(note.id, b"data", text, scalar, dcpl=now.copy()).get_offset()
        data = _group(entry, "data", "NXdata", signal="data", axes=_add_axes(entry, spec))
        pixels = data.create_dataset(
            "data", (len(spec.frames), *spec.shape), spec.dtype.newbyteorder("<"), dcpl=now.copy()
        )
        pixels.attrs["long_name"] = "frames" if spec.recording else "fused frames"
        layout = {"offset": pixels.id.get_offset(), "record": record, "length": room}
    if None in layout.values():
        raise OSError("HDF5 gave the frames no place in the file")
    return layout


def _add_axes(entry: Any, spec: OutputSpec) -> list[str]:
    """Write frame numbers, times, pixel positions and HR times into ``data``; return the names of the axes."""
    data, names = entry.require_group("data"), ["frame", "y", "x"]
    data["frame"] = np.asarray(spec.frames, np.int64)
    camera = "" if spec.recording else "LR "
    data["frame"].attrs["long_name"] = f"{camera}frame number"
    if spec.times_ps:
        step = 1000 if all(t % 1000 == 0 for t in spec.times_ps) else 1
        data["t"] = np.asarray(spec.times_ps, np.int64) // step
        data["t"].attrs.update(
            {"units": "ns" if step == 1000 else "ps", "long_name": f"time since the first {camera}frame"}
        )
        names[0] = "t"
    for name, count in zip("yx", spec.shape, strict=True):
        data[name] = np.arange(count) * (spec.pixel_size or 1.0)
        data[name].attrs["units"] = "um" if spec.pixel_size else "pixel"
    if spec.hr_times:
        data["hr_times"] = np.asarray(spec.hr_times, np.float64)
        data["hr_times"].attrs["long_name"] = "times of the HR frames in LR frame numbers"
    return names


def _add_recording(entry: Any, text: str) -> None:
    """Write what is known of the camera: as the text that this package reads, and in the fields of NXdetector."""
    note = _group(entry, KEY, "NXnote")
    note["type"], note["data"] = "application/json", np.bytes_(text)
    recorded = Recorded.read(text)
    camera = CameraFacts() if recorded is None else recorded.camera
    instrument = _group(entry, "instrument", "NXinstrument")
    detector = _group(instrument, "detector", "NXdetector")
    exposure = None if camera.exposure_ns is None else camera.exposure_ns / 1e9
    known = {
        "description": camera.name,
        "serial_number": camera.serial,
        "bit_depth_readout": camera.bits,
        "count_time": exposure,
    }
    for name, value in known.items():
        if value is not None:
            detector[name] = value
    if exposure is not None:
        detector["count_time"].attrs["units"] = "s"


def _group(parent: Any, name: str, kind: str, **attributes: Any) -> Any:
    group = parent.require_group(name)
    group.attrs["NX_class"] = kind
    for key, value in attributes.items():
        group.attrs[key] = value
    return group


def _h5py(path: Path) -> Any:
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        raise OutputError(
            path,
            problem="h5py, which writes NeXus, is not installed",
            hint="run pip install 'napari-xfusion[hdf5]', or choose a name that ends in .tif",
        ) from None
    return h5py

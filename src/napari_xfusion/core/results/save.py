"""Saving of any sequence to a file, through the sinks that runs use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from os import PathLike
from pathlib import Path

from napari_xfusion.core.recordings.recorded import Recorded
from napari_xfusion.core.results.record import AnyRecord, ConversionRecord, RunRecord
from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.core.types import Progress, Stack, Token
from napari_xfusion.errors import OutputError, writing


def save_stack(
    sequence: Stack,
    path: str | PathLike[str],
    record: AnyRecord,
    *,
    overwrite: bool = False,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> bool:
    """Write ``sequence`` to ``path`` (.tif, .ome.tif, .zarr, .nxs) in its own dtype, with ``record`` next to it.

    With the record of a run, the file is byte-identical to that of the run. Return True when the sequence is
    complete, False when ``stop`` was set before; then the same call resumes. Raises OutputError where it
    cannot be written, or ``path`` is the file that the sequence is read from.
    """
    _check_place(sequence, Path(path))
    spec = _spec(sequence, record)
    notes = {each.frame: each.notes() for each in record.frames}
    with open_sink(path, overwrite) as sink:
        done = sink.begin(spec)
        for number, target in enumerate(spec.frames):
            if stop is not None and stop.is_set():
                return False
            if target not in done:
                sink.put(target, sequence.frame(number), notes.get(target))
            progress(number + 1, len(sequence))
        sink.commit(record.facts())
    return True


def _spec(sequence: Stack, record: AnyRecord) -> OutputSpec:
    """Describe the sequence to write; one that is not the result of a run is identified by its content."""
    pixel_size, interval, times = sequence.pixel_size, sequence.clock.interval, sequence.metadata.hr_times
    viewer, taken = sequence.metadata.viewer, sequence.clock.times_of(range(len(sequence)))
    if isinstance(record, RunRecord):
        pixel_size, interval = record.rig.hr.pixel_size, record.rig.fast.clock.interval
        times, viewer = record.hr_times, record.rig.hr.viewer
        taken = record.rig.fast.clock.times_of(each.frame for each in record.frames)
    spec = OutputSpec(
        frames=tuple(each.frame for each in record.frames) or tuple(range(len(sequence))),
        shape=sequence.shape[1:],
        dtype=sequence.dtype,
        identity=record.identity,
        pixel_size=pixel_size,
        frame_interval=interval,
        hr_times=times or (),
        viewer=viewer,
        recording=Recorded.of(sequence).text if isinstance(record, ConversionRecord) else "",
        times_ps=taken,
    )
    if spec.identity:
        return spec
    missing = [each.frame for each in record.frames if not each.done]
    content = json.dumps([sequence.digest(), spec.as_json(), missing], sort_keys=True)
    return replace(spec, identity=hashlib.sha256(content.encode()).hexdigest())


def _check_place(sequence: Stack, path: Path) -> None:
    with writing(path):  # a name may be too long for the file system
        itself = path.exists() and path.resolve() in [Path(file).resolve() for file in sequence.files]
    if itself:
        raise OutputError(
            path,
            problem="the sequence is read from this file",
            hint="choose another name",
        )

"""The recordings that a record says a result was made from, wherever they are now."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from napari_xfusion.core.recordings import as_stack, find_recording
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.rig import Camera
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError


def moved(record: RunRecord, lr: object, hr: object) -> RunRecord:
    """``record`` with its recordings in other places, as paths or Stacks; None where one is where it was.

    Raises InputError where one is not there, or has other content.
    """
    if lr is None and hr is None:
        return record
    rig, stacks = record.rig, inputs_of(record, lr, hr)
    for (name, known), stack in zip(record.inputs.items(), stacks, strict=True):
        if stack.digest() != known.sha256:
            raise other_recording(name.upper(), stack.source)
    return record.model_copy(update={"rig": rig.reading(*stacks)})


def inputs_of(record: RunRecord, *given: object) -> list[Stack]:
    """LR and HR of a record, from other places where ``given``; InputError where they are other recordings."""
    found = []
    for name, source, recorded in zip(("LR", "HR"), given, (record.rig.fast, record.rig.hr), strict=True):
        if source is None and not Path(recorded.source).exists():
            raise InputError(
                recorded.source,
                problem=f"the {name} recording of the recorded run does not exist",
                hint="if it was moved, give the present paths of LR and HR",
            )
        stack = _recorded(recorded, source, name)
        if (stack.shape, str(stack.dtype)) != (recorded.shape, recorded.dtype):
            raise other_recording(name, stack.source)
        found.append(stack)
    return found


def _recorded(camera: Camera, source: object, name: str) -> Stack:
    """The recording of a camera as it was read, from another place where ``source`` gives one."""
    recording = camera.recording
    if recording is None or not isinstance(source, str | os.PathLike | None):
        return as_stack(camera.source if source is None else source, name=name)
    if source is None:
        return recording.open()
    moved = find_recording(source)
    same = moved.options == Options() and moved.reader == recording.reader
    return (replace(moved, options=recording.options) if same else moved).open()


def other_recording(name: str, source: str) -> InputError:
    """The error that says that a recording is another one than the record's."""
    return InputError(
        source,
        problem=f"this is not the {name} recording of the recorded run",
        hint="give that recording, or fuse this one without the record",
    )

"""Conversion of a recording to TIFF, OME-Zarr or NeXus: values, times and camera stay as they are."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from functools import cache
from os import PathLike
from pathlib import Path

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.facts import facts_of
from napari_xfusion.core.results.outcome import Outcome
from napari_xfusion.core.results.record import ConversionRecord, InputRecord
from napari_xfusion.core.results.save import save_stack
from napari_xfusion.core.types import Progress, Stack, Token
from napari_xfusion.errors import InputError


def convert(
    source: str | PathLike[str],
    output: str | PathLike[str],
    *,
    frames: tuple[int, int] | None = None,
    overwrite: bool = False,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Outcome:
    """Write the frames of a recording, or those from ``frames[0]`` to before ``frames[1]``, to ``output``.

    ``output`` ends in .tif, .ome.tif, .zarr, .nxs or .h5 and opens with the same values, times and camera; a record is
    next to it. After an interruption the same call resumes. Raises InputError where the recording cannot be opened or
    has no such frames, OutputError where the output cannot be written.
    """
    began, whole = time.monotonic(), open_stack(source)
    start, end = (0, len(whole)) if frames is None else frames
    stack, saved = select(whole, start, end), 0

    def count(done: int, total: int) -> None:
        nonlocal saved
        saved = done
        progress(done, total)

    record = ConversionRecord(
        source=InputRecord(source=str(Path(source).absolute()), sha256=whole.digest()),
        first=start,
        facts_of_source=facts_of(whole),
    )
    save_stack(stack, output, record, overwrite=overwrite, stop=stop, progress=count)
    return Outcome(Path(output), saved, len(stack), 0, time.monotonic() - began, whole.metadata.warnings)


def select(stack: Stack, start: int, end: int) -> Stack:
    """Frames ``start`` to ``end`` - 1 of a sequence, with their times; raises InputError where it lacks one."""
    if not 0 <= start < end <= len(stack):
        raise InputError(
            setting="frames",
            expected=f"frames from 0 to {len(stack)}, A:B with A before B",
            found=f"{start}:{end}",
            hint="choose frames of the recording",
        )
    if (start, end) == (0, len(stack)):
        return stack
    camera = stack.metadata.camera
    first = None if camera.first_number is None else camera.first_number + start
    events = tuple(i - start for i in camera.events if start <= i < end)
    shift = stack.clock.times_ps[start] - stack.clock.times_ps[0]
    started = None if camera.started is None or not stack.clock.known else camera.started + shift
    camera = replace(camera, first_number=first, started=started, events=events)

    @cache
    def digest() -> str:
        return hashlib.sha256(f"{stack.digest()} {start}:{end}".encode()).hexdigest()

    return stack.derive(
        lambda i: stack.read(start + i),
        (end - start, *stack.shape[1:]),
        stack.dtype,
        clock=stack.clock.select(tuple(range(start, end))),
        metadata=replace(stack.metadata, camera=camera, hr_times=None),
        digest=digest,
    )

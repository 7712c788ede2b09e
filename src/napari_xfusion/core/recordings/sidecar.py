"""Files that a camera's program writes next to frames exported as TIFF, with the times that TIFF lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.source import FileBytes, told
from napari_xfusion.core.types import CameraFacts, Stack
from napari_xfusion.errors import InputError, XFusionWarning

_MOST = 1 << 24
"""Bytes of a sidecar."""
_MOST_FILES = 8
"""Of one kind in a folder; more are one for each frame, which no camera's program is known to write."""
_HERE = "napari_xfusion.core.recordings."
_KINDS = {
    ".ini": _HERE + "shimadzu:read_ini",
    ".cihx": _HERE + "mraw:read_cih",
    ".cih": _HERE + "mraw:read_cih",
    ".chd": _HERE + "cine:read_chd",
    ".xml": _HERE + "phantom_xml:read_xml",
}
"""``function(path, data, frames) -> Sidecar | None`` by ending, the first one found counts. It is given the number of
frames of the recording, and calls ``check_count`` before it makes as many times as the file claims."""


@dataclass(frozen=True)
class Sidecar:
    """What a file next to frames says about them."""

    path: Path
    clock: Clock
    camera: CameraFacts
    warnings: tuple[XFusionWarning, ...] = ()


def with_sidecar(stack: Stack, place: Path) -> Stack:
    """``stack``, from the TIFF file or folder ``place``, with times and camera of the sidecar next to it.

    A sidecar that is damaged, or of another number of frames, is reported and not used; a stack that knows its camera
    needs none.
    """
    if stack.metadata.camera != CameraFacts():
        return stack
    for paths in _candidates(place):
        found = [x for x in (_read(path, len(stack)) for path in paths) if x is not None]
        if not found:
            continue
        sidecar, *others = found
        if others:
            names = " and ".join(x.name for x in paths[:2])
            text = f"{names} can describe the frames, none of them is used. Keep the one of this recording."
            return _warned(stack, text)
        if isinstance(sidecar, InputError):
            remedy = f"{sidecar.hint[:1].upper()}{sidecar.hint[1:]}, or remove it"
            return _warned(stack, f"{Path(sidecar.subject).name} is not used: {sidecar.problem}. {remedy}.")
        notes = (*stack.metadata.warnings, *sidecar.warnings)
        metadata = replace(stack.metadata, camera=sidecar.camera, warnings=notes)
        clock = sidecar.clock if sidecar.clock.known else stack.clock
        return replace(stack, clock=clock, metadata=metadata)
    return stack


def _warned(stack: Stack, text: str) -> Stack:
    warnings = (*stack.metadata.warnings, XFusionWarning("sidecar", text, stack.source))
    return replace(stack, metadata=replace(stack.metadata, warnings=warnings))


def check_count(path: Path, described: int, frames: int) -> None:
    """Raise InputError where a file describes another number of frames than the recording has."""
    if described != frames:
        raise InputError(
            path,
            problem=f"it describes {described} frames, the recording has {frames}",
            hint="give the file of these frames",
        )


def _read(path: Path, frames: int) -> Sidecar | InputError | None:
    """What a file says, or what is wrong with it; None where it is of another program."""
    try:
        with told(path, "a file that describes frames"):
            file = FileBytes(path)
            read: Callable[[Path, bytes, int], Sidecar | None] = resolve_name(_KINDS[path.suffix.lower()])
            return read(path, file.read(0, min(file.size, _MOST)), frames)
    except InputError as error:
        return error


def _candidates(place: Path) -> Iterator[list[Path]]:
    """Files that may describe ``place``: of its name; of one kind in a folder; the only .ini in one above it.

    Shimadzu's program writes frames to TIFF16/NAME, and the .ini file to a folder above.
    """
    if not place.is_dir():
        yield from ([x] for x in map(place.with_suffix, _KINDS) if x.is_file())
        return
    folder = place.absolute()
    for ending in _KINDS:
        named = folder.parent / f"{folder.name}{ending}"
        if named.is_file():
            yield [named]
        yield _of_kind(folder, ending)
        for above in (folder.parent, folder.parent.parent) if ending == ".ini" else ():
            inside = _of_kind(above, ending)
            if len(inside) == 1:
                yield inside


def _of_kind(folder: Path, ending: str) -> list[Path]:
    found = [x for x in folder.glob(f"*{ending}") if x.is_file() and x.name.lower() != "desktop.ini"]
    return sorted(found) if len(found) <= _MOST_FILES else []

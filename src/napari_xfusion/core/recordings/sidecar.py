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
    for path in _candidates(place):
        try:
            found = _read(path, len(stack))
        except InputError as error:
            return _warned(stack, f"{path.name} is not used: {error.problem}.")
        if found is None:
            continue
        metadata = replace(
            stack.metadata, camera=found.camera, warnings=(*stack.metadata.warnings, *found.warnings)
        )
        clock = found.clock if found.clock.known else stack.clock
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


def _read(path: Path, frames: int) -> Sidecar | None:
    with told(path, "a file that describes frames"):
        file = FileBytes(path)
        read: Callable[[Path, bytes, int], Sidecar | None] = resolve_name(_KINDS[path.suffix.lower()])
        return read(path, file.read(0, min(file.size, _MOST)), frames)


def _candidates(place: Path) -> Iterator[Path]:
    """Files that may describe ``place``: of its name; the only one of its kind in a folder or, of .ini, above it.

    Shimadzu's program writes frames to TIFF16/NAME, and the .ini file to a folder above.
    """
    if not place.is_dir():
        yield from (x for x in map(place.with_suffix, _KINDS) if x.is_file())
        return
    folder = place.absolute()
    for ending in _KINDS:
        above = (folder, folder.parent, folder.parent.parent) if ending == ".ini" else (folder,)
        named = folder.parent / f"{folder.name}{ending}"
        if named.is_file():
            yield named
        for each in above:
            inside = [x for x in each.glob(f"*{ending}") if x.is_file() and x.name.lower() != "desktop.ini"]
            if len(inside) == 1:
                yield inside[0]

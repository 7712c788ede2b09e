"""Folders of single frames: TIFF, PNG or PCO b16 files in the order of the numbers in their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.b16 import open_b16
from napari_xfusion.core.recordings.foreign import Foreign, describe_files, first_bytes, recognise
from napari_xfusion.core.recordings.names import in_order, planned
from napari_xfusion.core.recordings.pco import PcoStamp, with_stamps
from napari_xfusion.core.recordings.pieces import open_pieces
from napari_xfusion.core.recordings.readers import B16_MAGIC, PNG_MAGIC, TIFF_MAGIC, Options
from napari_xfusion.core.recordings.sidecar import with_sidecar
from napari_xfusion.core.recordings.source import (
    MOST_DECODED,
    FileBytes,
    checked,
    damaged,
    digest_files,
    told,
)
from napari_xfusion.core.recordings.tiff import open_part
from napari_xfusion.core.recordings.zarr_store import open_zarr
from napari_xfusion.core.types import Metadata, Stack, digest_frames
from napari_xfusion.errors import DamagedFileError, InputError, XFusionWarning

_KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".b16": "b16"}
_DEFLATE_RATIO = 1100
_CHANNELS = {0: 1, 2: 3, 6: 4}
"""Samples per pixel of a PNG's colour types: grey, RGB, RGBA."""


class _Frame(NamedTuple):
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    pixel_size: float | None
    metadata: Metadata = Metadata()
    planned: int | None = None
    """Frames that the recording was planned to have, where the file knows it."""

    @property
    def stamp(self) -> PcoStamp | None:
        """The time stamp in its pixels."""
        camera = self.metadata.camera
        if camera.started is None or camera.first_number is None:
            return None
        return PcoStamp(camera.first_number, camera.started)


def open_folder(path: Path, options: Options) -> Stack:
    """Open a folder as a Stack; raises InputError naming the file where one is damaged, unlike or missing.

    Colour PNG is refused, or becomes its luma where the options say so.
    """
    with told(path, "a folder of frames"):
        return with_sidecar(_sequence(_frames_of(path), path, options), path)


def open_files(files: Sequence[Path]) -> Stack:
    """Open files of one frame each as a Stack, by the rules of ``open_folder``."""
    if not files:
        raise InputError("frames", expected="files of one frame each", found="none", hint="give the files")
    folder = Path(os.path.commonpath([file.absolute().parent for file in files]))
    with told(folder, "files of one frame each"):
        for file in files:
            _check_link(file)
        return _sequence(list(files), folder, Options())


def _sequence(files: list[Path], folder: Path, options: Options) -> Stack:
    _check_one_kind(files)
    joined = open_pieces(files, folder)
    if joined is not None:
        return joined
    names = [str(x.absolute().relative_to(folder.absolute())) for x in files]
    order = in_order(names, folder)
    files = [files[i] for i in order.places]
    files, unfinished = _without_unfinished(files, options)
    first, *others = files
    sequence = _open_frame(first, options)
    frames = [sequence]
    for file in others:
        frame = _open_frame(file, options)
        frames.append(frame)
        if (frame.shape, frame.dtype) != (sequence.shape, sequence.dtype):
            raise InputError(
                file,
                expected=f"{sequence.shape} of {sequence.dtype} as {first.name}",
                found=f"{frame.shape} of {frame.dtype}",
                hint="keep one sequence per folder",
            )

    def read(i: int) -> NDArray[Any]:
        where = f"{files[i]} frame {i}"
        with told(where, f"a frame {sequence.shape} of {sequence.dtype}"):
            return checked(_open_frame(files[i], options).read(), sequence.shape, sequence.dtype, where)

    shape = (len(files), *sequence.shape)
    stores = any(x.is_dir() for x in files)
    stamps = [x.stamp for x in frames if x.stamp is not None]
    odd = [x for x in sequence.metadata.warnings if not stamps or x.code != "stamped-pixels"]
    warnings = [*order.warnings, *odd, *unfinished]
    if sequence.planned and sequence.planned > len(files) and not order.warnings:
        warnings.append(planned(len(files), sequence.planned, str(folder)))
    stack = Stack(
        shape=shape,
        dtype=sequence.dtype,
        read=read,
        digest=digest_frames(shape, sequence.dtype, read) if stores else digest_files(files, names=True),
        source=str(folder),
        clock=Clock.regular(len(files)),
        pixel_size=sequence.pixel_size,
        metadata=Metadata(viewer=sequence.metadata.viewer, warnings=tuple(warnings)),
    )
    return with_stamps(stack, stamps)


def _without_unfinished(files: list[Path], options: Options) -> tuple[list[Path], list[XFusionWarning]]:
    """The files in order without the last one if it is not complete, which a program may be writing, and a warning."""
    *before, last = files
    try:
        _open_frame(last, options)
    except DamagedFileError:
        if not before:
            raise
        text = f"Its last frame, {last.name}, is not complete and is left out; a program may be writing it."
        return before, [XFusionWarning("unfinished-frame", text, str(last.parent))]
    return files, []


def _open_png(path: Path, luma: bool) -> _Frame:
    """Check a PNG to its last chunk; raises InputError where it is cut, or has colours and not ``luma``."""
    with told(path, "a complete PNG"):
        file = FileBytes(path)
        head = file.read(8, 21)
        if head[:8] != b"\0\0\0\rIHDR":
            raise damaged(path, "a PNG header", repr(head[4:8]))
        shape = (int.from_bytes(head[12:16]), int.from_bytes(head[8:12]))
        bits, colour = head[16], head[17]
        channels = _CHANNELS.get(colour, 0) if luma else int(colour == 0)
        palette = colour == 3 and _grey_palette(file)
        channels = 1 if palette else channels
        if not channels or bits not in ((1, 2, 4, 8) if palette else (8, 16)):
            raise InputError(
                path,
                expected="a grey PNG of 8 or 16 bits",
                found=f"{bits} bits of colour type {colour}",
                hint="convert it to greyscale",
            )
        pixels = _png_bytes(file)
        claimed = shape[0] * shape[1] * channels * bits // 8
        if not 0 < claimed <= min(MOST_DECODED, _DEFLATE_RATIO * pixels):
            raise damaged(path, f"pixels for {shape}", f"{pixels} compressed bytes")
        dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)

    def read() -> NDArray[Any]:
        pixels = np.asarray(imagecodecs.png_decode(file.read(0, file.size)))
        # Luma is that of ITU-R BT.601, as is usual where networks are trained on grey natural images.
        if palette:  # decoded to its colours
            pixels = pixels if pixels.ndim == 2 else pixels[..., 0]
        return pixels if channels == 1 else np.asarray(cv2.cvtColor(pixels[..., :3], cv2.COLOR_RGB2GRAY))

    return _Frame(shape, dtype, read, None)


def _grey_palette(file: FileBytes) -> bool:
    """Whether the colours of a PNG's palette are greys."""
    place = 8
    while place + 8 < file.size:
        head = file.read(place, 8)
        size, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"PLTE":
            table = np.frombuffer(file.read(place + 8, size - size % 3), np.uint8).reshape(-1, 3)
            return bool((table == table[:, :1]).all())
        place += size + 12
    return False


def _png_bytes(file: FileBytes) -> int:
    """Return the bytes of pixels, once each chunk up to the last is inside the file."""
    place, pixels, kind = 8, 0, b""
    while kind != b"IEND":
        head = file.read(place, 8)
        size, kind = int.from_bytes(head[:4]), head[4:]
        pixels += size if kind == b"IDAT" else 0
        place += size + 12
        if place > file.size:
            raise damaged(file.path, f"a PNG of at least {place} bytes", f"{file.size}")
    return pixels


def _open_frame(file: Path, options: Options) -> _Frame:
    """Open a file by its first bytes, whatever its name; raises InputError where it is not one frame."""
    if file.is_dir():
        stack, plan = open_zarr(file, options), None
    else:
        magic = first_bytes(file)
        if magic.startswith(PNG_MAGIC) or (
            file.suffix.lower() == ".png" and not magic.startswith((*TIFF_MAGIC, B16_MAGIC))
        ):
            if magic[1:4] != b"PNG":
                raise _not_a_frame(file, recognise(file, magic))
            return _open_png(file, options.luma)
        if magic.startswith(B16_MAGIC):
            stack, plan = open_b16(file, options), None
        elif not magic.startswith(TIFF_MAGIC):
            raise _not_a_frame(file, recognise(file, magic))
        else:
            stack, plan = open_part(file)
    if len(stack) != 1:
        raise InputError(
            file,
            problem=f"a folder of frames holds one frame per file, this file has {len(stack)}",
            hint="open this file itself; if the files are pieces of one recording, save them as one TIFF",
        )
    return _Frame(
        stack.shape[1:], stack.dtype, partial(stack.frame, 0), stack.pixel_size, stack.metadata, plan
    )


def _not_a_frame(file: Path, kind: Foreign) -> InputError:
    damage = kind.what in ("an empty file", "another kind of file")
    error = DamagedFileError if damage else InputError
    hint = "copy or export it again from the original" if damage else kind.hint
    return error(file, expected="a frame as TIFF, PNG or PCO b16", found=kind.what, hint=hint)


def _frames_of(folder: Path) -> list[Path]:
    """Return the frames of a folder; raises InputError where it has none, or links to absent files."""
    inside = [x for x in folder.iterdir() if x.name[0] != "."]
    files = [x for x in inside if x.suffix.lower() in _KINDS and not x.is_dir()]
    for file in files:
        _check_link(file)
    files = [x for x in files if x.is_file()]
    stores = [x for x in inside if x.is_dir() and x.suffix.lower() == ".zarr"]
    if files or stores:
        return files or stores
    kind = describe_files([x for x in inside if x.is_file()])
    if kind is not None:
        raise InputError(
            folder, problem=f"the folder holds no TIFF or PNG frame, but {kind.what}", hint=kind.hint
        )
    folders = sorted(x.name for x in inside if x.is_dir())
    named = f", such as {' or '.join(folders[:2])} in it" if folders else ""
    raise InputError(
        folder,
        problem="the folder holds no TIFF or PNG frame, and is no OME-Zarr",
        hint=f"choose the folder that holds the frames{named}",
    )


def _check_link(file: Path) -> None:
    if file.is_symlink() and not file.exists():
        raise InputError(
            file, problem=f"the frame is a broken link to {file.readlink()}", hint="restore its target"
        )


def _check_one_kind(files: list[Path]) -> None:
    """Raise InputError where files are of two types, or one is given twice."""
    kinds = {_KINDS.get(x.suffix.lower(), x.suffix.lower()): x for x in sorted(files, reverse=True)}
    if len(kinds) > 1 and any(re.search("[0-9]", x.stem) for x in files):
        first, second = sorted(x.name for x in kinds.values())[:2]
        raise InputError(
            files[0].parent,
            expected="frames of one kind with names that differ only in their number",
            found=f"{first} and {second}",
            hint="keep one sequence per folder",
        )
    seen = dict[tuple[int, int], Path]()
    for file in files:
        state = file.stat()
        other = seen.get((state.st_dev, state.st_ino))
        if other is not None:
            what = "given twice" if other == file else f"the same as {other.name}"
            raise InputError(file, problem=f"the file is {what}", hint="give each file once")
        seen[state.st_dev, state.st_ino] = file

"""Anything that holds a sequence becomes a Stack: a file, a folder, an array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_xfusion.core.recordings.array import array_sequence, axis_names
from napari_xfusion.core.recordings.describe import Said, arrange
from napari_xfusion.core.recordings.fields import OWN, Fields, Source, corrected
from napari_xfusion.core.recordings.foreign import first_bytes, recognise
from napari_xfusion.core.recordings.readers import (
    READERS,
    Options,
    Reader,
    find_reader,
    readable,
)
from napari_xfusion.core.recordings.source import check_grey, told
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError

_AS_STORED = Fields()


@dataclass(frozen=True)
class Recording:
    """Where frames come from. Can be pickled, sent to another process and opened there."""

    path: Path
    """Absolute path of the file or folder."""
    reader: str
    """Name of its reader in ``readers.READERS``."""
    options: Options = field(default_factory=Options)

    @property
    def place(self) -> str:
        """The path as ``open_stack`` takes it, with the paths inside the file."""
        inside = (self.options.data_path, self.options.times_path)
        return (
            "::".join([str(self.path), *(x or "" for x in inside)]).rstrip(":")
            if any(inside)
            else str(self.path)
        )

    def by(self, fields: Fields) -> Self:
        """The same recording, corrected by other flats and darks."""
        return replace(self, options=replace(self.options, fields=_absolute(fields)))

    def open(self) -> Stack:
        """Open the sequence lazily; raises InputError as ``open_stack``, and for an unknown reader."""
        reader = READERS.get(self.reader)
        if reader is None:
            raise InputError(
                self.path,
                expected=f"a reader named {', '.join(READERS)}",
                found=self.reader,
                hint="open it by its path",
            )
        with told(self.path, reader.what):
            if not self.path.exists():
                raise _missing(self.path)
            return replace(_corrected(reader, self.path, self.options), recording=self)


@dataclass(frozen=True)
class Raw:
    """A recording to be opened with its flats and darks; takes the place of a path in ``as_stack``."""

    path: str | PathLike[str]
    fields: Fields


def open_stack(path: str | PathLike[str], *, luma: bool = False, fields: Fields = _AS_STORED) -> Stack:
    """Open a sequence lazily: a TIFF (plain, ImageJ, OME, BigTIFF), a folder of frames, a Zarr, HDF5, or a movie.

    Reading a frame reads its bytes only and may be done from several threads. Times are seconds where the
    file knows the frame interval, frame numbers otherwise. Raises InputError where the sequence is not there,
    not grey, damaged or not complete.
    Of movies (mp4, mov, mkv, avi; extra ``movie``) the luma is read; with ``luma`` of PNG in colour, too.
    ``fields`` are the flats and darks by which frames are corrected.
    ``rec.h5::/entry/data`` is one dataset of an HDF5 file, ``rec.h5::/entry/data::/entry/times`` gives its frame times.
    """
    with told(path, readable()):
        recording = find_recording(path, luma=luma, fields=fields)
        place, _ = _parts(path)  # messages give the path as given
        return replace(_corrected(READERS[recording.reader], place, recording.options), recording=recording)


def find_recording(
    path: str | PathLike[str], *, luma: bool = False, fields: Fields = _AS_STORED
) -> Recording:
    """Choose the reader of ``path`` by its content, without opening the sequence; raises as ``open_stack``."""
    with told(path, readable()):
        place, inside = _parts(path)
        reader = _reader_of(place)
        if inside and not reader.inside:
            raise InputError(
                path,
                problem=f"it is {reader.what}, which contains no datasets with a path",
                hint="give the file alone",
            )
        return Recording(place.absolute(), reader.name, Options(luma, *_filled(inside), _absolute(fields)))


def open_frames(files: Sequence[Path]) -> Stack:
    """Open files of one frame each lazily, in natural order of their names; raises as ``open_stack``."""
    from napari_xfusion.core.recordings.folder import open_files  # noqa: PLC0415 - loads decoders

    return open_files(files)


def as_stack(source: object, *, name: str = "array") -> Stack:
    """Return a Stack from a path, or an array (T, H, W) of numpy, dask, Zarr or the like; a Stack as it is.

    An array of two axes is one frame; axes of length 1 before the last two do not count; names of axes, of
    xarray for instance, precede their order. Frames of a numpy array share its memory; masked values become NaN.
    Raises InputError where it holds no sequence of grey frames.
    """
    if isinstance(source, Stack):
        return source
    if isinstance(source, Raw):
        return open_stack(source.path, fields=source.fields)
    if isinstance(source, str | os.PathLike):
        return open_stack(source)
    if not all(hasattr(source, x) for x in ("shape", "dtype", "__getitem__")):
        raise InputError(
            name,
            expected="a sequence of shape (T, H, W)",
            found=type(source).__name__,
            hint="give an array or a path",
        )
    array: Any = source
    with told(name, "a sequence of shape (T, H, W)"):
        check_grey(np.dtype(array.dtype), name)
        shape = tuple(int(n) for n in array.shape)
        if len(shape) < 2 or min(shape) < 1:
            raise InputError(
                name,
                expected="a sequence of shape (T, H, W)",
                found=f"shape {shape}",
                hint="give a stack of frames",
            )
        axes = arrange(axis_names(array) or "?" * len(shape), shape, name)
        return array_sequence(array, axes, Said(), name)


def _filled(inside: tuple[str | None, ...]) -> tuple[str | None, str | None]:
    data, times = (*inside, None, None)[:2]
    return data, times


def _absolute(fields: Fields) -> Fields:
    """The same fields by paths that are valid in any folder."""
    flats, darks = (
        tuple(x if x == OWN else os.path.abspath(x) for x in paths)  # noqa: PTH100 - may contain ::/path
        for paths in (fields.flats, fields.darks)
    )
    return replace(fields, flats=flats, darks=darks)


def _corrected(reader: Reader, path: Path, options: Options) -> Stack:
    """The sequence of a reader, by flats and darks where there are any."""
    stack = reader.open(path, options)
    if not options.fields:
        return stack

    def find(source: str, key: int) -> list[Source]:
        if source != OWN:
            return [Source(None, open_stack(source), source)]
        if not reader.inside:
            hint = "give the file of the flat or dark"
            raise InputError(path, problem=f"{reader.what} contains no flats and darks of its own", hint=hint)
        from napari_xfusion.core.recordings.hdf5 import own_fields  # noqa: PLC0415 - for those who have h5py

        return own_fields(path, options, key)

    return corrected(stack, options.fields, lambda x: find(x, 1), lambda x: find(x, 2))


def _parts(path: str | PathLike[str]) -> tuple[Path, tuple[str | None, ...]]:
    """Split ``FILE::DATA::TIMES``: the file, and the paths inside it, None where one is empty.

    A file whose own name contains ``::`` is that file.
    """
    text = os.fspath(path)
    file, *inside = [text] if "::" not in text or Path(text).exists() else text.split("::")
    if len(inside) > 2:
        raise InputError(
            path, expected="FILE::DATA or FILE::DATA::TIMES", found=text, hint="correct the path"
        )
    return Path(file), tuple(x.replace("\\", "/") or None for x in inside)


def _reader_of(path: Path) -> Reader:
    if not path.exists():
        raise _missing(path)
    magic = b"" if path.is_dir() else first_bytes(path)
    reader = find_reader(path, magic)
    if reader is None:
        kind = recognise(path, magic)
        raise InputError(path, expected=readable(), found=kind.what, hint=kind.hint)
    return reader


def _missing(path: Path) -> InputError:
    if path.is_symlink():
        return InputError(
            path, problem=f"it is a broken link to {path.readlink()}", hint="restore its target"
        )
    beside = [x.name for x in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "check the path"
    return InputError(path, problem="there is no such file or folder", hint=hint)

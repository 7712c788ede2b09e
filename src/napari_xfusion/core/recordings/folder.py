"""Folders of single frames: TIFF or PNG files in the order of the numbers in their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import (
    MOST_DECODED,
    FileBytes,
    checked,
    damaged,
    digest_files,
    told,
)
from napari_xfusion.core.recordings.tiff import open_tiff
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError

_KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
_DEFLATE_RATIO = 1100
_CHANNELS = {0: 1, 2: 3, 6: 4}
"""Samples per pixel of a PNG's colour types: grey, RGB, RGBA."""


class _Frame(NamedTuple):
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    pixel_size: float | None


def open_folder(path: Path, options: Options) -> Stack:
    """Open a folder as a Stack; raises InputError naming the file where one is damaged, unlike or missing.

    Colour PNG is refused, or becomes its luma where the options say so.
    """
    with told(path, "a folder of frames"):
        files = _in_order(path)
    return _sequence(files, str(path), options)


def open_files(files: Sequence[Path]) -> Stack:
    """Open files of one frame each as a Stack, in natural order of their names; raises as ``open_folder``."""
    return _sequence(sorted(files, key=lambda x: (_key(x), x.name)), str(files[0].parent), Options())


def _sequence(files: list[Path], source: str, options: Options) -> Stack:
    first, *others = files
    sequence = _open_frame(first, options)
    for file in others:
        frame = _open_frame(file, options)
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

    return Stack(
        shape=(len(files), *sequence.shape),
        dtype=sequence.dtype,
        read=read,
        digest=digest_files(files, names=True),
        source=source,
        clock=Clock.regular(len(files)),
        pixel_size=sequence.pixel_size,
    )


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
        if not channels or bits not in (8, 16):
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
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)

    def read() -> NDArray[Any]:
        pixels = np.asarray(imagecodecs.png_decode(file.read(0, file.size)))
        # Luma is that of ITU-R BT.601, as is usual where networks are trained on grey natural images.
        return pixels if channels == 1 else np.asarray(cv2.cvtColor(pixels[..., :3], cv2.COLOR_RGB2GRAY))

    return _Frame(shape, dtype, read, None)


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
    if file.suffix.lower() == ".png":
        return _open_png(file, options.luma)
    stack = open_tiff(file, options)
    if len(stack) != 1:
        raise InputError(
            file,
            problem=f"a folder of frames holds one frame per file, this file has {len(stack)}",
            hint="open this file itself",
        )
    return _Frame(stack.shape[1:], stack.dtype, partial(stack.frame, 0), stack.pixel_size)


def _in_order(folder: Path) -> list[Path]:
    """Return the frames of a folder in natural order; raises InputError for gaps and mixtures."""
    files = [x for x in folder.iterdir() if x.suffix.lower() in _KINDS and x.name[0] != "." and x.is_file()]
    if not files:
        raise InputError(
            folder,
            problem="the folder holds no TIFF or PNG frame, and is no OME-Zarr",
            hint="choose the folder that holds the frames",
        )
    files.sort(key=lambda x: (_key(x), x.name))
    _check_one_kind(files)
    _check_numbers(folder, files)
    return files


def _key(file: Path) -> list[tuple[str, int]]:
    """Return the name in pairs of text and number, so that frame_2 comes before frame_10."""
    return [(text, int(number or -1)) for text, number in re.findall(r"([^0-9]*)([0-9]*)", file.stem)]


def _check_one_kind(files: list[Path]) -> None:
    """Raise InputError where names or types show two sequences, or a dark frame among the frames."""
    for kind in (lambda x: _KINDS[x.suffix.lower()], lambda x: [text for text, _ in _key(x)]):
        groups = [next(g) for _, g in groupby(files, key=kind)]
        if len(groups) > 1 and any(re.search("[0-9]", x.stem) for x in files):
            raise InputError(
                files[0].parent,
                expected="frames of one kind with names that differ only in their number",
                found=f"{groups[0].name} and {groups[1].name}",
                hint="keep one sequence per folder",
            )


def _check_numbers(folder: Path, files: list[Path]) -> None:
    """Raise InputError naming the frames that are missing: most steps equal, some a multiple of it."""
    numbers = np.array([[n for _, n in _key(x)] for x in files], dtype=object).reshape(len(files), -1)
    running = [column for column in numbers.T if len(set(column)) > 1]
    if len(running) != 1:
        return
    steps = Counter(b - a for a, b in pairwise(running[0]))
    step, often = steps.most_common(1)[0]
    if 0 in steps:
        twice = next(pair for pair in pairwise(files) if _key(pair[0]) == _key(pair[1]))
        raise InputError(
            folder,
            expected="one file per number",
            found=f"{twice[0].name} and {twice[1].name}",
            hint="remove one of them",
        )
    if 2 * often <= len(files) - 1 or len(steps) == 1 or any(s % step for s in steps):
        return
    gaps = [(a + step, b - step) for a, b in pairwise(running[0]) if b - a > step]
    names = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in gaps[:5]) + (
        ", ..." if gaps[5:] else ""
    )
    missing = sum((b - a) // step + 1 for a, b in gaps)
    raise InputError(
        folder,
        expected=f"numbers in steps of {step}",
        found=f"{missing} missing: {names}",
        hint="copy the missing frames, or rename the files if none is missing",
    )

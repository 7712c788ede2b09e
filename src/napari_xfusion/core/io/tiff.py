"""TIFF films: plain, ImageJ, OME, tifffile's own, BigTIFF. All places are checked when the film is opened.

The frames that the description declares must be the frames found. Reading one frame reads its bytes only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.io.describe import Resolution, Said, describe_tiff, shaped_frames, stack_fields
from napari_xfusion.core.io.ifd import Layout, Page, Segments, TiffStructure
from napari_xfusion.core.io.source import COPY_AGAIN, FileBytes, damaged, digest_files, told
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError

PADDING = 15
"""Bytes that a writer may leave before a frame; tifffile puts frames at multiples of 16."""
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DECODERS = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.zlib_decode,
    32946: imagecodecs.zlib_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}


def open_tiff(path: Path) -> Stack:
    """Open a TIFF as a Stack; raises InputError where it is damaged, cut or no film of grey frames."""
    with told(path, "a complete TIFF"):
        file = FileBytes(path)
        layout, frames, said = _film(file)
    dtype = layout.dtype.newbyteorder("=")

    def read(i: int) -> NDArray[Any]:
        where = f"{path} frame {i}"
        with told(where, f"a frame {layout.shape} of {dtype}"):
            return read_frame(file, layout, frames[i]).astype(dtype, copy=False)

    return Stack(
        shape=(len(frames), *layout.shape),
        dtype=dtype,
        read=read,
        digest=digest_files([path], names=False),
        source=str(path),
        **stack_fields(said, len(frames)),
    )


def _film(file: FileBytes) -> tuple[Layout, list[Segments], Said]:
    """Return how and where the frames are stored and what the file says of them, all checked."""
    structure = TiffStructure(file)
    said, layout, pyramid = Said(), None, False
    frames, declared = list[Segments](), list[int | None]()
    try:
        for page in structure.pages():
            if layout is None:
                layout, said = page.layout, _describe(structure, page)
            frames.append(_merged(page.segments, layout))
            pyramid = pyramid or 330 in page.tags
            declared.append(shaped_frames(structure.text(page.tags.get(270), 256)))
    except InputError as error:
        raise _with_count(error, said, len(frames)) from error
    if layout is None:
        raise damaged(file.path, "at least one page", "none")
    wanted = said.frames or len(frames)
    if len(frames) == 1 and wanted > 1 and layout.plain and len(frames[0]) == 1:
        frames = _following(file, frames[0], wanted)
    elif wanted != len(frames) and sum(n or 0 for n in declared) != len(frames):
        raise damaged(file.path, f"{wanted} frames as it declares", f"{len(frames)}")
    _check_apart(file, frames)
    if not pyramid:
        _check_nothing_left(structure, frames)
    return layout, frames, said


def _with_count(error: InputError, said: Said, found: int) -> InputError:
    """Return the error for a chain of frames that breaks, with the frames declared and found."""
    if not said.frames or error.do != COPY_AGAIN:
        return error
    text = f"{found}, then {error.found} for {error.expected}"
    return damaged(error.where, f"{said.frames} frames as it declares", text)


def _describe(structure: TiffStructure, page: Page) -> Said:
    tags, where = page.tags, structure.file.path
    if tags.get(33629, tags[256]).number > 1:
        raise InputError(where, expected="a TIFF stack", found="a MetaMorph stack", do="save it with ImageJ")
    resolution = Resolution(
        x=structure.rational(tags.get(282)),
        y=structure.rational(tags.get(283)),
        unit=structure.number(tags, 296, 2),
    )
    return describe_tiff(structure.text(tags.get(270)), page.layout.shape, resolution, where)


def _merged(segments: Segments, layout: Layout) -> Segments:
    """Return strips of plain pixels that follow one another as one."""
    ends = segments.sum(axis=1)
    if layout.plain and (ends[:-1] == segments[1:, 0]).all():
        return np.array([[segments[0, 0], segments[:, 1].sum()]])
    return segments


def _following(file: FileBytes, first: Segments, wanted: int) -> list[Segments]:
    """Return the frames that follow the first without directories of their own (ImageJ beyond 4 GB)."""
    offset, size = (int(x) for x in first[0])
    found = (file.size - offset) // size
    if found < wanted:
        raise damaged(file.path, f"{wanted} frames as it declares", f"bytes for {found}")
    places = np.stack([offset + size * np.arange(wanted), np.full(wanted, size)], axis=1)
    return list(places[:, None])


def _check_apart(file: FileBytes, frames: list[Segments]) -> None:
    """Raise InputError where two strips share bytes."""
    places = np.concatenate(frames)
    places = places[np.argsort(places[:, 0])]
    ends = places.sum(axis=1)
    if (ends[:-1] > places[1:, 0]).any():
        raise damaged(file.path, "frames with bytes of their own", "two that share bytes")


def _check_nothing_left(structure: TiffStructure, frames: list[Segments]) -> None:
    """Raise InputError where a gap after the first frame, named by no directory, holds one more frame.

    That is left by a writer killed before it wrote its directories, and by a chain that ends too soon.
    """
    file, start = structure.file, int(frames[0][0, 0])
    named = np.array([part for part in structure.named if part[0] > start], np.int64).reshape(-1, 2)
    places = np.concatenate([*frames, named])
    places = places[np.argsort(places[:, 0])]
    ends = np.maximum.accumulate(places.sum(axis=1))
    gap = int(np.max(np.append(places[1:, 0], file.size) - ends))
    left = (gap - PADDING) // max(int(x[:, 1].sum()) for x in frames)
    if left > 0:
        text = f"bytes for as many frames as it declares, {len(frames)}"
        raise damaged(file.path, text, f"bytes for {len(frames) + left}")


def read_frame(file: FileBytes, layout: Layout, segments: Segments) -> NDArray[Any]:
    """Return the page whose strips or tiles lie at ``segments``, (H, W) in the file's byte order."""
    image = np.empty(layout.shape, layout.dtype)
    if layout.plain:
        buffer, start = image.reshape(-1).view(np.uint8).data, 0
        for offset, count in segments.tolist():
            file.read_into(buffer[start : start + count], offset)
            start += count
        return image
    (rows, columns), across = layout.block, layout.blocks[1]
    for number, (offset, count) in enumerate(segments.tolist()):
        top, left = number // across * rows, number % across * columns
        part = image[top : top + rows, left : left + columns]
        block = _decode(file.read(offset, count), layout, rows if layout.tiled else part.shape[0])
        part[:] = block[: part.shape[0], : part.shape[1]]
    return image


def _decode(data: bytes, layout: Layout, rows: int) -> NDArray[Any]:
    """Return the pixels of a strip or tile of at least ``rows`` rows, (rows, columns)."""
    columns, needed = layout.block[1], layout.nbytes(rows)
    if layout.lsb_first:
        data = bytes(imagecodecs.bitorder_decode(data))
    if layout.compression != 1:
        # The last strip may be padded to a full one.
        data = bytes(_DECODERS[layout.compression](data, out=layout.nbytes(layout.block[0])))
    if len(data) < needed:
        raise damaged("a strip or tile", f"{needed} bytes", f"{len(data)}")
    if layout.bits != layout.dtype.itemsize * 8:
        packed = imagecodecs.packints_decode(data[:needed], layout.dtype, layout.bits, runlen=columns)
        return np.asarray(packed).reshape(rows, columns)
    raw = np.frombuffer(data, layout.dtype, rows * columns).reshape(rows, columns)
    if layout.predictor == 2:
        return np.asarray(imagecodecs.delta_decode(raw.astype(layout.dtype.newbyteorder("=")), axis=-1))
    if layout.predictor == 3:
        # The predictor sorts bytes by weight, so the file's byte order says nothing here.
        native = raw.view(layout.dtype.newbyteorder("="))
        return np.asarray(imagecodecs.floatpred_decode(native, axis=-1))
    return raw

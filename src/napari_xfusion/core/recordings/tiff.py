"""TIFF sequences: plain, ImageJ, OME, tifffile's own, BigTIFF. All places are checked when the sequence is opened.

tifffile parses the tags and decodes strips and tiles. The frames that the description declares must be the
frames found. Reading one frame reads its bytes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TIFF, TiffPage

from napari_xfusion.core.recordings import source
from napari_xfusion.core.recordings.describe import (
    Resolution,
    Said,
    describe_tiff,
    plane_order,
    shaped_frames,
    stack_fields,
)
from napari_xfusion.core.recordings.ifd import pages
from napari_xfusion.core.recordings.names import planned
from napari_xfusion.core.recordings.pco import PIXELS, PcoStamp, decode, with_stamps
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.sidecar import with_sidecar
from napari_xfusion.core.recordings.source import FileBytes, check_grey, damaged, told
from napari_xfusion.core.recordings.viewer import Viewer, viewer_of, viewer_warnings
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import DamagedFileError, InputError, XFusionWarning

Segments = NDArray[np.int64]
"""(n, 2): offset and byte count of each strip or tile of one page."""
_PLACES = {False: (273, 279), True: (324, 325)}
"""Tags of the offsets and byte counts of strips and of tiles."""
PADDING = 15
"""Bytes that a writer may leave before a frame; tifffile puts frames at multiples of 16."""
_RATIO = {1: 1, 5: 4096, 8: 1100, 32773: 128, 32946: 1100, 34925: 8000, 34933: 1100, 50000: 40_000}
"""What one byte can become at most: none, LZW, deflate, PackBits, deflate, LZMA, PNG, zstd."""
_JPEG = {7, 33007, 34892}
_IMAGES = {*_JPEG, 22610, 34887, 34933, 34934, 50002, 52546}
"""JPEG, JPEG XR, LERC, PNG, JPEG XL: the stream itself states a size, which can be any."""


def open_tiff(path: Path, _options: Options) -> Stack:
    """Open a TIFF as a Stack; raises InputError where it is damaged, cut or no sequence of grey frames.

    Orientation, min-is-white and ImageJ's calibration are not applied, but reported in ``metadata``.
    """
    return with_sidecar(open_part(path, part=False)[0], path)


def open_part(path: Path, *, part: bool = True) -> tuple[Stack, int | None]:
    """Open a TIFF that is one of several files; return it and the frames that all files were planned to have.

    The pages count, whatever OME or ImageJ says about the whole recording; raises as ``open_tiff``.
    """
    with told(path, "a complete TIFF"):
        file = FileBytes(path)
        kinds, frames, said = _sequence(file, part=part)
    page = kinds[0]
    shape, dtype = (page.imagelength, page.imagewidth), np.dtype(page.dtype)

    def read(i: int) -> NDArray[Any]:
        with told(f"{path} frame {i}", f"a frame {shape} of {dtype}"):
            if _plain(kinds[i]):
                stored = dtype.newbyteorder(kinds[i].parent.byteorder)
                return _read_plain(file, np.empty(shape, stored), frames[i])
            return _read_blocks(file, kinds[i], frames[i])

    stamps = _pco_stamps(file, page, frames, dtype)
    stack = Stack(
        shape=(len(frames), *shape),
        dtype=dtype,
        read=read,
        digest=source.digest_files([path], names=False),
        source=str(path),
        **stack_fields(said, len(frames)),
    )
    return with_stamps(stack, stamps), said.planned


def _pco_stamps(
    file: FileBytes, page: TiffPage, frames: list[Segments], dtype: np.dtype[Any]
) -> list[PcoStamp]:
    """The stamps in the first pixels of the frames, none where the first frame has none."""
    if dtype != np.uint16 or page.imagewidth < PIXELS or not _plain(page):
        return []
    stamps = list[PcoStamp]()
    for segments in frames:
        data = file.read(int(segments[0, 0]), 2 * PIXELS)
        stamp = decode(np.frombuffer(data, dtype.newbyteorder(page.parent.byteorder)))
        if stamp is None:
            return []
        stamps.append(stamp)
    return stamps


def _sequence(file: FileBytes, *, part: bool) -> tuple[list[TiffPage], list[Segments], Said]:
    """Return how and where the frames are stored and what the file says of them, all checked.

    Pages that are stored alike are represented by the first of them.
    """
    first, said, pyramid, named = None, Said(), False, list[tuple[int, int]]()
    frames, declared, planes = list[Segments](), list[int | None](), list[bytes]()
    alike, representatives = dict[tuple[object, ...], TiffPage](), list[TiffPage]()
    try:
        for page in pages(file, named, planes):
            where = f"{file.path} frame {len(frames)}"
            _check_page(page, where)
            if first is not None and _kind(page) != _kind(first):
                raise _unequal(where, first, page)
            frames.append(_segments(file, page, where))
            representatives.append(alike.setdefault(_storage(page), page))
            declared.append(shaped_frames(page.description))
            pyramid = pyramid or page.subifds is not None
            if first is None:
                first, said = page, _describe(page, file.path, part=part)
    except DamagedFileError as error:
        if not said.frames:
            raise
        text = f"{len(frames)}, then {error.found} for {error.expected}"
        raise damaged(error.subject, f"{said.frames} frames as it declares", text) from error
    if first is None:
        raise damaged(file.path, "at least one page", "none")
    wanted = said.frames or len(frames)
    source.check_frames(wanted, file.path)
    extent = None if pyramid else named
    if len(frames) == 1 and wanted > 1 and _continues(file, first, frames[0], wanted, part=part):
        frames = _following(file, frames[0], wanted)
        representatives *= wanted
    elif wanted != len(frames) and sum(n or 0 for n in declared) != len(frames):
        said = _fewer(file, frames, extent, said, wanted, part=part)
    _check_places(file, frames, extent)
    order, odd = plane_order(planes, file.path) if len(planes) == len(frames) else (range(len(frames)), ())
    viewer = (*said.viewer, *_shown(first))
    shown = (*viewer_warnings(viewer, file.path), *_bent(first, file.path))
    said = replace(said, viewer=viewer, warnings=(*said.warnings, *odd, *shown))
    return [representatives[i] for i in order], [frames[i] for i in order], said


def _continues(file: FileBytes, page: TiffPage, first: Segments, wanted: int, *, part: bool) -> bool:
    """Whether the frames after the first have no directories of their own (ImageJ beyond 4 GB)."""
    if not _plain(page) or len(first) != 1:
        return False
    offset, size = (int(x) for x in first[0])
    enough = (file.size - offset) // size >= wanted
    return enough or not (part or "<OME" in page.description[:4096])


def _fewer(
    file: FileBytes,
    frames: list[Segments],
    named: list[tuple[int, int]] | None,
    said: Said,
    wanted: int,
    *,
    part: bool,
) -> Said:
    """Raise InputError where the file lost frames; a file that ends properly has fewer than were planned."""
    error = damaged(file.path, f"{wanted} frames as it declares", f"{len(frames)}")
    if wanted < len(frames):
        raise error
    try:
        _check_places(file, frames, named)
    except DamagedFileError as found:
        raise error from found
    if part:
        return replace(said, planned=wanted)
    warning = planned(
        len(frames), wanted, str(file.path), "are in the file; open its folder if it is one of several"
    )
    return replace(said, warnings=(*said.warnings, warning))


def _shown(page: TiffPage) -> Viewer:
    """Return what the tags of a page say to a viewer."""
    photometric = "miniswhite" if page.photometric == 0 or _ramp(page) == "falls" else None
    return viewer_of({"orientation": str(page.tags.valueof(274)), "photometric": photometric})


def _bent(page: TiffPage, where: object) -> Iterator[XFusionWarning]:
    if _ramp(page) == "bent":
        text = "Its grey palette is not linear; values are read as stored, without the palette."
        yield XFusionWarning("palette", text, str(where))


def _ramp(page: TiffPage) -> str | None:
    """Return how a palette of greys runs: "rises" linearly, "falls" linearly, or is "bent"; None of colours."""
    table = page.colormap
    if page.photometric != 3 or table is None or not (table[0] == table).all():
        return None
    grey = np.asarray(table[0], np.float64)
    steps = np.diff(grey)
    if not ((steps >= 0).all() or (steps <= 0).all()) or grey[0] == grey[-1]:
        return None
    even = np.linspace(grey[0], grey[-1], len(grey))
    if np.abs(grey - even).max() > 0.01 * abs(grey[-1] - grey[0]):
        return "bent" if steps.max() > 0 else "falls"
    return "rises" if grey[-1] > grey[0] else "falls"


def _check_page(page: TiffPage, where: str) -> None:
    """Raise InputError where a page is no grey frame that can be decoded."""
    if 33629 in page.tags and page.tags[33629].count > 1:
        raise InputError(
            where, problem="MetaMorph stacks are not supported", hint="save it as TIFF with ImageJ"
        )
    samples = page.samplesperpixel
    if samples != 1 or (page.photometric not in (0, 1) and _ramp(page) is None):
        colours = {2: "RGB", 3: "palette colours"}.get(page.photometric, f"photometric {page.photometric}")
        raise InputError(
            where,
            expected="one grey value per pixel",
            found=f"{colours}, {samples} values per pixel",
            hint="save it as grey values (in ImageJ: Image > Type > 16-bit, or Lookup Tables > Grays); "
            "if it is a sequence that tifffile took for RGB, write it with photometric='minisblack' and "
            "metadata={'axes': 'TYX'}",
        )
    if (page.imagedepth, page.tiledepth) != (1, 1):
        raise InputError(where, problem="its pages are volumes", hint="save one page per frame")
    kind = check_grey(page.dtype or np.dtype(np.void), where).kind
    if not all(n >= 1 and 1 <= side <= n + 4096 for n, side in zip(page.shape, page.chunks, strict=True)):
        raise damaged(where, f"tiles for {page.shape} pixels", f"tiles of {page.chunks}")
    fits = {1: True, 2: kind in "ui", 3: kind == "f"}.get(page.predictor, False)
    flat = page.compression == 1 or page.bitspersample % 8
    if page.compression not in {*_RATIO, *_IMAGES} or not fits or (page.predictor != 1 and flat):
        raise InputError(
            where,
            expected="a TIFF without compression, or with one such as LZW, deflate, zstd, PNG or JPEG XL",
            found=f"compression {page.compression} with predictor {page.predictor}",
            hint="save it again with one of these",
        )


def _kind(page: TiffPage) -> tuple[object, ...]:
    """Return what must be the same for all frames of a sequence."""
    return page.shape, str(page.dtype), int(page.photometric), page.tags.valueof(274, default=1)


def _storage(page: TiffPage) -> tuple[object, ...]:
    """Return what must be the same for a page to be decoded as another one."""
    kind = page.bitspersample, page.chunks, page.is_tiled, int(page.compression), int(page.predictor)
    return (*kind, page.fillorder, page.jpegtables)


def _unequal(where: str, first: TiffPage, found: TiffPage) -> InputError:
    pair = ["{} of {}, photometric {}, orientation {}".format(*_kind(x)) for x in (first, found)]
    remedy = "keep one sequence per file, without previews"
    return InputError(where, expected=f"{pair[0]} as in frame 0", found=pair[1], hint=remedy)


def _describe(page: TiffPage, where: Path, *, part: bool) -> Said:
    x, y = (_ratio(page.tags.valueof(code)) for code in (282, 283))
    shape, text = (page.imagelength, page.imagewidth), page.description.split("\0")[0]
    return describe_tiff(text, shape, Resolution(x=x, y=y, unit=page.resolutionunit), where, part=part)


def _ratio(value: object) -> float | None:
    """Return a fraction as a number above 0, or None."""
    match value:
        case (int(over), int(under)) if over and under:
            return over / under
    return None


def _plain(page: TiffPage) -> bool:
    """Return whether the bytes on disk are the pixels, row after row."""
    whole = page.bitspersample == 8 * np.dtype(page.dtype).itemsize
    return page.compression == 1 and page.fillorder == 1 and whole and not page.is_tiled


def _segments(file: FileBytes, page: TiffPage, where: str) -> Segments:
    """Return where the page's strips or tiles lie, each inside the file and with all its pixels."""
    (rows, columns), (down, across) = page.chunks, page.chunked
    expected, row = down * across, ceil(columns * page.bitspersample / 8)
    found = [page.tags[x].count if x in page.tags else 0 for x in _PLACES[page.is_tiled]]
    oldest = found == [1, 0] and expected == page.compression == 1  # without the byte count of its one strip
    if found != [expected, expected] and not oldest:
        raise damaged(where, f"{expected} strips or tiles", "{} places and {} sizes".format(*found))
    offsets, counts = np.array([page.dataoffsets, page.databytecounts], dtype=np.int64)
    if page.compression == 1:
        need = np.full(expected, rows * row, dtype=np.int64)
        if not page.is_tiled:
            need[-1] = (page.imagelength - (down - 1) * rows) * row
        padded = counts == rows * row  # as the last strip may be
        if not oldest and not (padded | (counts == need)).all():
            raise damaged(where, f"{need.sum()} bytes of pixels", f"{counts.sum()} bytes")
        counts = need
    if (offsets < 8).any() or (counts < 1).any() or (offsets > file.size - counts).any():
        raise damaged(where, f"its pixels inside the file of {file.size} bytes", "places beyond its end")
    most = min(source.MOST_DECODED, _RATIO.get(page.compression, inf) * counts.sum())
    if page.compression != 1 and expected * rows * row > most:
        raise damaged(where, f"pixels for {page.shape}", f"only {counts.sum()} compressed bytes")
    ends = offsets + counts
    if _plain(page) and (ends[:-1] == offsets[1:]).all():  # strips in order are one
        offsets, counts = offsets[:1], counts.sum(keepdims=True)
    return np.stack([offsets, counts], axis=1)


def _following(file: FileBytes, first: Segments, wanted: int) -> list[Segments]:
    """Return the frames that follow the first without directories of their own (ImageJ beyond 4 GB)."""
    offset, size = (int(x) for x in first[0])
    found = (file.size - offset) // size
    if found < wanted:
        raise damaged(file.path, f"{wanted} frames as it declares", f"bytes for {found}")
    places = np.stack([offset + size * np.arange(wanted), np.full(wanted, size)], axis=1)
    return list(places[:, None])


def _check_places(file: FileBytes, frames: list[Segments], named: list[tuple[int, int]] | None) -> None:
    """Raise InputError where two strips share bytes, or a gap not in ``named`` could hold one more frame.

    Such a gap is left by a writer killed before it wrote its directories, and by a chain that ends too soon.
    """
    places = np.concatenate(frames)
    places = places[np.argsort(places[:, 0])]
    if (places.sum(axis=1)[:-1] > places[1:, 0]).any():
        raise damaged(file.path, "frames with bytes of their own", "two that share bytes")
    if named is None:
        return
    others = np.array([x for x in named if x[0] > frames[0][0, 0]], np.int64).reshape(-1, 2)
    places = np.concatenate([places, others])
    places = places[np.argsort(places[:, 0])]
    ends = np.maximum.accumulate(places.sum(axis=1))
    gap = int(np.max(np.append(places[1:, 0], file.size) - ends))
    left = (gap - PADDING) // max(int(x[:, 1].sum()) for x in frames)
    if left > 0:
        text = f"bytes for as many frames as it declares, {len(frames)}"
        raise damaged(file.path, text, f"bytes for {len(frames) + left}")


def _read_plain(file: FileBytes, image: NDArray[Any], segments: Segments) -> NDArray[Any]:
    """Fill ``image`` with the bytes at ``segments`` and return it in native byte order."""
    buffer, start = image.reshape(-1).view(np.uint8).data, 0
    for offset, count in segments.tolist():
        file.read_into(buffer[start : start + count], offset)
        start += count
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _read_blocks(file: FileBytes, page: TiffPage, segments: Segments) -> NDArray[Any]:
    """Return the frame whose strips or tiles lie at ``segments``, (H, W)."""
    image = np.empty((page.imagelength, page.imagewidth), page.dtype)
    (rows, columns), across = page.chunks, page.chunked[1]
    for number, (offset, count) in enumerate(segments.tolist()):
        top, left = number // across * rows, number % across * columns
        part, data = image[top : top + rows, left : left + columns], file.read(offset, count)
        try:
            block = _decode(page, data, number, part.shape)
        except Exception:  # decoders raise a dozen types; the last strip may be padded to a full one
            block = _decode(page, data, 0, page.chunks)
        part[:] = block[: part.shape[0], : part.shape[1]]
    return image


def _decode(page: TiffPage, data: bytes, number: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return strip or tile ``number``; a stream that states another size than ``shape`` is not decoded."""
    if page.compression not in _IMAGES:
        return np.asarray(page.decode(data, number)[0])[0, ..., 0]
    options: dict[str, Any] = {"out": np.empty(shape, page.dtype)}
    if page.compression in _JPEG:
        options |= {"tables": page.jpegtables, "bitspersample": page.bitspersample}
    return np.asarray(TIFF.DECOMPRESSORS[page.compression](data, **options))

"""A bounded walk along the directories (IFDs) of a TIFF: every place it names must lie inside the file.

TIFF 6.0 and BigTIFF, both byte orders. Decodes no pixel. ``pages`` gives how each page is stored and where
its strips or tiles lie, or raises InputError: a reader that guesses past damage returns another film.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.io.source import MOST_DECODED, FileBytes, check_grey, damaged
from napari_xfusion.errors import InputError

Segments = NDArray[np.int64]
"""(n, 2): offset and byte count of each strip or tile of one page."""

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_UNSIGNED = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_PACKED = {10, 12, 14}
_RATIO = {1: 1, 5: 4096, 8: 1100, 32946: 1100, 32773: 128, 50000: 40_000}
"""Compression we read (none, LZW, deflate twice, PackBits, zstd): what one byte can become at most."""
_MOST_TAGS = 1000
_LAYOUT_TAGS = (256, 257, 258, 259, 262, 266, 277, 278, 317, 322, 323, 339, 32997)


class Tag(NamedTuple):
    """One entry of a directory: type and number of its values, the values or else where they lie."""

    type: int
    number: int
    value: bytes
    offset: int


@dataclass(frozen=True)
class Layout:
    """How a page is stored; the same for all pages of a film."""

    shape: tuple[int, int]
    """(H, W)."""
    dtype: np.dtype[Any]
    """Of the values once unpacked, in the file's byte order."""
    bits: int
    """Per value as stored: 8, 16, 32, 64, or packed 10, 12, 14."""
    compression: int
    predictor: int
    lsb_first: bool
    tiled: bool
    block: tuple[int, int]
    """Rows and columns of a strip or tile."""

    @property
    def plain(self) -> bool:
        """Whether the bytes on disk are the pixels, row after row."""
        return self.compression == 1 and not (self.tiled or self.lsb_first or self.bits in _PACKED)

    @property
    def blocks(self) -> tuple[int, int]:
        """Strips or tiles down and across."""
        return ceil(self.shape[0] / self.block[0]), ceil(self.shape[1] / self.block[1])

    def nbytes(self, rows: int) -> int:
        """Bytes of ``rows`` rows of a strip or tile, uncompressed."""
        return rows * ceil(self.block[1] * self.bits / 8)


class Page(NamedTuple):
    """One directory of the chain."""

    tags: dict[int, Tag]
    layout: Layout
    segments: Segments


class TiffStructure:
    """The directories of a TIFF; raises InputError at the first thing that cannot be true."""

    def __init__(self, file: FileBytes) -> None:
        self.file = file
        self.named: list[tuple[int, int]] = []
        """Place and size of the directories so far and of their values, pixels left out."""
        head = file.read(0, min(16, file.size))
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head[2:4] in (b"+\0", b"\0+")
        if len(head) < (16 if self.big else 8):
            raise damaged(file.path, "a TIFF header", f"{len(head)} bytes")
        if self.big and struct.unpack(self.order + "HH", head[4:8]) != (8, 0):
            raise damaged(file.path, "a BigTIFF header", "other offset sizes")
        self.first = self._unpack("Q", head[8:16]) if self.big else self._unpack("I", head[4:8])

    def pages(self) -> Iterator[Page]:
        """Each page of the chain, to its proper end."""
        offset, seen = self.first, set[int]()
        layout: Layout | None = None
        same: list[Tag | None] = []
        while offset:
            where = f"{self.file.path} frame {len(seen)}"
            if offset in seen:
                raise damaged(where, "a chain of frames with an end", "a directory that points back")
            seen.add(offset)
            tags, offset = self._directory(offset, where)
            storage = [tags.get(code) for code in _LAYOUT_TAGS]
            if layout is None or storage != same:  # the same tags need no second look
                found = self._layout(tags, where)
                if layout is not None and found != layout:
                    raise _unequal(where, layout, found)
                layout, same = found, storage
            yield Page(tags, layout, self._segments(tags, layout, where))

    def text(self, tag: Tag | None, most: int | None = None) -> str:
        """Return a text tag, at most its first ``most`` bytes; "" where there is none."""
        if tag is None or tag.type not in (1, 2, 7):
            return ""
        data = self._bytes(tag, min(tag.number, most or tag.number)).split(b"\0")[0]
        try:
            return data.decode()
        except UnicodeDecodeError:  # Windows programs write µ in Latin-1
            return data.decode("latin-1")

    def number(self, tags: dict[int, Tag], code: int, default: int) -> int:
        """Return the first value of an integer tag."""
        tag = tags.get(code)
        if tag is None or not tag.number:
            return default
        _check_unsigned(tag, self.file)
        return int.from_bytes(self._bytes(tag, _SIZES[tag.type]), "little" if self.order == "<" else "big")

    def rational(self, tag: Tag | None) -> float | None:
        """Return a fraction as a number above 0, or None."""
        if tag is None or tag.type != 5 or not tag.number:
            return None
        over, under = struct.unpack(self.order + "II", self._bytes(tag, 8))
        return over / under if over and under else None

    def _unpack(self, code: str, data: bytes) -> int:
        return int(struct.unpack(self.order + code, data)[0])

    def _directory(self, offset: int, where: str) -> tuple[dict[int, Tag], int]:
        """Return the tags of the directory at ``offset`` and the place of the next one."""
        head, entry, link = (8, 20, "Q") if self.big else (2, 12, "I")
        count = self._unpack("Q" if self.big else "H", self.file.read(offset, head))
        if not 0 < count <= _MOST_TAGS:
            raise damaged(where, f"a directory of 1 to {_MOST_TAGS} tags", f"{count} tags")
        data = self.file.read(offset + head, count * entry + struct.calcsize(self.order + link))
        self.named.append((offset, head + len(data)))
        code = self.order + ("HHQ8s" if self.big else "HHI4s")
        tags: dict[int, Tag] = {}
        for tag, kind, n, value in struct.iter_unpack(code, data[: count * entry]):
            size = _SIZES.get(kind, 0) * n
            inside = size <= len(value)
            at = 0 if inside else self._unpack(link, value)
            if at + size > self.file.size:
                raise damaged(where, f"the value of tag {tag} inside the file", f"{size} bytes at {at}")
            if not inside:
                self.named.append((at, size))
            tags.setdefault(tag, Tag(kind, n, value if inside else b"", at))
        return tags, self._unpack(link, data[count * entry :])

    def _integers(self, tag: Tag) -> NDArray[np.int64]:
        _check_unsigned(tag, self.file)
        data = self._bytes(tag, tag.number * _SIZES[tag.type])
        return np.frombuffer(data, self.order + _UNSIGNED[tag.type]).astype(np.int64)

    def _bytes(self, tag: Tag, count: int) -> bytes:
        return tag.value[:count] if tag.value else self.file.read(tag.offset, count)

    def _layout(self, tags: dict[int, Tag], where: str) -> Layout:
        def number(code: int, default: int) -> int:
            return self.number(tags, code, default)

        H, W = number(257, 0), number(256, 0)
        if H < 1 or W < 1:
            raise damaged(where, "a page with rows and columns", f"{H} x {W} pixels")
        self._check_samples(tags, where)
        bits, tiled = number(258, 1), 322 in tags
        block = (number(323, 0), number(322, 0)) if tiled else (min(number(278, H) or H, H), W)
        layout = Layout(
            shape=(H, W),
            dtype=self._dtype(bits, number(339, 1), where),
            bits=bits,
            compression=number(259, 1),
            predictor=number(317, 1),
            lsb_first=number(266, 1) == 2,
            tiled=tiled,
            block=block,
        )
        _check_storage(layout, where)
        return layout

    def _check_samples(self, tags: dict[int, Tag], where: str) -> None:
        samples, photometric = self.number(tags, 277, 1), self.number(tags, 262, 1)
        if samples != 1 or photometric not in (0, 1):
            kind = {2: "RGB", 3: "palette colours"}.get(photometric, f"photometric kind {photometric}")
            raise InputError(
                where,
                expected="one grey value per pixel",
                found=f"{kind}, {samples} values per pixel",
                do="save it as grey values (in ImageJ: Image > Type > 16-bit, or Lookup Tables > Grays); "
                "if it is a film that tifffile took for RGB, write it with photometric='minisblack' and "
                "metadata={'axes': 'TYX'}",
            )
        if self.number(tags, 32997, 1) != 1:
            raise InputError(where, expected="flat pages", found="volumes", do="save one page per frame")

    def _dtype(self, bits: int, sample_format: int, where: str) -> np.dtype[Any]:
        if bits == 1:
            return check_grey(np.dtype(bool), where)
        kind = _KINDS.get(sample_format, "c" if sample_format in (5, 6) else None)
        if bits in _PACKED and kind == "u":
            return np.dtype(self.order + "u2")
        if (
            kind is None
            or bits not in (8, 16, 32, 64, 128)
            or (kind + str(bits)) in ("f8", "c8", "c16", "c32")
        ):
            raise InputError(
                where,
                expected="grey values as 8 to 32-bit integers or 16 to 64-bit floats",
                found=f"{bits} bits of kind {sample_format}",
                do="convert it, to 16 bit or float32 for instance",
            )
        dtype = np.dtype(f"{self.order}{kind}{bits // 8}")
        check_grey(dtype, where)
        return dtype

    def _segments(self, tags: dict[int, Tag], layout: Layout, where: str) -> Segments:
        """Return where the page's strips or tiles lie, each inside the file and with all its pixels."""
        offset_code, count_code = (324, 325) if layout.tiled else (273, 279)
        down, across = layout.blocks
        expected = down * across
        found = [tags[code].number if code in tags else 0 for code in (offset_code, count_code)]
        if found == [1, 0] and expected == 1 and layout.compression == 1:
            found[1] = 1  # the oldest writers leave out the byte count of a single strip
            counts = np.array([layout.nbytes(layout.shape[0])])
        elif found == [expected, expected]:
            counts = self._integers(tags[count_code])
        else:
            raise damaged(where, f"{expected} strips or tiles", f"{found[0]} places and {found[1]} sizes")
        offsets = self._integers(tags[offset_code])
        if layout.compression == 1:
            counts = self._uncompressed(counts, layout, where)
        if (offsets < 8).any() or (counts < 1).any() or (offsets > self.file.size - counts).any():
            raise damaged(
                where, f"its pixels inside the file of {self.file.size} bytes", "places beyond its end"
            )
        decoded = expected * layout.nbytes(layout.block[0])
        if layout.compression != 1 and decoded > min(MOST_DECODED, _RATIO[layout.compression] * counts.sum()):
            raise damaged(
                where, "pixels for {} x {}".format(*layout.shape), f"only {counts.sum()} compressed bytes"
            )
        return np.stack([offsets, counts], axis=1)

    def _uncompressed(self, counts: NDArray[np.int64], layout: Layout, where: str) -> NDArray[np.int64]:
        """Return the bytes that the pixels need; raises InputError where other sizes are declared."""
        rows = layout.block[0]
        down, across = layout.blocks
        need = np.full((down, across), layout.nbytes(rows), dtype=np.int64)
        if not layout.tiled:
            need[-1] = layout.nbytes(layout.shape[0] - (down - 1) * rows)
        # The last strip may be padded to a full one.
        if ((counts != need.ravel()) & (counts != layout.nbytes(rows))).any():
            raise damaged(where, f"{need.sum()} bytes of pixels", f"{counts.sum()} bytes")
        return need.ravel()


def _check_unsigned(tag: Tag, file: FileBytes) -> None:
    if tag.type not in _UNSIGNED:
        raise damaged(file.path, "whole numbers in a tag", f"type {tag.type}")


def _check_storage(layout: Layout, where: str) -> None:
    (H, W), (rows, columns) = layout.shape, layout.block
    if not (1 <= rows <= H + 4096 and 1 <= columns <= W + 4096):
        raise damaged(where, f"tiles for {H} x {W} pixels", f"tiles of {rows} x {columns}")
    fits = {1: True, 2: layout.dtype.kind in "ui", 3: layout.dtype.kind == "f"}.get(layout.predictor, False)
    plain = layout.compression == 1 or layout.bits in _PACKED
    if layout.compression not in _RATIO or not fits or (layout.predictor != 1 and plain):
        raise InputError(
            where,
            expected="a TIFF without compression, or with LZW, deflate, PackBits or zstd",
            found=f"compression {layout.compression} with predictor {layout.predictor}",
            do="save it again with one of these",
        )


def _unequal(where: str, first: Layout, found: Layout) -> InputError:
    pair = [f"{x.shape[0]} x {x.shape[1]} pixels of {x.dtype}" for x in (first, found)]
    if pair[0] == pair[1]:
        pair = [
            f"{x}, strips of {y.block}, compression {y.compression}"
            for x, y in zip(pair, (first, found), strict=True)
        ]
    return InputError(
        where,
        expected=f"{pair[0]} as in frame 0",
        found=pair[1],
        do="keep one film per file, and no preview images",
    )

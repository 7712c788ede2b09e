"""The chain of directories (IFDs) of a TIFF, followed to its proper end.

tifffile parses each directory; but where the chain or the value of a tag leaves the file, it stops without an
error and returns another sequence. Hence this check, which comes first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack

from tifffile import TIFF, TiffFile, TiffPage

from napari_xfusion.core.recordings.source import FileBytes, damaged

FORMATS = {b"II*\0": TIFF.CLASSIC_LE, b"MM\0*": TIFF.CLASSIC_BE, b"II+\0": TIFF.BIG_LE, b"MM\0+": TIFF.BIG_BE}
"""First bytes of a TIFF and the format of its directories."""
_SIZES = {kind: struct.calcsize("=" + code) for kind, code in TIFF.DATA_FORMATS.items()}
_MOST_TAGS = 1000
_PLANE = 51123
"""Tag of Micro-Manager: JSON about one page."""
_NEEDED = {*TIFF.TAG_ATTRIBUTES, 258, 273, 279, 296, 324, 325, 339}
"""Tags that are interpreted; others may have types that nobody knows."""

_ALIKE: dict[tuple[object, ...], TiffPage] = {}
"""The first page by all bytes that describe it: the files of a folder are often alike in these."""


def pages(file: FileBytes, named: list[tuple[int, int]], planes: list[bytes]) -> Iterator[TiffPage]:
    """Yield each page of the chain; raises InputError at the first thing that cannot be true.

    Appends to ``named`` the offset and size of each directory and of its values, pixels left out, and to
    ``planes`` what Micro-Manager says about each page in a tag of its own, b"" where it has none.
    """
    tiff, seen, tif = FORMATS.get(file.read(0, 4)), set[int](), None
    if tiff is None or file.size < 2 * tiff.offsetsize:
        raise damaged(file.path, "a TIFF header", f"another start, or only {file.size} bytes")
    head, link = tiff.tagnosize, tiff.offsetsize
    header = tiff.byteorder + ("HHI4s" if link == 4 else "HHQ8s")  # code, kind, number, value
    (offset,) = struct.unpack(tiff.offsetformat, file.read(link, link))
    with ExitStack() as stack:
        while offset:
            where = f"{file.path} frame {len(seen)}"
            if offset in seen:
                raise damaged(where, "a chain of frames with an end", "a directory that points back")
            (count,) = struct.unpack(tiff.tagnoformat, file.read(offset, head))
            if not 0 < count <= _MOST_TAGS:
                raise damaged(where, f"a directory of 1 to {_MOST_TAGS} tags", f"{count} tags")
            data = file.read(offset + head, count * tiff.tagsize + link)
            named.append((offset, head + len(data)))
            plane = b""
            for code, kind, number, value in struct.iter_unpack(header, data[:-link]):
                if kind not in _SIZES and code in _NEEDED:
                    raise damaged(where, f"a known type in tag {code}", f"{kind}")
                size = _SIZES.get(kind, 0) * number
                if size > len(value):
                    (at,) = struct.unpack(tiff.offsetformat, value)
                    if not 8 <= at <= file.size - size:
                        raise damaged(where, f"tag {code}'s value inside the file", f"{size} bytes at {at}")
                    named.append((at, size))
                    if code == _PLANE:
                        plane = file.read(at, size)
            small = not seen and sum(size for _, size in named) < 2**16
            key = (tiff, *named, *(file.read(*part) for part in named)) if small else ()
            page = _ALIKE.get(key)
            if page is None:
                tif = tif or stack.enter_context(
                    TiffFile(file.path, is_ndpi=False, is_lsm=False, is_scanimage=False)
                )
                tif.filehandle.seek(offset)
                page = TiffPage(tif, len(seen)) if seen else tif.pages.first
            if key:
                if len(_ALIKE) > 15:
                    _ALIKE.clear()
                _ALIKE[key] = page
            planes.append(plane)
            yield page
            seen.add(offset)
            (offset,) = struct.unpack(tiff.offsetformat, data[-link:])

"""TIFF files of many frames each that are pieces of one recording: joined where their order is certain."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.foreign import first_bytes
from napari_xfusion.core.recordings.names import in_order, planned
from napari_xfusion.core.recordings.readers import TIFF_MAGIC
from napari_xfusion.core.recordings.source import digest_files
from napari_xfusion.core.recordings.tiff import open_part
from napari_xfusion.core.types import Metadata, Stack
from napari_xfusion.errors import InputError

_NUMBERED = re.compile(r"(.*NDTiffStack|.*_MMStack(?:_(?!\d+(?:\.|$))[^_.]+)?)(?:_(\d+))?(?:\.ome)?$")
"""Micro-Manager's names of files that continue each other: only from the second on do they have a number."""
_LIMITS = (2**31, 2**32)
"""Bytes at which programs begin another file."""
_HEADROOM = 2**26
"""Bytes by which a full file may be smaller, besides a frame: for the directories at its end."""


def open_pieces(files: Sequence[Path], folder: Path) -> Stack | None:
    """Join files of many frames each to one Stack; None where they are no pieces, or that is not certain.

    Certain are files that Micro-Manager names as pieces, files that have together the frames which the first
    declares, and files that end at 2 or 4 GB except the last. Raises InputError where a piece is missing, damaged
    or unlike the others.
    """
    ends = sorted(files, key=lambda x: (len(x.name), x.name))
    if len(files) < 2 or not all(first_bytes(x).startswith(TIFF_MAGIC) for x in ends[:1] if x.is_file()):
        return None
    if ends[0].is_dir() or len(open_part(ends[0])[0]) < 2:
        return None
    ordered, named = _order(files, folder)
    opened = [open_part(file) for file in ordered]
    stacks, plan = [stack for stack, _ in opened], max((n for _, n in opened if n), default=None)
    first, total = stacks[0], sum(map(len, stacks))
    for stack in stacks[1:]:
        if (stack.shape[1:], stack.dtype) != (first.shape[1:], first.dtype):
            raise InputError(
                stack.source,
                expected=f"{first.shape[1:]} of {first.dtype} as {ordered[0].name}",
                found=f"{stack.shape[1:]} of {stack.dtype}",
                hint="keep one sequence per folder",
            )
    if not named and plan != total and not _full(ordered, first):
        return None
    starts = [0, *accumulate(map(len, stacks))]

    def read(i: int) -> NDArray[Any]:
        piece = bisect_right(starts, i) - 1
        return stacks[piece].read(i - starts[piece])

    warnings = [*first.metadata.warnings]
    if plan is not None and plan > total:
        warnings.append(planned(total, plan, str(folder)))
    return Stack(
        shape=(total, *first.shape[1:]),
        dtype=first.dtype,
        read=read,
        digest=digest_files(list(ordered), names=False),
        source=str(folder),
        clock=Clock.regular(total, first.clock.interval),
        pixel_size=first.pixel_size,
        metadata=Metadata(
            first.metadata.axes, first.metadata.hr_times, tuple(warnings), first.metadata.viewer
        ),
    )


def _order(files: Sequence[Path], folder: Path) -> tuple[list[Path], bool]:
    """Return the files in order, and whether their names say that they are pieces; the first may have no number."""
    found = [_NUMBERED.match(x.stem) for x in files]
    named = all(found) and len({x[1] for x in found if x}) == 1
    numbers = {x: int(m[2] or 0) for x, m in zip(files, found, strict=True) if m} if named else _after(files)
    if not numbers:
        return [files[i] for i in in_order([x.name for x in files], folder).places], False
    ordered = sorted(files, key=lambda x: numbers[x])
    first = 0 if named else numbers[ordered[1]] - 1
    missing = [str(first + k) for k, x in enumerate(ordered) if k and numbers[x] != first + k]
    if missing:
        raise InputError(
            folder,
            expected="pieces with numbers that follow each other",
            found=f"no number {missing[0]}",
            hint="copy the missing piece",
        )
    return ordered, named


def _after(files: Sequence[Path]) -> dict[Path, int]:
    """Return the numbers of files such as a.tif, a_1.tif, a_2.tif, where the first has none; else nothing."""
    base = min(files, key=lambda x: len(x.name))
    found = {x: re.fullmatch(re.escape(base.stem) + r"[-_ .@(]*(\d+)\)?", x.stem) for x in files if x != base}
    numbers = {x: int(m[1]) for x, m in found.items() if m}
    return (
        {base: -1, **numbers}
        if len(numbers) == len(files) - 1 and len({*numbers.values()}) == len(numbers)
        else {}
    )


def _full(files: Sequence[Path], stack: Stack) -> bool:
    """Whether all files but the last end where programs begin another one."""
    frame = stack.shape[1] * stack.shape[2] * stack.dtype.itemsize
    sizes = [x.stat().st_size for x in files[:-1]]
    return any(all(0 <= limit - size <= frame + _HEADROOM for size in sizes) for limit in _LIMITS)

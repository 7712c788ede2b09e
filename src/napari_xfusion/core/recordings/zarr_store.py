"""Zarr sequences: an array, or level 0 of an OME-Zarr group; versions 2 and 3."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from napari_xfusion.core.recordings.array import array_sequence, axis_names
from napari_xfusion.core.recordings.describe import attribute_warnings, describe_zarr
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import (
    MOST_DECODED,
    check_frames,
    check_grey,
    damaged,
    told,
)
from napari_xfusion.core.recordings.viewer import viewer_warnings
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, XFusionWarning

_CHUNK = re.compile(r"(?:c[./])?(\d{1,15}(?:[./]\d{1,15})*)")
"""The name of the file of a chunk: c/0/3/1, 0.3.1 and the like."""


def open_zarr(path: Path, _options: Options) -> Stack:
    """Open a Zarr folder as a Stack; raises InputError where it holds no sequence of grey frames.

    Axes are those of OME, of ``dimension_names`` or of xarray, in any order. Zarr does not store empty chunks, so
    a lost chunk reads as frames of the fill value: chunks that are absent are reported in ``metadata.warnings``.
    """
    with told(path, "a Zarr array or OME-Zarr group"):
        array, attributes = _level_0(path)
        shape = tuple(int(n) for n in array.shape)
        if len(shape) < 2 or min(shape) < 1:
            raise InputError(
                path,
                expected="a sequence of shape (T, H, W)" if len(shape) < 2 else "frames",
                found=f"no frames (shape {shape})" if len(shape) > 1 else f"shape {shape}",
                hint="give the sequence's array",
            )
        axes, said = describe_zarr(attributes, axis_names(array), shape, path)
        dtype = check_grey(np.dtype(array.dtype), path)
        check_frames(1 if axes.frames is None else shape[axes.frames], path)
        if shape[axes.rows] * shape[axes.columns] * dtype.itemsize > MOST_DECODED:
            raise damaged(path, f"frames of at most {MOST_DECODED} bytes", f"shape {shape}")
        if prod(map(int, array.chunks)) * dtype.itemsize > MOST_DECODED:
            raise damaged(path, f"chunks of at most {MOST_DECODED} bytes", f"chunks of {array.chunks}")
        warnings = (*_warnings(array, str(path)), *viewer_warnings(said.viewer, path))
    return array_sequence(array, axes, replace(said, warnings=warnings), path)


def _warnings(array: Any, where: str) -> Iterator[XFusionWarning]:
    absent, outside = _misfits(array)
    if outside:
        text = (
            f"{outside} chunks are outside of its shape {array.shape} and not read. Copy the recording again."
        )
        yield XFusionWarning("absent-chunks", text, where)
    if absent:
        fill = 0 if array.fill_value is None else array.fill_value
        value = "zero" if fill == 0 else f"the fill value {fill}"
        yield XFusionWarning("absent-chunks", f"{absent} chunks are absent and read as {value}.", where)
    yield from attribute_warnings(array.attrs, where)


def _misfits(array: Any) -> tuple[int, int]:
    """Chunks that have no file, and files of chunks that the array has not.

    zarr's own count takes the square of their number in steps.
    """
    block = [int(n) for n in array.shards or array.chunks]
    grid = [ceil(int(n) / b) for n, b in zip(array.shape, block, strict=True)]
    folder = Path(array.store.root) / array.path
    stored = outside = 0
    for place, _, names in os.walk(folder):
        inside = Path(place).relative_to(folder).as_posix()
        for name in names:
            found = _CHUNK.fullmatch(name if inside == "." else f"{inside}/{name}")
            numbers = [int(x) for x in re.split("[./]", found[1])] if found else []
            if len(numbers) == len(grid):
                fits = all(i < n for i, n in zip(numbers, grid, strict=True))
                stored, outside = stored + fits, outside + (not fits)
    each = prod(block) // prod(map(int, array.chunks))
    return (prod(grid) - stored) * each, outside * each


def _level_0(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the array and the attributes that describe it."""
    import zarr  # noqa: PLC0415 - half a second, for those who have Zarr

    with catch_warnings():
        simplefilter("ignore")  # of metadata that zarr does not know
        node: Any = zarr.open(str(path), mode="r")
        attributes = dict(node.attrs)
        if isinstance(node, zarr.Array):
            return node, attributes
        scales = attributes.get("ome", attributes).get("multiscales")
        if not scales:
            raise InputError(
                path,
                expected="a Zarr array or an OME-Zarr group",
                found=f"a group of {', '.join(sorted(node.keys())) or 'nothing'}"[:200],
                hint="give the path of one array in it",
            )
        return node[scales[0]["datasets"][0]["path"]], attributes

"""Zarr sequences: an array, or level 0 of an OME-Zarr group; versions 2 and 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from napari_xfusion.core.recordings.array import array_sequence, axis_names
from napari_xfusion.core.recordings.describe import attribute_warnings, describe_zarr
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import MOST_DECODED, check_grey, damaged, told
from napari_xfusion.core.recordings.viewer import viewer_warnings
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, XFusionWarning


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
        if shape[axes.rows] * shape[axes.columns] * dtype.itemsize > MOST_DECODED:
            raise damaged(path, f"frames of at most {MOST_DECODED} bytes", f"shape {shape}")
        warnings = (*_warnings(array, str(path)), *viewer_warnings(said.viewer, path))
    return array_sequence(array, axes, replace(said, warnings=warnings), path)


def _warnings(array: Any, where: str) -> Iterator[XFusionWarning]:
    absent = max(0, int(array.nchunks - array.nchunks_initialized))
    if absent:
        fill = 0 if array.fill_value is None else array.fill_value
        value = "zero" if fill == 0 else f"the fill value {fill}"
        yield XFusionWarning("absent-chunks", f"{absent} chunks are absent and read as {value}.", where)
    yield from attribute_warnings(array.attrs, where)


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

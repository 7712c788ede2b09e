"""Zarr sequences: an array, or level 0 of an OME-Zarr group; versions 2 and 3."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_xfusion.core.recordings.array import array_sequence
from napari_xfusion.core.recordings.describe import describe_ome_zarr
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import MOST_DECODED, check_grey, damaged, told
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError


def open_zarr(path: Path, _options: Options) -> Stack:
    """Open a Zarr folder as a Stack; raises InputError where it holds no sequence of grey frames.

    Zarr does not store empty chunks, so a lost chunk reads as a black frame: ``metadata.absent_chunks``
    counts what is not there.
    """
    with told(path, "a Zarr array or OME-Zarr group"):
        array, attributes = _level_0(path)
        if array.ndim < 2:
            raise InputError(
                path, expected="frames", found=f"shape {array.shape}", hint="give the sequence's array"
            )
        shape = tuple(int(n) for n in array.shape)
        axis, said = describe_ome_zarr(attributes, shape, path)
        dtype = check_grey(np.dtype(array.dtype), path)
        if shape[-2] * shape[-1] * dtype.itemsize > MOST_DECODED:
            raise damaged(path, f"frames of at most {MOST_DECODED} bytes", f"shape {shape}")
        absent = max(0, int(array.nchunks - array.nchunks_initialized))
    sequence = array_sequence(array, axis, said, path)
    return replace(sequence, metadata=replace(sequence.metadata, absent_chunks=absent))


def _level_0(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the array and the attributes that describe it."""
    import zarr  # noqa: PLC0415 - half a second, for those who have Zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that zarr does not know
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

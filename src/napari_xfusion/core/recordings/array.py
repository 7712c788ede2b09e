"""Arrays of numpy, dask, Zarr, xarray and the like as sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.recordings.describe import Axes, Said, stack_fields
from napari_xfusion.core.recordings.source import checked, told
from napari_xfusion.core.types import Stack, digest_frames


def array_sequence(array: Any, axes: Axes, said: Said, where: object) -> Stack:
    """An array of grey values as a sequence, of one frame where it has no axis of frames.

    Its axes that are neither frames, rows nor columns have length 1. Frames are read and transposed when asked
    for. Masked values become NaN, of integers as float32, of 32-bit integers as float64.
    """
    shape, dtype = tuple(int(n) for n in array.shape), np.dtype(array.dtype).newbyteorder("=")
    masked = is_masked(array)
    if masked and dtype.kind != "f":
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    image = shape[axes.rows], shape[axes.columns]
    transposed = axes.rows > axes.columns

    def read(i: int) -> NDArray[Any]:
        frame = f"{where} frame {i}"
        with told(frame, f"a frame {image} of {dtype}"):
            values = array[_index(len(shape), axes, i)]
            if masked:
                values = values.compute() if hasattr(values, "compute") else values  # dask drops masks else
                values = np.ma.filled(values.astype(dtype), np.nan)
            return checked(np.asarray(values).T if transposed else values, image, dtype, frame)

    sequence = (1 if axes.frames is None else shape[axes.frames], *image)
    return Stack(
        shape=sequence,
        dtype=dtype,
        read=read,
        digest=digest_frames(sequence, dtype, read),
        source=str(where),
        **stack_fields(said, sequence[0]),
    )


def is_masked(array: object) -> bool:
    """Whether some values of a numpy array are masked, or any of a dask array may be."""
    if isinstance(array, np.ma.MaskedArray):
        return bool(np.ma.is_masked(array))
    return isinstance(getattr(array, "_meta", None), np.ma.MaskedArray)


def axis_names(array: Any) -> list[str] | None:
    """Return the names of an array's axes where it is of xarray or Zarr and has any; "?" for an axis without."""
    names = getattr(array, "dims", None) or getattr(getattr(array, "metadata", None), "dimension_names", None)
    attributes = getattr(array, "attrs", None)
    if not names and isinstance(attributes, Mapping):
        names = attributes.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list | tuple) or len(names) != len(array.shape):
        return None
    return [str(x or "?") for x in names]


def _index(ndim: int, axes: Axes, i: int) -> Any:
    """The index of frame ``i``, without the slices at its end."""
    index = [0 if k != axes.frames else i for k in range(ndim)]
    pixels = {axes.rows, axes.columns}
    if pixels == {ndim - 2, ndim - 1}:
        return tuple(index[:-2]) or slice(None)
    return tuple(slice(None) if k in pixels else n for k, n in enumerate(index))

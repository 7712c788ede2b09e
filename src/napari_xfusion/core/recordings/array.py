"""Arrays of numpy, dask, Zarr and the like as sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.recordings.describe import Said, stack_fields
from napari_xfusion.core.recordings.source import checked, told
from napari_xfusion.core.types import Stack, digest_frames


def array_sequence(array: Any, axis: int | None, said: Said, where: object) -> Stack:
    """An array (..., H, W) of grey values as a sequence along ``axis``, of one frame when None.

    Its other axes before the last two have length 1; frames are read when asked for.
    """
    shape, dtype = tuple(int(n) for n in array.shape), np.dtype(array.dtype).newbyteorder("=")

    def read(i: int) -> NDArray[Any]:
        frame = f"{where} frame {i}"
        with told(frame, f"a frame {shape[-2:]} of {dtype}"):
            index = tuple(i if k == axis else 0 for k in range(len(shape) - 2))
            return checked(array[index] if index else array[:], shape[-2:], dtype, frame)

    sequence = (1 if axis is None else shape[axis], shape[-2], shape[-1])
    return Stack(
        shape=sequence,
        dtype=dtype,
        read=read,
        digest=digest_frames(sequence, dtype, read),
        source=str(where),
        **stack_fields(said, sequence[0]),
    )

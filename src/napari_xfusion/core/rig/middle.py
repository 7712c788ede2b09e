"""The median of floats that are known to be finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.floating], axis: int = -1) -> Any:
    """As ``np.median`` of floats without NaN, the same to the bit, in a half to a quarter of its time.

    NumPy also looks for NaN, which orders more of each array. A pair is compared by thousands of medians of small
    arrays. Of no values it is NaN.
    """
    count = values.shape[axis]
    if not count:
        return np.full_like(values.sum(axis=axis), np.nan)
    middle = count // 2
    if count % 2:
        return np.partition(values, middle, axis=axis).take(middle, axis=axis)
    ordered = np.partition(values, (middle - 1, middle), axis=axis)
    return (ordered.take(middle - 1, axis=axis) + ordered.take(middle, axis=axis)) / 2

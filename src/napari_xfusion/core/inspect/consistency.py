"""Whether a fused sequence agrees with LR: the binned result minus LR.

The residual is LR noise, or structure that the method invented or lost. A small residual does not prove that
the detail inside an LR pixel is right; a large one proves an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.types import Image


class Residual(NamedTuple):
    """The disagreement of one frame with LR, in grey units."""

    frame: int
    rms: float
    """The root mean square over the LR pixels."""
    bias: float
    """The mean: brightness that was added (positive) or lost."""


def consistency(fused: Image, lr: Image, down: Callable[[Image], Image]) -> Image:
    """Return ``down(fused)`` - ``lr``, float32 (h, w): the LR image of the result minus the recorded one.

    ``fused`` (H, W) and ``lr`` (h, w) are in grey units of one scale; ``down`` bins (H, W) to (h, w).
    """
    difference: Image = down(fused) - lr
    return difference


def residual(frame: int, difference: Image) -> Residual:
    """Summarise the ``consistency`` image of one frame; pixels that are not finite are ignored.

    NaN when no pixel is finite.
    """
    known = difference[np.isfinite(difference)].astype(np.float64)
    if not known.size:
        return Residual(frame, float("nan"), float("nan"))
    return Residual(frame, float(np.sqrt(np.mean(known**2))), float(known.mean()))

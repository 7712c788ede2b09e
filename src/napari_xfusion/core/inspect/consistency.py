"""Whether a fused sequence says what the fast camera saw: the binned result minus LR.

What remains is noise of LR, or was invented or lost by the method. A small residual does not prove that the
detail inside an LR pixel is right; a large one proves that something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.types import Image


class Residual(NamedTuple):
    """One frame's disagreement with LR, in grey units."""

    frame: int
    rms: float
    """Root mean square over the LR pixels."""
    bias: float
    """Mean: brightness that was added (positive) or lost."""


def consistency(fused: Image, lr: Image, down: Callable[[Image], Image]) -> Image:
    """``down(fused)`` - ``lr``, float32 (h, w): what the fast camera would have seen, minus what it saw.

    ``fused`` (H, W) and ``lr`` (h, w) are in grey units of one scale; ``down`` bins (H, W) to (h, w).
    """
    difference: Image = down(fused) - lr
    return difference


def residual(frame: int, difference: Image) -> Residual:
    """The numbers of one frame's ``consistency`` image; pixels that are not finite are left out.

    NaN when there is no other pixel.
    """
    known = difference[np.isfinite(difference)].astype(np.float64)
    if not known.size:
        return Residual(frame, float("nan"), float("nan"))
    return Residual(frame, float(np.sqrt(np.mean(known**2))), float(known.mean()))

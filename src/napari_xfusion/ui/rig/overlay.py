"""Both cameras in one image on the pixels of HR: as a checkerboard, or as their difference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.types import Image

FIELDS = 8
"""Squares of the checkerboard along the shorter side."""
FEWEST = 16
"""Common pixels from which LR gets the grey values of HR."""
Combine = Callable[[Image, Image], Image]
"""An LR frame (h, w) and an HR frame (H, W) in one image (H, W)."""


class Overlay:
    """Images of two cameras on the pixels of HR; ``mapping`` takes LR pixels to HR pixels."""

    def __init__(self, mapping: Mapping, lr_shape: Shape, hr_shape: Shape) -> None:
        self._mapping, self._lr_shape, self._hr_shape = mapping, lr_shape, hr_shape

    def checkerboard(self, lr: Image, hr: Image) -> Image:
        """LR and HR in turn, in grey values of HR; HR alone where LR sees nothing."""
        seen, matched, _ = self._matched(lr, hr)
        height, width = np.indices(self._hr_shape) // (min(self._hr_shape) // FIELDS + 1)
        use = ((height + width) % 2 == 0) & seen
        return np.where(use, matched, hr).astype(np.float32)

    def difference(self, lr: Image, hr: Image) -> Image:
        """HR, as blurred as LR, minus LR, in grey values of HR; NaN where LR sees nothing."""
        seen, matched, blurred = self._matched(lr, hr)
        return np.where(seen, blurred - matched, np.nan).astype(np.float32)

    def _matched(self, lr: Image, hr: Image) -> tuple[NDArray[np.bool_], Image, Image]:
        """Where LR sees HR pixels, LR on them by the line that fits HR best, and HR with the mean over LR pixels."""
        moved = self._on_hr(lr)
        down, across = (max(1, round(side)) for side in self._mapping.scale)
        blurred = cv2.blur(hr.astype(np.float32), (across, down), borderType=cv2.BORDER_REPLICATE)
        seen = np.isfinite(moved)
        fits = seen & np.isfinite(blurred)
        if fits.sum() >= FEWEST and np.ptp(moved[fits]) > 0:
            slope, start = np.polyfit(moved[fits].astype(np.float64), blurred[fits].astype(np.float64), 1)
            moved = (slope * moved + start).astype(np.float32)
        return seen, moved, np.asarray(blurred)

    def _on_hr(self, lr: Image) -> Image:
        rows, columns = self._places
        moved = cv2.remap(
            lr.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.where(self._inside, moved, np.nan).astype(np.float32)

    @cached_property
    def _places(self) -> tuple[Image, Image]:
        """LR row and column of every HR pixel."""
        at = self._mapping.from_output(np.moveaxis(np.indices(self._hr_shape), 0, -1)).astype(np.float32)
        return np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])

    @cached_property
    def _inside(self) -> NDArray[np.bool_]:
        (rows, columns), (h, w) = self._places, self._lr_shape
        return (rows >= -0.5) & (rows <= h - 0.5) & (columns >= -0.5) & (columns <= w - 0.5)

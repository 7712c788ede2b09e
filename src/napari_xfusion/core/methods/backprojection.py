"""HR neighbours interpolated in time, corrected so that binning them gives the LR frame.

The simplest use of both cameras, and the floor that every learned method has to beat. It inherits the
HR frames' noise and shows a ghost of whatever moved between them.
"""

from __future__ import annotations

import numpy as np

from napari_xfusion.core.degrade import Resampler
from napari_xfusion.core.methods.base import WindowFuser, WindowStream
from napari_xfusion.core.rig import Pair
from napari_xfusion.core.types import Image, Window


class BackprojectionStream(WindowStream):
    """HR(t) = I + up(LR(t) - down(I)), with I linear in time between the HR neighbours.

    Binning is linear, so each HR frame is binned once and the binned ones are interpolated.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._binned = BinnedFrames(pair.geometry.down)

    def combine(self, window: Window) -> tuple[Image, None]:
        """See ``WindowStream.combine``."""
        before, after = (np.float32(w) for w in window.weights)
        binned = [self._binned(k, hr) for k, hr in zip(window.hr_index, window.hr, strict=True)]
        image = self.pair.geometry.up(window.lr[1] - before * binned[0] - after * binned[1])
        for weight, hr in zip((before, after), window.hr, strict=True):
            if weight:
                image += weight * hr
        return image, None


class BinnedFrames:
    """The binned HR frames of the current window and the one before, by their numbers."""

    def __init__(self, down: Resampler) -> None:
        self._down = down
        self._frames: dict[int, Image] = {}

    def __call__(self, k: int, hr: Image) -> Image:
        """HR frame ``k`` (H, W), binned to (h, w)."""
        if k not in self._frames:
            while len(self._frames) >= 4:
                self._frames.pop(next(iter(self._frames)))
            self._frames[k] = self._down(hr)
        return self._frames[k]


backprojection = WindowFuser("backprojection", BackprojectionStream)

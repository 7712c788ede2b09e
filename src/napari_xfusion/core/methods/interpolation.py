"""HR frames interpolated in time, corrected so that binning them gives the LR frame.

The simplest use of both cameras, and the floor that every learned method has to beat. It inherits the
HR frames' noise and shows a ghost of whatever moved between them.
"""

from __future__ import annotations

import numpy as np

from napari_xfusion.core.methods.base import WindowFuser, WindowStream
from napari_xfusion.core.methods.binned import BinnedFrames
from napari_xfusion.core.rig import Pair
from napari_xfusion.core.types import Image, Window


class InterpolationStream(WindowStream):
    """HR(t) = I + up(LR(t) - down(I)), with I linear in time between the HR frames.

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


interpolation = WindowFuser(InterpolationStream)

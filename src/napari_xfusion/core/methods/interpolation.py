"""HR frames interpolated in time, corrected so that binning them gives the LR frame.

The simplest use of both cameras, and the floor that every learned method has to beat. It inherits the
HR frames' noise and shows a ghost of whatever moved between them.
"""

from __future__ import annotations

import numpy as np

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.methods.binned import BinnedFrames
from napari_xfusion.core.rig import FrameGroup, FrameReader
from napari_xfusion.core.types import Image


class InterpolationStream(GroupStream):
    """HR(t) = I + up(LR(t) - down(I)), with I linear in time between the HR frames.

    Binning is linear, so each HR frame is binned once and the binned ones are interpolated.
    """

    def __init__(self, reader: FrameReader) -> None:
        super().__init__(reader)
        self._binned = BinnedFrames(self.grids.down)

    def combine(self, group: FrameGroup) -> tuple[Image, None]:
        """See ``GroupStream.combine``."""
        before, after = (np.float32(w) for w in group.weights)
        binned = [self._binned(frame) for frame in group.ends]
        image = self.grids.up(group.reference.image - before * binned[0] - after * binned[1])
        for weight, frame in zip((before, after), group.ends, strict=True):
            if weight:
                image += weight * frame.image
        return image, None


interpolation = GroupFuser(InterpolationStream)

"""The reference LR frame alone, enlarged; what one has without a second camera (paper, M8)."""

from __future__ import annotations

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.rig import FrameGroup
from napari_xfusion.core.types import Image


class BicubicStream(GroupStream):
    """Cubic enlargement of LR(t), a = -0.5, half-pixel centres."""

    def combine(self, group: FrameGroup) -> tuple[Image, None]:
        """See ``GroupStream.combine``."""
        return self.grids.up(group.reference.image), None


bicubic = GroupFuser(BicubicStream)

"""The reference LR frame alone, enlarged; what one has without a second camera (paper, M8)."""

from __future__ import annotations

from napari_xfusion.core.methods.base import WindowFuser, WindowStream
from napari_xfusion.core.types import Image, Window


class BicubicStream(WindowStream):
    """Cubic enlargement of LR(t), a = -0.5, half-pixel centres."""

    def combine(self, window: Window) -> tuple[Image, None]:
        """See ``WindowStream.combine``."""
        return self.pair.geometry.up(window.lr[1]), None


bicubic = WindowFuser(BicubicStream)

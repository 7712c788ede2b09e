"""HR frames binned to LR once, for methods that compare the two cameras."""

from __future__ import annotations

from napari_xfusion.core.degrade import Resampler
from napari_xfusion.core.rig import Frame
from napari_xfusion.core.rig.frames import FrameKey
from napari_xfusion.core.types import Image


class BinnedFrames:
    """The binned HR frames of the current target and the one before."""

    def __init__(self, down: Resampler) -> None:
        self._down = down
        self._frames: dict[FrameKey, Image] = {}

    def __call__(self, frame: Frame) -> Image:
        """The image of an HR frame, binned to (h, w)."""
        if frame.key not in self._frames:
            while len(self._frames) >= 4:
                self._frames.pop(next(iter(self._frames)))
            self._frames[frame.key] = self._down(frame.image)
        return self._frames[frame.key]

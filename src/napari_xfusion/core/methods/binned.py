"""HR frames binned to LR once, for methods that compare the two cameras."""

from __future__ import annotations

from napari_xfusion.core.degrade import Resampler
from napari_xfusion.core.types import Image


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

"""When two cameras took their frames, as a timeline shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.rig import neighbours

LONG = 1.5
"""A gap is an interval between HR frames that is as many times as long as their median."""


@dataclass(frozen=True, eq=False)
class Times:
    """When two cameras took their frames, in LR frame numbers."""

    count: int
    """LR frames."""
    hr: NDArray[np.float64]
    """(N,) middle of the exposure of each HR frame."""
    exposure: float = 1.0
    bad_lr: tuple[int, ...] = ()
    """Frames that are not used."""
    bad_hr: tuple[int, ...] = ()

    @property
    def usable(self) -> NDArray[np.float64]:
        """The times of the HR frames that are used."""
        return np.delete(self.hr, list(self.bad_hr))

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Where results come from far HR frames: intervals without one, and before the first and after the last."""
        usable = np.sort(self.usable)
        if len(usable) < 2:
            return []
        ends = np.array([0.0, *usable, self.count - 1.0])
        long = np.diff(ends) > LONG * np.median(np.diff(usable))
        long[[0, -1]] = [usable[0] > 1, usable[-1] < self.count - 2]
        return [(float(a), float(b)) for a, b, is_long in zip(ends, ends[1:], long, strict=False) if is_long]

    def inputs(self, target: int, separation: int) -> tuple[list[int], list[float]]:
        """The LR frames, and the times of the HR frames, that serve ``target``."""
        near = (target - separation, target, target + separation)
        lr = sorted({min(max(frame, 0), self.count - 1) for frame in near})
        usable = np.sort(self.usable)
        return lr, sorted({float(usable[k]) for k in neighbours(usable, target)}) if len(usable) else []

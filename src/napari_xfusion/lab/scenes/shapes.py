"""Moving spheres: grains, droplets, bubbles and pores. Their chords along the beam are added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.scene import Floats


@dataclass(frozen=True, eq=False)
class Balls:
    """n spheres; each array (n,), lengths in pixels from the middle of the frame, y down."""

    x: Floats
    """Position of each at its starting time."""
    y: Floats
    r: Floats
    vx: Floats
    """Velocity at that time, pixels per frame."""
    vy: Floats
    start: Floats
    """Starting time of each, in frames; before, it is not drawn."""
    drag: float = 0.0
    """Share of its speed that a sphere loses per frame."""

    def at(self, t: float) -> tuple[Floats, Floats, Floats]:
        """Return x, y, r of those that have started by ``t``."""
        on = self.start <= t
        age = t - self.start[on]
        # Path length of a sphere slowed by drag, per initial speed; without drag it is its age.
        way = -np.expm1(-self.drag * age) / self.drag if self.drag else age
        return self.x[on] + self.vx[on] * way, self.y[on] + self.vy[on] * way, self.r[on]

    def thickness(self, shape: tuple[int, int], t: float) -> Image:
        """Return the length of the beam (H, W) inside the spheres, pixels."""
        return chords(shape, *self.at(t))


def chords(shape: tuple[int, int], x: Floats, y: Floats, r: Floats) -> Image:
    """Return the sum of the chords (H, W) of spheres at x, y of radius r along the beam, pixels."""
    H, W = shape
    total = np.zeros(shape, np.float32)
    x, y = x + (W - 1) / 2, y + (H - 1) / 2
    seen = (x > -r) & (x < W + r) & (y > -r) & (y < H + r)
    columns, rows = np.arange(W, dtype=np.float32), np.arange(H, dtype=np.float32)
    for x0, y0, radius in zip(x[seen].tolist(), y[seen].tolist(), r[seen].tolist(), strict=True):
        top, bottom = max(int(y0 - radius), 0), int(y0 + radius) + 2
        left, right = max(int(x0 - radius), 0), int(x0 + radius) + 2
        dx, dy = columns[left:right] - x0, rows[top:bottom] - y0
        under = (radius * radius - dy * dy)[:, None] - dx * dx
        total[top:bottom, left:right] += 2 * np.sqrt(np.maximum(under, 0))
    return total

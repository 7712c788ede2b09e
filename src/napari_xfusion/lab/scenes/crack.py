"""Fracture: a crack runs through grains, opens behind its tip, and branches; the matter on both sides moves aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.scene import LONGEST, Depth, Floats, draw_speed, grid
from napari_xfusion.lab.scenes.texture import look_up, texture


@dataclass(frozen=True, eq=False)
class Branch:
    """One path of the crack, from left to right. Pixels and frames; x and y from the middle."""

    path: Floats
    """(W,): y of the path at each column."""
    start: float
    """x of its beginning."""
    tip: float
    """x of its tip at time 0."""
    speed: float
    """Speed of the tip."""
    jumps: tuple[float, float]
    """The tip advances in jumps: their length in pixels, and how sudden they are, 0 to 1."""
    opening: float
    """Opening in pixels, 100 pixels behind the tip."""
    arrest: float
    """x at which it stops."""

    def width(self, x: Floats, t: float) -> Floats:
        """Return the opening (1, W) at ``t``, proportional to the root of the distance from the tip (Irwin 1957)."""
        length, sudden = self.jumps
        steady = self.speed * t
        tip = self.tip + steady + sudden * length / (2 * np.pi) * np.sin(2 * np.pi * steady / length)
        behind = np.clip(min(tip, self.arrest) - x, 0, None)
        return np.asarray(self.opening * np.sqrt(behind / 100) * np.clip((x - self.start) / 6, 0, 1))


def crack(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """A plate with grain and pores, and a crack with up to four branches that opens as it runs."""
    first = _branch(rng, shape, None)
    branches = [first] + [_branch(rng, shape, first) for _ in range(rng.integers(0, 6))]
    pattern, _ = texture(rng)
    plate, relief, left = rng.uniform(0.6, 2.0), rng.uniform(0.02, 0.12), rng.uniform(0, 0.6)
    fades = rng.uniform(0.3, 2.0) * shape[0]  # largest distance from the crack at which matter moves aside
    sliding = rng.normal(0, 0.4)
    edge = np.float32(rng.uniform(1.0, 3.0))  # the path varies slightly along the beam
    x, y = grid(shape)

    def depth(t: float) -> Image:
        aside, gap = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for branch in branches:
            width, off = branch.width(x, t).astype(np.float32), y - branch.path[None, :]
            aside += np.sign(off) * width * np.float32(0.5) * np.exp(-np.abs(off) * np.float32(1 / fades))
            # Share of the pixel's rays that pass through the gap: a thin crack is faint.
            inside = np.clip((0.5 * width - np.abs(off)) / edge + 0.5, 0, 1)
            gap = np.maximum(gap, inside * np.minimum(width / edge, 1))
        grain = look_up(pattern, x - np.float32(sliding) * aside, y - aside)
        metal = (plate + plate * relief * grain) * (1 - (1 - left) * gap)
        return np.asarray(np.maximum(metal, 0), np.float32)

    return depth


def _branch(rng: np.random.Generator, shape: tuple[int, int], mother: Branch | None) -> Branch:
    """Draw a winding path; a branch leaves its parent at an angle, and starts when the parent's tip arrives."""
    W = shape[1]
    x = np.arange(W, dtype=np.float32) - (W - 1) / 2
    # Straight pieces with kinks, as at grain boundaries.
    facet = int(rng.integers(3, 16))
    tilts = np.repeat(rng.normal(0, rng.uniform(0.1, 0.9), W // facet + 1), facet)[:W]
    walk = np.cumsum(tilts)
    walk -= np.linspace(0, walk[-1], W)
    slope, speed = rng.normal(0, 0.25), draw_speed(rng)
    jumps = (rng.uniform(10, 80), rng.uniform(0, 1))
    opening = rng.uniform(1.5, 9)
    if mother is None:
        tip, level = rng.uniform(-0.3, 0.6) * W, rng.uniform(-0.3, 0.3) * shape[0]
        path = level + slope * x + walk
        return Branch(path.astype(np.float32), -float(W), tip, speed, jumps, opening, 2.0 * W)
    start = float(np.clip(mother.tip - rng.uniform(-0.2, 0.7) * W, -0.6 * W, 0.45 * W))
    column = int(np.clip(start + W / 2, 0, W - 1))
    turn = rng.choice([-1, 1]) * rng.uniform(0.2, 1.0)
    path = mother.path[column] + turn * (x - x[column]) + walk - walk[column]
    reached = (start - mother.tip) / max(mother.speed, 0.05)  # time at which the parent's tip was there
    pace = mother.speed * rng.uniform(0.3, 1.0)
    arrest = start + rng.uniform(20, 1.0 * W)
    tip = start - pace * np.clip(reached, -2 * LONGEST, 2 * LONGEST)
    return Branch(
        path.astype(np.float32), start, tip, pace, jumps, mother.opening * rng.uniform(0.3, 0.8), arrest
    )

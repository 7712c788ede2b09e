"""Scenes of the other kinds seen through static matter, and scenes in which nothing moves for a while.

A radiograph of a process is mostly this: the plate in front of the melt, a shot before the laser is on. A network
learns here that texture may be static while something moves over it, and that optical flow then warps it wrongly.
"""

from __future__ import annotations

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.advected import advected
from napari_xfusion.lab.scenes.crack import crack
from napari_xfusion.lab.scenes.powder import powder
from napari_xfusion.lab.scenes.scene import LONGEST, Depth, Kind, grid
from napari_xfusion.lab.scenes.spray import bubbles, spray
from napari_xfusion.lab.scenes.stirring import stirring
from napari_xfusion.lab.scenes.texture import look_up, texture

MOVING: tuple[Kind, ...] = (advected, powder, stirring, spray, bubbles, crack)
"""The scenes that these two kinds change."""


def layered(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """A scene behind a static sheet of detailed matter; half of them stop as those of `pausing`."""
    moving = (pausing if rng.random() < 0.5 else _any(rng))(rng, shape)
    sheet = _sheet(rng, shape)
    return lambda t: np.asarray(moving(t) + sheet)


def pausing(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """A scene that moves during one interval only, of 2 to 60 frames, and is static before and after it."""
    moving = _any(rng)(rng, shape)
    start, length = rng.uniform(-LONGEST, LONGEST), float(np.exp(rng.uniform(np.log(2.0), np.log(LONGEST))))
    return lambda t: moving(float(np.clip(t, start, start + length)))


def _any(rng: np.random.Generator) -> Kind:
    return MOVING[int(rng.integers(len(MOVING)))]


def _sheet(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Draw the optical depth (H, W) of a static sheet: a texture in a random direction."""
    pattern, _ = texture(rng)
    mean = rng.uniform(0.1, 1.0)
    relief = mean * np.exp(rng.uniform(np.log(0.03), np.log(0.4)))
    x, y = grid(shape)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    found = look_up(pattern.astype(np.float32), cos * x + sin * y, cos * y - sin * x)
    sheet: Image = np.maximum(np.float32(mean) + np.float32(relief) * found, np.float32(0))
    return sheet

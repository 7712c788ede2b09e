"""Scenes that no experiment shows: textures that fade into others, discs and lines that appear, vanish and jump.

They prevent a network from learning what radiographs usually look like instead of using its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.advected import Layer
from napari_xfusion.lab.scenes.motion import draw_motion
from napari_xfusion.lab.scenes.scene import LONGEST, Depth, Floats, draw_speed, grid, step
from napari_xfusion.lab.scenes.texture import texture

Strength = Callable[[float], float]
"""Presence of an object at a time, 0 to 1."""


def nonsense(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """Two textures in one tile, discs, bands, and a grey level that changes in time."""
    a, b = texture(rng)
    ground = Layer(np.stack([a, b], -1), draw_motion(rng, shape, draw_speed(rng)), opaque=False)
    fade, brightness = _presence(rng), _presence(rng)
    relief, jump = rng.uniform(0.02, 0.3), rng.uniform(-0.4, 0.4)
    things = [_thing(rng, shape) for _ in range(rng.integers(1, 14))]
    x, y = grid(shape)

    def depth(t: float) -> Image:
        found = ground.found(x, y, t)
        share = np.float32(fade(t))
        total = found[..., 0] * share + found[..., 1] * (1 - share)
        total = 1 + np.float32(relief) * total + np.float32(jump * brightness(t))
        for thing in things:
            total += thing(x, y, t)
        clipped: Image = np.maximum(total, np.float32(0))
        return clipped

    return depth


def _presence(rng: np.random.Generator) -> Strength:
    """Draw a presence: constant, or with a sudden or slow beginning and end, or oscillating."""
    how = rng.choice(["always", "while", "swing"], p=[0.4, 0.4, 0.2])
    if how == "always":
        return lambda _: 1.0
    if how == "swing":
        pace, phase = np.exp(rng.uniform(np.log(0.02), np.log(2))), rng.uniform(0, 2 * np.pi)
        return lambda t: float(0.5 + 0.5 * np.sin(pace * t + phase))
    # Half of the events are near the target, where the order of the frames matters.
    wide = LONGEST if rng.random() < 0.5 else 4.0
    first, last = np.sort(rng.uniform(-wide, wide, 2))
    slow = np.exp(rng.uniform(np.log(0.1), np.log(20)))
    return lambda t: float(step(t - first, slow) * step(last - t, slow))


def _thing(rng: np.random.Generator, shape: tuple[int, int]) -> Callable[[Floats, Floats, float], Any]:
    """Draw a disc, a ring or a band, dark or bright, sharp or soft, that moves along a straight line."""
    form = rng.choice(["disc", "ring", "band"])
    place = rng.uniform(-0.5, 0.5, 2) * shape[::-1]
    speed, angle, across = draw_speed(rng), rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    size = np.exp(rng.uniform(np.log(2.0), np.log(0.25 * min(shape))))
    soft = np.exp(rng.uniform(0, np.log(6)))
    strength, presence = rng.uniform(-0.7, 0.7), _presence(rng)
    thin = np.exp(rng.uniform(0, np.log(6)))

    def draw(x: Floats, y: Floats, t: float) -> Any:
        dx = x - np.float32(place[0] + speed * np.cos(angle) * t)
        dy = y - np.float32(place[1] + speed * np.sin(angle) * t)
        if form == "band":
            inside = thin - np.abs(dx * np.float32(np.cos(across)) + dy * np.float32(np.sin(across)))
        else:
            inside = size - np.sqrt(dx * dx + dy * dy)
            if form == "ring":
                inside = thin - np.abs(inside)
        return np.float32(strength * presence(t)) * step(inside, np.float32(soft))

    return draw

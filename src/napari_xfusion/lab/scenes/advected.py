"""Sharp, detailed matter in smooth motion; sometimes more layers pass in front.

A network learns here when the optical flow is reliable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.motion import Motion, draw_motion
from napari_xfusion.lab.scenes.scene import Depth, Floats, draw_speed, grid
from napari_xfusion.lab.scenes.texture import SIZE, look_up, texture


@dataclass(frozen=True, eq=False)
class Layer:
    """A moving sheet of matter."""

    tile: Image
    """(SIZE, SIZE, 2): its optical depth, and its share of the pixel, 0 to 1."""
    motion: Motion
    opaque: bool
    """Whether it hides what is behind, as in visible light; otherwise the depths add, as in an x-ray beam."""

    def found(self, x: Floats, y: Floats, t: float) -> Image:
        """Return both values (H, W, 2) of the tile at the positions of its matter at ``t``."""
        return look_up(self.tile, *self.motion.origin(x, y, t))

    def over(self, behind: Image, x: Floats, y: Floats, t: float) -> Image:
        """Return the optical depth (H, W) of this layer and of what is ``behind``."""
        found = self.found(x, y, t)
        depth, there = found[..., 0], found[..., 1]
        mixed: Image = behind * (1 - there) + depth * there if self.opaque else behind + depth * there
        return mixed


def advected(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """One to three layers, each with its own motion of up to 8 pixels per frame."""
    layers = [_layer(rng, shape) for _ in range(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))]
    x, y = grid(shape)

    def depth(t: float) -> Image:
        behind = layers[0].found(x, y, t)[..., 0]
        for layer in layers[1:]:
            behind = layer.over(behind, x, y, t)
        return np.maximum(behind, np.float32(0))

    return depth


def _layer(rng: np.random.Generator, shape: tuple[int, int]) -> Layer:
    pattern, field = texture(rng)
    mean = rng.uniform(0.2, 1.5)
    relief = mean * rng.uniform(0.1, 0.5)
    # The silhouette follows a separate field; it is sharp, or fades over some pixels.
    smooth = np.sin(field * np.float32(1.5)) if rng.random() < 0.3 else _blobs(rng)
    there = np.clip((smooth - np.float32(rng.uniform(-0.5, 1.0))) * np.float32(rng.uniform(2, 25)), 0, 1)
    tile = np.stack([np.float32(mean) + np.float32(relief) * pattern, there], -1).astype(np.float32)
    return Layer(tile, draw_motion(rng, shape, draw_speed(rng)), bool(rng.random() < 0.6))


def _blobs(rng: np.random.Generator) -> Image:
    """Draw a few waves that are periodic along each axis of the tile."""
    place = np.arange(SIZE) * (2j * np.pi / SIZE)
    total = np.zeros((SIZE, SIZE), np.complex64)
    for _ in range(4):
        along, across = (np.exp(n * place).astype(np.complex64) for n in rng.integers(-3, 4, 2))
        total += (across * np.complex64(np.exp(2j * np.pi * rng.random())))[:, None] * along
    return total.imag / np.float32(1.4)

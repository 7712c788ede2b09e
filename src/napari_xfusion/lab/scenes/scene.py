"""A scene: matter that moves, and its radiograph at any time.

Each kind of scene, one file beside this one, says only how much matter the beam meets at a time t: the
optical depth, attenuation times thickness. Here it becomes what a detector behind it sees: Beer-Lambert
and phase contrast (camera.py), the beam's own shape and flicker, and the detector's blur. Lengths are in
HR pixels, times in LR frames. Nothing depends on the times asked for before: a scene draws everything
from its generator when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image
from napari_xfusion.lab.virtual.camera import radiograph

Floats = NDArray[np.floating[Any]]
Depth = Callable[[float], Image]
"""Optical depth (H, W) at a time: 0 or more, and 0 where the beam meets nothing."""
Kind = Callable[[np.random.Generator, tuple[int, int]], Depth]
"""Draws a scene for frames of (H, W)."""

LONGEST = 60.0
"""Scenes live from -LONGEST to LONGEST: three times twenty frames, the paper's largest HR distance (D11)."""
FASTEST = 8.0
"""Pixels per frame."""
_MARGIN = 4
"""Pixels around the frame that are drawn too: blur and fringes at its border need them."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A radiograph (H, W) at any time."""

    depth: Depth
    """With _MARGIN more pixels on every side."""
    flat: Image
    """(H, W): what the detector sees without a sample, about 1."""
    flicker: Callable[[float], float]
    """The beam at a time, about 1."""
    fringe: float
    """Strength of the phase contrast, square pixels."""
    source_blur: float
    """Standard deviation, pixels."""
    blur: float
    """The same of the detector, pixels."""

    def image(self, t: float) -> Image:
        """Intensity (H, W) float32, 1 in the free beam, without noise, at the time ``t``."""
        behind = radiograph(self.depth(t), 1.0, self.fringe, self.source_blur)
        seen = cv2.GaussianBlur(behind, (0, 0), self.blur)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        image: Image = (seen * self.flat * self.flicker(t)).astype(np.float32)
        return image


def make_scene(kind: Kind, shape: tuple[int, int], rng: np.random.Generator) -> Scene:
    """A scene of one kind in a beam and before a detector that are drawn too, for frames of (H, W)."""
    H, W = shape
    return Scene(
        depth=kind(rng, (H + 2 * _MARGIN, W + 2 * _MARGIN)),
        flat=_flat(shape, rng),
        flicker=_flicker(rng),
        fringe=float(rng.uniform(0.2, 4.0)) if rng.random() < 0.75 else 0.0,
        source_blur=float(rng.uniform(0.6, 1.1)),
        blur=float(rng.uniform(0.35, 0.9)),
    )


def grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """x (1, W) and y (H, 1) of the pixels from the middle of the frame, float32."""
    H, W = shape
    x = np.arange(W, dtype=np.float32)[None, :] - np.float32((W - 1) / 2)
    y = np.arange(H, dtype=np.float32)[:, None] - np.float32((H - 1) / 2)
    return x, y


def draw_speed(rng: np.random.Generator) -> float:
    """Pixels per frame, up to FASTEST; half of them below 1, for slow things matter over long gaps."""
    return float(FASTEST * rng.random() ** 3)


def step(distance: Any, width: Any = 1.0) -> Any:
    """0 below, 1 above, and a ramp of ``width`` pixels around 0: an edge as a pixel sees it."""
    return np.clip(distance / width + 0.5, 0, 1)


def _flat(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """A beam that falls off to a side, stains on the scintillator, pixels that differ."""
    x, y = grid(shape)
    far = max(shape) * rng.uniform(1.0, 4.0)
    x0, y0 = (rng.uniform(-0.5, 0.5, 2) * shape[::-1]).tolist()
    beam = np.exp(-(((x - x0) ** 2 + (y - y0) ** 2) / far**2))
    few = rng.standard_normal((shape[0] // 8 + 2, shape[1] // 8 + 2), dtype=np.float32)
    stains = cv2.resize(few, shape[::-1], interpolation=cv2.INTER_CUBIC)
    pixels = rng.standard_normal(shape, dtype=np.float32)
    flat: Image = beam * (1 + rng.uniform(0, 0.01) * stains + rng.uniform(0, 0.006) * pixels)
    return flat.astype(np.float32)


def _flicker(rng: np.random.Generator) -> Callable[[float], float]:
    """The beam flickers by up to 2 %: sines too quick to be followed from frame to frame, and a slow one."""
    pace = np.append(rng.uniform(1.0, 3.1, 3), 0.05)
    phase, strength = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0, 0.01, 4)
    return lambda t: 1 + float(np.sum(strength * np.sin(pace * t + phase)))

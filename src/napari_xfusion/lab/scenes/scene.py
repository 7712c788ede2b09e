"""A scene: moving matter, and its radiograph at any time.

Each kind of scene, in its own file, defines only the optical depth (attenuation times thickness) at a time t.
This module computes the image on a detector: Beer-Lambert and phase contrast (camera.py), shape and flicker
of the beam, and the blur of the detector. Lengths are in HR pixels, times in LR frames. A scene draws all
random numbers when it is made, so the image at a time does not depend on earlier calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image
from napari_xfusion.lab.virtual.camera import radiograph

Floats = NDArray[np.floating[Any]]
Depth = Callable[[float], Image]
"""Optical depth (H, W) at a time: 0 or more, and 0 without matter."""
Kind = Callable[[np.random.Generator, tuple[int, int]], Depth]
"""Function that draws a scene for frames of (H, W)."""

LONGEST = 60.0
"""Scenes are defined from -LONGEST to LONGEST: three times twenty frames, the paper's largest HR distance (D11)."""
FASTEST = 8.0
"""Pixels per frame."""
_MARGIN = 4
"""Margin in pixels around the frame, for blur and fringes at its border."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A radiograph (H, W) at any time."""

    depth: Depth
    """Optical depth with _MARGIN more pixels on every side."""
    flat: Image
    """(H, W): the flat field, about 1."""
    flicker: Callable[[float], float]
    """Intensity of the beam at a time, about 1."""
    fringe: float
    """Strength of the phase contrast, in square pixels."""
    source_blur: float
    """Standard deviation, pixels."""
    blur: float
    """Standard deviation of the detector's blur, pixels."""

    @property
    def steady(self) -> Self:
        """The same in a beam that does not flicker."""
        return replace(self, flicker=lambda _t: 1.0)

    def image(self, t: float) -> Image:
        """Return the intensity (H, W) at the time ``t``, float32, 1 in the free beam, without noise."""
        behind = radiograph(self.depth(t), 1.0, self.fringe, self.source_blur)
        seen = cv2.GaussianBlur(behind, (0, 0), self.blur)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        image: Image = (seen * self.flat * self.flicker(t)).astype(np.float32)
        return image


def make_scene(kind: Kind, shape: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Draw a scene of one kind, its beam and its detector, for frames of (H, W)."""
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
    """Return x (1, W) and y (H, 1) of the pixels relative to the middle of the frame, float32."""
    H, W = shape
    x = np.arange(W, dtype=np.float32)[None, :] - np.float32((W - 1) / 2)
    y = np.arange(H, dtype=np.float32)[:, None] - np.float32((H - 1) / 2)
    return x, y


def draw_speed(rng: np.random.Generator) -> float:
    """Draw a speed in pixels per frame, up to FASTEST; half are below 1, because slow motion matters over long gaps."""
    return float(FASTEST * rng.random() ** 3)


def step(distance: Any, width: Any = 1.0) -> Any:
    """Return 0 below, 1 above, and a ramp of ``width`` pixels around 0: an edge averaged over a pixel."""
    return np.clip(distance / width + 0.5, 0, 1)


def _flat(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """Draw a flat field: a beam that falls off to one side, stains on the scintillator, uneven pixels."""
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
    """Draw a flicker of up to 2 %: sines that change quickly from frame to frame, and a slow one."""
    pace = np.append(rng.uniform(1.0, 3.1, 3), 0.05)
    phase, strength = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0, 0.01, 4)
    return lambda t: 1 + float(np.sum(strength * np.sin(pace * t + phase)))

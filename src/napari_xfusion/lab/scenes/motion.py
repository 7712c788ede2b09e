"""Smooth motion of matter: the position at time 0 of the matter at a given position and time.

The matter drifts and rotates, and oscillates in shear and in a vortex. Because these motions oscillate,
matter is never drawn out into threads thinner than a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_xfusion.lab.scenes.scene import Floats


@dataclass(frozen=True)
class Motion:
    """Vortex, then shear, then rotation about the middle of the frame, then drift."""

    drift: tuple[float, float]
    """x and y, pixels per frame."""
    turn: float
    """Radians per frame."""
    shear: tuple[float, float, float]
    """Amplitude, radians per frame, phase."""
    swirl: tuple[float, float, float]
    """Amplitude, radians per frame and phase of the vortex."""
    vortex: tuple[float, float, float]
    """Its x, y and radius in pixels."""

    def origin(self, x: Floats, y: Floats, t: float) -> tuple[Floats, Floats]:
        """Return the positions at time 0 of the matter at x (1, W), y (H, 1) at time ``t``; each (H, W)."""
        if self.swirl[1]:
            x0, y0, radius = (np.float32(v) for v in self.vortex)
            dx, dy = x - x0, y - y0
            angle = _swing(self.swirl, t) * np.exp(-(dx * dx + dy * dy) / (2 * radius * radius))
            c, s = np.cos(angle), np.sin(angle)
            x, y = np.asarray(x0 + c * dx + s * dy), np.asarray(y0 - s * dx + c * dy)
        if self.shear[1]:
            x = np.asarray(x - _swing(self.shear, t) * y)
        turned = self.turn * t
        cos, sin = np.float32(np.cos(turned)), np.float32(np.sin(turned))
        along, across = (np.float32(v * t) for v in self.drift)
        return cos * x + sin * y - along, cos * y - sin * x - across


def _swing(swing: tuple[float, float, float], t: float) -> np.float32:
    amplitude, pace, phase = swing
    return np.float32(amplitude * np.sin(pace * t + phase))


def draw_motion(rng: np.random.Generator, shape: tuple[int, int], speed: float) -> Motion:
    """Draw a motion for frames of (H, W) that is nowhere much faster than ``speed`` pixels per frame."""
    reach = 0.5 * float(np.hypot(*shape))
    # Each part of the motion gets a share of the speed; often the drift gets all of it.
    share = rng.dirichlet([1.0, 0.4, 0.4, 0.4]) if rng.random() < 0.75 else np.array([1.0, 0, 0, 0])
    drift, turn, shear, swirl = 0.85 * speed * share * rng.choice([-1, 1], 4)
    angle, phases = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi, 2)
    amplitudes = rng.uniform(0.08, 0.3), rng.uniform(0.2, 0.8)
    radius = rng.uniform(0.12, 0.4) * min(shape)
    x0, y0 = rng.uniform(-0.4, 0.4, 2) * shape[::-1]
    return Motion(
        drift=(float(drift * np.cos(angle)), float(drift * np.sin(angle))),
        turn=float(turn / reach),
        shear=(amplitudes[0], float(shear / (amplitudes[0] * 0.5 * shape[0])), phases[0]),
        # A Gaussian vortex is fastest at its radius, with exp(-1/2) of the angular speed in its middle.
        swirl=(amplitudes[1], float(swirl / (amplitudes[1] * radius * 0.61)), phases[1]),
        vortex=(float(x0), float(y0), float(radius)),
    )

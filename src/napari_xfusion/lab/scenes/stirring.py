"""Friction stir welding: a threaded tool rotates in metal, and sheets of metal flow around it.

The sheets are sharp on one side, where one flow shears along another, and fade on the other. The beam
is oval: the corners of the frame are black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.advected import Layer
from napari_xfusion.lab.scenes.motion import draw_motion
from napari_xfusion.lab.scenes.scene import Depth, Floats, draw_speed, grid, step
from napari_xfusion.lab.scenes.texture import texture


@dataclass(frozen=True)
class Tool:
    """An upright pin, seen from the side. Units are pixels and frames; x and y from the middle."""

    x: float
    """x of its axis at time 0."""
    drift: float
    """Speed of its axis along x."""
    radius: float
    taper: float
    """Increase of its radius per pixel upwards."""
    bottom: float
    """y of its tip."""
    pitch: float
    """Pitch of its thread."""
    thread: float
    """Depth of its thread."""
    rise: float
    """Apparent speed of the rotating thread, pixels per frame."""

    def half_width(self, side: Floats, y: Floats, t: float) -> Floats:
        """Return the half width at height y (H, 1); ``side`` (1, W) ranges from -1, left, to 1, right of the axis."""
        # The thread on one side is half a turn above that on the other.
        turns = (y - self.rise * t) / self.pitch + 0.25 * side
        tooth = np.abs(2 * (turns - np.floor(turns)) - 1)
        return np.asarray(self.radius + self.taper * (self.bottom - y) + self.thread * (tooth - 0.5))

    def thickness(self, x: Floats, y: Floats, t: float) -> Floats:
        """Return the chord of the tool (H, W), pixels: round, with the thread on its front and back."""
        across = x - np.float32(self.x + self.drift * t)
        half = self.half_width(np.clip(across / self.radius, -1, 1), y, t).astype(np.float32)
        chord = 2 * np.sqrt(np.maximum(half * half - across * across, 0))
        around = np.arcsin(np.clip(across / np.maximum(half, 1), -1, 1)) / np.float32(2 * np.pi)
        turns = (y - np.float32(self.rise * t)) * np.float32(1 / self.pitch)
        threads = np.cos(2 * np.pi * (turns + around)) + np.cos(2 * np.pi * (turns + 0.5 - around))
        below = step(self.bottom - y, 2.0)
        return np.asarray((chord + self.thread * threads * (chord > 0)) * below)


@dataclass(frozen=True, eq=False)
class Sheets:
    """Sheets around the tool, each a curve along which the phase below is an integer."""

    spacing: float
    """Distance between sheets, pixels."""
    arms: int
    """Sheets that start at the tool in one turn: 0 for closed rings, negative to wind the other way."""
    squeeze: float
    """Ratio of their height to their width."""
    pace: float
    """Phase per frame: the sheets travel outwards by spacing * pace pixels."""
    fade: float
    """Thickness of each sheet from its sharp edge, as a share of the spacing."""
    greys: Image
    """(n,): strength of each sheet. They repeat; with arms, after one turn, so n = |arms|."""
    wave: tuple[float, float, float, float]
    """Undulations: amplitude in phase, wave numbers in x and y, phase per frame."""

    def relief(self, x: Floats, y: Floats, t: float) -> Floats:
        """Return their contribution (H, W) to the metal around a tool at the origin, about 1 at their edges."""
        up = y * np.float32(1 / self.squeeze)
        strength, kx, ky, drift = (np.float32(v) for v in self.wave)
        r2 = x * x + up * up
        phase = np.sqrt(r2) * np.float32(1 / self.spacing) - np.float32(self.pace * t)
        if self.arms:
            phase = phase + np.arctan2(up, x) * np.float32(self.arms / (2 * np.pi))
        phase += strength * np.sin(kx * x + ky * y - drift * np.float32(t) + np.sin(ky * x - kx * y))
        sheet = np.floor(phase)
        into = phase - sheet
        edge = np.minimum(into * np.float32(self.spacing / 1.5), 1)  # averaged over a pixel
        grey = self.greys[sheet.astype(np.int64) % len(self.greys)]
        grey = grey * r2 / (r2 + np.float32(40**2))  # the centre of the vortex is mixed until it is uniform
        grey = grey * (1 + np.float32(0.6) * np.sin(np.float32(2) * (ky * x + kx * y)))
        return np.asarray(grey * edge * np.exp(into * np.float32(-1 / self.fade)))


def stirring(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """Metal with grain, two families of sheets, the tool, and slits that leave an oval beam."""
    tool, families = _tool(rng, shape), [_sheets(rng) for _ in range(2)]
    pattern, other = texture(rng)
    grain = Layer(
        np.stack([pattern, other], -1), draw_motion(rng, shape, 0.5 * draw_speed(rng)), opaque=False
    )
    metal, contrast, fine = rng.uniform(0.6, 1.5), rng.uniform(0.06, 0.35), rng.uniform(0.01, 0.06)
    dense = rng.uniform(1.2, 4.0) / (2 * tool.radius)  # attenuation of the tool per pixel
    reach = rng.uniform(0.5, 2.0) * max(shape)
    x, y = grid(shape)
    slits = _slits(rng, x, y)

    def depth(t: float) -> Image:
        there = x - np.float32(tool.x + tool.drift * t)
        swept = sum(sheets.relief(there, y, t) for sheets in families)
        near = np.exp(-(there * there + y * y) / np.float32(reach**2))
        total = metal + contrast * swept * near + fine * grain.found(x, y, t)[..., 0]
        total = total + dense * tool.thickness(x, y, t)
        return np.asarray(np.maximum(total + slits, 0), np.float32)

    return depth


def _tool(rng: np.random.Generator, shape: tuple[int, int]) -> Tool:
    H, W = shape
    radius = rng.uniform(15, 45)
    return Tool(
        x=rng.uniform(-0.6, 0.6) * W,
        drift=rng.uniform(-0.3, 0.3),
        radius=radius,
        taper=rng.uniform(0, 0.15),
        bottom=rng.uniform(-0.3, 0.7) * H,
        pitch=rng.uniform(8, 30),
        thread=rng.uniform(0.5, 4.0),
        rise=0.6 * draw_speed(rng) * float(rng.choice([-1, 1])),
    )


def _sheets(rng: np.random.Generator) -> Sheets:
    spacing, arms = rng.uniform(8, 45), int(rng.integers(-6, 7))
    return Sheets(
        spacing=spacing,
        arms=arms,
        squeeze=rng.uniform(0.6, 2.5),
        pace=draw_speed(rng) * float(rng.choice([-1, 1])) / spacing,
        fade=rng.uniform(0.15, 0.8),
        greys=rng.normal(0, 1, abs(arms) or 37).astype(np.float32),
        wave=(rng.uniform(0, 0.8), rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04), rng.normal(0, 0.1)),
    )


def _slits(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Return the optical depth (H, W) of the slits, an oval that is completely, partly or not inside a crop."""
    side = max(x.size, y.size)
    wide, high = rng.uniform(0.4, 1.2, 2) * side
    x0, y0 = rng.uniform(-0.4, 0.4, 2) * side
    outside = np.hypot((x - x0) / wide, (y - y0) / high) - 1
    return np.asarray(5 * np.clip(outside * rng.uniform(3, 20), 0, 1)).astype(np.float32)

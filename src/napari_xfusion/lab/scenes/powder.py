"""Additive manufacturing close up: a laser drills a keyhole into a plate under flying powder.

The physics is that of sample_data/keyhole.py, which simulates a sequence frame by frame, but the scene is larger,
random, and defined at any time: each grain, droplet and pore has its own starting time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.scene import LONGEST, Depth, Floats, draw_speed, grid
from napari_xfusion.lab.scenes.shapes import Balls, chords


@dataclass(frozen=True)
class Track:
    """The laser runs to the right, the keyhole below it. Pixels and frames; x and y from the middle."""

    start: float
    """x of the laser at time 0."""
    speed: float
    level: float
    """y of the surface of the plate."""
    depth: float
    """Mean depth of the keyhole."""
    width: float
    """Width of the keyhole's mouth."""
    lean: float
    """Distance by which its tip trails behind the laser."""
    pace: float
    """Angular frequency of the waves on its walls, radians per frame."""
    phase: float

    def laser(self, t: Floats | float) -> Floats | float:
        """Return the x of the laser."""
        return self.start + self.speed * t

    def depth_at(self, t: float) -> float:
        """Return the depth of the keyhole, which oscillates."""
        return self.depth * float(1 + 0.1 * np.sin(0.6 * self.pace * t) + 0.06 * np.sin(1.7 * self.pace * t))

    def axis(self, s: Floats, t: float) -> Floats:
        """Return x of the keyhole's axis at relative depth s: steep in front, the tip trailing, like a J."""
        wave = 0.06 * self.width * s * np.sin(9 * s - 1.1 * self.pace * t + self.phase)
        return np.asarray(self.laser(t) - self.lean * s * (0.2 + 0.8 * s * s) + wave)

    def half_width(self, s: Floats, t: float) -> Floats:
        """Return half the keyhole's width at relative depth s: wide mouth, waist, bulb at the tip; bulges run down."""
        bulge = 1 + 0.15 * np.sin(14 * s - self.pace * t + self.phase)
        bulb = 0.3 * np.exp(-(((s - 0.84) / 0.12) ** 2)) * (1 + 0.5 * float(np.sin(0.8 * self.pace * t)))
        mouth = 0.4 * np.exp(-s / 0.1)
        tip = np.sqrt(np.clip(1 - (s * s * s) ** 2, 0, None))
        half: Floats = 0.5 * self.width * (mouth + (0.8 - 0.4 * s) * bulge + bulb) * tip
        return half


def powder(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """Plate, keyhole, melt pool, pores, and hundreds of grains and droplets of 8 to 40 pixels."""
    track = _track(rng, shape)
    plate, density = rng.uniform(60, 130), rng.uniform(0.93, 0.98)
    attenuation = np.float32(rng.uniform(0.5, 1.8) / plate)
    edge = np.float32(rng.uniform(0.8, 3.0))  # the surface varies slightly along the beam
    faces = 1 + np.float32(rng.uniform(0.005, 0.04)) * _brushed(rng, shape)
    rough = cv2.GaussianBlur(rng.standard_normal((1, shape[1])), (0, 0), 4.0)[0] * rng.uniform(2, 8)
    waiting, lifted, resting = _bed(rng, shape, track)
    drops, pores = _droplets(rng, track), _pores(rng, track)
    x, y = grid(shape)

    def depth(t: float) -> Image:
        behind = track.laser(t) - x[0]
        below = y - _surface(track, rough, behind, t).astype(np.float32)
        solid = np.float32(plate) * faces * _melt(track, behind, below, (density, t)) - _cavity(
            track, x, below, t
        )
        metal = np.maximum(solid, 0) * np.clip(0.5 + below / (2 * edge), 0, 1)
        metal -= np.minimum(pores.thickness(shape, t), metal)
        not_yet = waiting.start > t
        metal += resting + chords(shape, waiting.x[not_yet], waiting.y[not_yet], waiting.r[not_yet])
        metal += lifted.thickness(shape, t) + drops.thickness(shape, t)
        return np.asarray(attenuation * metal, np.float32)

    return depth


def _track(rng: np.random.Generator, shape: tuple[int, int]) -> Track:
    H, W = shape
    width = rng.uniform(30, 80)
    return Track(
        start=rng.uniform(-0.6, 0.6) * W,
        speed=0.5 * draw_speed(rng),
        level=rng.uniform(-0.35, 0.5) * H,
        depth=width * rng.uniform(1.0, 3.5),
        width=width,
        lean=width * rng.uniform(0.1, 1.2),
        pace=float(np.exp(rng.uniform(np.log(0.05), np.log(1.2)))),
        phase=rng.uniform(0, 2 * np.pi),
    )


def _brushed(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Grinding marks of the plate's faces, standard deviation 1."""
    marks = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 2.5, sigmaY=0.9)
    return np.asarray(marks / marks.std())


def _radii(rng: np.random.Generator, n: int, typical: float) -> Floats:
    return np.clip(np.exp(rng.normal(np.log(typical), 0.4, n)), 4, 20)


def _bed(rng: np.random.Generator, shape: tuple[int, int], track: Track) -> tuple[Balls, Balls, Image]:
    """Draw the powder bed: grains that will be melted, grains that will be lifted, and the thickness of the others.

    The bed is dense at its bottom. The laser melts most grains near it, and lifts the others.
    """
    W, typical = shape[1], rng.uniform(4.5, 11)
    height = rng.uniform(2, 18) * typical
    n = int(min(1.1 * (W + 40) * (height + 2 * typical) / typical**2, 500))
    r = _radii(rng, n, typical)
    x = rng.uniform(-0.5 * W - 20, 0.5 * W + 20, n)
    hills = 1 + 0.4 * np.sin(x * rng.uniform(0.01, 0.05) + rng.uniform(0, 6))
    y = track.level + 5 - r - np.clip(height * hills - r, 0, None) * rng.random(n)
    # It reaches ahead by about the width of the keyhole; a laser at rest continues to hit grains.
    ahead = x - track.laser(0.0) - rng.normal(0.3, 0.4, n) * track.width
    start = ahead / max(track.speed, 0.1) + rng.normal(0, 8, n)
    stays, flies = start > LONGEST, (np.abs(start) <= LONGEST) & (rng.random(n) < 0.4)
    push = np.exp(rng.normal(0, 0.6, n))
    vx, vy = push * rng.normal(0, 0.7, n), -push * rng.uniform(0.3, 1.8, n)
    grains = Balls(x, y, r, vx, vy, start, drag=0.02)
    comes = np.abs(start) <= LONGEST
    return _chosen(grains, comes), _chosen(grains, flies), chords(shape, x[stays], y[stays], r[stays])


def _chosen(balls: Balls, which: NDArray[np.bool_]) -> Balls:
    names = ("x", "y", "r", "vx", "vy", "start")
    return replace(balls, **{name: getattr(balls, name)[which] for name in names})


def _droplets(rng: np.random.Generator, track: Track) -> Balls:
    """Draw melt that is thrown out of the keyhole's mouth, at up to 8 pixels per frame."""
    n = int(rng.poisson(rng.uniform(0, 40)))
    start = rng.uniform(-1.7 * LONGEST, LONGEST, n)
    angle = rng.normal(np.radians(100), 0.45, n)
    speed = rng.uniform(0.1, 1.0) * rng.uniform(2.0, 8.0, n)
    x = track.laser(start) + rng.uniform(-0.4, 0.4, n) * track.width
    y = np.full(n, track.level - 3)
    r = 0.7 * _radii(rng, n, 5.0)
    return Balls(x, y, r, speed * np.cos(angle), -speed * np.sin(angle), start, drag=0.005)


def _pores(rng: np.random.Generator, track: Track) -> Balls:
    """Draw pores, which form at the keyhole's tip and move with the vortex of the melt until it solidifies."""
    n = int(rng.integers(0, 16))
    start = rng.uniform(-4 * LONGEST, LONGEST, n)
    x = track.laser(start) - track.lean - rng.uniform(0, 4, n)
    y = track.level + track.depth * rng.uniform(0.8, 1.0, n)
    return Balls(x, y, _radii(rng, n, 6.0), rng.uniform(-4, 0, n), rng.normal(0, 2, n), start, drag=0.15)


def _surface(track: Track, rough: Floats, behind: Floats, t: float) -> Floats:
    """Return y of the metal's surface (W,): rough in front of the laser; behind it a smooth bead, with a wave."""
    unit = track.width / 20
    molten = 1 / (1 + np.exp(-np.clip((behind / unit + 8) / 3, -30, 30)))
    swell = 5 * np.exp(-(((behind / unit - 30) / 16) ** 2)) * (1 + 0.3 * np.sin(track.pace * t))
    ripple = 0.9 * np.sin(behind / (6 * unit) + track.pace * t) * np.exp(-(((behind / unit - 50) / 40) ** 2))
    return np.asarray(track.level + rough * (1 - 0.75 * molten) - (2 + swell + ripple) * unit * molten)


def _melt(track: Track, behind: Floats, below: Image, liquid: tuple[float, float]) -> Floats:
    """Return the density relative to solid metal (H, W): liquid in a pool that trails behind the keyhole.

    ``liquid`` is its relative density, and the time.
    """
    density, t = liquid
    reach = np.where(behind < 0, 1.0, 4.5) * track.width
    deep = track.depth_at(t) * 1.12 * np.clip(1 - (behind / reach) ** 2, 0, None) ** 0.7
    inside = np.clip((deep.astype(np.float32) - below) / 6 + 0.5, 0, 1)
    return np.asarray(1 - np.float32(1 - density) * inside * (deep > 1))


def _cavity(track: Track, x: Floats, below: Image, t: float) -> Image:
    """Return the length of the keyhole along the beam (H, W)."""
    s = np.clip(below / np.float32(track.depth_at(t)), 0, 1)
    half = np.maximum(track.half_width(s, t), np.float32(1e-3))
    # Its cross-section is squarer than a circle: a flat bright interior, and steep walls that give a rim.
    across = np.minimum(((x - track.axis(s, t)) / half) ** 2, 1)
    return np.asarray(2 * half * np.sqrt(1 - across**2), np.float32)

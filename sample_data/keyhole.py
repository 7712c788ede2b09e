"""A synthetic scene: laser powder-bed fusion seen from the side, with a keyhole that runs to the right.

The scene is a map of metal thickness along the beam, in pixels of 2 um, one per 20 us (50 kHz): a plate
under a bed of powder; the laser melts a track, drills a keyhole, leaves pores behind, and its vapour
lifts powder and throws droplets. The sizes below are for frames of 160 rows; others are scaled, the
attenuation with them, so that the contrast stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from napari_xfusion.core.types import Image
from napari_xfusion.lab.virtual.camera import radiograph

PIXEL_SIZE = 2.0
"""Micrometres."""
FRAME_TIME = 2e-5
"""Seconds."""
ATTENUATION = 0.011
"""Per pixel of metal: 55 per cm, titanium alloy at about 22 keV."""
PLATE = 85.0
"""Thickness of plate and powder bed along the beam, pixels (0.17 mm)."""
FRINGE = 4.0
"""Strength of the phase-contrast edges, square pixels."""
LIQUID = 0.955
"""Density of liquid over solid metal."""
_WARM_UP = 45
"""Frames before the sequence begins, so that droplets are in flight already."""

Floats = NDArray[np.floating[Any]]


def keyhole_sequence(frames: int, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Intensity (T, H, W) behind the sample, 1 in the free beam; a camera makes grey values of it."""
    scene = _Scene(shape, frames, rng)
    sequence = np.empty((frames, *shape), np.float32)
    for t in range(-_WARM_UP, frames):
        scene.step(t)
        if t >= 0:
            sequence[t] = radiograph(scene.thickness(), ATTENUATION / scene.unit, FRINGE)
    return sequence


@dataclass
class _Balls:
    """Spheres that move: grains and droplets of metal, or pores (negative). One row per sphere."""

    x: Floats
    y: Floats
    r: Floats
    vx: Floats
    vy: Floats

    @classmethod
    def none(cls) -> _Balls:
        return cls(*(np.empty(0) for _ in range(5)))

    def add(self, *rows: Floats) -> None:
        """Append spheres given as x, y, r, vx, vy."""
        old = (self.x, self.y, self.r, self.vx, self.vy)
        self.x, self.y, self.r, self.vx, self.vy = (
            np.concatenate([a, np.atleast_1d(b)]) for a, b in zip(old, rows, strict=True)
        )

    def move(self, drag: float) -> None:
        # Gravity is left out: at 9.8 m/s2 a frame of 20 us adds 0.002 pixel per frame in a thousand frames.
        self.x, self.y = self.x + self.vx, self.y + self.vy
        self.vx, self.vy = self.vx * drag, self.vy * drag

    def draw(self, thickness: Image, sign: float = 1.0) -> None:
        """Add each sphere's chord along the beam to ``thickness`` (H, W)."""
        H, W = thickness.shape
        for x, y, r in zip(self.x, self.y, self.r, strict=True):
            top, bottom = max(int(y - r), 0), min(int(y + r) + 2, H)
            left, right = max(int(x - r), 0), min(int(x + r) + 2, W)
            if top >= bottom or left >= right:
                continue
            dy, dx = np.ogrid[top:bottom, left:right]
            chord = np.sqrt(np.clip(r * r - (dy - y) ** 2 - (dx - x) ** 2, 0, None))
            thickness[top:bottom, left:right] += (2 * sign * chord).astype(np.float32)


class _Scene:
    """The state of the process at one frame."""

    def __init__(self, shape: tuple[int, int], frames: int, rng: np.random.Generator) -> None:
        H, W = shape
        self.shape, self.rng = shape, rng
        self.unit = H / 160
        """Pixels per pixel of the frame that the sizes below were chosen for."""
        self.speed = min(1.6 * self.unit, 0.5 * W / frames)
        self.start = 0.34 * W
        self.level = 0.47 * H  # where the plate begins
        self.roughness = gaussian_filter1d(rng.standard_normal(W), 3 * self.unit) * 2.0 * self.unit
        y, x = np.mgrid[:H, :W].astype(np.float32)
        self.y, self.x = y, x
        # Grinding marks and the grain of the plate's two faces.
        self.faces = 1 + 0.012 * gaussian_filter(rng.standard_normal(shape), (1.2, 2.5)) * 6
        self.depth_noise = 0.0
        self.grains, self.lifted, self.droplets = self._powder(), _Balls.none(), _Balls.none()
        self.pores = self._old_pores()
        self.t = 0.0
        self.laser = self.start

    def _powder(self) -> _Balls:
        """A bed of grains, 16 to 80 um across, denser at the bottom, thinned out where the laser has been."""
        rng, u, W = self.rng, self.unit, self.shape[1]
        n = int(1.5 * W / u)
        r = np.clip(np.exp(rng.normal(np.log(4.4), 0.42, n)), 2.2, 12) * u
        x = rng.uniform(-10 * u, W + 10 * u, n)
        bed = (
            26 * u + gaussian_filter1d(rng.standard_normal(W), 10)[np.clip(x, 0, W - 1).astype(int)] * 22 * u
        )
        y = self.level + 2 * u - r - np.clip(bed - 1.7 * r, 0, None) * rng.uniform(0, 1, n) ** 1.5
        return _Balls(x, y, r, np.zeros(n), np.zeros(n))

    def _old_pores(self) -> _Balls:
        rng, u, n = self.rng, self.unit, 6
        x = rng.uniform(0.03, 0.25, n) * self.shape[1]
        y = self.level + rng.uniform(28, 52, n) * u
        return _Balls(x, y, rng.uniform(2.2, 5.0, n) * u, np.zeros(n), np.zeros(n))

    def step(self, t: int) -> None:
        """Go on to frame ``t``; negative ones are before the sequence."""
        self.t, self.laser = float(t), self.start + self.speed * t
        self.depth_noise = 0.85 * self.depth_noise + 0.05 * self.rng.standard_normal()
        self._lift_powder()
        self._throw_droplets()
        if self.rng.random() < 0.11:
            self._leave_pore()
        self.lifted.vy -= 0.22 * self.unit  # the vapour jet goes on pushing
        self.lifted.move(0.97)
        self.droplets.move(0.995)
        self.pores.move(0.72)  # the melt's whirl carries a pore until it freezes in

    def _lift_powder(self) -> None:
        """Grains near the laser are melted, or drawn to the jet and thrown up; some lie beside the track."""
        g, rng, u = self.grains, self.rng, self.unit
        ahead = g.x - self.laser
        near = (np.abs(ahead - 8 * u) < 22 * u) & (rng.random(len(g.x)) < 0.10)
        up = near & (rng.random(len(g.x)) < 0.33)
        n = int(up.sum())
        pull = -np.sign(ahead[up]) * rng.uniform(0.2, 1.6, n) * u
        self.lifted.add(g.x[up], g.y[up], g.r[up], pull, -rng.uniform(0.2, 1.5, n) * u)
        self.grains = _Balls(*(a[~near] for a in (g.x, g.y, g.r, g.vx, g.vy)))

    def _throw_droplets(self) -> None:
        rng, u = self.rng, self.unit
        n = int(rng.poisson(0.32))
        angle, speed = rng.normal(np.radians(102), 0.42, n), rng.uniform(2.5, 8.0, n) * u
        r = np.clip(np.exp(rng.normal(np.log(2.8), 0.4, n)), 1.5, 6.5) * u
        x = self.laser + rng.uniform(-9, 5, n) * u
        self.droplets.add(x, np.full(n, self.level - 3 * u), r, speed * np.cos(angle), -speed * np.sin(angle))

    def _leave_pore(self) -> None:
        """The tip of the keyhole pinches off."""
        rng, u = self.rng, self.unit
        s = np.array([0.93])
        x, y = self._centre(s), self.level + s * self._depth()
        self.pores.add(
            x - 3 * u, y, rng.uniform(2.4, 5.2, 1) * u, rng.uniform(-3.2, -1, 1) * u, rng.normal(0, 1, 1) * u
        )

    def _depth(self) -> float:
        """Of the keyhole, pixels."""
        # The sines are the swing of the keyhole's own, some ten kHz; the rest wanders.
        swing = 0.08 * np.sin(2 * np.pi * self.t / 6.3) + 0.05 * np.sin(2 * np.pi * self.t / 17.0)
        return float((50 + 50 * swing + 50 * np.clip(self.depth_noise, -0.2, 0.2)) * self.unit)

    def _centre(self, s: Floats) -> Floats:
        """x of the keyhole's axis at the relative depth s: steep in front, its tip trailing, like a J."""
        wave: Floats = 1.6 * s * np.sin(2 * np.pi * (1.6 * s - self.t / 7.0))
        return self.laser + (-3 * s - 13 * s**3 + wave) * self.unit

    def _half_width(self, s: Floats) -> Floats:
        """Of the keyhole at relative depth s: a wide mouth, a waist, a bulb at the tip; bulges run down."""
        tip = np.sqrt(np.clip(1 - s**6, 0, None))
        mouth = 4.5 * np.exp(-s / 0.10)
        bulge = 1 + 0.16 * np.sin(2 * np.pi * (2.2 * s - self.t / 5.0))
        bulb = 2.4 * np.exp(-(((s - 0.84) / 0.12) ** 2)) * (1 + 0.5 * np.sin(2 * np.pi * self.t / 8.0))
        half: Floats = (mouth + (8.2 - 4.6 * s) * bulge + bulb) * tip * self.unit
        return half

    def thickness(self) -> Image:
        """Metal along the beam (H, W), pixels."""
        u = self.unit
        behind = (self.laser - np.arange(self.shape[1])) / u  # positive where the laser has been
        below = self.y - self._surface(behind).astype(np.float32)
        solid = PLATE * u * self.faces * self._melt(behind, below) - self._cavity(below)
        # The edge is soft, because the surface is not quite the same all along the beam.
        metal: Image = (solid / (1 + np.exp(-np.clip(below / (0.9 * u), -30, 30)))).astype(np.float32)
        self.pores.draw(metal, -1.0)
        np.maximum(metal, np.float32(0), out=metal)
        for balls in (self.grains, self.lifted, self.droplets):
            balls.draw(metal)
        return metal

    def _surface(self, behind: Floats) -> Floats:
        """y of the metal's surface (W,): rough before the laser; behind it a smooth bead, with a wave."""
        molten = 1 / (1 + np.exp(-(behind + 8) / 3))
        swell = 5.0 * np.exp(-(((behind - 30) / 16) ** 2)) * (1 + 0.3 * np.sin(self.t / 2.5))
        ripple = 0.9 * np.sin(behind / 6 + self.t / 2) * np.exp(-(((behind - 50) / 40) ** 2))
        bead = (4.0 + swell + ripple) * self.unit
        surface: Floats = self.level + self.roughness * (1 - 0.75 * molten) - bead * molten
        return surface

    def _melt(self, behind: Floats, below: Image) -> Floats:
        """Density relative to solid metal (H, W): liquid in a pool that trails behind the keyhole."""
        reach = np.where(behind < 0, 16, 75)
        depth = self._depth() * 1.12 * np.clip(1 - (behind / reach) ** 2, 0, None) ** 0.7
        inside = 1 / (1 + np.exp(-np.clip((depth - below) / self.unit, -30, 30)))
        density: Floats = 1 - (1 - LIQUID) * inside * (depth > 1)
        return density

    def _cavity(self, below: Image) -> Image:
        """The keyhole's empty chord along the beam (H, W)."""
        s = np.clip(below / self._depth(), 0, 1).astype(np.float64)
        chord = np.sqrt(np.clip(self._half_width(s) ** 2 - (self.x - self._centre(s)) ** 2, 0, None))
        empty: Image = (2.6 * chord).astype(np.float32)
        return empty

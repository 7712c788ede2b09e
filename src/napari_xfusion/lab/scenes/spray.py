"""Liquid and gas: a jet that breaks into droplets, or bubbles that rise in a liquid."""

from __future__ import annotations

import numpy as np

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.scene import LONGEST, Depth, Floats, draw_speed, grid, step
from napari_xfusion.lab.scenes.shapes import chords


def spray(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """Draw a jet from the left, waves on it that grow until it breaks, and droplets around it."""
    H, W = shape
    speed = draw_speed(rng)
    radius, level = rng.uniform(4, 0.15 * H), rng.uniform(-0.35, 0.35) * H
    broken, grows = (
        rng.uniform(-0.5, 0.8) * W,
        rng.uniform(20, 120),
    )  # x at which it breaks, and the width of that zone
    length = 2 * np.pi / (radius * np.exp(rng.uniform(np.log(1.5), np.log(9.0), 4)))
    phase, strength = rng.uniform(0, 2 * np.pi, 4), rng.dirichlet(np.ones(4))
    ripples = np.stack([strength, length, phase], 1).astype(np.float32)
    drops = _droplets(rng, shape, (level, radius, speed))
    attenuation = np.float32(np.exp(rng.uniform(np.log(0.3), np.log(2.0))) / (2 * radius + 10))
    x, y = grid(shape)

    def depth(t: float) -> Image:
        along = x - np.float32(speed * t)
        swell = np.exp(np.minimum((x - broken) / np.float32(grows), 1.5))
        waves = [a * np.sin(k * along + p) for a, k, p in ripples]
        half = radius * (1 + swell * sum(waves) - 0.5 * swell * swell)
        middle = level + 0.4 * radius * swell * (waves[0] - waves[-1])
        off = y - middle
        jet = 2 * np.sqrt(np.maximum(half * half - off * off, 0)) * (half > 0)
        metal = jet + chords(shape, *drops(t))
        return np.asarray(attenuation * metal, np.float32)

    return depth


def _droplets(rng: np.random.Generator, shape: tuple[int, int], jet: tuple[float, float, float]) -> _Drops:
    """Draw droplets that spread from the jet at different speeds; ``jet`` is its level, radius and speed."""
    level, radius, speed = jet
    n = int(np.exp(rng.uniform(np.log(20), np.log(300))))
    r = np.clip(np.exp(rng.normal(np.log(rng.uniform(1.5, 6)), 0.5, n)), 0.8, 20)
    spread = rng.uniform(0.05, 0.5)
    x = rng.uniform(-0.6, 0.6, n) * shape[1]
    tilt = rng.normal(0, spread, n)
    y = level + rng.normal(0, 1.5 * radius, n) + tilt * (x + 0.6 * shape[1])
    vx = speed * rng.uniform(0.3, 1.0, n)
    return _Drops(rng, shape, (x, y, r, vx, tilt * vx))


class _Drops:
    """Spheres on straight lines that re-enter on the opposite side; their sizes may oscillate."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], balls: tuple[Floats, ...]) -> None:
        self.x, self.y, self.r, self.vx, self.vy = balls
        n = len(self.x)
        # Far enough outside the frame that no jump is visible, and a different length for each.
        margin = 3 * float(self.r.max()) + rng.uniform(4, 60, (2, n))
        self.wide, self.high = shape[1] + margin[0], shape[0] + margin[1]

    def __call__(self, t: float) -> tuple[Floats, Floats, Floats]:
        """x, y, r at ``t``."""
        x, y = self.x + self.vx * t, self.y + self.vy * t
        x = (x + 0.5 * self.wide) % self.wide - 0.5 * self.wide
        y = (y + 0.5 * self.high) % self.high - 0.5 * self.high
        return x, y, self.r


def bubbles(rng: np.random.Generator, shape: tuple[int, int]) -> Depth:
    """Draw gas in a liquid: small bubbles rise slowly and straight, large ones quickly; sometimes a free surface."""
    n = int(np.exp(rng.uniform(np.log(10), np.log(200))))
    r = np.clip(np.exp(rng.normal(np.log(rng.uniform(3, 14)), 0.6, n)), 1.5, 45)
    rise = draw_speed(rng) * np.sqrt(r / r.max())
    x, y = rng.uniform(-0.6, 0.6, n) * shape[1], rng.uniform(-0.6, 0.6, n) * shape[0]
    drops = _Drops(rng, shape, (x, y, r, rng.normal(0, 0.1, n) * rise, -rise))
    pace, phase, sway = rng.uniform(0.02, 0.3, n), rng.uniform(0, 6, n), rng.uniform(0, 0.4, n) * r
    burst = np.where(rng.random(n) < 0.15, rng.uniform(-LONGEST, LONGEST, n), 2 * LONGEST)
    deep = rng.uniform(1.2, 3.0) * 2 * float(r.max())  # thickness of the liquid along the beam
    attenuation = np.float32(rng.uniform(0.5, 2.0) / deep)
    level = rng.uniform(-0.5, 0.2) * shape[0] if rng.random() < 0.3 else -float(shape[0])
    waves = rng.uniform(0.5, 6), rng.uniform(0.02, 0.15), draw_speed(rng)
    gx, gy = grid(shape)

    def depth(t: float) -> Image:
        bx, by, br = drops(t)
        there = burst > t
        surface = level + waves[0] * np.sin(waves[1] * (gx - np.float32(waves[2] * t)))
        gas = chords(shape, (bx + sway * np.sin(pace * t + phase))[there], by[there], br[there])
        liquid = np.maximum(deep - gas, 0) * step(gy - surface, 2.0)
        return np.asarray(attenuation * liquid, np.float32)

    return depth

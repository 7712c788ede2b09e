"""Two cameras in front of one scene whose clocks are apart by a known time."""

from __future__ import annotations

import numpy as np

from tests.sequences import binned, stack

SHAPE, INTERVAL = (48, 64), 1e-6
"""Of HR; LR is binned 4x4, one frame a microsecond."""
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def drifting(t):
    """Soft spots on paths that do not repeat."""
    rng = np.random.default_rng(5)
    image = 0.5 + 0.2 * X / SHAPE[1]
    for _ in range(8):
        (y, x), pace, phase = rng.uniform(0, 1, 2) * SHAPE, rng.uniform(0.02, 0.12, 4), rng.uniform(0, 6, 4)
        y, x = np.array([y, x]) + 6 * np.sin(pace * t + phase).reshape(2, 2).sum(axis=0)
        image = image + rng.uniform(-0.3, 0.3) * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 50)
    return image


def swinging(t):
    return drifting(20 * np.sin(2 * np.pi * t / 16))


def static(_):
    return drifting(0)


def flickering(t):
    paces = np.array([0.31, 0.73, 0.113])
    return drifting(0) * (1 + 0.02 * np.sin(paces * t + paces).sum())


def cameras(scene=drifting, *, start=10.3, step=7.0, count=12, frames=100, exposure=0.0, psnr=40, drift=1.0):
    """LR and HR of ``scene``; LR has another grey scale and a fixed pattern. ``drift`` is HR over LR clock."""
    rng = np.random.default_rng(1)
    parts = exposure * (np.arange(9) - 4) / 9
    times = start + step / drift * np.arange(count)
    hr = np.stack([np.mean([scene(t + part) for part in parts], axis=0) for t in times])
    lr = binned(np.stack([scene(t) for t in range(frames)]))
    noise = 10 ** (-psnr / 20) * rng.standard_normal(lr.shape)
    lr = (1 + 0.1 * rng.random(lr.shape[1:])) * (0.4 * (lr + noise) + 0.2)
    hr = hr + 0.01 * rng.standard_normal(hr.shape)
    low, high = (each.astype(np.float32) for each in (lr, hr))
    return stack(low, "LR", INTERVAL), stack(high, "HR", INTERVAL * step)

"""Training samples: what both cameras see of a scene, and the truth (paper, M1, D3, D7, D11)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core import degrade
from napari_xfusion.core.grey import PERCENTILES
from napari_xfusion.core.types import Image
from napari_xfusion.core.virtual.noise import poisson_noise
from napari_xfusion.core.virtual.scenes.scene import Kind, make_scene

SCALE = 4
"""HR pixels per LR pixel and axis."""
HR_PHOTONS = 6000.0
"""Detected by an HR pixel of grey value 1, always: the sharp camera is the same in every experiment."""
HR_READ_NOISE = 0.0015
"""Standard deviation on the grey scale: 4 counts of 2600, as in camera.py."""
FREE_OF_NOISE = 0.2
"""Share of the samples whose LR frames have no noise."""


class Sample(NamedTuple):
    """One target and what the cameras saw around it; grey values 0 to 1, float32. H = W is the crop."""

    lr: Image
    """(3, h, w), h = H/4: LR frames at -s, 0 and s, with noise of ``b0``."""
    hr: Image
    """(2, H, W): HR frames before and after the target, with the HR camera's noise."""
    hr_lr: Image
    """(2, h, w): LR frames at the times of ``hr``, with noise of ``b0``."""
    truth: Image
    """(H, W): what the HR camera would have seen at 0 but for its noise."""
    seen: Image
    """(H, W): the same with its noise: what a real film gives to compare with."""
    times: NDArray[np.float32]
    """(5,): times of lr and hr in LR frames, the target's being 0: -s, 0, s, -a, b."""
    separation: int
    """s, 1 to 3."""
    b0: float
    """Photons of an LR pixel of grey value 1; infinite without noise."""


def draw_sample(kind: Kind, rng: np.random.Generator, crop: int = 256) -> Sample:
    """A new scene of ``kind``, a target and its inputs.

    HR distances a and b are s times 1 to 20 each (D11); b0 is 10 to a power of 1 to 7, the same for all LR
    frames of a sample (D7). Frames are turned and mirrored at random, together. ``crop`` is the side of
    HR frames in pixels, a multiple of 4.
    """
    s = int(rng.integers(1, 4))
    before, after = (s * int(d) for d in rng.integers(1, 21, 2))
    times = np.array([-s, 0, s, -before, after], np.float32)
    scene = make_scene(kind, (crop, crop), rng)
    clean = _turned(_grey(np.stack([scene.image(float(t)) for t in times]), rng), rng)
    lr = _binned(clean)
    b0 = float("inf") if rng.random() < FREE_OF_NOISE else float(10 ** rng.uniform(1, 7))
    if np.isfinite(b0):
        lr = poisson_noise(lr, b0, rng)
    seen = _hr_camera(clean[[3, 4, 1]], rng)
    return Sample(lr[:3], seen[:2], lr[3:], clean[1], seen[2], times, s, b0)


def _grey(film: Image, rng: np.random.Generator) -> Image:
    """``film`` (T, H, W) on a range of grey values as a crop of a film has it, clipped to [0, 1].

    A film's percentiles lie at 0 and 1 (D4), those of a small part of it between; what has hardly
    any contrast keeps little.
    """
    low, high = np.percentile(film[:, ::2, ::2], PERCENTILES)
    contrast = rng.uniform(0.1, 1.0) ** 0.5
    black = rng.uniform(0, 1 - contrast)
    scaled = (film - np.float32(low)) * np.float32(contrast / max(high - low, 0.05)) + np.float32(black)
    grey: Image = np.clip(scaled, 0, 1)
    return grey


def _turned(film: Image, rng: np.random.Generator) -> Image:
    """Mirrored in x, mirrored in y, turned by 90 degrees, each for half of the samples (D11)."""
    across, down, turned = rng.random(3) < 0.5
    film = film[:, :, ::-1] if across else film
    film = film[:, ::-1] if down else film
    return np.ascontiguousarray(np.rot90(film, axes=(1, 2)) if turned else film)


def _binned(film: Image) -> Image:
    """LR frames (T, H/4, W/4) of HR frames (T, H, W): the mean over 4 x 4 pixels (D3)."""
    H, W = film.shape[1:]
    down = degrade.binning((H, W), (H // SCALE, W // SCALE), (SCALE, SCALE))
    return np.stack([down(frame) for frame in film])


def _hr_camera(film: Image, rng: np.random.Generator) -> Image:
    """``film`` (T, H, W) with photon and read noise; so many photons are as good as normally distributed."""
    spread = np.sqrt(film / np.float32(HR_PHOTONS) + np.float32(HR_READ_NOISE**2))
    noisy: Image = np.clip(film + spread * rng.standard_normal(film.shape, dtype=np.float32), 0, 1)
    return noisy

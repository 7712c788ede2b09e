"""Random textures without borders: periodic square tiles, sampled at any position.

Tiles are finer than the pixels of a frame, so that interpolation between their points causes no blur.
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.fft

from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes.scene import Floats

SIZE = 384
"""Points of a tile along each axis."""
FINER = 1.5
"""Points per pixel: a tile is 256 pixels wide."""

_FREQUENCIES = np.arange(SIZE // 2 + 1, dtype=np.float32) * np.float32(FINER / SIZE)
"""Frequencies per pixel, from 0 to the highest."""


def fields(rng: np.random.Generator, grain: float, slope: float, stretch: float = 1.0) -> tuple[Image, Image]:
    """Draw two independent Gaussian fields (SIZE, SIZE), mean 0, standard deviation 1.

    Frequencies are cut off at about 1 / ``grain`` per pixel; below, the spectrum falls with frequency to the
    power -slope (1: equal power at all scales; 3: clouds). Structures are ``stretch`` times
    longer along x than along y.
    """
    kx, ky = np.float32(stretch) * _FREQUENCIES[None, :], _FREQUENCIES[:, None]
    k2 = kx * kx + ky * ky
    quarter = (k2 + np.float32(1 / 200**2)) ** np.float32(-slope / 2) * np.exp(-k2 * np.float32(grain**2 / 2))
    half = np.concatenate(
        [quarter, quarter[-2:0:-1]]
    )  # negative frequencies have the same power as positive ones
    spectrum = np.concatenate([half, half[:, -2:0:-1]], axis=1)
    noise = rng.random((SIZE, SIZE, 2), dtype=np.float32) - np.float32(0.5)
    spectrum[0, 0] = 0  # mean 0
    field = scipy.fft.ifft2(noise.view(np.complex64)[..., 0] * spectrum)
    scale = np.float32(np.sqrt(2) / np.linalg.norm(field) * SIZE)
    return field.real * scale, field.imag * scale


def texture(rng: np.random.Generator) -> tuple[Image, Image]:
    """Draw a texture of a random style, mean 0, standard deviation 1, and a smooth field."""
    style = rng.choice(["clouds", "speckle", "patches", "creases", "spots"])
    grain = float(np.exp(rng.uniform(np.log(1.5), np.log(6.0))))
    slope = float(rng.uniform(1.6, 2.6) if style == "patches" else rng.uniform(0.6, 2.2))
    stretch = float(np.exp(abs(rng.normal(0, 0.5))))
    a, b = fields(rng, grain, slope, stretch)
    made = _styled(str(style), a, b, rng)
    fine = np.roll(a, (SIZE // 3, SIZE // 5), (0, 1)) * np.float32(rng.uniform(0, 0.4))
    made = made + fine  # every style gets some relief
    made = _as_a_pixel_sees(made)
    few = made[::4, ::4]  # enough for mean and standard deviation
    return (made - few.mean()) / few.std(), b


def _styled(style: str, a: Image, b: Image, rng: np.random.Generator) -> Image:
    if style == "speckle":  # the intensity of a random wave
        return np.asarray(np.minimum(a * a + b * b, np.float32(8)))
    if style == "patches":  # grains of a polycrystal: each level between two contours has its own grey value
        level = np.floor(a * np.float32(rng.uniform(1, 4))).astype(np.int64) + 4 * (b > 0)
        return np.asarray(rng.standard_normal(64, dtype=np.float32)[level % 64])
    if style == "creases":  # walls of a foam
        return np.asarray(-np.minimum(np.abs(a), np.abs(b)))
    if style == "spots":  # pores and inclusions
        sharp = np.float32(rng.uniform(2, 8))
        return np.asarray(np.clip((np.abs(a) - np.float32(1.5)) * sharp, 0, 1) * np.sign(a))
    return a


def _as_a_pixel_sees(tile: Image) -> Image:
    """Average over about a pixel, because moving finer detail would flicker from frame to frame."""
    wider = np.pad(tile.astype(np.float32), 1, mode="wrap")
    weights = np.array([0.25, 0.5, 0.25], np.float32)
    return np.asarray(cv2.sepFilter2D(wider, -1, weights, weights)[1:-1, 1:-1])


def look_up(tile: Image, x: Floats, y: Floats) -> Image:
    """Sample the periodic ``tile`` (SIZE, SIZE) or (SIZE, SIZE, C) at the positions x, y (H, W) in pixels."""
    found: Image = cv2.remap(tile, _within(x), _within(y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return found


def _within(x: Floats) -> Floats:
    """Convert ``x`` to points of the tile, from 0 to SIZE: OpenCV is fastest for these, and its 16 bits suffice."""
    tiles = x.astype(np.float32) * np.float32(FINER / SIZE)
    tiles -= np.floor(tiles)
    tiles *= np.float32(SIZE)
    return tiles

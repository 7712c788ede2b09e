"""Targets and textures as two cameras of known mapping show them."""

import math

import numpy as np
from scipy import ndimage

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import as_stack

HR, LR = (240, 320), (96, 128)
SUB = 4
"""Samples per pixel and axis."""


def mapping(scale=2.6, degrees=3.0, mirror=-1, k1=0.0, aim=(125, 150)):
    """LR pixels to HR pixels; the middle of LR lies at ``aim``."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = scale * np.array([[c, -s], [s, c]]) @ np.diag([1, mirror])
    shift = np.array(aim) - linear @ ((np.array(LR) - 1) / 2)
    middle = (np.array(HR) - 1) / 2
    return Mapping(
        linear=linear.tolist(), shift=shift.tolist(), radial=(k1, 0), centre=middle.tolist(), reach=200
    )


def grid(pitch=26.0, open_part=0.7, closed=((0, 0), (0, 1), (0, 2), (1, 0)), degrees=20.0):
    """Bright squares between dark bars; those in ``closed`` are dark."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def light(y, x):
        u, v = (c * (y - 120) - s * (x - 160)) / pitch, (s * (y - 120) + c * (x - 160)) / pitch
        i, j = np.floor(u), np.floor(v)
        away = np.maximum(abs(u - i - 0.5), abs(v - j - 0.5))
        shown = np.clip((open_part / 2 - away) * pitch + 0.5, 0, 1)
        for a, b in closed:
            shown = np.where((i == a) & (j == b), 0, shown)
        return 0.1 + 0.8 * shown

    return light


def texture(seed=0, period=None):
    """Random structure of 6 to 30 HR pixels, which repeats after ``period`` pixels where that is given."""
    size = (period, period) if period else (2 * HR[0], 2 * HR[1])
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = sum(ndimage.gaussian_filter(noise, sigma, mode="wrap") * sigma for sigma in (2, 4, 10))
    image = np.exp(-0.3 * smooth / smooth.std())

    def light(y, x):
        return ndimage.map_coordinates(image, [y, x], order=1, mode="grid-wrap")

    return light


def record(light, shape, to_hr=Mapping(), noise=0.01, seed=1, name="frames"):  # noqa: B008 - frozen
    """A recording of one frame; each pixel shows the mean over its area."""
    steps = (np.arange(SUB) + 0.5) / SUB - 0.5
    rows, columns = np.indices(shape)
    total = np.zeros(shape)
    for dy in steps:
        for dx in steps:
            at = to_hr.to_output(np.stack([rows + dy, columns + dx], -1))
            total += light(at[..., 0], at[..., 1])
    image = total / SUB**2 + noise * np.random.default_rng(seed).standard_normal(shape)
    return as_stack((20000 * image + 100).clip(0, 65535).astype(np.uint16)[None], name=name)


def pair(light, to_hr, lr_light=None):
    """LR and HR, of different objects where ``lr_light`` is given."""
    return record(lr_light or light, LR, to_hr, name="LR"), record(light, HR, seed=2, name="HR")


def error(found, truth):
    """RMS distance of two mappings over the LR pixels that HR shows, HR pixels."""
    pixels = np.stack(np.indices(LR), -1).reshape(-1, 2)[::7]
    at = truth.to_output(pixels)
    inside = ((at > 0) & (at < np.array(HR) - 1)).all(1)
    return math.sqrt(((found.to_output(pixels) - at)[inside] ** 2).sum(1).mean())

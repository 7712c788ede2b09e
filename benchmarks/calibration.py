"""Calibrate random synthetic rigs and compare the mapping with the truth.

    OMP_NUM_THREADS=1 python benchmarks/calibration.py [--ways grid content] [--rigs 50] [--small]

Prints, per rig, RMS and worst error of the mapping over the common field in HR pixels, the model, and seconds;
then medians, the worst, refusals and wrong answers (above 0.5 pixels RMS).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import cv2
import numpy as np

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.calibrate import calibrate
from napari_xfusion.errors import XFusionError

SIZES = {"full": ((800, 1280), (250, 400)), "small": ((400, 640), (125, 200))}
MARGIN, FINE = 0.75, 2
"""Of the scene beyond HR, in HR sizes per side; samples of the scene per HR pixel and axis."""
WRONG = 0.5


@dataclass(frozen=True)
class Truth:
    """A random rig."""

    mapping: Mapping
    pixel_sizes: tuple[float, float] | None
    lr: np.ndarray
    hr: np.ndarray


def random_mapping(rng, hr_shape, lr_shape, distortion):
    """Scale 2.5 to 5, turn up to 5 degrees, mirror, quarter turn, shift, radial terms up to 0.5 %."""
    scale, turn = rng.uniform(2.5, 5), math.radians(rng.uniform(-5, 5) + 90 * rng.integers(4))
    c, s = math.cos(turn), math.sin(turn)
    aspect = 1 + rng.uniform(-2e-3, 2e-3)
    linear = scale * np.array([[c, -s], [s, c]]) @ np.diag([aspect, rng.choice([-1, 1])])
    middle = (np.array(hr_shape) - 1) / 2
    aim = middle + rng.uniform(-0.12, 0.12, 2) * hr_shape
    shift = aim - linear @ ((np.array(lr_shape) - 1) / 2)
    k1 = rng.uniform(-0.005, 0.005) if distortion else 0.0
    centre = middle + rng.uniform(-0.1, 0.1, 2) * hr_shape
    return Mapping(
        linear=linear.tolist(),
        shift=shift.tolist(),
        radial=(k1, 0.0),
        centre=centre.tolist(),
        reach=math.hypot(*hr_shape) / 2,
    )


def scene_grid(hr_shape):
    """Coordinates (y, x) of HR pixels at the samples of the scene."""
    sides = [np.arange(-MARGIN * n * FINE, (1 + MARGIN) * n * FINE) for n in hr_shape]
    return [(side + 0.5) / FINE - 0.5 for side in sides]


def copper_grid(rng, hr_shape, *, marks=True):
    """Bright squares between dark bars, turned by any angle, with an unsymmetrical centre mark and specks."""
    ys, xs = scene_grid(hr_shape)
    pitch, turn, open_part = rng.uniform(40, 56), rng.uniform(0, math.pi / 2), rng.uniform(0.6, 0.75)
    y, x = np.meshgrid(ys - hr_shape[0] / 2, xs - hr_shape[1] / 2, indexing="ij")
    u = (math.cos(turn) * y - math.sin(turn) * x) / pitch + rng.uniform(0, 1)
    v = (math.sin(turn) * y + math.cos(turn) * x) / pitch + rng.uniform(0, 1)
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    edge = pitch / 4  # about 2 HR pixels
    light = np.clip(0.5 + (open_part / 2 - np.maximum(abs(u - i - 0.5), abs(v - j - 0.5))) * edge, 0, 1)
    if marks:
        closed = [(0, 0), (0, 1), (0, 2), (1, 0)]
        where = tuple(rng.integers(-2, 3, 2))
        for di, dj in closed:
            light[(i == where[0] + di) & (j == where[1] + dj)] = 0.0
        for _ in range(6):  # specks of dirt
            cy, cx, r = *(rng.uniform(0, 1, 2) * hr_shape - np.array(hr_shape) / 2), rng.uniform(4, 12)
            light[(y - cy) ** 2 + (x - cx) ** 2 < r**2] *= 0.4
    return (0.08 + 0.8 * light).astype(np.float32)


def texture(rng, hr_shape):
    """Static texture of all sizes with some round particles, as transmission."""
    ys, xs = scene_grid(hr_shape)
    shape = (len(ys), len(xs))
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    f = np.hypot(fy, fx)
    f[0, 0] = 1
    slope = rng.uniform(1.0, 1.6)
    noise = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal(shape, np.float32)) * f**-slope * np.exp(-((f * 8) ** 2)), shape
    )
    absorb = 0.35 * rng.uniform(0.5, 1) * (noise - noise.mean()) / noise.std()
    for _ in range(40):
        cy, cx, r = *(rng.uniform(0, 1, 2) * shape), rng.uniform(8, 60)
        y0, y1, x0, x1 = int(max(cy - r, 0)), int(cy + r + 1), int(max(cx - r, 0)), int(cx + r + 1)
        part = absorb[y0:y1, x0:x1]
        yy, xx = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
        part += 0.4 * np.sqrt(np.clip(1 - ((yy - cy) ** 2 + (xx - cx) ** 2) / r**2, 0, 1))
    return np.exp(-(absorb + 1)).astype(np.float32) / 0.8


def seen(scene, hr_shape, lr_shape, mapping, rng):
    """The images of both cameras: each pixel integrates the scene over its area; vignetting and noise of each."""
    height, width = hr_shape
    top, left = round(MARGIN * height * FINE), round(MARGIN * width * FINE)
    field = scene[top : top + height * FINE, left : left + width * FINE]
    hr = field.reshape(height, FINE, width, FINE).mean((1, 3))
    n = math.ceil(FINE * mapping.scale[0])
    within = (np.arange(n) + 0.5) / n - 0.5
    lr = np.zeros(lr_shape)
    rows, columns = np.mgrid[: lr_shape[0], : lr_shape[1]].astype(float)
    for dy in within:
        for dx in within:
            at = mapping.to_output(np.stack([rows + dy, columns + dx], -1))
            at = (at + 0.5) * FINE - 0.5 + np.array([top, left])
            lr += cv2.remap(
                scene, at[..., 1].astype(np.float32), at[..., 0].astype(np.float32), cv2.INTER_LINEAR
            )
    lr /= n**2
    return noisy(lr, rng.uniform(30, 40), rng), noisy(hr, rng.uniform(34, 44), rng)


def noisy(image, psnr, rng):
    """Own vignetting and gain, then noise, as 16-bit frames of one recording."""
    h, w = image.shape
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    cy, cx = rng.uniform(-0.3, 0.3, 2)
    shade = 1 - rng.uniform(0, 0.2) * ((y - cy) ** 2 + (x - cx) ** 2) / 2
    image = image * shade
    image = image / image.max() + 10 ** (-psnr / 20) * rng.standard_normal(image.shape)
    return (rng.uniform(0.4, 0.9) * 60000 * image + 500).clip(0, 65535).astype(np.uint16)


def random_rig(seed, way, sizes="full", **options):
    """A rig with known truth."""
    rng = np.random.default_rng(seed)
    hr_shape, lr_shape = SIZES[sizes]
    mapping = random_mapping(rng, hr_shape, lr_shape, distortion=seed % 2 == 1)
    scene = copper_grid(rng, hr_shape, **options) if way == "grid" else texture(rng, hr_shape)
    lr, hr = seen(scene, hr_shape, lr_shape, mapping, rng)
    known = (1.31 * math.sqrt(abs(np.linalg.det(mapping.linear))) * rng.uniform(0.99, 1.01), 1.31)
    return Truth(mapping, known if seed % 4 < 2 else None, lr, hr)


def errors(found, truth):
    """RMS and worst distance of both mappings over the LR pixels that HR sees, HR pixels."""
    rows, columns = np.mgrid[: truth.lr.shape[0] : 2, : truth.lr.shape[1] : 2]
    pixels = np.stack([rows, columns], -1).reshape(-1, 2)
    at = truth.mapping.to_output(pixels)
    inside = ((at > -0.5) & (at < np.array(truth.hr.shape) - 0.5)).all(1)
    away = np.linalg.norm(found.to_output(pixels) - at, axis=1)[inside]
    return math.sqrt((away**2).mean()), away.max()


def run(way, rigs, sizes, first=0):
    """Print a line per rig and a summary."""
    rows, refused = [], 0
    for seed in range(first, first + rigs):
        truth = random_rig(seed, way, sizes)
        lr, hr = as_stack(truth.lr[None], name="LR"), as_stack(truth.hr[None], name="HR")
        sizes_known = truth.pixel_sizes or (None, None)
        begun = time.perf_counter()
        try:
            made = calibrate(lr, hr, way=way, pixel_size_lr=sizes_known[0], pixel_size_hr=sizes_known[1])
        except XFusionError as error:
            refused += 1
            print(f"{way} {seed:3d} refused in {time.perf_counter() - begun:.1f} s: {error}", flush=True)
            continue
        seconds = time.perf_counter() - begun
        rms, worst = errors(made.calibration.mapping, truth)
        rows.append((rms, worst, seconds, seed % 2))
        residuals = made.calibration.residuals
        print(
            f"{way} {seed:3d} scale {truth.mapping.scale[0]:.2f} k1 {truth.mapping.radial[0]:+.4f}"
            f" sizes {'known  ' if truth.pixel_sizes else 'unknown'} rms {rms:.4f} worst {worst:.4f}"
            f" {made.fit.model:13} points {residuals.count} residual {residuals.rms:.3f} {seconds:.1f} s",
            flush=True,
        )
    if not rows:
        return
    table = np.array(rows)
    right = table[table[:, 0] <= WRONG]
    for name, part in (("straight", right[right[:, 3] == 0]), ("distorted", right[right[:, 3] == 1])):
        if len(part):
            rms, worst, seconds = part[:, :3].max(axis=0)
            print(
                f"{way} {name}: {len(part)} rigs, rms median {np.median(part[:, 0]):.4f} largest {rms:.4f},"
                f" worst {worst:.4f}, {seconds:.1f} s at most"
            )
    print(f"{way}: {rigs} rigs, {refused} refused, {len(table) - len(right)} wrong (> {WRONG} HR pixels RMS)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ways", nargs="+", default=["grid", "content"])
    parser.add_argument("--rigs", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    for each in given.ways:
        run(each, given.rigs, "small" if given.small else "full", given.first)

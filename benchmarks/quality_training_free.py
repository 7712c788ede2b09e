"""PSNR of every method without weights, on sequences of known truth.

    python benchmarks/quality_training_free.py [MOVIE.tif ...] [--steps 5 10 20] [--lr-psnr 30] [--targets 8]

The movies named, or else five synthetic scenes that differ. LR is the mean of 4x4 HR pixels, HR every n-th
frame and the last. Truth and result are put on the scale of the truth's 0.35 and 99.65 percentiles and
clipped to [0, 1]; the figure is the mean PSNR in dB over evenly spaced targets without an HR frame of
their own. One line per sequence and step; the last column is the median time of the slowest method.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_xfusion.core.catalogue import training_free
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, make_rig

FUSERS = {method.name: make_fuser(Plan(method=method.name)) for method in training_free()}
ImageSequence = NDArray[np.float32]
FRAMES, SHAPE = 41, (192, 256)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)


def disc(y: float, x: float, radius: float) -> ImageSequence:
    """1 inside, 0 outside, an edge one pixel wide."""
    return np.clip(0.5 - (np.hypot(Y - y, X - x) - radius), 0, 1)


def texture(rng: np.random.Generator, shape: tuple[int, int], *grains: float) -> ImageSequence:
    """Random texture with grains of these sizes, mean 0, standard deviation 1."""
    field = sum(g * gaussian_filter(rng.normal(size=shape), g) for g in grains)
    return (field / np.std(field)).astype(np.float32)


def discs(rng: np.random.Generator, t: float) -> ImageSequence:
    """Sharp discs that fly 0 to 6 pixels a frame over a smooth ground, with noise."""
    frame = 0.5 + 0.1 * texture(rng, SHAPE, 12)
    for _ in range(14):
        place, speed = rng.uniform(0, 1, 2) * SHAPE, rng.normal(0, 2.5, 2)
        radius, depth = rng.uniform(5, 16), rng.uniform(-0.6, 0.6)
        y, x = (place + speed * t) % (np.array(SHAPE) + 40) - 20
        frame += depth * disc(y, x, radius)
    return frame


def advected(rng: np.random.Generator, t: float) -> ImageSequence:
    """Texture advected by a smooth field of 0 to 8 pixels a frame."""
    ground = 0.5 + 0.15 * texture(rng, (700, 1100), 1.5, 6)
    across, down = 8 * np.exp(-(((Y - SHAPE[0] / 2) / 60) ** 2)), 0.5 * np.sin(X / 70)
    return map_coordinates(ground, [Y + 60 + down * t, X + 400 - across * t], order=3, mode="wrap")


def turning(rng: np.random.Generator, t: float) -> ImageSequence:
    """Many small sharp grains that drift and turn together."""
    ground = np.zeros((600, 700), np.float32)
    for y, x, radius, grey in rng.uniform((0, 0, 1, 0), (600, 700, 7, 1), (3500, 4)):
        top, left = max(int(y - radius) - 1, 0), max(int(x - radius) - 1, 0)
        part = ground[top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
        inside = np.clip(0.5 - (np.hypot(rows + top - y, columns + left - x) - radius), 0, 1)
        part += inside * (grey - part)
    angle, y, x = 0.004 * t, Y - SHAPE[0] / 2, X - SHAPE[1] / 2
    rows = 300 + np.cos(angle) * y - np.sin(angle) * x + 0.5 * t
    columns = 330 + np.sin(angle) * y + np.cos(angle) * x - 1.2 * t
    return map_coordinates(ground, [rows, columns], order=1)


def flashing(rng: np.random.Generator, t: float) -> ImageSequence:
    """Spots that appear, stay for some frames and vanish, over static texture."""
    frame = 0.5 + 0.05 * texture(rng, SHAPE, 1.2)
    for _ in range(60):
        place, radius, depth = rng.uniform(0, 1, 2) * SHAPE, rng.uniform(2, 9), rng.uniform(-0.5, 0.5)
        begin, length = rng.uniform(-10, FRAMES), rng.uniform(3, 18)
        there = np.clip(t - begin, 0, 1) * np.clip(begin + length - t, 0, 1)
        frame += there * depth * disc(place[0], place[1], radius)
    return frame


def cavity(rng: np.random.Generator, t: float) -> ImageSequence:
    """A dark cavity with a bright, wavering rim that grows and moves through static texture."""
    y, x = Y - 70 - 0.4 * t, X - 60 - 2.2 * t
    phases = rng.uniform(0, 6, 4)
    waver = sum(1.5 * np.sin((k + 2) * np.arctan2(y, x) + p + t / 4) for k, p in enumerate(phases))
    depth = np.hypot(0.8 * y, x) - 14 - 0.7 * t - 3 * np.sin(t / 2.5) - waver
    ground = 0.6 + 0.06 * texture(rng, SHAPE, 2.5)
    return ground - 0.35 * np.clip(0.5 - depth, 0, 1) + 0.3 * np.exp(-((depth - 2) ** 2) / 6)


SCENES: dict[str, tuple[Callable[[np.random.Generator, float], ImageSequence], float]] = {
    "discs": (discs, 0.02),
    "advected texture": (advected, 0.01),
    "turning grains": (turning, 0.01),
    "flashing spots": (flashing, 0.015),
    "cavity": (cavity, 0.03),
}
"""A scene at time t, drawn anew from the same seed, and its camera noise."""


def make_sequence(name: str) -> ImageSequence:
    """The sequence (41, 192, 256) of a scene."""
    scene, noise = SCENES[name]
    camera = np.random.default_rng(1)
    frames = [scene(np.random.default_rng(0), t) + camera.normal(0, noise, SHAPE) for t in range(FRAMES)]
    return np.asarray(frames, np.float32)


def measure(
    sequence: ImageSequence, step: int, lr_psnr: float | None, count: int
) -> tuple[dict[str, float], float]:
    """PSNR by method, and the median seconds per frame of the slowest."""
    frames, h, w = len(sequence), sequence.shape[1] // 4, sequence.shape[2] // 4
    sequence = sequence[:, : 4 * h, : 4 * w]
    grey, _ = percentile_map(as_stack(sequence, name="truth"), frames)
    lr = sequence.reshape(frames, h, 4, w, 4).mean(axis=(2, 4))
    if lr_psnr is not None:
        noise = np.random.default_rng(2).normal(0, grey.span * 10 ** (-lr_psnr / 20), lr.shape)
        lr = (lr + noise).astype(np.float32)
    times = sorted({*range(0, frames, step), frames - 1})
    unseen = [t for t in range(frames) if t not in times]
    targets = [unseen[i] for i in np.unique(np.linspace(0, len(unseen) - 1, count).round().astype(int))]
    plan = make_plan(hr_times=tuple(times))
    reader = FrameReader(make_rig(plan, as_stack(lr, name="LR"), as_stack(sequence[times], name="HR")))
    psnr, seconds = {}, 0.0
    for name, fuser in FUSERS.items():
        values, spent = [], []
        with fuser.open(reader) as stream:
            for frame in stream.fuse(targets, threading.Event()):
                result = grey.to_grey(reader.rig.hr.grey.from_grey(frame.image))
                error = np.clip(result, 0, 1) - np.clip(grey.to_grey(sequence[frame.index]), 0, 1)
                values.append(-10 * np.log10(np.mean(error**2)))
                spent.append(frame.seconds)
        psnr[name] = float(np.mean(values))
        seconds = max(seconds, float(np.median(spent)))
    return psnr, seconds


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("movies", nargs="*")
    parser.add_argument("--steps", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--lr-psnr", type=float)
    parser.add_argument("--targets", type=int, default=8)
    arguments = parser.parse_args()
    write = sys.stdout.write
    columns = ["sequence", "n", *FUSERS, "s/frame"]
    write(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    for name in arguments.movies or SCENES:
        sequence = make_sequence(name) if name in SCENES else tifffile.imread(name).astype(np.float32)
        for step in arguments.steps:
            psnr, seconds = measure(sequence, step, arguments.lr_psnr, arguments.targets)
            write(f"| {name} | {step} | {' | '.join(f'{v:.2f}' for v in psnr.values())} | {seconds:.3f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Makes the recordings of two cameras and their rig file in ``rig/`` beside this file: a grid, and a short event.

The cameras differ in scale, field of view and clock; one shows the mirror image, turned a little. With the same
libraries, the same bytes.

python sample_data/make_rig.py [folder]
"""

from __future__ import annotations

import hashlib
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration, CameraFacts, ClockFit
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.types import Stack
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.camera import Camera
from napari_xfusion.lab.virtual.experiment import simulate
from napari_xfusion.lab.virtual.write import write_experiment

HR, LR, SCENE = (176, 264), (64, 96), (224, 336)
"""Pixels (rows, columns) of the cameras, and of the scene at the pixels of HR."""
SCALE, TURN, AIM = 2.9, 1.5, (-13.3, 18.6)
"""HR pixels per LR pixel, degrees, and HR pixels from the middle of HR to that of LR."""
FRAMES, SEED, LR_PSNR = 61, 5, 40.0
FRAME_TIME, PIXEL_SIZE = 2e-5, 2.0
"""Of LR, seconds; of HR, micrometres."""
OFFSET, HR_STEP = 2.37, 8.3
"""LR frames from the start of LR to that of HR, and from one HR frame to the next."""
PITCH, OPEN, GRID_TURN = 22.0, 0.68, 8.0
"""Of the grid: HR pixels, open part of the pitch, degrees."""
CLOSED = ((0, 0), (0, 1), (0, 2), (1, 0))
"""The centre mark: cells (down, across) that are closed, which look different in all eight orientations."""
SPECKS = ((-52.0, 61.0, 6.0), (33.0, -94.0, 9.0), (60.0, 30.0, 5.0))
"""Dirt on the grid: HR pixels from the middle (down, across), radius."""
SUB = 6
"""Samples of the grid per HR pixel and axis."""


def mapping() -> Mapping:
    """LR pixels to HR pixels: mirrored left to right, turned, shifted."""
    c, s = (SCALE * f(math.radians(TURN)) for f in (math.cos, math.sin))
    linear = np.array([[c, -s], [s, c]]) @ np.diag([1, -1])
    shift = (np.array(HR) - 1) / 2 + AIM - linear @ ((np.array(LR) - 1) / 2)
    return Mapping(linear=linear.tolist(), shift=shift.tolist())


def rig(*, with_clock: bool = True) -> Calibration:
    """The truth, as a rig file."""
    clock = ClockFit(
        offset_ns=round(OFFSET * FRAME_TIME * 1e9),
        uncertainty_ns=0,
        lr_interval_ns=round(FRAME_TIME * 1e9),
        hr_interval_ns=round(HR_STEP * FRAME_TIME * 1e9),
        exposure_ns=round(FRAME_TIME * 1e9),
        source="manual",
    )
    return Calibration(
        lr=CameraFacts(source="grid_lr.tif", shape=LR, pixel_size=SCALE * PIXEL_SIZE),
        hr=CameraFacts(source="grid_hr.tif", shape=HR, pixel_size=PIXEL_SIZE),
        mapping=mapping(),
        clock=clock if with_clock else None,
        way="manual",
        made="2026-01-01T00:00:00+00:00",
        software="0.1.0",
    )


def grid() -> NDArray[np.float32]:
    """Intensity (H, W) behind a copper grid with a centre mark and some dirt, in the field of the scene."""
    steps = (np.arange(SUB) + 0.5) / SUB - 0.5
    y = (np.arange(SCENE[0])[:, None] + steps).ravel()[:, None] - SCENE[0] / 2
    x = (np.arange(SCENE[1])[:, None] + steps).ravel()[None, :] - SCENE[1] / 2
    c, s = math.cos(math.radians(GRID_TURN)), math.sin(math.radians(GRID_TURN))
    u, v = (c * y - s * x) / PITCH, (s * y + c * x) / PITCH
    i, j = np.floor(u), np.floor(v)
    light = (np.maximum(abs(u - i - 0.5), abs(v - j - 0.5)) < OPEN / 2).astype(np.float32)
    for down, across in CLOSED:
        light[(i == down) & (j == across)] = 0
    for down, across, radius in SPECKS:
        light[(y - down) ** 2 + (x - across) ** 2 < radius**2] *= 0.4
    means = light.reshape(SCENE[0], SUB, SCENE[1], SUB).mean(axis=(1, 3))
    return (0.08 + 0.8 * means).astype(np.float32)


def spray() -> NDArray[np.float32]:
    """Intensity (T, H, W) behind droplets in flight, 1 in the free beam."""
    scene = make_scene(KINDS["spray"], SCENE, np.random.default_rng(SEED))
    frames = np.stack([scene.image(t - FRAMES / 2) for t in range(FRAMES)])
    return np.asarray(frames / np.percentile(frames, 99.9), np.float32)


def sequence(intensity: NDArray[np.float32], name: str, rng: np.random.Generator) -> Stack:
    """What a sharp and fast camera records of ``intensity`` (T, H, W)."""
    frames: NDArray[Any] = Camera(flicker=0.0).sequence(intensity, rng)
    return Stack(
        shape=frames.shape,
        dtype=frames.dtype,
        read=lambda i: frames[i],
        digest=lambda: hashlib.sha256(frames.tobytes()).hexdigest(),
        source=f"{name}, sample_data/make_rig.py",
        clock=Clock.regular(len(frames), FRAME_TIME),
        pixel_size=PIXEL_SIZE,
    )


def make(folder: Path) -> None:
    """Write grid_lr.tif, grid_hr.tif, shot_lr.tif, shot_hr.tif and rig.json into ``folder``."""
    rng = np.random.default_rng(SEED)
    target = np.repeat(grid()[None], 2, axis=0)
    experiments = {
        "grid": simulate(
            sequence(target, "grid", rng), 1, calibration=rig(with_clock=False), lr_psnr=LR_PSNR, seed=SEED
        ),
        "shot": simulate(sequence(spray(), "spray", rng), calibration=rig(), lr_psnr=LR_PSNR, seed=SEED),
    }
    folder.mkdir(parents=True, exist_ok=True)
    rig().save(folder / "rig.json")
    for name, experiment in experiments.items():
        with tempfile.TemporaryDirectory() as made:
            write_experiment(experiment, made, compression="zlib")
            for camera in ("lr", "hr"):
                shutil.copyfile(Path(made) / f"{camera}.tif", folder / f"{name}_{camera}.tif")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "rig")

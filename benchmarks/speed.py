"""Seconds per frame of each method and bundled network, and what the command adds to them.

    python benchmarks/speed.py

The sequence is 400x1024 (HR) and 100x256 (LR), uint16, one HR frame every 10 LR frames. First the methods
alone, in memory: the median over 40 frames. Then the real command on TIFF files, by interpolation, for
100 and 300 frames: wall time less the method's own time (which the run record keeps) is the overhead, and
the two lengths tell its part per frame from its part once (start of Python and imports, most of all). Last,
the seconds from starting the command, as it is without options, to the first frame in the file.
Each command runs three times and the fastest counts. Takes some minutes, and 250 MB in a temporary folder.
The load average is printed because a busy machine is slower.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_xfusion.core.catalogue import training_free
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.networks.cards import describe, list_models
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, make_rig

STEP = 10
ImageSequence = NDArray[np.uint16]


def two_cameras(frames: int, shape: tuple[int, int] = (400, 1024)) -> tuple[ImageSequence, ImageSequence]:
    """LR (T, h, w) and HR (N, H, W): texture that moves half a pixel a frame, with noise."""
    (height, width), rng = shape, np.random.default_rng(0)
    ground = gaussian_filter(rng.normal(size=(height, width + frames)), 2)
    ground = 2000 + 20000 * (ground - ground.min()) / np.ptp(ground)
    lr = np.empty((frames, height // 4, width // 4), np.uint16)
    hr = np.empty((-(-frames // STEP), height, width), np.uint16)
    for t in range(frames):
        frame = ground[:, t // 2 : t // 2 + width]
        blocks = frame.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
        lr[t] = blocks + rng.normal(0, 50, blocks.shape)
        if t % STEP == 0:
            hr[t // STEP] = frame + rng.normal(0, 200, shape)
    return lr, hr


def of_the_methods() -> None:
    """Print the median time of each method without weights, and of each bundled network."""
    lr, hr = two_cameras(51)
    reader = FrameReader(make_rig(make_plan(hr_step=STEP), as_stack(lr), as_stack(hr)))
    plans = {method.name: Plan(method=method.name) for method in training_free()}
    for name, path in list_models().items():
        plans[name] = Plan(method=describe(path).card.variant, model=name)
    print("| method | ms a frame | frames/s |\n|---|---|---|")
    for name, plan in plans.items():
        fuser = make_fuser(plan)
        with fuser.open(reader) as stream:
            seconds = [frame.seconds for frame in stream.fuse(range(1, 51), threading.Event())][10:]
        middle = statistics.median(seconds)
        print(f"| {name} | {1000 * middle:.1f} | {1 / middle:.3g} |", flush=True)


def write_sequences(folder: Path, frames: int) -> None:
    """lr.tif and hr.tif."""
    for name, sequence in zip(("lr.tif", "hr.tif"), two_cameras(frames), strict=True):
        tifffile.imwrite(folder / name, sequence, photometric="minisblack")


def seconds_of_the_command(folder: Path, *options: str) -> float:
    """From its start to its end."""
    command = [sys.executable, "-m", "napari_xfusion", "fuse", folder / "lr.tif", folder / "hr.tif"]
    command += ["-o", folder / "fused.tif", "--hr-step", str(STEP), "--overwrite", *options]
    began = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - began


def overhead_of_a_run(folder: Path, frames: int) -> float:
    """Seconds of the command beyond the method's own time; the least of three runs."""
    write_sequences(folder, frames)
    output, times = folder / "fused.tif", []
    for _ in range(3):
        output.unlink(missing_ok=True)
        wall = seconds_of_the_command(folder, "--method", "interpolation")
        record = json.loads(Path(f"{output}.json").read_text())
        times.append(wall - sum(frame["seconds"] for frame in record["frames"]))
    return min(times)


def main() -> None:
    """Print small tables."""
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    of_the_methods()
    with tempfile.TemporaryDirectory() as folder:
        short, long = (overhead_of_a_run(Path(folder), frames) for frames in (100, 300))
        first = min(seconds_of_the_command(Path(folder), "--frames", "15:16") for _ in range(3))
    per_frame = (long - short) / 200
    print("\n| overhead of the command | |\n|---|---|")
    print(f"| per frame | {1000 * per_frame:.2f} ms |")
    print(f"| once | {short - 100 * per_frame:.2f} s |")
    print(f"| `fuse` to the end of its first frame, in all | {first:.2f} s |")
    print(f"\nload average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""Peak memory of ``fuse`` for a short and a long sequence: it must not grow with the number of frames.

    python benchmarks/memory.py
    python benchmarks/memory.py --methods flow lite --shape 128 256 --frames 500 10000

The sequence is 400x1024 (HR) and 100x256 (LR) unless --shape says otherwise, uint16, in TIFF files; the figure is the
peak resident memory of the command's process, as Linux counts it (and only Linux). Takes about three minutes, and 4 GB
in a temporary folder. The long sequence is the short one repeated, so that both hold the same grey values.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from speed import STEP, two_cameras

# VmHWM and not getrusage: the latter starts from the peak of the process that started this one.
PEAK = """
import sys
from pathlib import Path
from napari_xfusion.cli import main
code = main(sys.argv[1:])
print("peak", Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


def write_sequences(folder: Path, period: int, frames: int, shape: tuple[int, int]) -> None:
    """lr.tif and hr.tif, of ``frames`` LR frames, the first ``period`` of them repeated."""
    sequences = two_cameras(period, shape)
    for name, sequence, count in zip(("lr", "hr"), sequences, (frames, frames // STEP), strict=True):
        repeated = np.tile(sequence, (count // len(sequence), 1, 1))
        tifffile.imwrite(folder / f"{name}.tif", repeated, photometric="minisblack")


def peak_of(folder: Path, method: str) -> float:
    """Peak resident memory of the command in MB."""
    sequences = [folder / "lr.tif", folder / "hr.tif", "--hr-step", str(STEP), "--method", method]
    command = [sys.executable, "-c", PEAK, "fuse", *sequences, "-o", folder / f"{method}.tif", "--overwrite"]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return int(done.stdout.split("peak ")[1]) * 1024 / 1e6


def main() -> None:
    """Print a small table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["interpolation", "bayesian"])
    parser.add_argument("--shape", nargs=2, type=int, default=[400, 1024], help="of HR")
    parser.add_argument("--frames", nargs=2, type=int, default=[100, 2000], help="of the two sequences")
    given = parser.parse_args()
    short, long = given.frames
    print(f"| method | {short} frames, MB | {long} frames, MB | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        write_sequences(Path(one), short, short, tuple(given.shape))
        write_sequences(Path(other), short, long, tuple(given.shape))
        for method in given.methods:
            few, many = peak_of(Path(one), method), peak_of(Path(other), method)
            print(f"| {method} | {few:.0f} | {many:.0f} | {many / few:.3f} |", flush=True)


if __name__ == "__main__":
    main()

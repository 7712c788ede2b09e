"""Peak memory of ``fuse`` for a short and a long film: it must not grow with the number of frames.

    python benchmarks/memory.py

The film is 200x512 (HR) and 50x128 (LR), uint16, in TIFF files; the figure is the peak resident memory of
the command's process, as the operating system counts it. Takes about two minutes, and 500 MB in a
temporary folder. The long film is the short one repeated, so that both hold the same grey values.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from speed import STEP, two_cameras

SHORT, LONG = 100, 2000
PEAK = """
import resource, sys
from napari_xfusion.cli import main
code = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print("peak", peak)
sys.exit(code)
"""


def write_films(folder: Path, frames: int) -> None:
    """lr.tif and hr.tif, page by page."""
    films = two_cameras(SHORT, (200, 512))
    for name, film, count in zip(("lr", "hr"), films, (frames, frames // STEP), strict=True):
        repeated = np.tile(film, (count // len(film), 1, 1))
        tifffile.imwrite(folder / f"{name}.tif", repeated, photometric="minisblack")


def peak_of(folder: Path, method: str) -> float:
    """Peak resident memory of the command in MB."""
    films = [folder / "lr.tif", folder / "hr.tif", "--hr-step", str(STEP), "--method", method]
    command = [sys.executable, "-c", PEAK, "fuse", *films, "-o", folder / f"{method}.tif", "--overwrite"]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return int(done.stdout.split("peak ")[1]) / 1e6


def main() -> None:
    """Print a small table."""
    print(f"| method | {SHORT} frames, MB | {LONG} frames, MB | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as long:
        write_films(Path(short), SHORT)
        write_films(Path(long), LONG)
        for method in ("backprojection", "flow"):
            few, many = peak_of(Path(short), method), peak_of(Path(long), method)
            print(f"| {method} | {few:.0f} | {many:.0f} | {many / few:.3f} |", flush=True)


if __name__ == "__main__":
    main()

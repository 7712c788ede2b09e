"""Speed of reading camera files, in megabytes of stored pixels a second, beside ``numpy.fromfile`` of the same bytes.

``python -m benchmarks.reading`` writes synthetic recordings of 1280 x 800 pixels and reads their frames from the page
cache, in turn with numpy; the fastest of each counts, in processor time, because other programs slow the others. The
share is the median over pairs that were read one after the other.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from time import thread_time

import numpy as np
from tests.cameras import write_cine, write_mraw

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.types import Stack

SHAPE = (24, 800, 1280)
REPEATS = 10


def main() -> None:
    """Print one line per format."""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, numpy {np.__version__}"
    )
    smooth = np.sin(np.arange(SHAPE[2]) / 90)[None, None] * np.cos(np.arange(SHAPE[1]) / 70)[None, :, None]
    noise = np.random.default_rng(0).normal(size=SHAPE)
    greys = np.clip(500 + 300 * smooth + 20 * noise, 0, 1023).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        for name, bits, write in (
            ("cine 8 bit", 8, lambda path: write_cine(path, greys // 4, "8")),
            ("cine 16 bit", 16, lambda path: write_cine(path, greys, "16")),
            ("cine P10", 10, lambda path: write_cine(path, greys, "p10")),
            ("cine P12L", 12, lambda path: write_cine(path, greys, "p12l")),
            ("mraw 16 bit", 16, lambda path: write_mraw(path.with_suffix(".mraw"), greys, 16)),
            ("mraw 12 bit", 12, lambda path: write_mraw(path.with_suffix(".mraw"), greys, 12)),
        ):
            path = write(Path(folder) / "recording.cine")
            size = SHAPE[1] * SHAPE[2] * bits // 8
            stack = open_stack(path)
            frames = [*range(SHAPE[0])] * REPEATS
            times = np.array([(seconds(path, i, size), frame(stack, i)) for i in frames])
            plain, read = size / times.min(axis=0) / 1e6
            share = np.median(times[:, 0] / times[:, 1])
            print(f"{name:12} {read:6.0f} MB/s, fromfile {plain:6.0f} MB/s, {share:.0%}")


def seconds(path: Path, i: int, size: int) -> float:
    """Processor time in which numpy reads the bytes of frame ``i``."""
    begin = thread_time()
    np.fromfile(path, np.uint8, size, offset=i * size)
    return thread_time() - begin


def frame(stack: Stack, i: int) -> float:
    """Processor time in which frame ``i`` is read."""
    begin = thread_time()
    stack.frame(i)
    return thread_time() - begin


if __name__ == "__main__":
    main()

"""Makes the sample sequences beside this file; with the same libraries, the same bytes.

python sample_data/make_sample.py [folder]
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from keyhole import FRAME_TIME, PIXEL_SIZE, keyhole_sequence
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.types import Stack
from napari_xfusion.lab.virtual.camera import Camera
from napari_xfusion.lab.virtual.experiment import simulate
from napari_xfusion.lab.virtual.write import write_experiment

FRAMES, SHAPE, SEED = 51, (144, 240), 5
HR_STEP, LR_PSNR = 10, 40.0


def make(folder: Path) -> None:
    """Write lr.tif, hr.tif, truth.tif and experiment.json into ``folder``."""
    rng = np.random.default_rng(SEED)
    sequence = Camera().sequence(keyhole_sequence(FRAMES, SHAPE, rng), rng)
    movie = Stack(
        shape=sequence.shape,
        dtype=sequence.dtype,
        read=lambda i: sequence[i],
        digest=lambda: hashlib.sha256(sequence.tobytes()).hexdigest(),
        source="keyhole_sequence, sample_data/make_sample.py",
        clock=Clock.regular(FRAMES, FRAME_TIME),
        pixel_size=PIXEL_SIZE,
    )
    write_experiment(simulate(movie, HR_STEP, lr_psnr=LR_PSNR, seed=SEED), folder, compression="zlib")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

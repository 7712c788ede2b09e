"""The two synthetic sequences of the project's own study: additive manufacturing and friction stir welding.

    python benchmarks/paper_movies.py DIR

writes DIR/additive.tif (121 frames of 400x1024) and DIR/stirring.tif (121 frames of 512x512), uint16, as a
12-bit camera would see them; with the same libraries, the same bytes. Both stand in for the sequences of the
paper, which are not public: same processes, frame rates and pixel size, other material and motion.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.recordings import as_stack
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.camera import Camera
from napari_xfusion.lab.virtual.write import write_tiff

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_data"))
from keyhole import keyhole_sequence

FRAMES = 121
"""Six HR intervals of 20 frames."""
ADDITIVE, STIRRING = (400, 1024), (512, 512)
ADDITIVE_SEED, STIRRING_SEED = 5, 11


def additive(rng: np.random.Generator) -> NDArray[np.float32]:
    """Laser melting: a keyhole runs through a plate under powder."""
    return keyhole_sequence(FRAMES, ADDITIVE, rng)


def stirring(rng: np.random.Generator) -> NDArray[np.float32]:
    """Friction stir welding: sheets of metal are swept around a threaded tool."""
    scene = make_scene(KINDS["stirring"], STIRRING, rng)
    return np.stack([scene.image(float(t - FRAMES // 2)) for t in range(FRAMES)])


def main() -> None:
    """Write both sequences."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    sequences = {"additive": (additive, ADDITIVE_SEED), "stirring": (stirring, STIRRING_SEED)}
    for name, (make, seed) in sequences.items():
        rng = np.random.default_rng(seed)
        frames = Camera().sequence(make(rng), rng)
        write_tiff(as_stack(frames, name=name), folder / f"{name}.tif", compression="zlib")
        sys.stdout.write(f"{folder / name}.tif: {frames.shape} {frames.dtype}\n")


if __name__ == "__main__":
    main()

"""The middle of the sample, a quarter of its area and all of its frames: what takes a network long on the whole."""

from __future__ import annotations

from pathlib import Path

import tifffile

from napari_xfusion.lab.demo import sample_sequence

CROPS = {
    "lr": (slice(9, 27), slice(15, 45)),
    "hr": (slice(36, 108), slice(60, 180)),
    "truth": (slice(36, 108), slice(60, 180)),
}
KEPT = ("unit", "finterval", "hr_times")


def write_small_sample(folder: Path) -> Path:
    """lr.tif, hr.tif and truth.tif in ``folder``, which say of themselves what those of the sample say."""
    folder.mkdir()
    for name, crop in CROPS.items():
        with tifffile.TiffFile(sample_sequence(name)) as file:
            said = {key: value for key, value in file.imagej_metadata.items() if key in KEPT}
            resolution = tuple(file.pages[0].tags[f"{axis}Resolution"].value for axis in "XY")
            tifffile.imwrite(
                folder / f"{name}.tif",
                file.asarray()[:, *crop],
                imagej=True,
                metadata={"axes": "TYX", **said},
                resolution=resolution,
            )
    return folder

"""The middle of the sample's beginning, a quarter of its area: what takes a network long on the whole."""

from __future__ import annotations

from pathlib import Path

import tifffile

from napari_xfusion.lab.demo import sample_sequence

CROPS = {
    "lr": (slice(9, 27), slice(15, 45)),
    "hr": (slice(36, 108), slice(60, 180)),
    "truth": (slice(36, 108), slice(60, 180)),
}
FRAMES = 31
"""Of LR and the truth; those of HR are at every tenth."""


def write_small_sample(folder: Path) -> Path:
    """lr.tif, hr.tif and truth.tif in ``folder``, which say of themselves what those of the sample say."""
    folder.mkdir()
    for name, crop in CROPS.items():
        with tifffile.TiffFile(sample_sequence(name)) as file:
            said = {key: file.imagej_metadata[key] for key in ("unit", "finterval")}
            if name == "hr":
                times = [float(time) for time in file.imagej_metadata["hr_times"].split(",")]
                kept = [time for time in times if time < FRAMES]
                said["hr_times"] = ",".join(map(str, kept))
            resolution = tuple(file.pages[0].tags[f"{axis}Resolution"].value for axis in "XY")
            tifffile.imwrite(
                folder / f"{name}.tif",
                file.asarray()[: len(kept) if name == "hr" else FRAMES, *crop],
                imagej=True,
                metadata={"axes": "TYX", **said},
                resolution=resolution,
            )
    return folder

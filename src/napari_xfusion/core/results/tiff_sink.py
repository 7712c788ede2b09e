"""The result as one TIFF: ImageJ hyperstack where possible, else OME-TIFF; BigTIFF beyond 4 GB.

Every page is laid out with its tags before the first frame.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import tifffile

from napari_xfusion.core.results.one_file_sink import OneFileSink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.core.results.tiff_settings import tiff_settings


class TiffSink(OneFileSink):
    """Writes ``path`` as a (T, H, W) TIFF; see ``Sink`` for the contract."""

    def _lay_out(self, path: Path, spec: OutputSpec) -> dict[str, Any]:
        return {"offset": lay_out(path, spec, ome=is_ome(self.path))}


def is_ome(path: Path) -> bool:
    """Whether the name asks for OME-TIFF."""
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def lay_out(path: Path, spec: OutputSpec, ome: bool) -> int:
    """Write a TIFF of zeros (sparse) with all its pages and metadata; return the offset of the first frame.

    ImageJ where Fiji opens the file (uint8, uint16, float32, below 4 GB) and OME is not requested. The same
    spec gives the same bytes: no dates, no host names, the UUID is made from the identity.
    """
    settings = tiff_settings(
        (len(spec.frames), *spec.shape),
        spec.dtype,
        pixel_size=spec.pixel_size,
        interval=spec.frame_interval,
        hr_times=spec.hr_times,
        viewer=spec.viewer,
        recording=spec.recording,
        ome=ome,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, spec.identity)),
    )
    where = tifffile.imwrite(
        path,
        dtype=spec.dtype.newbyteorder("<"),
        byteorder="<",
        returnoffset=True,
        **settings,
    )
    if where is None:
        raise OSError("tifffile scattered the frames")
    return int(where[0])

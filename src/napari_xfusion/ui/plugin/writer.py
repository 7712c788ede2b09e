"""File > Save for an image sequence: the same files as a run writes, with a record."""

from __future__ import annotations

from typing import Any

from napari_xfusion.core.results.save import save_stack
from napari_xfusion.ui.shared.provenance import sequence_record, stack_of


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer to ``path``: TIFF, OME-TIFF, OME-Zarr or NeXus by its ending, overwriting what is there.

    Returns the path. Raises InputError for a layer that is not a greyscale image sequence, OutputError if the file
    cannot be written.
    """
    from napari.layers import Layer  # noqa: PLC0415 - a writer runs inside napari

    layer = Layer.create(data, attributes, "image")
    save_stack(stack_of(layer), path, sequence_record(layer), overwrite=True)
    return [path]

"""Saving a layer as a sequence: File > Save, through the sinks that runs use, with a record beside it."""

from __future__ import annotations

from typing import Any

from napari_xfusion.core.results.save import save_stack
from napari_xfusion.ui.shared.provenance import sequence_record, stack_of


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer to ``path``: TIFF, OME-TIFF or OME-Zarr by its ending, replacing what is there.

    Returns the path. Raises InputError for a layer that is no sequence of grey frames, OutputError where it
    cannot be written.
    """
    from napari.layers import Layer  # noqa: PLC0415 - napari is there when it saves

    layer = Layer.create(data, attributes, "image")
    save_stack(stack_of(layer), path, sequence_record(layer), overwrite=True)
    return [path]

"""Sequences beside each other in a grid, or one revealed over the other by a wipe; and what a sequence is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import (
    METADATA,
    LayerRole,
    Origin,
    Provenance,
    pixels_of,
    provenance_of,
)

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

IN_HR_UNITS: tuple[LayerRole, ...] = ("hr", "fused", "truth", "baseline")
"""Layers whose grey values mean the same, so that one contrast fits all."""
LINKED = ("contrast_limits", "gamma")


def is_sequence(layer: Layer) -> bool:
    """Whether a layer is a sequence of grey frames."""
    grey = getattr(layer, "rgb", None) is False and layer.ndim == 3
    return grey and not isinstance(layer.data, WipedFrames)


def show_grid(viewer: Viewer, on: bool) -> None:
    """Show every visible layer in a cell of its own, named, all under one camera; or stacked again."""
    compat.grid(viewer).enabled = on
    for layer in viewer.layers:
        layer.name_overlay.visible = on


def link_contrast(viewer: Viewer, on: bool) -> list[Layer]:
    """Give layers in HR units one contrast, that of the topmost, and let them change together.

    Returns the layers that were linked or, with ``on`` False, let go.
    """
    layers = [x for x in viewer.layers if (known := provenance_of(x)) and known.role in IN_HR_UNITS]
    if layers:
        viewer.layers.unlink_layers(layers, LINKED)
    if on and len(layers) > 1:
        for layer in layers[:-1]:
            layer.contrast_limits = layers[-1].contrast_limits
        viewer.layers.link_layers(layers, LINKED)
    return layers


class WipedFrames:
    """A layer's data of which only the columns left of ``edge`` are shown; the rest is transparent (NaN)."""

    def __init__(self, data: Any) -> None:
        self.data, self.edge = data, int(data.shape[-1])
        self.shape, self.ndim, self.dtype = tuple(data.shape), data.ndim, np.dtype(np.float32)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        part = np.array(np.asarray(self.data[key]), np.float32)
        key = key if isinstance(key, tuple) else (key,)
        columns = np.arange(self.shape[-1])[key[self.ndim - 1] if len(key) == self.ndim else slice(None)]
        part[..., columns >= self.edge] = np.nan
        return part


class Wipe:
    """One layer over another, revealed up to a part of its width.

    It is a layer of its own, on top, that shares the place and look of ``over``: the two layers themselves
    are not touched but for their visibility, which ``remove`` gives back.
    """

    def __init__(self, viewer: Viewer, over: Layer, under: Layer) -> None:
        self._viewer, self._frames = viewer, WipedFrames(pixels_of(over))
        self._before = {layer: layer.visible for layer in viewer.layers}
        for layer in viewer.layers:
            layer.visible = layer is under
        self.layer = Image(
            self._frames,
            name=f"wipe: {over.name} | {under.name}",
            metadata={METADATA: Provenance("sequence", origins=(Origin.of(over), Origin.of(under)))},
            **{key: getattr(over, key) for key in _LOOK},
        )
        viewer.add_layer(self.layer)
        viewer.layers.link_layers([over, self.layer], (*LINKED, "colormap"))
        self.move(0.5)

    def move(self, part: float) -> None:
        """Reveal the left ``part`` of the width, 0 to 1."""
        self._frames.edge = round(part * self._frames.shape[-1])
        self.layer.refresh(extent=False, thumbnail=False)

    def remove(self) -> None:
        """Take the wipe away and show again what was shown before."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        restore(self._before.items())


def restore(visibility: Iterable[tuple[Layer, bool]]) -> None:
    """Show and hide layers as they were; those that were removed meanwhile take no harm."""
    for layer, visible in visibility:
        layer.visible = visible


_LOOK = (
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
    "axis_labels",
    "colormap",
    "contrast_limits",
    "gamma",
    "interpolation2d",
)
"""What the wipe takes over from the layer that it shows."""

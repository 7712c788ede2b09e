"""Compare sequences in a grid, by a wipe, or in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Vectors
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import (
    METADATA,
    LayerRole,
    Origin,
    Provenance,
    pixels_of,
    provenance_of,
)
from napari_xfusion.ui.shared.widgets import in_turns

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

IN_HR_UNITS: tuple[LayerRole, ...] = ("hr", "fused", "truth", "baseline")
"""Layers on the grey scale of HR, which can share contrast limits."""
RECORDED: tuple[LayerRole, ...] = ("sequence", "lr", "hr", "truth")
FUSED: tuple[LayerRole, ...] = ("fused", "baseline")
LINKED = ("contrast_limits", "gamma")
FONTS = {False: 10.0, True: 8.0}
"""Points of the names of layers, outside of the grid as by napari, and in its cells."""
EDGE_COLOUR = "#e69f00"
REACH = 8
"""Screen pixels from the edge of a wipe within which it is dragged."""

_UNLINKED: WeakKeyDictionary[Layer, dict[str, Any]] = WeakKeyDictionary()
"""The contrast that layers had before it was linked."""


def is_sequence(layer: Layer) -> bool:
    """Whether a layer is a greyscale image sequence."""
    grey = getattr(layer, "rgb", None) is False and layer.ndim == 3
    return grey and not isinstance(layer.data, WipedFrames)


def is_recorded(layer: Layer) -> bool:
    """Whether a layer can be LR, HR or truth: a sequence that was recorded or simulated, not made by fusion."""
    known = provenance_of(layer)
    return is_sequence(layer) and (known is None or known.role in RECORDED)


def is_fused(layer: Layer) -> bool:
    """Whether a layer can be a fused sequence: no preview of one frame, and no numbers about another layer."""
    known = provenance_of(layer)
    return (
        is_sequence(layer)
        and layer.data.shape[0] > 1
        and (known is None or known.role in (*RECORDED, *FUSED))
    )


def show_grid(viewer: Viewer, on: bool) -> None:
    """Switch the grid on, each visible layer in a cell with its name, or off."""
    compat.grid(viewer).enabled = on
    # Each name takes napari 0.1 s in a grid of 13 cells.
    application: Any = QApplication.instance()
    in_turns(application, *(partial(_show_name, viewer, layer) for layer in viewer.layers))


def _show_name(viewer: Viewer, layer: Layer) -> None:
    if layer in viewer.layers:  # a closing viewer removes its layers first
        on = compat.grid(viewer).enabled
        layer.name_overlay.font_size, layer.name_overlay.visible = FONTS[on], on


def link_contrast(viewer: Viewer, on: bool) -> list[Layer]:
    """Link the contrast of all layers on the grey scale of HR, starting from that of the topmost.

    Or unlink it, and restore the contrast that each layer had before. Returns these layers.
    """
    layers = [x for x in viewer.layers if (known := provenance_of(x)) and known.role in IN_HR_UNITS]
    if layers:
        viewer.layers.unlink_layers(layers, LINKED)
    if not on:
        for layer in layers:
            for name, value in _UNLINKED.pop(getattr(layer, "__wrapped__", layer), {}).items():
                setattr(layer, name, value)
    elif len(layers) > 1:
        for layer in layers:
            own = {name: getattr(layer, name) for name in LINKED}
            _UNLINKED.setdefault(getattr(layer, "__wrapped__", layer), own)
        for layer in layers[:-1]:
            layer.contrast_limits = layers[-1].contrast_limits
        viewer.layers.link_layers(layers, LINKED)
    return layers


class WipedFrames:
    """The data of a layer left of column ``edge``; the rest is transparent (NaN)."""

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
    """Show one layer over another up to a fraction of its width, with an edge that can be dragged on the canvas.

    The wipe is an additional layer with position and appearance of ``over``, the edge another one on top. Of the two
    layers only the visibility changes; ``remove`` restores it. ``dragged`` is called with the fraction.
    """

    def __init__(
        self,
        viewer: Viewer,
        over: Layer,
        under: Layer,
        dragged: Callable[[float], None] = lambda _part: None,
    ) -> None:
        self._viewer, self._over, self._frames = viewer, over, WipedFrames(pixels_of(over))
        self._before = {layer: layer.visible for layer in viewer.layers}
        self._dragged = dragged
        _set_visible(viewer, {layer: layer is under for layer in viewer.layers})
        made = Provenance("sequence", origins=(Origin.of(over), Origin.of(under)))
        self.layer = Image(
            self._frames,
            name=f"wipe: {over.name} | {under.name}",
            metadata={METADATA: made},
            **{key: getattr(over, key) for key in _LOOK},
        )
        width = float(np.ptp(over.extent.world[:, -1]))
        self.edge = Vectors(
            np.zeros((1, 2, 2)),
            name="wipe edge",
            edge_color=EDGE_COLOUR,
            edge_width=width / 300,
            vector_style="line",
            units=over.units[-2:],
            axis_labels=over.axis_labels[-2:],
        )
        viewer.add_layer(self.layer)
        viewer.add_layer(self.edge)
        viewer.layers.link_layers([over, self.layer], (*LINKED, "colormap"))
        viewer.mouse_drag_callbacks.append(self._drag)
        self.move(0.5)

    @property
    def complete(self) -> bool:
        """Whether both of its layers are in the viewer."""
        return self.layer in self._viewer.layers and self.edge in self._viewer.layers

    def move(self, part: float) -> None:
        """Show the left ``part`` of the width, 0 to 1."""
        self._frames.edge = round(part * self._frames.shape[-1])
        self.layer.refresh(extent=False, thumbnail=False)
        ends = [self._world(row) for row in (-0.5, self._frames.shape[-2] - 0.5)]
        self.edge.data = np.array([[ends[0], ends[1] - ends[0]]])

    def remove(self) -> None:
        """Remove the wipe and restore the visibility of the layers."""
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
        for layer in (self.edge, self.layer):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        _set_visible(self._viewer, self._before)

    def _world(self, row: float) -> NDArray[np.float64]:
        """The point (y, x) of the edge at a row."""
        return np.asarray(self._over.data_to_world((0, row, self._frames.edge - 0.5)))[-2:]

    def _drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """Move the edge with the mouse, if it was pressed near it; the canvas does not move meanwhile."""
        camera = compat.camera(viewer)
        if event.button != 1 or viewer.dims.ndisplay != 2 or self._distance(event) * camera.zoom > REACH:
            return
        pans, camera.mouse_pan = camera.mouse_pan, False
        yield
        while event.type == "mouse_move":
            part = (self._column(event) + 0.5) / self._frames.shape[-1]
            self._dragged(min(max(part, 0.0), 1.0))
            yield
        camera.mouse_pan = pans

    def _column(self, event: Any) -> float:
        world = np.asarray(event.position, dtype=float)[-self._over.ndim :]
        return float(np.asarray(self._over.world_to_data(world))[-1])

    def _distance(self, event: Any) -> float:
        """From the mouse to the edge, in the world."""
        here, there = (
            np.asarray(self._over.data_to_world((0, 0, column)))
            for column in (self._column(event), self._frames.edge - 0.5)
        )
        return float(np.linalg.norm(here - there))


class Blink:
    """Show one of two layers alone, then the other; ``remove`` restores the visibility of all layers."""

    def __init__(self, viewer: Viewer, one: Layer, other: Layer) -> None:
        self._viewer, self.shown, self._hidden = viewer, other, one
        self._before = {layer: layer.visible for layer in viewer.layers}
        self.turn()

    def turn(self) -> None:
        """Show the other one."""
        self.shown, self._hidden = self._hidden, self.shown
        _set_visible(self._viewer, {layer: layer is self.shown for layer in self._viewer.layers})

    def remove(self) -> None:
        """Show what was visible before."""
        _set_visible(self._viewer, self._before)


def _set_visible(viewer: Viewer, visible: Mapping[Layer, bool]) -> None:
    """Show or hide layers; with the grid on, napari would arrange all its cells after each of them."""
    changed = [layer for layer in visible if layer.visible != visible[layer]]
    grid = compat.grid(viewer)
    on, grid.enabled = grid.enabled, grid.enabled and not changed
    for layer in changed:
        layer.visible = visible[layer]
    grid.enabled = on


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
"""Properties that the wipe copies from the layer it shows."""

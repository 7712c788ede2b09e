"""Menu commands for the selected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.inspection.recipes import frame_division
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import is_sequence, link_contrast, show_grid
from napari_xfusion.ui.shared.read_again import refresh
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari


def divide_frames(viewer: napari.Viewer) -> None:
    """Add for every selected sequence a layer of its frames divided by their previous ones."""
    sequences = [layer for layer in viewer.layers if layer in viewer.layers.selection and is_sequence(layer)]
    if not sequences:
        show_warning("Frame division: select one or more sequences in the layer list first.")
    for layer in sequences:
        try:
            divided = frame_division(layer)
        except XFusionError as error:
            show_error(in_window_words(error))
        else:
            compat.show_colorbar(viewer.add_image(divided.data, **divided.options))


def refresh_recordings(viewer: napari.Viewer) -> None:
    """Read all recordings again: frames that were written since they were opened appear."""
    try:
        refresh(viewer.layers)
    except XFusionError as error:
        show_error(in_window_words(error))


def compare(viewer: napari.Viewer) -> None:
    """Switch the grid of visible layers on or off, with linked contrast of HR and results."""
    on = not compat.grid(viewer).enabled
    if on and sum(layer.visible for layer in viewer.layers) < 2:
        show_warning("Compare: make two or more layers visible first.")
        return
    show_grid(viewer, on)
    link_contrast(viewer, on)


def fuse_selected(viewer: napari.Viewer) -> None:
    """Open the Fusion panel with the two selected sequences."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
    panel.choose([layer for layer in viewer.layers if layer in viewer.layers.selection])

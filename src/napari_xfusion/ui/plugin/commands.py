"""What napari's menus call on the layers that are selected: thin, each a few calls of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.inspection.recipes import frame_division
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import is_sequence, link_contrast, show_grid
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari


def divide_frames(viewer: napari.Viewer) -> None:
    """Beside every selected sequence, the sequence of its frames divided by their previous ones."""
    sequences = [layer for layer in viewer.layers if layer in viewer.layers.selection and is_sequence(layer)]
    if not sequences:
        show_warning("Frame division: select one or more sequences in the layer list first.")
    for layer in sequences:
        try:
            made = frame_division(layer)
        except XFusionError as error:
            show_error(in_window_words(error))
        else:
            viewer.add_image(made.data, **made.options)


def compare(viewer: napari.Viewer) -> None:
    """The visible layers beside each other, named, HR and results under one contrast; or stacked again."""
    on = not compat.grid(viewer).enabled
    if on and sum(layer.visible for layer in viewer.layers) < 2:
        show_warning("Compare: make two or more layers visible first.")
        return
    show_grid(viewer, on)
    link_contrast(viewer, on)


def fuse_selected(viewer: napari.Viewer) -> None:
    """Open the Fusion panel on the two sequences that are selected."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
    panel.choose([layer for layer in viewer.layers if layer in viewer.layers.selection])

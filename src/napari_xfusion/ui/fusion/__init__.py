"""The Fusion panel: two sequences in layers become one, and the window shows it while it is made."""

from napari_xfusion.ui.fusion.panel import FusionPanel

__all__ = ["FusionPanel"]

"""The Inspect panel: layers and plots that show the reliability of a fused sequence."""

from napari_xfusion.ui.inspection.panel import InspectPanel

__all__ = ["InspectPanel"]

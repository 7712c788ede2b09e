"""What can be looked at of a fused sequence, as layers beside it."""

from napari_xfusion.ui.inspection.panel import InspectPanel

__all__ = ["InspectPanel"]

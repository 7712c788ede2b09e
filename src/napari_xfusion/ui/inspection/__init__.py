"""What can be looked at of a fused film, as layers beside it."""

from napari_xfusion.ui.inspection.panel import InspectPanel

__all__ = ["InspectPanel"]

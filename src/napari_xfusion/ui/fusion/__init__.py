"""The Fusion panel: fuse two image layers and show the result during the run."""

from napari_xfusion.ui.fusion.panel import FusionPanel

__all__ = ["FusionPanel"]

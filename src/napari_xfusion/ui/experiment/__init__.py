"""The Virtual experiment panel."""

from napari_xfusion.ui.experiment.panel import ExperimentPanel

__all__ = ["ExperimentPanel"]

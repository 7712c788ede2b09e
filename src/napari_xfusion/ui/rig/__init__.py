"""The Rig panel: calibrate two cameras, synchronise them, and save what was found as a rig file."""

from napari_xfusion.ui.rig.panel import RigPanel

__all__ = ["RigPanel"]

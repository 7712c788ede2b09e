"""Bring the recordings of several cameras onto one clock, one grid and one grey scale."""

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.mapping import Mapping, fit_mapping
from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.frames import Frame, FrameGroup, FrameReader
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.rig.pairing import make_rig, place_lr, tell_apart
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.rig.timing import find_hr_times, given_hr_times, neighbours, seen_targets

__all__ = [
    "Camera",
    "Clock",
    "Frame",
    "FrameGroup",
    "FrameReader",
    "Grids",
    "Mapping",
    "Rig",
    "find_hr_times",
    "fit_mapping",
    "given_hr_times",
    "make_rig",
    "neighbours",
    "place_lr",
    "seen_targets",
    "tell_apart",
]

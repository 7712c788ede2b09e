"""Bring two stacks onto one clock, one grid and one grey scale."""

from napari_xfusion.core.rig.geometry import Geometry, fit_geometry
from napari_xfusion.core.rig.grey import Grey
from napari_xfusion.core.rig.pair import Pair, pair_stacks
from napari_xfusion.core.rig.timing import find_hr_times, neighbours, seen_targets

__all__ = [
    "Geometry",
    "Grey",
    "Pair",
    "find_hr_times",
    "fit_geometry",
    "neighbours",
    "pair_stacks",
    "seen_targets",
]

"""Simulated radiographs with motion, for training fusion networks: one file per kind of scene."""

from napari_xfusion.lab.scenes.advected import advected
from napari_xfusion.lab.scenes.crack import crack
from napari_xfusion.lab.scenes.layered import layered, pausing
from napari_xfusion.lab.scenes.nonsense import nonsense
from napari_xfusion.lab.scenes.powder import powder
from napari_xfusion.lab.scenes.sample import Clean, Sample, draw_clean, draw_sample, expose
from napari_xfusion.lab.scenes.scene import Kind, Scene, make_scene
from napari_xfusion.lab.scenes.spray import bubbles, spray
from napari_xfusion.lab.scenes.stirring import stirring

KINDS: dict[str, Kind] = {
    "advected": advected,
    "nonsense": nonsense,
    "powder": powder,
    "stirring": stirring,
    "spray": spray,
    "bubbles": bubbles,
    "crack": crack,
    "layered": layered,
    "pausing": pausing,
}
"""Name and kind."""

__all__ = ["KINDS", "Clean", "Kind", "Sample", "Scene", "draw_clean", "draw_sample", "expose", "make_scene"]

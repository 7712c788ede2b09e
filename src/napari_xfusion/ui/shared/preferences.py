"""What the user chose in napari's Preferences for this plugin; the choices are declared in napari.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari_xfusion.ui.shared import compat

PLUGIN = "napari-xfusion"


@dataclass(frozen=True)
class Preferences:
    """The settings of all panels, as they are at the moment."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    memory: float
    """Gigabytes that a result may take in memory; larger ones have to go to a file."""
    difference: str
    """Colours about 1: ``blue-orange``, or the name of a napari colormap."""
    heat: str
    """Name of the napari colormap of attention and standard deviation."""


def preferences() -> Preferences:
    """The user's choices; the defaults of napari.yaml where there are none."""
    chosen = compat.plugin_settings(PLUGIN)
    computing, colours = chosen.computing, chosen.colours
    return Preferences(
        computing.device, computing.precision, computing.memory, colours.difference, colours.heat
    )


def computing_events() -> Any:
    """napari's event emitters ``device``, ``precision`` and ``memory``: what the Preferences page changes."""
    return compat.plugin_settings(PLUGIN).computing.events


def keep_computing(device: str, precision: str) -> None:
    """Keep what was chosen in a panel, for the next session too."""
    computing = compat.plugin_settings(PLUGIN).computing
    computing.device, computing.precision = device, precision

"""The settings of this plugin in napari's Preferences; they are declared in napari.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari_xfusion.ui.shared import compat

PLUGIN = "napari-xfusion"
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Preferences:
    """The current preferences, common to all panels."""

    device: Device
    precision: Precision
    memory: float
    """Maximum size of a result in memory in gigabytes; larger results must be written to a file."""
    difference: str
    """Colormap of differences: ``blue-orange``, or the name of a napari colormap."""
    heat: str
    """Colormap of attention and standard deviation, by its name in napari."""


def preferences() -> Preferences:
    """Read the preferences; the defaults are those of napari.yaml."""
    chosen = compat.plugin_settings(PLUGIN)
    computing, colours = chosen.computing, chosen.colours
    return Preferences(
        computing.device, computing.precision, computing.memory, colours.difference, colours.heat
    )


def computing_events() -> Any:
    """The event emitters ``device``, ``precision`` and ``memory`` of the Preferences page."""
    return compat.plugin_settings(PLUGIN).computing.events


def save_computing(device: Device, precision: Precision) -> None:
    """Save device and precision for later sessions."""
    computing = compat.plugin_settings(PLUGIN).computing
    computing.device, computing.precision = device, precision

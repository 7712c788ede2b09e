"""Differences between the supported versions of napari, 0.7 to 0.9."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari import Viewer


def grid(viewer: Viewer) -> Any:
    """The grid of the canvas: ``viewer.canvas.grid`` since 0.9, where ``viewer.grid`` is deprecated."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


def camera(viewer: Viewer) -> Any:
    """The camera: ``viewer.scene.camera`` since 0.9, where ``viewer.camera`` is deprecated."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def text_overlay(viewer: Viewer) -> Any:
    """The text on the canvas: ``viewer.canvas.overlays.text`` since 0.9, ``viewer.text_overlay`` before."""
    return viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay


def scale_bar(viewer: Viewer) -> Any:
    """The scale bar: ``viewer.canvas.overlays.scale_bar`` since 0.9, ``viewer.scale_bar`` before."""
    return viewer.canvas.overlays.scale_bar if hasattr(viewer, "canvas") else viewer.scale_bar


def plugin_settings(plugin: str) -> Any:
    """The settings of the Preferences page, which napari has for plugins since 0.9.

    Older versions use the defaults; changes last until Python exits.
    """
    try:
        from napari.settings import get_plugin_settings  # noqa: PLC0415 - a second, and needed late
    except ImportError:
        return _defaults()
    return get_plugin_settings(plugin)


@cache
def _defaults() -> Any:
    from napari.utils.events import EventedModel  # noqa: PLC0415 - as above

    class Computing(EventedModel):
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
        memory: float = 2.0

    return SimpleNamespace(
        computing=Computing(), colours=SimpleNamespace(difference="blue-orange", heat="inferno")
    )

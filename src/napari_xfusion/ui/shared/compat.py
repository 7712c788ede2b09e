"""Differences between the supported versions of napari, 0.7 to 0.9."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


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


COLOURBAR = 16, 90
"""Width and height in screen pixels: it fits into a cell of a grid."""


def show_colorbar(layer: Layer, on: bool = True) -> None:
    """Show or hide the colour bar of a layer, which napari has since 0.9.

    It is in the corner opposite to the name of the layer, and away from scale bar and label.
    """
    if hasattr(layer, "colorbar"):
        layer.colorbar.position, layer.colorbar.size = "bottom_left", COLOURBAR
        layer.colorbar.visible = on


def plugin_settings(plugin: str) -> Any:
    """The settings of the Preferences page, which napari has for plugins since 0.9.

    Older versions use the defaults; changes last until Python exits.
    """
    try:
        from napari.settings import get_plugin_settings  # noqa: PLC0415 - a second, and needed late
    except ImportError:
        return _defaults(plugin)
    with _no_discovery(plugin):
        return get_plugin_settings(plugin)


@contextmanager
def _no_discovery(plugin: str) -> Iterator[None]:
    """Where ``plugin`` is known, napari has looked for plugins.

    Its settings would look again and parse every manifest, 0.2 s with five plugins, while the window waits.
    """
    from npe2 import PluginManager  # noqa: PLC0415 - as above

    manager: Any = PluginManager.instance()
    known = plugin in manager
    if known:
        manager.discover = lambda: 0
    try:
        yield
    finally:
        if known:
            del manager.discover


@cache
def _defaults(plugin: str) -> Any:
    from napari.utils.events import EventedModel  # noqa: PLC0415 - as above
    from npe2 import PluginManifest  # noqa: PLC0415 - as above
    from pydantic import create_model  # noqa: PLC0415 - as above

    def group(properties: Any) -> EventedModel:
        fields: dict[str, Any] = {
            name: (Literal[tuple(each.enum)] if each.enum else float, each.default)
            for name, each in properties.items()
        }
        return create_model("Settings", __base__=EventedModel, **fields)()

    groups = PluginManifest.from_distribution(plugin).contributions.configurations or {}
    return SimpleNamespace(**{name: group(each.properties) for name, each in groups.items()})

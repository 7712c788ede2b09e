"""Hear napari's events as long as a widget lives, and not a moment longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject


def follow(widget: QObject, emitter: Any, callback: Callable[..., None]) -> None:
    """Connect ``callback`` to an event emitter until ``widget`` is destroyed."""
    emitter.connect(callback)
    widget.destroyed.connect(lambda: emitter.disconnect(callback))

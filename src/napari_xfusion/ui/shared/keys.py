"""The keys of the panels: the one list from which they are bound, and from which help and documentation are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ref

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari import Viewer


@dataclass(frozen=True)
class Key:
    """A key, and what it does while a panel is open."""

    keys: str
    """As Qt writes it: ``Shift+R``."""
    does: str
    panel: str
    """Where it works."""


KEYS: dict[str, Key] = {
    "preview": Key("Shift+F", "Fuse the displayed frame (Preview)", "Fusion panel"),
    "run": Key("Shift+R", "Run or resume", "Fusion panel"),
    "cancel": Key("Shift+X", "Cancel the run", "Fusion panel"),
    "previous-hr": Key("Shift+Left", "Go to the previous HR frame", "Fusion panel"),
    "next-hr": Key("Shift+Right", "Go to the next HR frame", "Fusion panel"),
    "undo": Key("Ctrl+Z", "Undo the last change", "section Alignment, Rig panel"),
    "redo": Key("Ctrl+Shift+Z", "Redo what was undone", "section Alignment, Rig panel"),
    "magnifier": Key("M", "Show or hide the magnifier", "Inspect panel"),
    "hold": Key("Shift+M", "Magnifier: hold the place or follow the mouse", "Inspect panel"),
    "blink": Key("B", "Blink: show the other layer", "Inspect panel"),
    "help": Key("F1", "Show or hide the help", "Fusion and Inspect panels"),
}
"""By name."""


def bind(owner: QWidget, viewer: Viewer, name: str, act: Callable[[], object]) -> Callable[[], None]:
    """Call ``act`` when the key ``name`` is pressed in the window, until ``owner`` is destroyed.

    A text field with the cursor in it gets the key instead. Returns a function that ends it before.
    """
    keys = KEYS[name].keys.replace("+", "-")  # as napari writes it
    weak = ref(getattr(viewer, "__wrapped__", viewer))  # napari passes a proxy to plugins

    def pressed(_viewer: object) -> None:
        act()

    def end() -> None:
        alive = weak()
        if alive is not None and pressed in alive.keymap.values():  # else another panel has it now
            alive.bind_key(keys, None)

    def disconnect() -> None:
        owner.destroyed.disconnect(end)
        end()

    viewer.bind_key(keys, pressed, overwrite=True)
    owner.destroyed.connect(end)
    return disconnect


def shortcut(owner: QWidget, name: str, act: Callable[[], object]) -> None:
    """Call ``act`` when the key ``name`` is pressed in ``owner`` or one of its fields."""
    made = QShortcut(QKeySequence(KEYS[name].keys), owner)
    made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    made.activated.connect(act)

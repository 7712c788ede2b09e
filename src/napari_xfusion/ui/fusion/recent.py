"""The last pairs of recordings with what was entered for each, and the button that opens one of them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_xfusion.ui.shared.widgets import offer

MOST = 10
"""Pairs that are remembered."""
INSIDE = "::"
"""Between a file and a dataset in it."""
OPENS = "Open the recordings of an earlier session, with their rig file, times and sizes as you entered them."


class Recent:
    """The last pairs, the newest first; each a mapping with its ``pair`` of paths and what was entered for it."""

    def __init__(self) -> None:
        self._pairs: list[Mapping[str, Any]] = []

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._pairs)

    def of(self, pair: list[str]) -> Mapping[str, Any]:
        """What was entered for ``pair``; empty where that is not known."""
        return next((values for values in self._pairs if values["pair"] == pair), {})

    def put(self, values: Mapping[str, Any]) -> None:
        """Remember ``values`` as the newest pair, in place of earlier ones of the same pair."""
        others = [each for each in self._pairs if each["pair"] != values["pair"]]
        self._pairs = [values, *others][:MOST]

    def clear(self) -> None:
        """Forget all pairs."""
        self._pairs = []

    def saved(self) -> dict[str, Any]:
        """The pairs, for the next session."""
        return {"recent": [dict(values) for values in self._pairs]}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take the saved pairs; the settings file may contain anything."""
        pairs = saved.get("recent")
        for values in reversed(pairs if isinstance(pairs, list) else []):
            pair = values.get("pair") if isinstance(values, dict) else None
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(path, str) for path in pair):
                self.put(values)


class RecentButton(QPushButton):
    """A menu of the last pairs. A pair whose files are not there is grey, and says so."""

    chosen = Signal(list)
    """The paths of the selected pair."""
    cleared = Signal()

    def __init__(self, recent: Recent, opened: Callable[[], list[str]], parent: QWidget) -> None:
        """``opened`` gives the pair that is open, which is not offered."""
        super().__init__("Recent ▾", parent)
        self._recent, self._opened = recent, opened
        self.entries = QMenu(self)
        self.entries.setToolTipsVisible(True)
        self.clicked.connect(lambda _: self._pop_up())
        self.update_button()

    def update_button(self) -> None:
        """Enable the button if there is something to offer."""
        offer(self, OPENS, "" if self._offered() else "No other pair of files has been fused yet.")

    def fill(self) -> None:
        """Make the entries of the menu."""
        menu = self.entries
        menu.clear()
        for pair in self._offered():
            missing = [path for path in map(_file, pair) if not path.exists()]
            action = menu.addAction(_words(pair) + (" (not found)" if missing else ""))
            action.setToolTip("\n".join(pair))
            action.setEnabled(not missing)
            action.triggered.connect(lambda _, pair=pair: self.chosen.emit(pair))
        menu.addSeparator()
        menu.addAction("Clear this list").triggered.connect(lambda _: self.cleared.emit())

    def _pop_up(self) -> None:
        """Show the menu; nothing waits for it, as it would for the menu of a button of Qt."""
        self.fill()
        self.entries.popup(self.mapToGlobal(self.rect().bottomLeft()))

    def _offered(self) -> list[list[str]]:
        """The pairs of files but that which is open; the layers of other readers have no path."""
        pairs = [values["pair"] for values in self._recent]
        return [
            pair for pair in pairs if all(_file(x).is_absolute() for x in pair) and pair != self._opened()
        ]


def _file(path: str) -> Path:
    return Path(path.split(INSIDE, maxsplit=1)[0])


def _words(pair: list[str]) -> str:
    """Folder and names of two recordings; the folder once where it is the same."""
    lr, hr = map(_file, pair)
    if lr.parent == hr.parent:
        return f"{lr.parent.name}: {lr.name}, {hr.name}"
    return f"{lr.parent.name}/{lr.name}, {hr.parent.name}/{hr.name}"

"""A field for the paths of files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QWidget

SEPARATOR = ";"
"""Between two paths. A path may contain spaces and colons."""


class FilesEdit(QLineEdit):
    """Paths of files, typed, dropped or selected in the dialog of the button ``browse``."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.folder = ""
        """Where the dialog begins if no file is given yet."""
        self.browse = QPushButton("…", parent)
        self.browse.setMaximumWidth(32)
        self.browse.setAccessibleName(f"Select {title}")
        self.browse.clicked.connect(lambda _: self._browse(title))
        self.setAccessibleName(title)
        self.setPlaceholderText("none")

    def paths(self) -> tuple[str, ...]:
        """The paths as entered, ``~`` resolved."""
        return split_paths(self.text())

    def set_paths(self, paths: Iterable[str]) -> None:
        """Show other paths."""
        self.setText(join_paths(paths))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Accept files; text as any field does."""
        if event is not None and event.mimeData().hasUrls():
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Add the files that are dropped."""
        if event is None or not event.mimeData().hasUrls():
            super().dropEvent(event)
            return
        dropped = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        self.set_paths((*self.paths(), *dropped))
        event.acceptProposedAction()

    def _browse(self, title: str) -> None:
        last = self.paths()[-1:]
        start = os.path.dirname(last[0]) if last else self.folder  # noqa: PTH120 - may contain ::/path
        chosen, _ = QFileDialog.getOpenFileNames(self, title, start)
        if chosen:
            self.set_paths(chosen)


def split_paths(text: str) -> tuple[str, ...]:
    """The paths in a text, ``~`` resolved; a file whose name contains the separator can be given alone."""
    whole = text.strip()
    parts = [whole] if whole and Path(whole).exists() else whole.split(SEPARATOR)
    return tuple(os.path.expanduser(part.strip()) for part in parts if part.strip())  # noqa: PTH111


def join_paths(paths: Iterable[str]) -> str:
    """The text that ``split_paths`` splits."""
    return f"{SEPARATOR} ".join(paths)

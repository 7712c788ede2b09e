"""Which of several sequences in an HDF5 file to open: its groups as a tree, with shapes and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QMainWindow,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

Choice = tuple[str, tuple[int, ...], str]
"""Path inside the file, shape and dtype."""
_PATH = Qt.ItemDataRole.UserRole


class Chooser(QDialog):
    """The datasets of a file; ``chosen`` is the path of the selected one."""

    def __init__(self, name: str, choices: Sequence[Choice], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Sequences in {name}")
        self.tree = QTreeWidget(self)
        self.tree.setHeaderLabels(["Dataset", "Frames, rows, columns", "Type"])
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel, self
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree)
        layout.addWidget(self.buttons)
        first, *_ = [self._add(choice) for choice in choices]
        self.tree.expandAll()
        self._fit_columns()
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.tree.itemSelectionChanged.connect(self._update)
        self.tree.itemDoubleClicked.connect(self._open)
        self.tree.setCurrentItem(first)
        self.resize(QSize(560, 360).boundedTo(self.screen().availableSize()))
        self.setMinimumWidth(420)
        self.tree.setFocus()

    @property
    def chosen(self) -> str | None:
        """The path of the selected dataset; None where a group is selected."""
        item = self.tree.currentItem()
        return None if item is None else item.data(0, _PATH)

    def _add(self, choice: Choice) -> QTreeWidgetItem:
        path, shape, dtype = choice
        *groups, name = path.strip("/").split("/")
        parent = self.tree.invisibleRootItem()
        for group in groups:
            parent = _child(parent, group) or QTreeWidgetItem(parent, [group])
        item = QTreeWidgetItem(parent, [name, " x ".join(map(str, shape)), dtype])
        item.setData(0, _PATH, path)
        item.setToolTip(0, path)
        return item

    def _fit_columns(self) -> None:
        """Long names are elided, so that shapes and types are always visible."""
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def _open(self) -> None:
        if self.chosen is not None:
            self.accept()

    def _update(self) -> None:
        self.buttons.button(QDialogButtonBox.StandardButton.Open).setEnabled(self.chosen is not None)


def main_window() -> QWidget | None:
    """The window of napari that the user works in: the dialog gets its theme and stays in front of it."""
    windows = [x for x in QApplication.topLevelWidgets() if isinstance(x, QMainWindow) and x.isVisible()]
    active = QApplication.activeWindow()
    return active if active in windows else next(iter(windows), None)


def choose_dataset(name: str, choices: Sequence[Choice]) -> str | None:
    """Ask for one of the datasets of the file ``name``; None where the dialog is cancelled."""
    dialog = Chooser(name, choices, main_window())
    chosen = dialog.chosen if dialog.exec() else None
    dialog.deleteLater()  # the window keeps its children
    return chosen


def _child(parent: QTreeWidgetItem | None, name: str) -> QTreeWidgetItem | None:
    if parent is None:
        return None
    children = (parent.child(k) for k in range(parent.childCount()))
    return next((x for x in children if x.text(0) == name and x.data(0, _PATH) is None), None)

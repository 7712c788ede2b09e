"""Which of several sequences in an HDF5 file to open: its groups as a tree, with shapes and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

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
        for column in range(3):
            self.tree.resizeColumnToContents(column)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.tree.itemSelectionChanged.connect(self._update)
        self.tree.itemDoubleClicked.connect(self._open)
        self.tree.setCurrentItem(first)
        self.resize(560, 360)

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
        return item

    def _open(self) -> None:
        if self.chosen is not None:
            self.accept()

    def _update(self) -> None:
        self.buttons.button(QDialogButtonBox.StandardButton.Open).setEnabled(self.chosen is not None)


def choose_dataset(name: str, choices: Sequence[Choice]) -> str | None:
    """Ask for one of the datasets of the file ``name``; None where the dialog is cancelled."""
    dialog = Chooser(name, choices)
    return dialog.chosen if dialog.exec() else None


def _child(parent: QTreeWidgetItem | None, name: str) -> QTreeWidgetItem | None:
    if parent is None:
        return None
    children = (parent.child(k) for k in range(parent.childCount()))
    return next((x for x in children if x.text(0) == name and x.data(0, _PATH) is None), None)

"""What panels are made of: the panel itself, a choice of layers, listening for as long as a widget lives."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLayout,
    QMainWindow,
    QWidget,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer


LONG_WORD = re.compile(r"\S{36,}")
"""What does not fit into a line of a panel: Qt breaks lines between words only."""
WIDTH = 320
"""Least width of a panel; a dock left alone may come out at 100 pixels."""


class Docked(QWidget):
    """What goes with its dock: napari only takes it out, and it would live on, unseen and at work.

    It would even end with a crash, when Python collects it as garbage and Qt then tells those who listen.
    """

    def main_window(self) -> QMainWindow | None:
        """The main window, also from a dock that floats; None outside of one."""
        window = self.window()
        main = window if isinstance(window, QMainWindow) else window.parentWidget()
        return main if isinstance(main, QMainWindow) else None

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Go, unless it is put elsewhere at once."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._go)

    def _go(self) -> None:
        if self.parent() is None:
            self.deleteLater()


class Panel(Docked):
    """A panel of this plugin; its dock becomes a tab upon the others', as none has room below another."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(WIDTH)
        self._placed = False

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Take the place among the other panels when first shown; where the user drags it later is theirs."""
        super().showEvent(event)
        window = self.window()
        if self._placed or not isinstance(window, QMainWindow):
            return
        self._placed = True
        docks = [
            dock for dock in window.findChildren(QDockWidget) if dock.isVisible() and not dock.isFloating()
        ]
        mine = [dock for dock in docks if self in dock.findChildren(Panel)]
        others = [dock for dock in docks if dock not in mine and dock.findChildren(Panel)]
        if mine and others:
            window.tabifyDockWidget(others[-1], mine[0])
            mine[0].raise_()


def listen(owner: QObject, emitter: Any, callback: Callable[[], object]) -> None:
    """Call ``callback`` on each event of an ``emitter``, after older listeners, until ``owner`` goes."""

    emitter = getattr(emitter, "__wrapped__", emitter)  # napari hands plugins a proxy
    there = ref(emitter)  # Python may take a viewer to pieces before Qt ends its window

    def on_event(event: Any = None) -> None:  # noqa: ARG001 - napari hands it over
        callback()

    def on_end() -> None:
        if (still := there()) is not None:
            still.disconnect(on_event)

    emitter.connect(on_event, position="last")
    owner.destroyed.connect(on_end)


def draw_later(widget: QWidget, milliseconds: int) -> None:
    """Leave the main window as it is drawn for so long: what is changed now is drawn in a turn of its own."""
    window = widget.window()
    window = window.parentWidget() or window  # a dock may float
    timer = QTimer(window)  # the widget may go before

    def draw() -> None:
        window.setUpdatesEnabled(True)
        timer.deleteLater()

    window.setUpdatesEnabled(False)
    timer.setSingleShot(True)
    timer.timeout.connect(draw)
    timer.start(milliseconds)


class LayerCombo(QComboBox):
    """A choice among the viewer's layers of one kind, kept up to date."""

    chosen = Signal()
    """Another layer, also because the chosen one went."""

    def __init__(
        self, viewer: napari.Viewer, accepts: Callable[[Layer], bool], *, none: str = "", parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._viewer, self._accepts, self._none = viewer, accepts, none
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self._refresh()
        self.currentIndexChanged.connect(lambda _: self.chosen.emit())
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            listen(self, emitter, self._refresh)

    def layer(self) -> Layer | None:
        """The chosen layer."""
        return self.currentData()

    def choose(self, layer: Layer | None) -> None:
        """Choose ``layer`` if it is there."""
        index = self._find(layer)
        if index >= 0:
            self.setCurrentIndex(index)

    def _find(self, layer: Layer | None) -> int:
        # Not by ``is``: it may be a proxy, as which napari hands layers to plugins.
        return next((i for i in range(self.count()) if self.itemData(i) == layer), -1)

    def _refresh(self) -> None:
        before = self.layer()
        self.blockSignals(True)
        self.clear()
        if self._none:
            self.addItem(self._none, None)
        for layer in self._viewer.layers:
            if self._accepts(layer):
                self.addItem(layer.name, layer)
        self.setCurrentIndex(max(self._find(before), 0) if self.count() else -1)
        self.blockSignals(False)
        if self.layer() is not before:
            self.chosen.emit()


def form(box: QGroupBox) -> QFormLayout:
    """The layout of a box with one row for each setting, which breaks lines rather than growing wide."""
    layout = QFormLayout(box)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setContentsMargins(6, 2, 6, 2)
    layout.setVerticalSpacing(2)
    return layout


def add_row(layout: QFormLayout, label: str | QWidget, field: QWidget | QLayout, tip: str) -> None:
    """One setting, with its ``tip`` on the label too; a row of fields has tips of its own."""
    layout.addRow(label, field)
    named = layout.labelForField(field)
    if isinstance(field, QWidget):
        field.setToolTip(tip)
    if named is not None:
        named.setToolTip(tip)


def tab_through(*widgets: QWidget) -> None:
    """Let the Tab key go through ``widgets`` in this order, which is that in which they are seen."""
    for before, after in pairwise(widgets):
        QWidget.setTabOrder(before, after)


class Sentence(QLabel):
    """Text that the program writes: wrapped, and can be copied."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)  # names of files and layers are no HTML
        self.setWordWrap(True)
        self.setTextInteractionFlags(self.textInteractionFlags().TextSelectableByMouse)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show ``text``; the middle of a word, most often a path, that no panel has room for is left out."""
        super().setText(LONG_WORD.sub(lambda word: f"{word[0][:12]}…{word[0][-22:]}", text))

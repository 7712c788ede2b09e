"""Common parts of the panels: the panel class, a layer combo box, event connections that end with a widget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from qtpy.QtCore import QEvent, QLocale, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QIcon, QPixmap, QResizeEvent, QShowEvent, QValidator
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.words import start_window_log

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer


LONG_WORD = re.compile(r"\S{36,}")
"""A word too long for a line of a panel: Qt breaks lines between words only."""
WIDTH = 320
"""Minimum width of a panel in pixels; without it a dock may be 100 pixels wide."""
LAID_OUT = 30
"""Milliseconds after which a layout has followed a change."""
NO_LIMIT = 16_777_215
"""Qt's QWIDGETSIZE_MAX, which PySide6 lacks."""


class Docked(QWidget):
    """A widget that is deleted with its dock: napari only removes it from the dock, and it would run on, hidden.

    If Python collected it later, its ``destroyed`` signal could reach deleted objects and crash.
    """

    def main_window(self) -> QMainWindow | None:
        """The main window, also from a dock that floats; None outside of one."""
        window = self.window()
        main = window if isinstance(window, QMainWindow) else window.parentWidget()
        return main if isinstance(main, QMainWindow) else None

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Delete the widget when it loses its parent, unless it gets another one at once."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._delete)

    def _delete(self) -> None:
        if self.parent() is None:
            self.deleteLater()


class Panel(Docked):
    """A panel of this plugin; its dock is tabbed with those of the other panels."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        start_window_log()
        self.setMinimumWidth(WIDTH)
        self._placed = False

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Tab the dock with those of the other panels when it is first shown; later the user may place it."""
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
        for dock in mine:
            dock.setWindowTitle(dock.windowTitle().partition(" (")[0])  # four names have to fit on the tabs
        if mine and others:
            window.tabifyDockWidget(others[-1], mine[0])
            mine[0].raise_()

    def lay_out(self, parts: Iterable[QWidget], *footer: QWidget) -> None:
        """Put ``parts`` into a scroll area and ``footer`` below it, where it is always visible."""
        inside = QWidget(self)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 6, 0, 0)
        column.setSpacing(2)
        for part in parts:
            column.addWidget(part)
        column.addStretch()
        prepare_fields(inside)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area, stretch=1)
        for widget in footer:
            outer.addWidget(widget)


class _UnfocusedWheel(QObject):
    """Pass the wheel on to the scroll area, unless the field has the keyboard focus."""

    def eventFilter(self, field: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Whether ``field`` does not get ``event``."""
        if event.type() != QEvent.Type.Wheel or not isinstance(field, QWidget) or field.hasFocus():
            return False
        event.ignore()
        return True


class _DecimalComma(QValidator):
    """Read a comma as a decimal point: Qt takes it for a separator of thousands and drops it."""

    def validate(self, text: str, position: int) -> Any:
        """The state of ``text`` in the number box that this belongs to, with its decimal point."""
        box: Any = self.parent()
        if text == box.specialValueText():
            return QValidator.State.Acceptable, text, position
        return box.validate(text.replace(",", "."), position)


def prepare_fields(inside: QWidget) -> None:
    """Make the fields of a panel independent of the wheel that scrolls it and of the language of the desktop."""
    locale = QLocale.c()
    locale.setNumberOptions(
        QLocale.NumberOption.RejectGroupSeparator | QLocale.NumberOption.OmitGroupSeparator
    )
    inside.setLocale(locale)
    for field in inside.findChildren(QWidget):
        if isinstance(field, (QAbstractSpinBox, QComboBox, QSlider)):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # by default, the wheel gives the focus
            field.installEventFilter(_UnfocusedWheel(field))
        if isinstance(field, (QSpinBox, QDoubleSpinBox)):
            field.lineEdit().setValidator(_DecimalComma(field))


class Section(QCollapsible):
    """A collapsible section with ``rows`` of settings, collapsed at first."""

    def __init__(self, title: str, parent: QWidget) -> None:
        blank = QPixmap(1, 1)  # an icon without pixels is false in PySide6, and superqt then fails
        blank.fill(Qt.GlobalColor.transparent)
        super().__init__(title, parent, expandedIcon=QIcon(blank), collapsedIcon=QIcon(blank))
        self._title = title
        self.rows = form(content := QWidget(self))
        self.setContent(content)
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        button = self.toggleButton()
        # superqt's own style hides the keyboard focus.
        button.setStyleSheet(
            "* {text-align: left; background: transparent; border: 1px solid transparent}"
            "*:focus {border-color: gray}"
        )
        button.setAccessibleName(title)
        button.setToolTip(f"Show or hide: {title.lower()}.")
        self.toggled.connect(self._on_toggled)
        self.collapse(animate=False)

    def _on_toggled(self, expanded: bool) -> None:
        self.setText(f"{'▾' if expanded else '▸'} {self._title}")
        self.content().setVisible(expanded)  # Tab skips hidden fields
        self.content().setMaximumHeight(NO_LIMIT)  # rows may wrap later


def bring_into_view(field: QWidget) -> None:
    """Open the sections around ``field`` and scroll to it."""
    parent = field.parentWidget()
    while parent is not None:
        if isinstance(parent, Section):
            parent.expand(animate=False)
        if isinstance(parent, QScrollArea):
            _scroll_later(parent, field)
        parent = parent.parentWidget()


def _scroll_later(area: QScrollArea, field: QWidget) -> None:
    """Scroll to ``field`` when the sections have got their heights."""
    timer = QTimer(area)

    def scroll() -> None:
        area.ensureWidgetVisible(field)
        area.horizontalScrollBar().setValue(0)
        timer.deleteLater()

    timer.setSingleShot(True)
    timer.timeout.connect(scroll)
    timer.start(LAID_OUT)


def offer(button: QAbstractButton, does: str, reason: str = "", *, busy: bool = False) -> None:
    """Enable ``button`` unless there is a ``reason`` against it, which its tooltip gives, or the panel is ``busy``."""
    button.setEnabled(not reason and not busy)
    button.setToolTip(f"{does}\n\nNot available: {reason}" if reason else does)


def listen(owner: QObject, emitter: Any, callback: Callable[[], object]) -> Callable[[], None]:
    """Call ``callback`` on each event of an ``emitter``, after older callbacks, until ``owner`` is destroyed.

    Returns a function that disconnects it before.
    """

    emitter = getattr(emitter, "__wrapped__", emitter)  # napari passes a proxy to plugins
    weak = ref(emitter)  # Python may delete a viewer before Qt destroys its window

    def on_event(event: Any = None) -> None:  # noqa: ARG001 - napari passes it
        callback()

    def on_end() -> None:
        if (alive := weak()) is not None:
            alive.disconnect(on_event)

    def disconnect() -> None:
        owner.destroyed.disconnect(on_end)
        on_end()

    emitter.connect(on_event, position="last")
    owner.destroyed.connect(on_end)
    return disconnect


class Follower:
    """Calls ``callback`` on the events ``names`` of the layers followed now, and of no others."""

    def __init__(self, owner: QObject, names: Iterable[str], callback: Callable[[], object]) -> None:
        self._owner, self._names, self._callback = owner, tuple(names), callback
        self._followed: WeakKeyDictionary[Layer, list[Callable[[], None]]] = WeakKeyDictionary()

    def follow(self, layers: Iterable[Layer]) -> None:
        """Connect to ``layers`` and disconnect from all others."""
        wanted = {getattr(layer, "__wrapped__", layer) for layer in layers}  # a proxy of napari soon dies
        for layer in set(self._followed) - wanted:
            for disconnect in self._followed.pop(layer):
                disconnect()
        for layer in wanted - set(self._followed):
            self._followed[layer] = [
                listen(self._owner, getattr(layer.events, name), self._callback) for name in self._names
            ]


def scale_bar_in_2d(owner: QObject, viewer: napari.Viewer) -> None:
    """Switch the scale bar off in 3-D, where time and length have no common unit, and on again in 2-D."""
    hidden = False

    def follow() -> None:
        nonlocal hidden
        bar, flat = compat.scale_bar(viewer), viewer.dims.ndisplay == 2
        if bar.visible and not flat:
            hidden, bar.visible = True, False
        elif hidden and flat:
            hidden, bar.visible = False, True

    listen(owner, viewer.dims.events.ndisplay, follow)


def in_turns(owner: QObject, *acts: Callable[[], object]) -> None:
    """Call each of ``acts`` in a later turn of the event loop than the one before: the window draws and reacts between.

    What is left is not called once ``owner`` is destroyed.
    """
    left, timer = iter(acts), QTimer(owner)

    def act() -> None:
        following = next(left, None)
        if following is None:
            timer.deleteLater()
        else:
            following()

    timer.timeout.connect(act)
    timer.start(0)


def draw_later(widget: QWidget, milliseconds: int) -> None:
    """Suspend drawing of the main window for this time, so that several changes are drawn at once."""
    window = widget.window()
    window = window.parentWidget() or window  # a dock may float
    timer = QTimer(window)  # the widget may be deleted before

    def draw() -> None:
        parent: Any = (
            timer.parent()
        )  # PySide6 crashes where the timer's end is that of the last name of the window
        parent.setUpdatesEnabled(True)
        timer.deleteLater()

    window.setUpdatesEnabled(False)
    timer.setSingleShot(True)
    timer.timeout.connect(draw)
    timer.start(milliseconds)


class LayerCombo(QComboBox):
    """A combo box of those layers of the viewer that it accepts; it follows changes of the layer list."""

    chosen = Signal()
    """Another layer is selected, possibly because the previous one was removed."""

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
        """The selected layer."""
        return self.currentData()

    def choose(self, layer: Layer | None) -> None:
        """Select ``layer`` if it is in the list."""
        index = self._find(layer)
        if index >= 0:
            self.setCurrentIndex(index)

    def _find(self, layer: Layer | None) -> int:
        # Not by ``is``: napari passes layers to plugins as proxies.
        return next((i for i in range(self.count()) if self.itemData(i) == layer), -1)

    def _refresh(self) -> None:
        before = self.layer()
        with signals_blocked(self):
            self.clear()
            if self._none:
                self.addItem(self._none, None)
            for layer in self._viewer.layers:
                if self._accepts(layer):
                    self.addItem(layer.name, layer)
            self.setCurrentIndex(max(self._find(before), 0) if self.count() else -1)
        if self.layer() is not before:
            self.chosen.emit()


def form(box: QWidget) -> QFormLayout:
    """A layout of a box with one row per setting; long rows wrap instead of widening the box."""
    layout = QFormLayout(box)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setContentsMargins(6, 2, 6, 2)
    layout.setVerticalSpacing(2)
    return layout


def add_row(layout: QFormLayout, label: str | QWidget, field: QWidget | Sequence[QWidget], tip: str) -> None:
    """Add a setting of one or more fields side by side; ``tip`` is shown on the fields and on the label."""
    fields = [field] if isinstance(field, QWidget) else field
    for widget in fields:
        widget.setToolTip(tip)
        if isinstance(widget, QComboBox):  # long names of layers and files do not widen the panel
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    row: Any = fields[0]
    if len(fields) > 1:
        row = QHBoxLayout()
        for widget in fields:
            row.addWidget(widget)
    layout.addRow(label, row)
    named = layout.labelForField(row)
    if named is not None:
        named.setToolTip(tip)


def tab_stops(parent: QWidget) -> list[QWidget]:
    """The widgets in ``parent`` at which Tab stops, in the order in which they were made."""
    stops = Qt.FocusPolicy.TabFocus.value
    inside = [each for each in parent.findChildren(QWidget) if each.window() is parent.window()]  # no popups
    return [each for each in inside if each.focusPolicy().value & stops]


def tab_through(*widgets: QWidget) -> None:
    """Set the Tab order to that of ``widgets``."""
    for before, after in pairwise(widgets):
        QWidget.setTabOrder(before, after)


class WrappedLabel(QLabel):
    """Wrapped, selectable text that is exactly as high as its lines."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(self.textInteractionFlags().TextSelectableByMouse)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show ``text``."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep all lines visible: layouts do not always ask again for the height of wrapped text."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(0)  # Qt takes it for the least height that the text needs
        self.setFixedHeight(max(self.heightForWidth(self.width()), 0))


class Sentence(WrappedLabel):
    """Plain text of a status or a result."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)  # names of files and layers are not HTML

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show ``text``; words too long for a line, usually paths, are elided in the middle."""
        super().setText(LONG_WORD.sub(lambda word: f"{word[0][:12]}…{word[0][-22:]}", text))

"""Undo and redo of what the user entered, and their two buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_xfusion.ui.shared.keys import KEYS, shortcut
from napari_xfusion.ui.shared.widgets import offer

T = TypeVar("T")
MOST = 50
"""Values that can be undone."""
SETTLE = 400
"""Milliseconds: changes that follow each other sooner, such as the digits of a number, are one."""


class History(Generic[T]):
    """A value that changes, with its earlier values."""

    def __init__(self, now: T) -> None:
        self.begin(now)

    def begin(self, now: T) -> None:
        """Begin again with ``now``."""
        self.now = now
        self.past: list[T] = []
        self.future: list[T] = []

    def record(self, value: T) -> None:
        """The value is ``value`` now; nothing if it is so already."""
        if value != self.now:
            self.past = [*self.past, self.now][-MOST:]
            self.future, self.now = [], value

    def undo(self) -> T:
        """Go back to the value before, if there is one."""
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()
        return self.now

    def redo(self) -> T:
        """Go forward to the value that was undone last, if there is one."""
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()
        return self.now


class UndoButtons(QWidget, Generic[T]):
    """Undo and Redo of a value, as buttons and keys of the widget ``owner``."""

    def __init__(
        self,
        owner: QWidget,
        value: Callable[[], T],
        show: Callable[[T], object],
        words: Callable[[T, T], str],
    ) -> None:
        """``value`` is the value now, ``show`` shows another one; ``words`` says what differs between two."""
        super().__init__(owner)
        self._value, self._show, self._words = value, show, words
        self.history: History[T] = History(value())
        self.undo, self.redo = QPushButton("Undo", self), QPushButton("Redo", self)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for button, name, act in ((self.undo, "undo", self._undo), (self.redo, "redo", self._redo)):
            line.addWidget(button)
            button.clicked.connect(act)
            shortcut(owner, name, act)
        for field in (*owner.findChildren(QLineEdit), *owner.findChildren(QAbstractSpinBox)):
            field.installEventFilter(_NoUndoOfText(field))
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE)
        self._later.timeout.connect(self.record)
        self._update()

    def begin(self) -> None:
        """Begin with the value now; nothing before can be undone."""
        self._later.stop()
        self.history.begin(self._value())
        self._update()

    def changed(self) -> None:
        """The value may be another one; recorded when it has settled."""
        self._later.start()

    def record(self) -> None:
        """Record the value as it is now."""
        self._later.stop()
        self.history.record(self._value())
        self._update()

    def _undo(self) -> None:
        self.record()
        self._show(self.history.undo())
        self.record()

    def _redo(self) -> None:
        self.record()
        self._show(self.history.redo())
        self.record()

    def _update(self) -> None:
        now, past, future = self.history.now, self.history.past, self.history.future
        does = f"Undo the last change ({KEYS['undo'].keys})"
        offer(
            self.undo,
            f"{does}: {self._words(now, past[-1])}" if past else does,
            "" if past else "Nothing changed.",
        )
        does = f"Redo what was undone ({KEYS['redo'].keys})"
        reason = "" if future else "Nothing was undone."
        offer(self.redo, f"{does}: {self._words(now, future[-1])}" if future else does, reason)


class _NoUndoOfText(QObject):
    """Leaves the keys to the section: what is typed into a field is a change of it."""

    def eventFilter(self, field: QObject, event: QEvent) -> bool:  # noqa: N802, ARG002 - Qt's name
        """Whether the field does not get ``event``."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        keys = QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo
        if not any(map(event.matches, keys)):
            return False
        event.ignore()
        return True

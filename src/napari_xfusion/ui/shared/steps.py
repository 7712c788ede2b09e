"""Steps of a panel as sections that fold: each shows its state and one line, and one button is the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QAbstractButton, QHBoxLayout, QWidget

from napari_xfusion.ui.shared.widgets import Section, WrappedLabel

ICON = 18
"""Screen pixels."""
NEXT = (
    "QPushButton {background-color: #0a62ad; color: white; border: 2px solid #56b4e9; border-radius: 2px}"
    "QPushButton:hover {background-color: #1f7fd0}"
)
"""The look of the next button, the same in light and dark."""
MARK = "▲"
"""Before what needs attention, in a table."""
ORANGE, BLUE = "#d55e00", "#2f86d1"
"""Of marks and links, legible on light and dark."""


class State(Enum):
    """Of a step. Each has a colour and a shape, for those who cannot distinguish the colours."""

    DONE = "done", "#009e73"
    ATTENTION = "needs attention", ORANGE
    PENDING = "not yet", "#8a8f98"

    @property
    def words(self) -> str:
        """The state in words."""
        return self.value[0]

    @property
    def icon(self) -> QIcon:
        """A tick in a disc, a triangle with an exclamation mark, or a circle."""
        pixmap = QPixmap(2 * ICON, 2 * ICON)  # sharp on screens of high resolution
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(2 * ICON / 16, 2 * ICON / 16)
        _SHAPES[self](painter, QColor(self.value[1]))
        painter.end()
        return QIcon(pixmap)


@dataclass(frozen=True)
class Step:
    """What a section shows of its step."""

    state: State = State.PENDING
    words: str = ""
    """What was found, or what is missing; one line."""
    setting: str = ""
    """The setting whose field is to be looked at; '' for none."""
    label: str = ""
    """What the panel calls that field."""


class StepSection(Section):
    """A section of one step. Its line is visible also when it is folded; it opens when it begins to need attention."""

    asked = Signal(str)
    """The user wants to see the field of this setting."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(title, parent)
        self.step: Step | None = None
        self.line = WrappedLabel(self)
        self.line.setTextFormat(Qt.TextFormat.RichText)
        self.line.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.line.linkActivated.connect(self.asked)
        font = self.toggleButton().font()
        font.setBold(True)
        self.toggleButton().setFont(font)
        beside = QHBoxLayout()
        beside.setContentsMargins(ICON + 8, 0, 0, 2)
        beside.addWidget(self.line)
        self.layout().insertLayout(1, beside)
        self.show_step(Step())

    def show_step(self, step: Step) -> None:
        """Show ``step``; a section that begins to need attention opens."""
        if step == self.step:
            return
        before = State.PENDING if self.step is None else self.step.state
        begins = step.state is State.ATTENTION and before is not State.ATTENTION
        self.step = step
        icon = step.state.icon
        self.setExpandedIcon(icon)
        self.setCollapsedIcon(icon)
        to_field = link(step.setting, step.label)
        self.line.setText(escape(step.words) + to_field)
        self.line.setVisible(bool(step.words or to_field))
        self.toggleButton().setAccessibleName(f"{self._title}: {step.state.words}. {step.words}")
        self.toggleButton().setToolTip(f"{self._title}: {step.state.words}. Show or hide the details.")
        if begins:
            self.expand(animate=False)


def mark_next(buttons: Iterable[QAbstractButton], chosen: QAbstractButton | None) -> None:
    """Give one of ``buttons`` the look of the next one, and take it from the others."""
    for button in buttons:
        look = NEXT if button is chosen else ""
        if button.styleSheet() != look:
            button.setStyleSheet(look)
            button.setAccessibleDescription("The next step." if look else "")


class Facts(WrappedLabel):
    """A compact table of words. Rows that need attention have a mark; a link leads to a field."""

    asked = Signal(str)
    """The user wants to see the field of this setting."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.linkActivated.connect(self.asked)
        self.rows: tuple[Fact, ...] = ()
        self.hide()

    def show_rows(self, rows: Iterable[Fact], heads: Sequence[str] = ()) -> None:
        """Show ``rows`` below column ``heads``; nothing without rows."""
        rows = tuple(rows)
        if rows == self.rows:  # what is selected stays selected
            return
        self.rows = rows
        cells = "".join(f"<th align=left>{escape(text)}</th>" for text in ("", *heads))
        head = f"<tr>{cells}</tr>" if heads else ""
        self.setText(f"<table cellspacing=0 cellpadding=1>{head}{''.join(x.html for x in self.rows)}</table>")
        self.setVisible(bool(self.rows))

    @property
    def words(self) -> str:
        """The table as plain text, a line per row."""
        return "\n".join(row.text for row in self.rows)


@dataclass(frozen=True)
class Fact:
    """A row of a table."""

    name: str
    values: tuple[str, ...]
    wrong: str = ""
    """What is wrong with it, below it; '' where nothing is."""
    setting: str = ""
    """The setting whose field corrects it."""
    label: str = ""
    """What the panel calls that field."""

    @property
    def text(self) -> str:
        """The row as plain text."""
        return " ".join(filter(None, (self.name, *self.values, self.wrong)))

    @property
    def html(self) -> str:
        """The row as HTML."""
        mark = f'<span style="color:{ORANGE}">{MARK}</span> ' if self.wrong else ""
        cells = "".join(f"<td>{escape(value)}&nbsp;</td>" for value in self.values)
        to_field = link(self.setting, self.label)
        below = f"<tr><td colspan={len(self.values) + 1}>{mark}{escape(self.wrong)}{to_field}</td></tr>"
        row = f"<tr><td>{mark}<b>{escape(self.name)}</b>&nbsp;</td>{cells}</tr>"
        return row + (below if self.wrong or to_field else "")


def link(target: str, label: str) -> str:
    """A link to a ``target``, such as the field of a setting; '' without one."""
    return f' <a href="{target}" style="color:{BLUE}"><b>{escape(label)}</b></a>' if target else ""


def _tick(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawEllipse(QRectF(1, 1, 14, 14))
    painter.setPen(QPen(QColor("white"), 2))
    painter.drawPolyline(QPolygonF([QPointF(4.5, 8.5), QPointF(7, 11), QPointF(11.5, 5.5)]))


def _triangle(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawPolygon(QPolygonF([QPointF(8, 0.5), QPointF(15.8, 15), QPointF(0.2, 15)]))
    painter.setPen(QPen(QColor("white"), 2))
    painter.drawLine(QPointF(8, 5.5), QPointF(8, 9.5))
    painter.drawPoint(QPointF(8, 12.7))


def _circle(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, 2))
    painter.drawEllipse(QRectF(2, 2, 12, 12))


_SHAPES = {State.DONE: _tick, State.ATTENTION: _triangle, State.PENDING: _circle}

"""The lines that say how far the result can be trusted, each with a mark."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_xfusion.ui.fusion.trust import TrustLine
from napari_xfusion.ui.shared.steps import ICON, link
from napari_xfusion.ui.shared.widgets import WrappedLabel


class TrustBox(QWidget):
    """How far the result can be trusted, in a few lines."""

    asked = Signal(str)
    """The user wants to see what a line is about, see ``core.trust.summary.About``."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.lines: tuple[TrustLine, ...] = ()
        self._rows: list[_Row] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 4)
        self._column.setSpacing(2)
        self._column.addStretch()  # a form layout gives wrapped text more height than it needs
        self.hide()

    def show_lines(self, lines: Iterable[TrustLine]) -> None:
        """Show ``lines``; nothing without lines."""
        lines = tuple(lines)
        if lines == self.lines:  # what is selected stays selected
            return
        self.lines = lines
        while len(self._rows) < len(lines):
            self._rows.append(row := _Row(self))
            row.words.linkActivated.connect(self.asked)
            self._column.insertWidget(len(self._rows) - 1, row)
        for k, row in enumerate(self._rows):
            if k < len(lines):
                row.show_line(lines[k])
            row.setVisible(k < len(lines))
        self.setVisible(bool(lines))


class _Row(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.mark, self.words = QLabel(self), WrappedLabel(self)
        self.mark.setFixedWidth(ICON)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.words.setIndent(0)  # else there is a margin at the top as well
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        beside = QHBoxLayout(self)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(6)
        beside.addWidget(self.mark, alignment=Qt.AlignmentFlag.AlignTop)
        beside.addWidget(self.words, stretch=1, alignment=Qt.AlignmentFlag.AlignTop)

    def show_line(self, shown: TrustLine) -> None:
        self.mark.setPixmap(shown.state.icon.pixmap(ICON - 2, ICON - 2))
        self.mark.setAccessibleName(shown.line.mark)
        self.mark.setToolTip(shown.line.mark)
        self.words.setText(escape(shown.line.text) + link(shown.line.about if shown.link else "", shown.link))

"""One card with the order of work and all keys, in the window and as a table of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QMainWindow, QPushButton, QVBoxLayout, QWidget

from napari_xfusion.ui.shared.keys import KEYS, Key, bind

if TYPE_CHECKING:
    from napari import Viewer

ORDER = (
    ("Recordings", "Open LR and HR, or drop both files on the window."),
    ("Alignment", "Enter the HR step where the files do not hold it, or take a rig file of the Rig panel."),
    ("Check", "Read the warnings; a button corrects a misfit of the cameras."),
    ("Fuse", "Preview a frame, then Run."),
    ("Judge", "Score the methods, look closer in the Inspect panel, save the sequence."),
)
"""The sections of the Fusion panel, and what to do in each."""
HINTS = (
    "The next useful button is blue.",
    "Rest the mouse on a field or a grey button: its tooltip says what it is, or why it is off.",
)
WIDTH, BUTTON = 420, 28
"""Screen pixels."""


def keys_of_panels() -> Iterator[tuple[str, list[Key]]]:
    """The keys by panel."""
    for panel, keys in groupby(KEYS.values(), lambda key: key.panel):
        yield panel, list(keys)


def help_table() -> str:
    """All keys as a table in Markdown."""
    rows = [f"| {panel} | **{key.keys}** | {key.does} |" for panel, keys in keys_of_panels() for key in keys]
    return "\n".join(("| panel | key | what it does |", "|---|---|---|", *rows))


def help_html() -> str:
    """The card."""
    steps = "".join(f"<li><b>{escape(name)}</b>: {escape(words)}</li>" for name, words in ORDER)
    hints = "".join(f"<p>{escape(words)}</p>" for words in HINTS)
    keys = "".join(
        f"<tr><td colspan=2><b>Keys: {escape(panel)}</b></td></tr>"
        + "".join(
            f"<tr><td><code>{escape(k.keys)}</code>&nbsp;&nbsp;</td><td>{escape(k.does)}</td></tr>"
            for k in own
        )
        for panel, own in keys_of_panels()
    )
    order = f"<b>The order of work, in the Fusion panel</b><ol>{steps}</ol>"
    return f"{order}{hints}<table cellspacing=2 style='margin-top: 8px'>{keys}</table>"


class HelpCard(QDialog):
    """The card; it does not block the window."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("napari-xfusion: help")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = QLabel(help_html(), self)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.text.setMinimumWidth(WIDTH)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Close it by the key that shows it, too."""
        if QKeySequence(event.key()) == QKeySequence(KEYS["help"].keys):
            self.close()
        else:
            super().keyPressEvent(event)


class HelpButton(QPushButton):
    """A button that shows or hides the card, as its key does."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self.setText("?")
        self.setMaximumWidth(BUTTON)
        self.setAccessibleName("Help")
        self.setToolTip(f"The order of work, and all keys ({KEYS['help'].keys}).")
        self.clicked.connect(lambda _: self.show_or_hide())
        bind(self, viewer, "help", self.show_or_hide)

    def show_or_hide(self) -> None:
        """Show the card, or close it."""
        window = self.window()
        main: Any = (
            window if isinstance(window, QMainWindow) else window.parentWidget() or window
        )  # it may float
        card = main.findChild(HelpCard)
        if card is not None:
            card.close()
            return
        HelpCard(main).show()

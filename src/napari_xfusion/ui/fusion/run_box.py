"""The buttons Preview, Live, Run and Cancel; progress, and the reason if a run is not possible."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from napari_xfusion.core.quantities import duration
from napari_xfusion.ui.shared.help import HelpButton
from napari_xfusion.ui.shared.keys import KEYS
from napari_xfusion.ui.shared.widgets import Sentence, offer

if TYPE_CHECKING:
    import napari


class Pace:
    """Frames per second of a run, and the remaining time."""

    def __init__(self, resumed: int, total: int, began: float | None = None) -> None:
        self._resumed, self._total = resumed, total
        self._began = monotonic() if began is None else began

    def in_words(self, done: int, now: float | None = None) -> str:
        """``12 of 101 frames · 8.3 frames/s · 11 s left``."""
        words = [f"{done} of {self._total} frames"]
        new, seconds = done - self._resumed, (monotonic() if now is None else now) - self._began
        if new > 0 and seconds > 0:
            rate = new / seconds
            words += [f"{rate:.3g} frames/s", f"{duration((self._total - done) / rate)} left"]
        return " · ".join(words)


class RunBox(QWidget):
    """The buttons and the progress."""

    preview_asked, live_switched, run_asked, cancel_asked = Signal(), Signal(bool), Signal(), Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self.help = HelpButton(viewer, self)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.preview = QPushButton("Preview this frame", self)
        self.live = QCheckBox("Live", self)
        self.run = QPushButton("Run", self)
        self.cancel = QPushButton("Cancel", self)
        self.progress = QProgressBar(self)
        self.status = Sentence(self)
        self._refused = ""
        """The last reason, as displayed."""
        self._end = ""
        """How the last run ended, as displayed."""
        self._build()
        self.preview.clicked.connect(lambda _: self.preview_asked.emit())
        self.live.toggled.connect(self.live_switched)
        self.run.clicked.connect(lambda _: self.run_asked.emit())
        self.cancel.clicked.connect(lambda _: self.cancel_asked.emit())
        self.set_ready("No input yet.")

    def set_ready(self, reason: str, *, resumes: bool = False) -> None:
        """Enable the buttons, or disable them with ``reason`` in their tooltips."""
        self.run.setText("Resume" if resumes else "Run")
        for button in (self.run, self.preview):
            offer(button, button.whatsThis(), reason)
        self.cancel.setEnabled(False)

    def refuse(self, reason: str) -> None:
        """Show why the buttons are disabled; '' removes the last reason."""
        if reason or self.status.text() == self._refused:
            self.say(reason)
        self._refused = self.status.text() if reason else ""

    def set_running(self) -> None:
        """Enable only Cancel until the run ends."""
        offer(self.run, self.run.whatsThis(), "A run is in progress.")
        offer(self.preview, self.preview.whatsThis(), "The run fuses the displayed frame first.")
        self.cancel.setEnabled(True)

    def show_progress(self, done: int, total: int, words: str) -> None:
        """Show the progress of the run."""
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setVisible(True)
        self.status.setText(words)

    def show_end(self, words: str) -> None:
        """Show how a run ended."""
        self.say(words)
        self._end = self.status.text()

    def forget_end(self) -> None:
        """Show nothing of the last run any more: what is set is another one."""
        self.progress.setVisible(False)
        if self.status.text() == self._end:
            self.say("")

    def say(self, words: str) -> None:
        """Show one sentence of status."""
        self.status.setText(words)

    def _build(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(6, 2, 6, 4)
        layout.setVerticalSpacing(3)
        layout.addWidget(self.preview, 0, 0)
        layout.addWidget(self.live, 0, 1)
        layout.addWidget(self.help, 0, 2)
        layout.addWidget(self.run, 1, 0)
        layout.addWidget(self.cancel, 1, 1, 1, 2)
        layout.addWidget(self.progress, 2, 0, 1, 3)
        layout.addWidget(self.status, 3, 0, 1, 3)
        self.progress.setVisible(False)
        self.preview.setWhatsThis(f"Fuse the displayed frame only ({KEYS['preview'].keys}).")
        self.run.setWhatsThis(
            f"Fuse all frames: the displayed frame first, then its neighbours ({KEYS['run'].keys})."
        )
        self.live.setToolTip(
            "Re-fuse the displayed frame (visible area only) whenever the slider or a setting changes."
        )
        self.cancel.setToolTip(
            f"Stop the run ({KEYS['cancel'].keys}). Completed frames are kept; the run can be resumed."
        )
        self.progress.setToolTip("Completed frames")

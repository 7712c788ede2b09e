"""Preview, Live, Run and Cancel; how far the run is, and what is in the way."""

from __future__ import annotations

from time import monotonic

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QGroupBox, QProgressBar, QPushButton, QWidget

from napari_xfusion.core.quantities import duration
from napari_xfusion.ui.shared.widgets import Sentence


class Pace:
    """Frames a second of a run, and the time that is left."""

    def __init__(self, resumed: int, total: int, began: float | None = None) -> None:
        self._resumed, self._total = resumed, total
        self._began = monotonic() if began is None else began

    def in_words(self, done: int, now: float | None = None) -> str:
        """``12 of 101 frames · 8.3 frames/s · 11 s left``."""
        words = [f"{done} of {self._total} frames"]
        made, seconds = done - self._resumed, (monotonic() if now is None else now) - self._began
        if made > 0 and seconds > 0:
            rate = made / seconds
            words += [f"{rate:.3g} frames/s", f"{duration((self._total - done) / rate)} left"]
        return " · ".join(words)


class RunBox(QGroupBox):
    """The buttons and the progress."""

    preview_asked, live_switched, run_asked, cancel_asked = Signal(), Signal(bool), Signal(), Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Fuse", parent)
        self.preview = QPushButton("Preview this frame", self)
        self.live = QCheckBox("Live", self)
        self.run = QPushButton("Run", self)
        self.cancel = QPushButton("Cancel", self)
        self.progress = QProgressBar(self)
        self.status = Sentence(self)
        self._refused = ""
        """The reason that was given last, as it is shown."""
        self._build()
        self.preview.clicked.connect(lambda _: self.preview_asked.emit())
        self.live.toggled.connect(self.live_switched)
        self.run.clicked.connect(lambda _: self.run_asked.emit())
        self.cancel.clicked.connect(lambda _: self.cancel_asked.emit())
        self.set_ready("nothing is looked at yet")

    def set_ready(self, reason: str, *, resumes: bool = False) -> None:
        """Let it run, or say in ``reason`` why not."""
        self.run.setText("Resume" if resumes else "Run")
        for button in (self.run, self.preview):
            button.setEnabled(not reason)
            button.setToolTip(reason or button.whatsThis())
        self.cancel.setEnabled(False)

    def refuse(self, reason: str) -> None:
        """Say beside the buttons why they are off; '' takes the last reason back."""
        if reason or self.status.text() == self._refused:
            self.say(reason)
        self._refused = self.status.text() if reason else ""

    def set_running(self) -> None:
        """Only Cancel, until the run ends."""
        self.run.setEnabled(False)
        self.run.setToolTip("a run is at work")
        self.preview.setEnabled(False)
        self.preview.setToolTip("the run fuses the frame under the slider first")
        self.cancel.setEnabled(True)

    def show_progress(self, done: int, total: int, words: str) -> None:
        """How far the run is."""
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setVisible(True)
        self.status.setText(words)

    def say(self, words: str) -> None:
        """One sentence on what happened."""
        self.status.setText(words)

    def _build(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.preview, 0, 0)
        layout.addWidget(self.live, 0, 1)
        layout.addWidget(self.run, 1, 0)
        layout.addWidget(self.cancel, 1, 1)
        layout.addWidget(self.progress, 2, 0, 1, 2)
        layout.addWidget(self.status, 3, 0, 1, 2)
        self.progress.setVisible(False)
        self.preview.setWhatsThis("Fuse the frame under the slider only")
        self.run.setWhatsThis("Fuse all frames; the one on screen first, then its neighbours")
        for widget, tip in (
            (
                self.live,
                "Fuse the frame under the slider whenever it or a setting changes; what is seen of it",
            ),
            (self.cancel, "Stop; what is done stays, and the run can be resumed"),
            (self.progress, "Frames that are done"),
        ):
            widget.setToolTip(tip)

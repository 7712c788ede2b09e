"""The box for the clocks of two cameras: how they are fitted, what was found, and a time ruler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QWidget

from napari_xfusion.core.calibration import ClockFit
from napari_xfusion.core.rig.synchronise import Source
from napari_xfusion.core.rig.timing import times_by_clock
from napari_xfusion.core.types import Stack
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.timeline import Timeline
from napari_xfusion.ui.shared.times import Times
from napari_xfusion.ui.shared.widgets import Sentence, form

if TYPE_CHECKING:
    import napari

BY_HAND = 0.5
"""LR frames: the standard deviation of an offset that was set by hand."""
_SOURCE = (
    "What tells the time. auto: time stamps of one time base, else the content, else the brightness.\n"
    "stamps, trigger: both cameras count from one origin."
)
_RULER = "Each tick is an LR frame, each bar the exposure of an HR frame. Drag the bars to shift the clock."


@dataclass(frozen=True)
class Timing:
    """How the clocks are to be fitted."""

    source: Annotated[Source, row("Source", _SOURCE)] = "auto"
    hr_step: Annotated[
        float,
        row("HR step", "LR frames from HR frame to HR frame, where the recordings do not tell.", 0, 1e6),
    ] = 0.0
    exposure_ns: Annotated[
        float,
        row("Exposure", "Of an HR frame in nanoseconds, where the recording does not hold it.", 0, 1e15),
    ] = 0.0


class ClockBox(QGroupBox):
    """Settings, buttons, the result in words and as a ruler."""

    moved = Signal(object)
    """The user moved HR on the ruler: a ClockFit."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Clock", parent)
        self.synchronise, self.cancel = QPushButton("Synchronise", self), QPushButton("Cancel", self)
        self.cancel.setToolTip("Stop; nothing changes.")
        self.ruler = Timeline(viewer, self, _RULER, draggable=True)
        self.found = Sentence(self)
        self.found.setToolTip("When the HR frames were taken, on the clock of LR.")
        self._shown: ClockFit | None = None
        layout = form(self)
        self.settings = Form(Timing, layout, lambda: None)
        self.settings["hr_step"].native.setSpecialValueText("as the files say")
        self.settings["exposure_ns"].native.setSpecialValueText("as the file says")
        self.settings["exposure_ns"].native.setSuffix(" ns")
        line = QHBoxLayout()
        for button in (self.synchronise, self.cancel):
            line.addWidget(button)
        layout.addRow(line)
        layout.addRow(self.found)
        layout.addRow(self.ruler)
        self.ruler.shifted.connect(self._on_shifted)

    def value(self) -> Timing:
        """The settings."""
        return self.settings.value()

    def show_clock(self, lr: Stack, hr: Stack, clock: ClockFit | None) -> None:
        """Draw the frames by ``clock``, or as if both began together; nothing where the intervals are unknown."""
        self._shown = clock = clock or self._together(lr, hr)
        if clock is None:
            self.ruler.clear()
            return
        try:
            times = times_by_clock(lr, hr, clock)
        except ValueError:  # an HR step as short as a picosecond
            self.clear()
            return
        exposure = clock.exposure_ns or clock.lr_interval_ns
        self.ruler.show_times(Times(len(lr), times, exposure / clock.lr_interval_ns))

    def clear(self) -> None:
        """Draw nothing."""
        self._shown = None
        self.ruler.clear()

    def _together(self, lr: Stack, hr: Stack) -> ClockFit | None:
        step, entered = self.value().hr_step, self.value().exposure_ns
        seconds = lr.clock.interval or 1.0
        slow = step * seconds if step else (lr.clock.interval and hr.clock.interval)
        if not slow or len(lr) < 2 or len(hr) < 2:
            return None
        exposure = entered or hr.metadata.camera.exposure_ns
        return ClockFit(
            offset_ns=0.0,
            uncertainty_ns=0.0,
            lr_interval_ns=seconds * 1e9,
            hr_interval_ns=slow * 1e9,
            exposure_ns=exposure,
            source="manual",
        )

    def _on_shifted(self, frames: float) -> None:
        if self._shown is None or frames == 0:
            return
        interval = self._shown.lr_interval_ns
        changes = {
            "offset_ns": self._shown.offset_ns + frames * interval,
            "uncertainty_ns": BY_HAND * interval,
            "source": "manual",
        }
        self.moved.emit(self._shown.model_copy(update=changes))

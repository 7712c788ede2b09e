"""The box for the geometry of two cameras: how it is fitted, what was found, and both cameras in one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QWidget

from napari_xfusion.core.rig.fit import Model
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.widgets import Sentence, form

Way = Literal["auto", "grid", "content", "clicked pairs"]
CLICKED: Final = "clicked pairs"
FLICKER = 400
"""Milliseconds between two changes of the camera that is shown."""
_WAY = (
    "grid: from a grid or dots that both cameras show. content: from what both recordings show.\n"
    "clicked pairs: from points that you click. auto: a grid where there is one, else the content."
)
_NEAR = (
    "Move LR to about where it belongs (napari's transform mode of the layer), then fit: the content is compared near\n"
    "that place only. For pictures that agree in several places, or hardly at all."
)
_PIXEL = "Side of a pixel of {} in the plane of the sample, um. Makes the search shorter and reveals errors."


@dataclass(frozen=True)
class Geometry:
    """How the geometry is to be fitted."""

    way: Annotated[Way, row("Way", _WAY)] = "auto"
    model: Annotated[Model, row("Model", "Of the mapping. auto: the simplest that explains the points.")] = (
        "auto"
    )
    near: Annotated[bool, row("Near LR's place", _NEAR)] = False
    pixel_size_lr: Annotated[float, row("LR pixel", _PIXEL.format("LR"), 0, 1e6)] = 0.0
    pixel_size_hr: Annotated[float, row("HR pixel", _PIXEL.format("HR"), 0, 1e6)] = 0.0


class GeometryBox(QGroupBox):
    """Settings, buttons and the result in words."""

    flickered = Signal(bool)
    """Whether HR is to be shown now."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Geometry", parent)
        self.click = _button(self, "Click pairs", "Click a point on LR, then the same one on HR, and so on.")
        self.undo = _button(self, "Undo", "Remove the last point.")
        self.fit = _button(self, "Fit", "")
        self.cancel = _button(self, "Cancel", "Forget what is computed; nothing changes.")
        self.flicker = _button(self, "Flicker", "Show HR and LR in turn. Press again to stop.")
        self.checkerboard = _button(self, "Checkerboard", "")
        self.difference = _button(self, "Difference", "")
        self.found = Sentence(self)
        self._shown = True
        self._clock = QTimer(self)
        self._clock.setInterval(FLICKER)
        self._clock.timeout.connect(self._tick)
        for button in (self.click, self.flicker):
            button.setCheckable(True)
        self.flicker.toggled.connect(self._on_flicker)
        self.settings = self._build()

    def value(self) -> Geometry:
        """The settings."""
        return self.settings.value()

    def _on_flicker(self, on: bool) -> None:
        if on:
            self._clock.start()
            self._tick()
        else:
            self._clock.stop()
            self._shown = True
            self.flickered.emit(True)

    def _tick(self) -> None:
        self._shown = not self._shown
        self.flickered.emit(self._shown)

    def _build(self) -> Form[Geometry]:
        layout = form(self)
        settings = Form(Geometry, layout, lambda: None)
        for name in ("pixel_size_lr", "pixel_size_hr"):
            settings[name].native.setSpecialValueText("as the file says")
            settings[name].native.setSuffix(" um")
        for buttons in (
            (self.click, self.undo),
            (self.fit, self.cancel),
            (self.flicker, self.checkerboard, self.difference),
        ):
            line = QHBoxLayout()
            for button in buttons:
                line.addWidget(button)
            layout.addRow(line)
        layout.addRow(self.found)
        self.found.setToolTip("The mapping of LR pixels to HR pixels.")
        return settings


def _button(parent: QWidget, text: str, tip: str) -> QPushButton:
    button = QPushButton(text, parent)
    button.setToolTip(tip)
    return button

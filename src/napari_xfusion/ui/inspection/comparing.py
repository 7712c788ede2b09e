"""The Compare box of the Inspect panel: grid, linked contrast, wipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGroupBox, QPushButton, QSlider, QVBoxLayout

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import Wipe, is_sequence, link_contrast, show_grid
from napari_xfusion.ui.shared.widgets import LayerCombo, add_row, listen, offer, tab_through

if TYPE_CHECKING:
    from napari import Viewer


class ComparingBox(QGroupBox):
    """Grid, linked contrast and wipe."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__("Compare")
        self._viewer = viewer
        self._wipe: Wipe | None = None
        self.grid = QCheckBox("Grid of visible layers")
        self.grid.setToolTip("Show each visible layer in its own cell, with common zoom and slider.")
        self.grid.setChecked(compat.grid(viewer).enabled)
        self.contrast = QCheckBox("Link contrast of HR and results")
        self.contrast.setToolTip(
            "HR, fused sequences, truth and results of other methods share one grey scale; link their contrast."
        )
        self.left = LayerCombo(viewer, is_sequence, none="none", parent=self)
        self.right = LayerCombo(viewer, is_sequence, none="none", parent=self)
        self.slider = QSlider(Qt.Orientation.Horizontal, maximum=1000, value=500)
        self.slider.setToolTip("Position of the edge between the two layers.")
        self.wipe = QPushButton("Wipe", checkable=True)
        self._lay_out()
        self.grid.toggled.connect(lambda on: show_grid(viewer, on))
        self.contrast.toggled.connect(lambda on: link_contrast(viewer, on))
        self.slider.valueChanged.connect(self._move)
        self.wipe.toggled.connect(self._toggle)
        listen(
            self,
            compat.grid(viewer).events.enabled,
            lambda: self.grid.setChecked(compat.grid(viewer).enabled),
        )
        listen(self, viewer.layers.events.removed, self._follow_removal)
        for box in (self.left, self.right):
            box.chosen.connect(self._choose)
        self._choose()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(self.grid)
        column.addWidget(self.contrast)
        rows = QFormLayout()
        add_row(rows, "Left", self.left, "The layer shown left of the edge.")
        add_row(rows, "Right", self.right, "The layer shown right of the edge.")
        column.addLayout(rows)
        column.addWidget(self.slider)
        column.addWidget(self.wipe)
        tab_through(self.grid, self.contrast, self.left, self.right, self.slider, self.wipe)

    def _choose(self) -> None:
        ready = (
            None not in (self.left.layer(), self.right.layer())
            and self.left.layer() is not self.right.layer()
        )
        self.wipe.setChecked(False)
        self.slider.setEnabled(ready)
        does = "Show the left layer over the right one, up to the slider."
        offer(self.wipe, does, "" if ready else "Select two different layers above.")

    def _toggle(self, on: bool) -> None:
        if self._wipe is not None:
            self._wipe.remove()
            self._wipe = None
        over, under = self.left.layer(), self.right.layer()
        if on and over is not None and under is not None:
            self.grid.setChecked(False)
            self._wipe = Wipe(self._viewer, over, under)
            self._wipe.move(self.slider.value() / 1000)

    def _follow_removal(self) -> None:
        """End the wipe when its layer is removed."""
        if self._wipe is not None and self._wipe.layer not in self._viewer.layers:
            self.wipe.setChecked(False)

    def _move(self, value: int) -> None:
        if self._wipe is not None:
            self._wipe.move(value / 1000)

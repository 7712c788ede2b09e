"""The Compare box of the Inspect panel: grid, linked contrast, wipe, blink."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGroupBox, QHBoxLayout, QPushButton, QSlider, QVBoxLayout

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import Blink, Wipe, is_sequence, link_contrast, show_grid
from napari_xfusion.ui.shared.keys import KEYS, bind
from napari_xfusion.ui.shared.widgets import LayerCombo, add_row, listen, offer, tab_through

if TYPE_CHECKING:
    from napari import Viewer


class ComparingBox(QGroupBox):
    """Grid, linked contrast, wipe and blink."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__("Compare")
        self._viewer = viewer
        self._tool: list[Wipe | Blink] = []
        """The one in use."""
        self._keys: list[Callable[[], None]] = []
        """What ends its key."""
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
        self.blink = QPushButton(f"Blink ({KEYS['blink'].keys})", checkable=True)
        self._lay_out()
        self.grid.toggled.connect(lambda on: show_grid(viewer, on))
        self.contrast.toggled.connect(lambda on: link_contrast(viewer, on))
        self.slider.valueChanged.connect(self._move)
        self.wipe.toggled.connect(self._toggle_wipe)
        self.blink.toggled.connect(self._toggle_blink)
        listen(
            self,
            compat.grid(viewer).events.enabled,
            lambda: self.grid.setChecked(compat.grid(viewer).enabled),
        )
        listen(self, viewer.layers.events.removed, self._follow_removal)
        for box in (self.left, self.right):
            box.chosen.connect(self._choose)
        self.destroyed.connect(partial(_end, self._tool))
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
        buttons = QHBoxLayout()
        buttons.addWidget(self.wipe)
        buttons.addWidget(self.blink)
        column.addLayout(buttons)
        tab_through(self.grid, self.contrast, self.left, self.right, self.slider, self.wipe, self.blink)

    def _choose(self) -> None:
        ready = (
            None not in (self.left.layer(), self.right.layer())
            and self.left.layer() is not self.right.layer()
        )
        self.wipe.setChecked(False)
        self.blink.setChecked(False)
        self.slider.setEnabled(ready)
        reason = "" if ready else "Select two different layers above."
        offer(
            self.wipe, "Show the left layer over the right one, up to an edge; drag it on the canvas.", reason
        )
        offer(self.blink, "Show the left and the right layer in turn: B shows the other one.", reason)

    def _toggle_wipe(self, on: bool) -> None:
        self._end_tool()
        over, under = self.left.layer(), self.right.layer()
        if on and over is not None and under is not None:
            self.blink.setChecked(False)
            self.grid.setChecked(False)
            self._tool.append(Wipe(self._viewer, over, under, self._drag))
            self._move(self.slider.value())

    def _toggle_blink(self, on: bool) -> None:
        self._end_tool()
        one, other = self.left.layer(), self.right.layer()
        if on and one is not None and other is not None:
            self.wipe.setChecked(False)
            self.grid.setChecked(False)
            tool = Blink(self._viewer, one, other)
            self._tool.append(tool)
            self._keys.append(bind(self, self._viewer, "blink", tool.turn))

    def _end_tool(self) -> None:
        while self._keys:
            self._keys.pop()()
        _end(self._tool)

    def _follow_removal(self) -> None:
        """End the wipe when one of its layers is removed."""
        if any(isinstance(tool, Wipe) and not tool.complete for tool in self._tool):
            self.wipe.setChecked(False)

    def _drag(self, part: float) -> None:
        self.slider.setValue(round(1000 * part))

    def _move(self, value: int) -> None:
        for tool in self._tool:
            if isinstance(tool, Wipe):
                tool.move(value / 1000)


def _end(tools: list[Wipe | Blink], _object: object = None) -> None:
    """End what is in use, also when the box is destroyed; what was visible before is visible again."""
    while tools:
        tools.pop().remove()

"""A time ruler of two cameras: LR frames as ticks, HR exposures as bars that can be dragged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_xfusion.ui.inspection.plots import Plots
from napari_xfusion.ui.shared.widgets import listen

if TYPE_CHECKING:
    from napari import Viewer

LR_ROW, HR_ROW = 1.5, 0.5
"""Heights of the rows."""
HEIGHT = 110
"""Screen pixels."""
SHOWN = 30.0
"""LR frames that are shown at first."""


class Bars(pg.BarGraphItem):
    """Bars that move along the axis together."""

    dropped = Signal(float)
    """By how much they were moved, LR frames."""

    def mouseDragEvent(self, event: Any) -> None:  # noqa: N802 - pyqtgraph's name
        """Follow the mouse; ``dropped`` is emitted when the button is released."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        event.accept()
        moved = float(self.mapToParent(event.pos()).x() - self.mapToParent(event.buttonDownPos()).x())
        self.setX(moved)
        if event.isFinish():
            self.dropped.emit(moved)


class TimeRuler(Plots):
    """LR frames as ticks and HR exposures as bars, over the LR frame number."""

    shifted = Signal(float)
    """By how many LR frames the user moved HR."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(viewer, parent)
        self.setFixedHeight(HEIGHT)
        tip = "Each tick is an LR frame, each bar the exposure of an HR frame. Drag the bars to shift the clock."
        self.setToolTip(tip)
        self.plot = self.add_plot("LR frame", "", tip)
        self.plot.getAxis("left").setTicks([[(LR_ROW, "LR"), (HR_ROW, "HR")]])
        self.plot.setMouseEnabled(x=True, y=False)
        self.plot.setYRange(0, 2, padding=0.05)
        self.plot.setMenuEnabled(False)
        self.bars: Bars | None = None
        self.ticks: pg.PlotCurveItem | None = None
        self._count = 0
        listen(self, viewer.events.theme, self.restyle)
        self.restyle()
        self.hide()

    def show_times(self, count: int, times: NDArray[np.float64], exposure: float) -> None:
        """Draw ``count`` LR frames and HR exposures of a length around ``times`` (N,), all in LR frames."""
        first = self.bars is None or count != self._count
        self.clear()
        self._count = count
        ticks = np.repeat(np.arange(count, dtype=np.float64), 2)
        heights = np.tile([LR_ROW - 0.3, LR_ROW + 0.3], count)
        lr, hr = self.colours[:2]
        self.ticks = pg.PlotCurveItem(ticks, heights, connect="pairs", pen=pg.mkPen(lr))
        self.bars = Bars(
            x0=times - exposure / 2,
            width=exposure,
            y0=HR_ROW - 0.3,
            height=0.6,
            brush=pg.mkBrush(hr),
            pen=pg.mkPen(hr),
        )
        self.bars.dropped.connect(self.shifted)
        self.plot.addItem(self.ticks)
        self.plot.addItem(self.bars)
        self.show()
        if first:
            self.plot.setXRange(-1, min(count, SHOWN), padding=0)

    def clear(self) -> None:
        """Show nothing."""
        for item in filter(None, (self.ticks, self.bars)):
            self.plot.removeItem(item)
        self.ticks = self.bars = None
        self.hide()

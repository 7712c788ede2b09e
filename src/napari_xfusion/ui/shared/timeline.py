"""Two cameras over time: LR frames as ticks, HR exposures as bars, and the frames that are fused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_xfusion.ui.shared.colours import lines
from napari_xfusion.ui.shared.times import Times
from napari_xfusion.ui.shared.widgets import listen

if TYPE_CHECKING:
    from napari import Viewer

LR_ROW, HR_ROW, FUSED_ROW = 1.5, 0.5, -0.5
"""Heights of the rows."""
HALF = 0.3
"""Half the height of a tick or bar."""
HEIGHT, FUSED_HEIGHT = 110, 84
"""Screen pixels, without and with the row of fused frames."""
SHOWN, FUSED_SHOWN = 30.0, 60.0
"""LR frames that are shown at first."""


class Bars(pg.BarGraphItem):
    """Bars that move along the axis together."""

    dropped = Signal(float)
    """By how much they were moved, LR frames."""
    draggable = False

    def mouseDragEvent(self, event: Any) -> None:  # noqa: N802 - pyqtgraph's name
        """Follow the mouse; ``dropped`` is emitted when the button is released."""
        if event.button() != Qt.MouseButton.LeftButton or not self.draggable:
            event.ignore()
            return
        event.accept()
        moved = float(self.mapToParent(event.pos()).x() - self.mapToParent(event.buttonDownPos()).x())
        self.setX(moved)
        if event.isFinish():
            self.dropped.emit(moved)


class Timeline(QWidget):
    """LR frames as ticks and HR exposures as bars, over the LR frame number.

    With ``draggable`` bars, the user can shift HR. With ``fused``, there is a row of the frames that are fused, and the
    displayed frame is marked with its input frames.
    """

    shifted = Signal(float)
    """By how many LR frames the user moved HR."""
    chosen = Signal(int)
    """The LR frame that the user clicked."""

    def __init__(
        self, viewer: Viewer, parent: QWidget, tip: str, *, draggable: bool = False, fused: bool = False
    ) -> None:
        super().__init__(parent)
        self._viewer, self._draggable, self._fused = viewer, draggable, fused
        self.times: Times | None = None
        self.bars: Bars | None = None
        self.ticks: pg.PlotCurveItem | None = None
        self.area = pg.PlotWidget(self)
        self.setFixedHeight(FUSED_HEIGHT if fused else HEIGHT)
        self.setToolTip(tip)
        self.plot = self.area.getPlotItem()
        self.displayed = pg.InfiniteLine(angle=90)
        self.marked = pg.PlotCurveItem(connect="pairs")
        """The input frames of the displayed frame."""
        self.done = pg.PlotCurveItem(connect="pairs")
        """The frames that are fused, as pairs of begin and end."""
        self._build()
        listen(self, viewer.events.theme, self.restyle)
        self.hide()

    def show_times(self, times: Times) -> None:
        """Draw the frames."""
        first = self.times is None or times.count != self.times.count
        self.clear()
        self.times = times
        for item in self._items(times):
            self.plot.addItem(item)
        self.show()
        if first:
            self.plot.setXRange(-1, min(times.count, FUSED_SHOWN if self._fused else SHOWN), padding=0)

    def show_frame(self, frame: int, separation: int = 1) -> None:
        """Mark the displayed LR frame and its input frames, and have it in view."""
        if self.times is None:
            return
        lr, hr = self.times.inputs(frame, separation)
        x = np.repeat([*lr, *hr], 2).astype(np.float64)
        rows = np.repeat([LR_ROW] * len(lr) + [HR_ROW] * len(hr), 2)
        self.marked.setData(x, rows + np.tile([-HALF - 0.1, HALF + 0.1], len(x) // 2))
        self.displayed.setValue(frame)
        left, right = self.plot.viewRange()[0]
        if not left <= frame <= right:
            self.plot.setXRange(frame - (right - left) / 2, frame + (right - left) / 2, padding=0)

    def show_fused(self, frames: Iterable[int]) -> None:
        """Draw which LR frames are fused."""
        numbers = np.array(sorted(frames), dtype=np.float64)
        breaks = np.flatnonzero(np.diff(numbers) > 1) + 1
        runs = [run for run in np.split(numbers, breaks) if len(run)]
        x = np.array([end for run in runs for end in (run[0] - 0.5, run[-1] + 0.5)])
        self.done.setData(x, np.full(len(x), FUSED_ROW))

    def clear(self) -> None:
        """Show nothing."""
        kept = (self.displayed, self.marked, self.done)
        for item in [item for item in self.plot.items if item not in kept]:
            self.plot.removeItem(item)
        self.times = self.ticks = self.bars = None
        self.hide()

    def restyle(self) -> None:
        """Apply the colours of the theme."""
        theme = get_theme(self._viewer.theme)
        ink = theme.text.as_hex()
        self.area.setBackground(theme.background.as_hex())
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(pg.mkPen(ink))
            self.plot.getAxis(side).setTextPen(pg.mkPen(ink))
        self.displayed.setPen(pg.mkPen(ink, style=Qt.PenStyle.DashLine))
        self.marked.setPen(pg.mkPen(ink, width=3))
        self.done.setPen(pg.mkPen(self._colours[2], width=6, capstyle=Qt.PenCapStyle.FlatCap))
        if self.times is not None:
            self.show_times(self.times)

    @property
    def _colours(self) -> tuple[str, ...]:
        red, green, blue = get_theme(self._viewer.theme).background.as_rgb_tuple()[:3]
        return lines(0.299 * red + 0.587 * green + 0.114 * blue < 128)

    def _items(self, times: Times) -> list[pg.GraphicsObject]:
        """What is drawn of ``times``, the lowest first."""
        lr, hr, *_ = self._colours
        ticks = np.repeat(np.arange(times.count, dtype=np.float64), 2)
        heights = np.tile([LR_ROW - HALF, LR_ROW + HALF], times.count)
        self.ticks = pg.PlotCurveItem(ticks, heights, connect="pairs", pen=pg.mkPen(lr))
        left, place = times.hr - times.exposure / 2, {"y0": HR_ROW - HALF, "height": 2 * HALF}
        used = np.setdiff1d(np.arange(len(times.hr)), times.bad_hr)
        self.bars = Bars(x0=left[used], width=times.exposure, brush=pg.mkBrush(hr), pen=pg.mkPen(hr), **place)
        self.bars.draggable = self._draggable
        self.bars.dropped.connect(self.shifted)
        bad = [(frame, LR_ROW) for frame in times.bad_lr] + [(times.hr[k], HR_ROW) for k in times.bad_hr]
        crosses = pg.ScatterPlotItem(pos=bad, symbol="x", size=11, brush=self._colours[4], pen=None)
        shade = pg.mkBrush(128, 128, 128, 70)
        low = FUSED_ROW if self._fused else HR_ROW
        gaps = [
            pg.BarGraphItem(
                x0=[a], width=[b - a], y0=low - HALF, height=LR_ROW + HALF - low, brush=shade, pen=None
            )
            for a, b in times.gaps
            if self._fused
        ]
        return [*gaps, self.ticks, self.bars, crosses]

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        rows = [(LR_ROW, "LR"), (HR_ROW, "HR"), *([(FUSED_ROW, "fused")] if self._fused else [])]
        self.plot.getAxis("left").setTicks([rows])
        if not self._fused:  # a strip of the panel is low; its tooltip says it
            self.plot.setLabel("bottom", "LR frame")
        self.plot.getAxis("bottom").enableAutoSIPrefix(False)
        self.plot.hideButtons()
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(x=True, y=False)
        self.plot.setYRange(rows[-1][0] - 0.5, 2, padding=0.05)
        if self._fused:
            for item in (self.displayed, self.marked, self.done):
                self.plot.addItem(item, ignoreBounds=True)
            self.area.scene().sigMouseClicked.connect(self._on_click)
        self.restyle()

    def _on_click(self, event: Any) -> None:
        if self.times is not None and self.plot.sceneBoundingRect().contains(event.scenePos()):
            frame = round(self.plot.vb.mapSceneToView(event.scenePos()).x())
            self.chosen.emit(min(max(frame, 0), self.times.count - 1))

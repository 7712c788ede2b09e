"""Curves over time with a cursor linked to the time slider, attention histograms, and a line profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget
from skimage.measure import profile_line

from napari_xfusion.core.inspect.attention import Scores, histogram
from napari_xfusion.ui.shared.colours import lines
from napari_xfusion.ui.shared.provenance import pixels_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

Curve = tuple[NDArray[Any], NDArray[Any]]
"""x and y of one line."""
DARK = 0.5
"""Brightness below which a background counts as dark."""


class Plots(QWidget):
    """One or more plots side by side, in the colours of napari's theme."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.area = pg.GraphicsLayoutWidget(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        self.plots: list[pg.PlotItem] = []

    def add_plot(self, x: str, y: str, tip: str) -> pg.PlotItem:
        """Add a plot on the right, with axis labels ``x`` and ``y``."""
        plot = self.area.addPlot(0, len(self.plots))
        plot.setLabel("bottom", x)
        plot.setLabel("left", y)
        plot.setToolTip(tip)
        plot.hideButtons()
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        self.plots.append(plot)
        return plot

    def restyle(self) -> None:
        """Apply the colours of the theme."""
        theme = get_theme(self._viewer.theme)
        self.area.setBackground(theme.background.as_hex())
        pen = pg.mkPen(theme.text.as_hex())
        for plot in self.plots:
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(pen)
                axis.setTextPen(pen)
            if plot.legend is not None:
                plot.legend.setLabelTextColor(theme.text.as_hex())
                plot.legend.setBrush(pg.mkBrush(theme.background.as_hex() + "d0"))

    @property
    def colours(self) -> tuple[str, ...]:
        """Line colours for the background of the theme."""
        red, green, blue = get_theme(self._viewer.theme).background.as_rgb_tuple()[:3]
        return lines(0.299 * red + 0.587 * green + 0.114 * blue < 255 * DARK)

    @property
    def ink(self) -> str:
        """The text colour."""
        return str(get_theme(self._viewer.theme).text.as_hex())


class FramePlots(Plots):
    """Plots of one number per frame. Their cursors are linked; ``dragged`` is emitted when the user moves them."""

    dragged = Signal(int)
    """The frame at which the user put the cursor by dragging or clicking."""

    def __init__(
        self, viewer: Viewer, axes: Sequence[tuple[str, str]], parent: QWidget | None = None
    ) -> None:
        super().__init__(viewer, parent)
        self.cursors: list[pg.InfiniteLine] = []
        for name, tip in axes:
            plot = self.add_plot("LR frame", name, tip)
            if self.plots[0] is not plot:
                plot.setXLink(self.plots[0])
            cursor = pg.InfiniteLine(movable=True, angle=90)
            cursor.sigDragged.connect(lambda line: self._move(line.value()))
            plot.addItem(cursor, ignoreBounds=True)
            self.cursors.append(cursor)
        self.area.scene().sigMouseClicked.connect(self._click)

    def show_curves(
        self, plot: int, curves: Sequence[tuple[str, Curve]], seen: NDArray[np.bool_] | None = None
    ) -> None:
        """Draw named curves over frames in plot ``plot``; frames at HR times (``seen``) are circled."""
        item = self.plots[plot]
        for old in list(item.listDataItems()):
            item.removeItem(old)
        if len(curves) > 1 and item.legend is None:
            item.addLegend(offset=(-5, 5))
        for (name, (x, y)), colour in zip(curves, self.colours, strict=False):
            item.plot(x, y, name=name, pen=pg.mkPen(colour, width=2), connect="finite")
            if seen is not None:
                marks = {"symbol": "o", "symbolSize": 6, "symbolBrush": None, "symbolPen": self.ink}
                item.plot(x[seen], y[seen], pen=None, **marks)
        self.restyle()

    def clear(self) -> None:
        """Remove the curves."""
        for plot in range(len(self.plots)):
            self.show_curves(plot, [])

    def show_frame(self, frame: float) -> None:
        """Put all cursors at ``frame``."""
        for cursor in self.cursors:
            cursor.setValue(frame)

    def restyle(self) -> None:
        """See ``Plots.restyle``."""
        super().restyle()
        for cursor in self.cursors:
            cursor.setPen(pg.mkPen(self.ink, style=Qt.PenStyle.DashLine))
            cursor.setHoverPen(pg.mkPen(self.ink, width=2))

    def _move(self, position: float) -> None:
        self.show_frame(round(position))
        self.dragged.emit(round(position))

    def _click(self, event: Any) -> None:
        for plot in self.plots:
            if plot.sceneBoundingRect().contains(event.scenePos()):
                self._move(plot.vb.mapSceneToView(event.scenePos()).x())


class HistogramPlots(Plots):
    """The 2-D histograms of normalised attention: score against frames since the HR frame (paper, M10)."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.images: list[pg.ImageItem] = []
        for name in ("backward", "forward"):
            plot = self.add_plot(
                "LR frames since the previous HR frame",
                f"{name} score",
                f"Frequency of the {name} score against the time since the previous HR frame; "
                "scores are normalised to the value at the acquisition time of the HR frame.",
            )
            image = pg.ImageItem()
            image.setColorMap(pg.colormap.get("inferno"))
            plot.addItem(image)
            self.images.append(image)

    def clear(self) -> None:
        """Remove the histograms."""
        for image in self.images:
            image.clear()

    def show_scores(self, relative: NDArray[np.int_], scores: Sequence[Scores]) -> None:
        """Draw backward and forward scores of frames ``relative`` to their previous HR frame."""
        for image, score in zip(self.images, scores, strict=True):
            counts, score_edges, frame_edges = histogram(relative, score, bins=25)
            image.setImage(counts.T)
            x, y = frame_edges[0], score_edges[0]
            image.setRect(x, y, frame_edges[-1] - x, score_edges[-1] - y)
        self.restyle()


class ProfilePlot(Plots):
    """Grey values of several layers along one line, scaled to their contrast limits."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        plot = self.add_plot(
            "distance along the line",
            "displayed grey value",
            "0 and 1 are the contrast limits of each layer, so that LR and HR can be compared.",
        )
        plot.addLegend(offset=(-5, 5))

    def show_profiles(self, curves: Sequence[tuple[str, Curve]], unit: str) -> None:
        """Draw named curves over the distance in ``unit``."""
        plot = self.plots[0]
        for old in list(plot.listDataItems()):
            plot.removeItem(old)
        for (name, (x, y)), colour in zip(curves, self.colours, strict=False):
            plot.plot(x, y, name=name, pen=pg.mkPen(colour, width=2), connect="finite")
        if curves:
            plot.setLabel("bottom", f"distance along the line ({unit})")
        self.restyle()


def profile(layer: Image, ends: NDArray[np.float64], frame_point: Sequence[float]) -> Curve:
    """The values of a layer along a line in the displayed frame; 0 and 1 are its contrast limits.

    ``ends`` (2, 2) are the (y, x) of both ends in world coordinates, ``frame_point`` the world position of the slider.
    Distances are in world units; values outside the layer are NaN.
    """
    t = float(layer.world_to_data(frame_point)[0])
    data = pixels_of(layer)
    index = int(np.clip(round(t), 0, len(data) - 1))
    time = float(layer.data_to_world((index, 0, 0))[0])
    start, stop = (np.asarray(layer.world_to_data((time, *end)))[1:] for end in ends)
    image = np.asarray(data[index], dtype=np.float64)
    values = profile_line(image, start, stop, mode="constant", cval=np.nan)
    low, high = layer.contrast_limits
    distance = np.linspace(0, float(np.hypot(*(ends[1] - ends[0]))), len(values))
    return distance, (values - low) / (high - low)

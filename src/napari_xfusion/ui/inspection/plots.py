"""Curves over time with a cursor linked to the time slider, attention histograms, and a line profile."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QRect, QSize, Qt, Signal
from qtpy.QtGui import QPainter, QShowEvent
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget
from skimage.measure import profile_line

from napari_xfusion.core.inspect.attention import Scores, histogram
from napari_xfusion.core.trust.sources import FINE, LR, Shares
from napari_xfusion.ui.shared.colours import legible, lines
from napari_xfusion.ui.shared.provenance import pixels_of
from napari_xfusion.ui.shared.widgets import in_turns

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

Curve = tuple[NDArray[Any], NDArray[Any]]
"""x and y of one line."""
Picture = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any], tuple[float, float]]
"""LR frames (T,), positions (N,), values (T, N), and which of them are black and white."""
SHARES = (
    (
        "share of the detail (%)",
        "What the fine detail of each frame comes from: which HR frame, or the method alone.",
    ),
    ("part of the picture (%)", "Part of each frame that shows nothing finer than LR."),
)
DARK = 0.5
"""Brightness below which a background counts as dark."""


class Plots(QWidget):
    """One or more plots side by side, in the colours of napari's theme.

    Above each plot, where they hide no curve and are not cut, are its quantity with the unit, and the names of the
    curves with their values at the cursor.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.area = pg.GraphicsLayoutWidget(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._heads = QHBoxLayout()
        layout.addLayout(self._heads)
        layout.addWidget(self.area, stretch=1)
        self._plots: list[pg.PlotItem] = []
        self._headings: list[QLabel] = []
        self._built = False
        self._quantities: list[str] = []
        self._curves: list[list[tuple[str, Curve]]] = []
        self._read_at: float | None = None
        self._seen = False

    @property
    def plots(self) -> list[pg.PlotItem]:
        """The plots. Each takes pyqtgraph 10 ms, so they are built when they are first shown or drawn into."""
        if not self._built:
            self._built = True
            self.build()
            self.read_at(self._read_at)
            self.restyle()
        return self._plots

    @property
    def headings(self) -> list[QLabel]:
        """What is above each plot."""
        return self._headings if self.plots else []

    def build(self) -> None:
        """Add the plots that are there from the beginning."""

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Build the plots after the window has made place for them."""
        super().showEvent(event)
        if not self._built:
            in_turns(self, lambda: self.plots)

    def add_plot(self, x: str, y: str, tip: str) -> pg.PlotItem:
        """Add a plot on the right, of the quantity ``y`` over ``x``; either may be ''."""
        plot = self.area.addPlot(0, len(self._plots))
        if x:
            plot.setLabel("bottom", x)
        plot.setToolTip(tip)
        plot.hideButtons()
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        heading = QLabel()
        heading.setToolTip(tip)
        heading.setWordWrap(True)
        heading.setTextFormat(Qt.TextFormat.RichText)
        heading.setContentsMargins(6, 2, 6, 0)
        heading.setVisible(bool(y))
        self._heads.addWidget(heading, stretch=1)
        self._plots.append(plot)
        self._headings.append(heading)
        self._quantities.append(y)
        self._curves.append([])
        return plot

    def set_quantity(self, plot: int, y: str) -> None:
        """Rename the quantity of plot ``plot``."""
        if self.plots:  # they are built with their first quantities
            self._quantities[plot] = y
        self._write_heading(plot)

    def draw_curves(
        self,
        plot: int,
        curves: Sequence[tuple[str, Curve]],
        seen: NDArray[np.bool_] | None = None,
        levels: Sequence[str] = (),
    ) -> None:
        """Draw named curves in plot ``plot``; points that are ``seen`` are circled.

        Curves whose names are among ``levels`` are what others are to be compared with: dashed, without circles.
        """
        item = self.plots[plot]
        for old in list(item.listDataItems()):
            item.removeItem(old)
        for (name, (x, y)), colour in zip(curves, self.palette(plot), strict=False):
            level = name in levels
            style = Qt.PenStyle.DashLine if level else Qt.PenStyle.SolidLine
            item.plot(x, y, name=name, pen=pg.mkPen(colour, width=2, style=style), connect="finite")
            if seen is not None and not level:
                marks = {"symbol": "o", "symbolSize": 6, "symbolBrush": None, "symbolPen": self.ink}
                item.plot(x[seen], y[seen], pen=None, **marks)
        self._curves[plot] = list(curves)
        self._seen = seen is not None
        self._write_heading(plot)

    def read_at(self, x: float | None) -> None:
        """Show the values of all curves at ``x`` in the headings."""
        self._read_at = x
        for plot in range(len(self._plots)):
            self._write_heading(plot)

    @property
    def empty(self) -> bool:
        """Whether no curve is drawn."""
        return not any(self._curves)

    def write_csv(self, path: Path) -> None:
        """Write one row per point of every curve: quantity, curve, x, y."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["quantity", "curve", "x", "y"])
            for quantity, curves in zip(self._quantities, self._curves, strict=True):
                for name, (x, y) in curves:
                    writer.writerows(
                        [quantity, name, f"{a:.9g}", "" if np.isnan(b) else f"{b:.9g}"]
                        for a, b in zip(x, y, strict=True)
                    )

    def write_svg(self, path: Path) -> None:
        """Write the plots with their headings as a picture in lines; raises OSError."""
        path.touch()  # Qt says nothing where it cannot write
        picture = QSvgGenerator()
        picture.setFileName(str(path))
        picture.setSize(QSize(self.width(), self.height()))
        picture.setViewBox(QRect(0, 0, self.width(), self.height()))
        painter = QPainter(picture)
        self.render(painter, QPoint())  # PySide6 has no default
        painter.end()

    def _write_heading(self, plot: int) -> None:
        curves = zip(self._curves[plot], self.palette(plot), strict=False)
        parts = [f"<b>{escape(self._quantities[plot])}</b>"]
        parts += [
            f"<span style='color:{colour}'>●</span>&nbsp;{_unbroken(name)}{self._value_of(curve)}"
            for (name, curve), colour in curves
        ]
        if self._seen and self._curves[plot]:
            parts.append("○&nbsp;with&nbsp;an&nbsp;HR&nbsp;frame, else&nbsp;unseen")
        self._headings[plot].setText(" &nbsp; ".join(parts))

    def _value_of(self, curve: Curve) -> str:
        """The value of a curve at the cursor."""
        x, y = curve
        if self._read_at is None or not len(x):
            return ""
        nearest = int(np.argmin(np.abs(x - self._read_at)))
        reach = np.min(np.diff(x), initial=1.0) if len(x) > 1 else 1.0
        missing = np.isnan(y[nearest]) or abs(x[nearest] - self._read_at) > reach
        return "" if missing else f"&nbsp;{y[nearest]:.4g}"

    def restyle(self) -> None:
        """Apply the colours of the theme."""
        theme = get_theme(self._viewer.theme)
        self.area.setBackground(theme.background.as_hex())
        self.setStyleSheet(
            f"QLabel {{ background: {theme.background.as_hex()}; color: {theme.text.as_hex()} }}"
        )
        pen = pg.mkPen(theme.text.as_hex())
        for plot in self._plots:
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(pen)
                axis.setTextPen(pen)

    def palette(self, _plot: int) -> tuple[str, ...]:
        """The colours of the curves in a plot."""
        return self.colours

    @property
    def colours(self) -> tuple[str, ...]:
        """Line colours for the background of the theme."""
        return lines(self.on_dark)

    @property
    def on_dark(self) -> bool:
        """Whether the background of the theme is dark."""
        red, green, blue = get_theme(self._viewer.theme).background.as_rgb_tuple()[:3]
        return bool(0.299 * red + 0.587 * green + 0.114 * blue < 255 * DARK)

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
        self._axes = axes
        self._cursors: list[pg.InfiniteLine] = []
        self.area.scene().sigMouseClicked.connect(self._click)

    @property
    def cursors(self) -> list[pg.InfiniteLine]:
        """The line at the displayed frame, of each plot."""
        return self._cursors if self.plots else []

    def build(self) -> None:
        """See ``Plots.build``."""
        for name, tip in self._axes:
            plot = self.add_plot("LR frame", name, tip)
            if self._cursors:
                plot.setXLink(self._plots[0])
            cursor = pg.InfiniteLine(self._read_at or 0, movable=True, angle=90)
            cursor.sigDragged.connect(lambda line: self._move(line.value()))
            plot.addItem(cursor, ignoreBounds=True)
            self._cursors.append(cursor)

    def show_curves(
        self,
        plot: int,
        curves: Sequence[tuple[str, Curve]],
        seen: NDArray[np.bool_] | None = None,
        levels: Sequence[str] = (),
    ) -> None:
        """Draw named curves over frames in plot ``plot``, see ``draw_curves``; ``seen`` are frames at HR times."""
        self.draw_curves(plot, curves, seen, levels)
        self.restyle()

    def clear(self) -> None:
        """Remove the curves."""
        for plot in range(len(self._plots)):
            self.show_curves(plot, [])

    def show_frame(self, frame: float) -> None:
        """Put all cursors at ``frame``."""
        for cursor in self._cursors:
            cursor.setValue(frame)
        self.read_at(frame)

    def restyle(self) -> None:
        """See ``Plots.restyle``."""
        super().restyle()
        for cursor in self._cursors:
            cursor.setPen(pg.mkPen(self.ink, style=Qt.PenStyle.DashLine))
            cursor.setHoverPen(pg.mkPen(self.ink, width=2))

    def _move(self, position: float) -> None:
        self.show_frame(round(position))
        self.dragged.emit(round(position))

    def _click(self, event: Any) -> None:
        for plot in self.plots:
            if plot.sceneBoundingRect().contains(event.scenePos()):
                self._move(plot.vb.mapSceneToView(event.scenePos()).x())


class SourcePlots(FramePlots):
    """Where the detail of each frame comes from, in the words and colours of the map of main sources."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, SHARES, parent)

    def build(self) -> None:
        """See ``Plots.build``."""
        super().build()
        self._heads.setStretch(0, 2)  # six curves have long names
        self.area.ci.layout.setColumnStretchFactor(0, 2)

    def show_shares(self, shares: Mapping[int, Shares]) -> None:
        """Draw the shares by LR frame number."""
        frames, rows = np.array(list(shares)), list(shares.values())
        fine = [(s.title, (frames, np.array([100 * row.fine[s.name] for row in rows]))) for s in FINE]
        self.show_curves(0, fine)
        self.show_curves(1, [(LR.title, (frames, np.array([100 * row.lr for row in rows])))])

    def palette(self, plot: int) -> tuple[str, ...]:
        """See ``Plots.palette``."""
        return legible([source.colour for source in ((LR,) if plot else FINE)], self.on_dark)


class HistogramPlots(Plots):
    """The 2-D histograms of normalised attention: score against frames since the HR frame (paper, M10)."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._images: list[pg.ImageItem] = []
        self._rows: list[tuple[str, float, str, int]] = []

    @property
    def images(self) -> list[pg.ImageItem]:
        """The histogram of each plot."""
        return self._images if self.plots else []

    def build(self) -> None:
        """See ``Plots.build``."""
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
            self._images.append(image)

    def clear(self) -> None:
        """Remove the histograms."""
        self._rows = []
        for image in self._images:
            image.clear()

    @property
    def empty(self) -> bool:
        """Whether no histogram is drawn."""
        return not self._rows

    def write_csv(self, path: Path) -> None:
        """Write one row per bin: score, LR frames since the previous HR frame, normalised score, count."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["score", "frames since HR", "normalised score", "count"])
            writer.writerows(self._rows)

    def show_scores(self, relative: NDArray[np.int_], scores: Sequence[Scores]) -> None:
        """Draw backward and forward scores of frames ``relative`` to their previous HR frame."""
        self._rows = []
        for name, image, score in zip(self._quantities, self.images, scores, strict=True):
            counts, score_edges, frame_edges = histogram(relative, score, bins=25)
            y, x = (((edges[1:] + edges[:-1]) / 2).tolist() for edges in (score_edges, frame_edges))
            self._rows += [
                (name, a, f"{b:.6g}", int(counts[j, i])) for i, a in enumerate(x) for j, b in enumerate(y)
            ]
            image.setImage(counts.T)
            left, low = frame_edges[0], score_edges[0]
            image.setRect(left, low, frame_edges[-1] - left, score_edges[-1] - low)
        self.restyle()


class ProfilePlot(Plots):
    """Grey values of several layers along one line, scaled to their contrast limits; read below the mouse."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.area.scene().sigMouseMoved.connect(self._follow)

    def build(self) -> None:
        """See ``Plots.build``."""
        self.add_plot(
            "distance along the line",
            "displayed grey value",
            "0 and 1 are the contrast limits of each layer, so that LR and HR can be compared.",
        )

    def show_profiles(self, curves: Sequence[tuple[str, Curve]], unit: str) -> None:
        """Draw named curves over the distance in ``unit``."""
        if curves or self._plots:
            self.draw_curves(0, curves)
        if curves:
            self.plots[0].setLabel("bottom", f"distance along the line ({unit})")
        self.restyle()

    def _follow(self, position: Any) -> None:
        self.read_at(self.plots[0].vb.mapSceneToView(position).x())


class Kymographs(Plots):
    """Values along a line over the LR frames, one picture per sequence."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.images: dict[str, pg.ImageItem] = {}
        """The pictures that are shown, by name."""
        self._pictures: list[pg.ImageItem] = []
        self._extent: list[tuple[float, float]] = []

    def show_kymographs(self, made: Mapping[str, Picture], unit: str) -> None:
        """Draw one picture per name, with common axes; positions are in ``unit``.

        Plots of earlier pictures are used again: pyqtgraph may draw one that is deleted.
        """
        while len(self.plots) < len(made):
            self._add_picture()
        for k, (plot, image) in enumerate(zip(self.plots, self._pictures, strict=True)):
            plot.setVisible(k < len(made))
            self.headings[k].setVisible(k < len(made))
            image.clear()
        self.images = dict(zip(made, self._pictures, strict=False))
        for k, (name, (frames, positions, values, limits)) in enumerate(made.items()):
            self._pictures[k].setImage(values, levels=limits)
            x, y = _spacing(frames), _spacing(positions)
            self._pictures[k].setRect(
                frames[0] - x / 2, positions[0] - y / 2, x * len(frames), positions[-1] - positions[0] + y
            )
            self.set_quantity(k, f"{name}: position ({unit}) over LR frames")
        extent = [(frames[-1], positions[-1]) for frames, positions, *_ in made.values()]
        if made and extent != self._extent:  # else the user's zoom stays
            self.plots[0].autoRange()
        self._extent = extent
        self.restyle()

    def _add_picture(self) -> None:
        plot = self.add_plot("", "position", "Values along the line, frame by frame.")
        image = pg.ImageItem()
        plot.addItem(image)
        plot.invertY()
        if plot is not self.plots[0]:
            plot.setXLink(self.plots[0])
            plot.setYLink(self.plots[0])
        self._pictures.append(image)


def _spacing(values: NDArray[np.float64]) -> float:
    return float(np.mean(np.diff(values))) if len(values) > 1 else 1.0


def _unbroken(name: str) -> str:
    """A name in which no line ends, unless it is long."""
    return escape(name).replace(" ", "&nbsp;") if len(name) < 40 else escape(name)


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

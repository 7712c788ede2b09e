"""A dock that shows the same place in all sequences, enlarged and side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from napari_xfusion.ui.shared.compare import IN_HR_UNITS, is_fused
from napari_xfusion.ui.shared.keys import KEYS
from napari_xfusion.ui.shared.place import frame_on_screen, sampled
from napari_xfusion.ui.shared.provenance import content_of, fused_in, layers_of, pixels_of, provenance_of
from napari_xfusion.ui.shared.widgets import Docked, Follower, listen, prepare_fields

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_xfusion.ui.inspection.sequences import Sequences

SIDES = 8, 256
"""Least and greatest side of what is shown, HR pixels."""
SIDE = 32
LEAST = 110
"""Screen pixels of a picture."""
MOST = 6
"""Pictures side by side."""
SAMPLES, MOST_SAMPLES = 4, 384
"""Along a side: for each HR pixel, and at most."""
EMPTY, CROSS = QColor("#3c3c3c"), QColor("#e69f00")


class Picture(QWidget):
    """A square part of a sequence, each of its samples as large as fits."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.grey: NDArray[np.uint8] | None = None
        """(side, side); None where there is nothing to be shown."""
        self.setMinimumSize(LEAST, LEAST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A little larger than needed."""
        return QSize(LEAST + 50, LEAST + 50)

    def show_grey(self, grey: NDArray[np.uint8] | None) -> None:
        """Show a square of 8-bit grey values."""
        self.grey = grey
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002 - Qt's name
        """Draw it, and a cross in its middle."""
        side = min(self.width(), self.height())
        square = QRect((self.width() - side) // 2, (self.height() - side) // 2, side, side)
        painter = QPainter(self)
        if self.grey is None:
            painter.fillRect(square, EMPTY)
        else:
            pixels, (height, width) = self.grey.tobytes(), self.grey.shape
            picture = QImage(pixels, width, height, width, QImage.Format.Format_Grayscale8)
            painter.drawImage(square, picture)
        painter.setPen(CROSS)
        middle, arm = square.center(), side // 12
        for dx, dy in ((1, 0), (0, 1)):
            for sign in (-1, 1):
                x, y = middle.x() + sign * dx * arm, middle.y() + sign * dy * arm
                painter.drawLine(x, y, x + sign * dx * arm, y + sign * dy * arm)
        painter.end()


class Magnifier(Docked):
    """The place below the mouse in LR, HR, results and truth, at the displayed frame.

    HR, results and truth have the contrast of HR, LR has its own. The place stays when the mouse leaves the canvas.
    """

    def __init__(self, viewer: Viewer, sequences: Callable[[], Sequences]) -> None:
        super().__init__()
        self._viewer, self._sequences = viewer, sequences
        self._place: NDArray[np.float64] | None = None
        """(y, x) in the world."""
        self._frames: WeakKeyDictionary[Layer, tuple[Any, NDArray[np.float32]]] = WeakKeyDictionary()
        """The last frame read of each layer, and what it is."""
        self._looks = Follower(self, ("set_data", "contrast_limits"), self._refresh)
        self.side = QSpinBox(self)
        self.side.setRange(*SIDES)
        self.side.setValue(SIDE)
        self.side.setSuffix(" HR pixels")
        self.side.setAccessibleName("Side")
        self.hold = QCheckBox(f"Hold the place ({KEYS['hold'].keys})", self)
        self.pictures = [Picture(self) for _ in range(MOST)]
        self.titles = [QLabel(self) for _ in range(MOST)]
        self._build()
        self.side.valueChanged.connect(self.draw)
        self._follow_mouse()
        for emitter in (
            viewer.dims.events.current_step,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        ):
            listen(self, emitter, self.draw)
        self.draw()

    def look_at(self, y: float, x: float) -> None:
        """Show this place of the world."""
        self._place = np.array([y, x])
        self.draw()

    def draw(self) -> None:
        """Show the place in the sequences that are there now, at the displayed frame."""
        layers = self._layers()
        self._looks.follow(layers)
        for k, (picture, title) in enumerate(zip(self.pictures, self.titles, strict=True)):
            picture.setVisible(k < max(len(layers), 1))
            title.setVisible(k < max(len(layers), 1))
            if k < len(layers):
                self._show(layers[k], picture, title)
        if not layers:
            self.pictures[0].show_grey(None)
            self.titles[0].setText("no sequence is selected in the Inspect panel")

    def _layers(self) -> list[Layer]:
        """LR, HR, results and truth, each once."""
        now = self._sequences()
        results = [layer for layer in layers_of(self._viewer, "fused", "baseline") if is_fused(layer)]
        wanted = (now.lr, now.hr, now.fused, *results, now.truth)
        found = dict.fromkeys(layer for layer in wanted if layer is not None and layer in self._viewer.layers)
        return list(found)[:MOST]

    def _show(self, layer: Layer, picture: Picture, title: QLabel) -> None:
        name = short_name(layer)
        title.setText(name)
        title.setToolTip(str(layer.name))
        picture.show_grey(None)
        if self._place is None or self._viewer.dims.ndisplay != 2:
            return
        known, frame = provenance_of(layer), frame_on_screen(self._viewer, layer)
        first = (
            known.plan.frames[0] if known is not None and known.plan is not None and known.plan.frames else 0
        )
        if known is not None and known.role == "fused" and not fused_in(layer)(first + frame):
            title.setText(f"{name}: not fused yet")
            return
        image, pixel = self._frame(layer, frame), self._pixel()
        count = min(SAMPLES * self.side.value(), MOST_SAMPLES)
        values = sampled(layer, image, self._place, pixel * self.side.value(), count)
        low, high = self._limits(layer)
        grey = np.clip((values - low) / max(high - low, 1e-30), 0, 1)
        picture.show_grey((255 * np.nan_to_num(grey)).astype(np.uint8))
        value = sampled(layer, image, self._place, 0.0, 1)[0, 0]
        if np.isfinite(value):
            number, metrics = f": {value:.5g}", title.fontMetrics()
            left = title.width() - metrics.horizontalAdvance(number)
            title.setText(metrics.elidedText(name, Qt.TextElideMode.ElideRight, max(left, 0)) + number)

    def _frame(self, layer: Layer, frame: int) -> NDArray[np.float32]:
        key = frame, id(content_of(layer))
        if layer not in self._frames or self._frames[layer][0] != key:
            data = pixels_of(layer)
            self._frames[layer] = key, np.asarray(data if layer.ndim == 2 else data[frame], np.float32)
        return self._frames[layer][1]

    def _pixel(self) -> float:
        """The side of an HR pixel in the world; of an LR pixel where there is no HR."""
        now = self._sequences()
        layer = now.hr or now.fused or now.truth or now.lr
        return 1.0 if layer is None else float(abs(layer.scale[-1]))

    def _limits(self, layer: Layer) -> tuple[float, float]:
        """The contrast limits: of HR for what is on its grey scale."""
        known, hr = provenance_of(layer), self._sequences().hr
        like_hr = hr is not None and known is not None and known.role in IN_HR_UNITS
        low, high = (hr if like_hr else layer).contrast_limits
        return float(low), float(high)

    def _refresh(self) -> None:
        self._frames.clear()
        self.draw()

    def _follow_mouse(self) -> None:
        """Show the place below the mouse, until this widget is destroyed."""
        callbacks = getattr(self._viewer, "__wrapped__", self._viewer).mouse_move_callbacks

        def on_move(viewer: Viewer, event: Any) -> None:
            if viewer.dims.ndisplay == 2 and not self.hold.isChecked() and self.isVisible():
                y, x = np.asarray(event.position, dtype=np.float64)[-2:]
                self.look_at(y, x)

        callbacks.append(on_move)
        self.destroyed.connect(lambda: callbacks.remove(on_move))

    def _build(self) -> None:
        self.side.setToolTip("Side of what is shown, in HR pixels.")
        self.hold.setToolTip("Show the same place wherever the mouse is.")
        top, row = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.side)
        top.addWidget(self.hold)
        top.addStretch()
        for title, picture in zip(self.titles, self.pictures, strict=True):
            title.setTextFormat(Qt.TextFormat.PlainText)
            title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            column = QVBoxLayout()
            column.setSpacing(1)
            column.addWidget(title)
            column.addWidget(picture)
            row.addLayout(column)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 2, 6, 4)
        column.addLayout(top)
        column.addLayout(row)
        prepare_fields(self)


def short_name(layer: Layer) -> str:
    """The name of a layer without that of the recording: ``melt01 · fused (lite)`` is ``fused (lite)``."""
    first, *rest = str(layer.name).split(" · ")
    known = provenance_of(layer)
    begins = known is not None and known.role == "baseline"
    return first if begins or not rest else " · ".join(rest)

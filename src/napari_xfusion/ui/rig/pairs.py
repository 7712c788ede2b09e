"""Point pairs clicked on the two cameras in turn, with the residuals of the mapping that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from napari.layers import Points as PointsLayer
from napari.layers import Vectors
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, Signal

from napari_xfusion.core.mapping import Shape
from napari_xfusion.core.rig.fit import Fitted, Model, Points
from napari_xfusion.core.rig.points import fit_given
from napari_xfusion.errors import CalibrationError
from napari_xfusion.ui.rig.words import residual_words
from napari_xfusion.ui.shared.layers import lie_upon
from napari_xfusion.ui.shared.widgets import Follower
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

CameraName = Literal["LR", "HR"]
COLOURS: dict[CameraName, str] = {"LR": "#56b4e9", "HR": "#e69f00"}
ARROWS = "residuals"
LONGEST = 0.06
"""Length of the longest arrow, relative to the longer side of HR."""
FEWEST = 3
"""Pairs that determine a mapping."""


def points_name(camera: CameraName) -> str:
    """Name of the layer of clicked points."""
    return f"pairs · {camera}"


class PointPairs(QObject):
    """Two layers of points, one on each camera; point k of one is the partner of point k of the other."""

    changed = Signal(str)
    """Points were added, moved or removed: what they give, in words."""
    _touched = Signal()
    """napari emits before and after a change, in the middle of a click: queued, it comes after that, yet before the
    canvas is drawn again."""

    def __init__(self, viewer: napari.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._images: dict[CameraName, Image] = {}
        self._layers: dict[CameraName, PointsLayer] = {}
        self.settled = True
        """Whether all changes of the points have been looked at."""
        self._touched.connect(self._on_data, Qt.ConnectionType.QueuedConnection)
        self._events = Follower(self, ("data",), self._touch)
        self.arrows = Arrows(viewer)
        self.model: Model = "auto"
        self.active = False
        """Whether the next click on the canvas adds a point."""

    @property
    def pairs(self) -> tuple[Points, Points]:
        """(N, 2) LR and HR pixels (row, column) of the points that have a partner."""
        lr, hr = (self._points(camera) for camera in COLOURS)
        count = min(len(lr), len(hr))
        return lr[:count], hr[:count]

    @property
    def turn(self) -> CameraName:
        """The camera that gets the next point."""
        return "HR" if len(self._points("LR")) > len(self._points("HR")) else "LR"

    def begin(self, lr: Image, hr: Image) -> None:
        """Let clicks on the canvas add points, of LR and HR in turn; points that are there stay."""
        self._images = {"LR": lr, "HR": hr}
        for camera in COLOURS:
            if self._layers.get(camera) not in self._viewer.layers:
                self._layers[camera] = self._add(camera)
        self.place()
        self._events.follow(self._layers.values())
        self.active = True
        self._take_turns()
        self.changed.emit(self.in_words())

    def end(self) -> None:
        """Clicks move the view again, and both cameras are shown."""
        self.active = False
        for camera in COLOURS:
            layer = self._layers.get(camera)
            if layer is not None and layer in self._viewer.layers:
                layer.mode = "pan_zoom"
            self._show(camera, True)

    def undo(self) -> None:
        """Remove the point that was added last."""
        layer = self._layers.get("LR" if self.turn == "HR" else "HR")
        if layer is not None and len(layer.data):
            layer.data = layer.data[:-1]

    def place(self) -> None:
        """Lay the points upon the images, where these were moved."""
        for camera, layer in self._layers.items():
            if layer in self._viewer.layers and self._images[camera] in self._viewer.layers:
                lie_upon(layer, self._images[camera])

    def fit(self) -> Fitted | None:
        """The mapping that the pairs give; None where they are too few for any. Raises CalibrationError."""
        lr, hr = self.pairs
        if len(lr) < FEWEST:
            return None
        return fit_given(lr, hr, _shape(self._images["LR"]), _shape(self._images["HR"]), self.model)[0]

    def in_words(self) -> str:
        """Which camera is next, and how the pairs agree; draws the arrows."""
        count = len(self.pairs[0])
        next_one = f"Click point {len(self._points(self.turn)) + 1} on {self.turn}." if self.active else ""
        try:
            found = self.fit() if self._images else None
        except CalibrationError as error:
            self.arrows.clear()
            return f"{next_one} {in_window_words(error)}".strip()
        if found is None:
            self.arrows.clear()
            return f"{next_one} {count} of at least {FEWEST} pairs.".strip()
        self.arrows.show(found, self._images["HR"])
        return f"{next_one} {residual_words(found.residuals)}.".strip()

    def _points(self, camera: CameraName) -> Points:
        layer = self._layers.get(camera)
        points = np.zeros((0, 2)) if layer is None else layer.data
        return np.asarray(points, np.float64).reshape(-1, np.shape(points)[-1])[:, -2:]

    def _add(self, camera: CameraName) -> PointsLayer:
        image = self._images[camera]
        layer = PointsLayer(
            np.zeros((0, 2)),
            ndim=2,
            name=points_name(camera),
            size=max(_shape(image)) / 30,
            face_color="transparent",
            border_color=COLOURS[camera],
            border_width=0.15,
            symbol="cross" if camera == "LR" else "disc",
            axis_labels=tuple(image.axis_labels[-2:]),
            units=tuple(image.units[-2:]),
        )
        self._viewer.add_layer(layer)
        return layer

    def _touch(self) -> None:
        if self.settled:
            self.settled = False
            self._touched.emit()

    def _on_data(self) -> None:
        self.settled = True
        self.changed.emit(self.in_words())
        if self.active:
            self._take_turns()

    def _take_turns(self) -> None:
        """Show the camera whose turn it is with its points, and let the next click add one."""
        turn = self.turn
        for camera in COLOURS:
            self._show(camera, camera == turn)
            self._layers[camera].mode = "add" if camera == turn else "pan_zoom"
        self._viewer.layers.selection.active = self._layers[turn]

    def _show(self, camera: CameraName, visible: bool) -> None:
        for layer in (self._images.get(camera), self._layers.get(camera)):
            if layer is not None:
                layer.visible = visible
        if camera == "HR" and self.arrows.layer is not None:
            self.arrows.layer.visible = visible


class Arrows:
    """The residuals of a mapping as a layer of arrows on HR, enlarged."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self.layer: Layer | None = None

    def show(self, found: Fitted, hr: Image) -> None:
        """Draw from every HR point how far it is from where the mapping puts it, all enlarged by one factor."""
        longest = float(np.linalg.norm(found.arrows, axis=1).max())
        length = LONGEST * max(_shape(hr))
        factor = length / max(longest, 1e-9)
        vectors = np.stack([found.hr, factor * found.arrows], axis=1)
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = self._add(vectors, hr)
        else:
            self.layer.data = vectors
        self.layer.name = f"{ARROWS} x {factor:.3g}"
        lie_upon(self.layer, hr)

    def clear(self) -> None:
        """Remove the arrows."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _add(self, vectors: NDArray[np.float64], hr: Image) -> Layer:
        active = self._viewer.layers.selection.active
        layer = Vectors(
            vectors,
            name=ARROWS,
            edge_color="#ff5a3c",
            edge_width=max(_shape(hr)) / 250,
            vector_style="arrow",
            axis_labels=tuple(hr.axis_labels[-2:]),
            units=tuple(hr.units[-2:]),
        )
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        return layer


def _shape(image: Image) -> Shape:
    height, width = image.data.shape[-2:]
    return int(height), int(width)

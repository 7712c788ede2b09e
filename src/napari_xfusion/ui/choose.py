"""A box to choose one of the viewer's films, which follows them as they come, go and are renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_xfusion.ui.follow import follow

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


class LayerBox(QComboBox):
    """Image layers with a time axis, the last added on top; ``none`` is a line that means none of them."""

    chosen = Signal()
    """Another layer is chosen, by hand or because it went away."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None, *, none: str = "none") -> None:
        super().__init__(parent)
        self._viewer, self._none = viewer, none
        self._layers: list[Layer | None] = []
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # long names are cut
        self.setMinimumContentsLength(8)
        for event in ("inserted", "removed", "renamed"):
            follow(self, getattr(viewer.layers.events, event), self.refill)
        self.currentIndexChanged.connect(self._choose)
        self.refill()

    @property
    def layer(self) -> Layer | None:
        """The layer that is chosen."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    @layer.setter
    def layer(self, layer: Layer | None) -> None:
        self.setCurrentIndex(self._layers.index(layer) if layer in self._layers else 0)

    def refill(self, _event: object = None) -> None:
        """Take the viewer's layers anew, and keep what is chosen."""
        before = self.layer
        films = [x for x in self._viewer.layers if getattr(x, "rgb", None) is False and x.ndim == 3]
        self.blockSignals(True)
        self.clear()
        self._layers = [None, *reversed(films)]
        self.addItems([self._none, *(layer.name for layer in reversed(films))])
        self.layer = before
        self.blockSignals(False)
        if self.layer is not before:
            self.chosen.emit()

    def _choose(self, _index: int) -> None:
        self.setToolTip(self.currentText())
        self.chosen.emit()

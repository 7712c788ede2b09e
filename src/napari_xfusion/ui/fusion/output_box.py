"""How much is fused, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_xfusion.core.rig import place_lr
from napari_xfusion.core.types import Region, Stack
from napari_xfusion.errors import OutputError
from napari_xfusion.ui.shared.place import region_of_shapes
from napari_xfusion.ui.shared.widgets import LayerCombo, add_row, form, listen

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

MEMORY, FILE = "in memory", "a file"
ENDINGS = "TIFF (*.tif);;OME-TIFF (*.ome.tif);;OME-Zarr (*.zarr)"


class OutputBox(QGroupBox):
    """Frames, region, and memory or file."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Result", parent)
        self.first, self.last = QSpinBox(self), QSpinBox(self)
        self.region = LayerCombo(
            viewer, lambda layer: type(layer).__name__ == "Shapes", none="whole frame", parent=self
        )
        self.output = QComboBox(self)
        self.path = QLineEdit(self)
        self.browse = QPushButton("...", self)
        self.replace = QCheckBox("Replace", self)
        self._count = 0
        self._drawn: tuple[Any, ...] | None = None
        """The shapes that the region was taken from last."""
        self._heard: set[UUID] = set()
        self._build()
        for spin in (self.first, self.last):
            spin.valueChanged.connect(lambda _: self.changed.emit())
        self.region.chosen.connect(self._on_region)
        self.output.currentIndexChanged.connect(lambda _: self._on_output())
        self.path.textChanged.connect(lambda _: self.changed.emit())
        self.replace.toggled.connect(lambda _: self.changed.emit())
        self.browse.clicked.connect(lambda _: self._browse())
        self._on_output()

    def set_count(self, count: int) -> None:
        """The number of LR frames there are; all of them are chosen when it changes."""
        if count == self._count:
            return
        self._count = count
        for spin, value in ((self.first, 0), (self.last, count - 1)):
            spin.blockSignals(True)
            spin.setRange(0, max(count - 1, 0))
            spin.setValue(value)
            spin.blockSignals(False)

    def frames(self) -> tuple[int, int] | None:
        """Targets A..B-1 as a plan has them, None for all."""
        chosen = self.first.value(), self.last.value() + 1
        return None if chosen == (0, self._count) else chosen

    def region_of(self, layer: Image, lr: Stack, hr: Stack) -> Region | None:
        """The chosen HR pixels, None for whole frames; ``layer`` shows ``lr``.

        Raises InputError where the layer of shapes is empty, PairingError where LR and HR do not fit.
        """
        shapes = self.region.layer()
        return None if shapes is None else region_of_shapes(shapes, layer, place_lr(lr, hr), hr.shape[1:])

    def target(self) -> Path | None:
        """The file to write, None for memory; raises OutputError where no name is given."""
        if self.output.currentText() == MEMORY:
            return None
        name = self.path.text().strip()
        if not name:
            raise OutputError(
                "Result", problem="no file name is given", hint="enter one, or keep the result in memory"
            )
        return Path(name).expanduser()

    def saved(self) -> dict[str, Any]:
        """What to remember: neither frames nor file, which belong to one sequence."""
        return {"output": self.output.currentText()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Set what was remembered, where it can be."""
        index = self.output.findText(str(saved.get("output")))
        if index >= 0:
            self.output.setCurrentIndex(index)

    def _on_region(self) -> None:
        """Another layer was chosen: from now on what is drawn in it counts."""
        shapes = self.region.layer()
        if shapes is not None and shapes.unique_id not in self._heard:
            self._heard.add(shapes.unique_id)
            for emitter in (shapes.events.set_data, shapes.events.highlight):
                listen(self, emitter, self._on_drawn)
        self._on_drawn()

    def _on_drawn(self) -> None:
        """Shapes may have been drawn, moved or selected; napari tells so for every frame and hover, too."""
        shapes = self.region.layer()
        drawn = None
        if shapes is not None:
            drawn = (
                shapes.unique_id,
                sorted(shapes.selected_data),
                [corners.tolist() for corners in shapes.data],
            )
        if drawn != self._drawn:
            self._drawn = drawn
            self.changed.emit()

    def _on_output(self) -> None:
        to_file = self.output.currentText() == FILE
        for widget in (self.path, self.browse, self.replace):
            widget.setEnabled(to_file)
        self.changed.emit()

    def _browse(self) -> None:
        # That a name is taken is said in the panel, where an unfinished run is told from a finished one.
        path, _ = QFileDialog.getSaveFileName(
            self, "Fused sequence", self.path.text(), ENDINGS, options=QFileDialog.Option.DontConfirmOverwrite
        )
        if path:
            self.path.setText(path)

    def _build(self) -> None:
        self.output.addItems([MEMORY, FILE])
        self.path.setPlaceholderText("fused.tif, .ome.tif or .zarr")
        layout = form(self)
        frames, place = QHBoxLayout(), QHBoxLayout()
        for row, widgets in ((frames, (self.first, self.last)), (place, (self.path, self.browse))):
            for widget in widgets:
                row.addWidget(widget)
        self.browse.setMaximumWidth(32)
        name = "Name of the file; an unfinished run with the same settings is resumed"
        for label, field, tip in (
            ("Frames", frames, "First and last LR frame to fuse"),
            (
                "Region",
                self.region,
                "Fuse only what the shapes of a layer enclose: the selected ones, else all",
            ),
            ("Keep", self.output, "Results larger than memory go to a file, and survive whatever happens"),
            ("File", place, name),
            ("", self.replace, "Replace what bears that name, when the new sequence is whole"),
        ):
            add_row(layout, label, field, tip)
        for widget, tip in (
            (self.first, "First LR frame to fuse"),
            (self.last, "Last LR frame to fuse"),
            (self.path, name),
            (self.browse, "Choose the file"),
        ):
            widget.setToolTip(tip)

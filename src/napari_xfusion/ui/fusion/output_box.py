"""The box for frames, region and output of a run."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Values
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGroupBox,
    QPushButton,
    QSpinBox,
    QWidget,
)
from superqt import QElidingLineEdit
from superqt.utils import signals_blocked

from napari_xfusion.core.types import Region, Stack
from napari_xfusion.errors import InputError
from napari_xfusion.ui.shared.place import region_of_shapes
from napari_xfusion.ui.shared.widgets import Follower, LayerCombo, add_row, form

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_xfusion.core.mapping import Mapping

MEMORY, FILE = "memory", "file"
ENDINGS = "TIFF (*.tif);;OME-TIFF (*.ome.tif);;OME-Zarr (*.zarr);;NeXus (*.nxs)"


class _Name(QElidingLineEdit):
    """A field that reports each file name: ``textChanged`` is about the elided one, which two names may share."""

    renamed = Signal()

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Set another name."""
        super().setText(text)
        self.renamed.emit()


class OutputBox(QGroupBox):
    """Frames, region, destination."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Output", parent)
        self.first, self.last = QSpinBox(self), QSpinBox(self)
        self.region = LayerCombo(
            viewer, lambda layer: type(layer).__name__ == "Shapes", none="full frame", parent=self
        )
        self.destination = QComboBox(self)
        self.path = _Name(parent=self)
        self.browse = QPushButton("…", self)
        self.overwrite = QCheckBox("Overwrite", self)
        self._count = 0
        self._proposed = ""
        """The file name that was entered for the user."""
        self._name = ""
        """The file name as last reported."""
        self._drawn: tuple[Any, ...] | None = None
        """The last shapes of the region."""
        self._shapes = Follower(self, ("set_data", "highlight"), self._on_drawn)
        self._build()
        for spin in (self.first, self.last):
            spin.valueChanged.connect(lambda _: self.changed.emit())
        self.region.chosen.connect(self._on_region)
        self.destination.currentIndexChanged.connect(lambda _: self._on_output())
        self.path.textChanged.connect(lambda _: self._on_path())
        self.path.renamed.connect(self._on_path)
        self.overwrite.toggled.connect(lambda _: self.changed.emit())
        self.browse.clicked.connect(lambda _: self._browse())
        self._on_output()

    def set_lr(self, lr: Stack) -> None:
        """Propose a file next to ``lr``, and select all of its frames if their number is a new one."""
        count, source = len(lr), Path(lr.source)
        name = f"{source.stem.removesuffix('.ome')}-fused.tif"
        proposed = str(source.with_name(name)) if lr.recording is not None else ""
        if proposed != self._proposed:
            if self.path.text() in ("", self._proposed):
                with signals_blocked(self.path):
                    self.path.setText(proposed)
                self._name = proposed
            self._proposed = proposed
        if count == self._count:
            return
        self._count = count
        for spin, value in ((self.first, 0), (self.last, count - 1)):
            with signals_blocked(spin):
                spin.setRange(0, max(count - 1, 0))
                spin.setValue(value)

    def frames(self) -> tuple[int, int] | None:
        """Targets A..B-1 as in a plan, None for all; raises InputError if they are in the wrong order."""
        chosen = self.first.value(), self.last.value() + 1
        if chosen[0] >= chosen[1]:
            raise InputError(
                setting="frames",
                problem=f"the first frame is {chosen[0]}, the last one {chosen[1] - 1}",
                hint="select a last frame that is not before the first one",
            )
        return None if chosen == (0, self._count) else chosen

    def region_of(self, layer: Image, mapping: Callable[[], Mapping], hr: Stack) -> Region | None:
        """The chosen HR pixels, None for whole frames; ``layer`` shows LR, whose pixels ``mapping`` places on HR's.

        Raises InputError where the layer of shapes is empty, and what ``mapping`` raises.
        """
        shapes = self.region.layer()
        return None if shapes is None else region_of_shapes(shapes, layer, mapping(), hr.shape[1:])

    def target(self) -> Path | None:
        """The output file, None for memory; without a name a path without one."""
        to_file = self.destination.currentText() == FILE
        return Path(self.path.text().strip()).expanduser() if to_file else None

    def field(self, setting: str) -> QWidget | None:
        """The field of a setting; None where it is not here."""
        own: dict[str, QWidget] = {"frames": self.first, "region": self.region, "overwrite": self.overwrite}
        return (own | {"output": self.path}).get(setting)

    def saved(self) -> dict[str, Any]:
        """The values to save for the next session, without frames and file, which belong to one sequence."""
        return {"destination": self.destination.currentText()}

    def restore(self, saved: Values[str, Any]) -> None:
        """Set saved values, if they are valid."""
        index = self.destination.findText(str(saved.get("destination")))
        if index >= 0:
            self.destination.setCurrentIndex(index)

    def _on_region(self) -> None:
        """Connect to changes of the selected shapes layer."""
        shapes = self.region.layer()
        self._shapes.follow(() if shapes is None else (shapes,))
        self._on_drawn()

    def _on_drawn(self) -> None:
        """Report a change if shapes differ: napari emits these events for every frame and hover, too."""
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

    def _on_path(self) -> None:
        """Report another name: the field emits its signal also when it elides the same one."""
        if self.path.text() != self._name:
            self._name = self.path.text()
            self.changed.emit()

    def _on_output(self) -> None:
        to_file = self.destination.currentText() == FILE
        for widget in (self.path, self.browse, self.overwrite):
            widget.setEnabled(to_file)
        self.changed.emit()

    def _browse(self) -> None:
        # The panel itself reports an existing file, because an interrupted run can be resumed.
        path, _ = QFileDialog.getSaveFileName(
            self, "Fused sequence", self.path.text(), ENDINGS, options=QFileDialog.Option.DontConfirmOverwrite
        )
        if path:
            self.path.setText(path)

    def _build(self) -> None:
        self.destination.addItems([MEMORY, FILE])
        self.path.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.path.setPlaceholderText("fused.tif, .ome.tif, .zarr or .nxs")
        for widget, name in (
            (self.first, "First LR frame"),
            (self.last, "Last LR frame"),
            (self.path, "Output file"),
            (self.browse, "Select the output file"),
        ):
            widget.setAccessibleName(name)
        self.browse.setMaximumWidth(32)
        layout = form(self)
        for label, field, tip in (
            ("Frames", (self.first, self.last), "First and last LR frame to fuse."),
            ("Region", self.region, "Fuse only the area of the selected shapes of a layer (default: all)."),
            ("Destination", self.destination, "Use a file for large results, or to resume after a crash."),
            ("File", (self.path, self.browse), "Output file. An interrupted run is resumed."),
            ("", self.overwrite, "Overwrite an existing file once the new result is complete."),
        ):
            add_row(layout, label, field, tip)

"""Which two layers are fused, and when the HR frames were taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGroupBox, QLineEdit, QSpinBox, QWidget

from napari_xfusion.core.plan import parse_times
from napari_xfusion.core.rig import tell_apart
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError
from napari_xfusion.ui.shared.layers import redraw, sequence_pair, title_of
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.widgets import LayerCombo, Sentence, add_row, form

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer


class DataBox(QGroupBox):
    """LR, HR and their pairing."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Data", parent)
        self._viewer = viewer
        self._shown: tuple[Layer, tuple[float, ...]] | None = None
        self.lr = LayerCombo(viewer, is_image, parent=self)
        self.hr = LayerCombo(viewer, is_image, parent=self)
        self.hr_step = QDoubleSpinBox(self)
        self.hr_start = QDoubleSpinBox(self)
        self.hr_times = QLineEdit(self)
        self.separation = QSpinBox(self)
        self.found = Sentence(self)
        self._build()
        self.lr.chosen.connect(self.changed)
        self.hr.chosen.connect(self.changed)
        for box in (self.hr_step, self.hr_start, self.separation):
            box.valueChanged.connect(lambda _: self.changed.emit())
        self.hr_times.textChanged.connect(lambda _: self.changed.emit())
        self.hr.chosen.connect(self._believe_hr)
        self.changed.connect(self._offer_times)
        self._offer_times()

    @property
    def undecided(self) -> bool:
        """Whether LR and HR are not two layers yet."""
        return self.lr.layer() is self.hr.layer()

    @property
    def fits(self) -> bool:
        """Whether the chosen layers look like LR and HR of each other; reads no frame."""
        try:
            lr, hr = self.sequences()
        except InputError:
            return False
        found = tell_apart(lr, hr)
        return found is not None and found[0] is lr

    def guess(self) -> None:
        """Choose the first two sequences of the viewer that are LR and HR of each other."""
        roles = {known.role: layer for layer in self._viewer.layers if (known := provenance_of(layer))}
        if "lr" in roles and "hr" in roles:
            self.lr.choose(roles["lr"])
            self.hr.choose(roles["hr"])
            return
        self.choose([layer for layer in self._viewer.layers if is_image(layer)])

    def choose(self, layers: list[Layer]) -> None:
        """Choose LR and HR out of ``layers``: the first two that fit, else the first two.

        Of the latter the panel then says why they do not.
        """
        sequences = []
        for layer in layers:
            try:
                sequences.append((layer, stack_of(layer)))
            except InputError:
                continue
        for k, (a, first) in enumerate(sequences):
            for b, second in sequences[k + 1 :]:
                found = tell_apart(first, second)
                if found is not None:
                    self.lr.choose(a if found[0] is first else b)
                    self.hr.choose(b if found[0] is first else a)
                    return
        if len(sequences) > 1:
            lr, hr = sorted(
                sequences[:2], key=lambda each: (each[1].shape[1] * each[1].shape[2], -len(each[1]))
            )
            self.lr.choose(lr[0])
            self.hr.choose(hr[0])

    def layers(self) -> tuple[Image, Image]:
        """The layers of LR and HR; raises InputError where one is missing."""
        lr, hr = self.lr.layer(), self.hr.layer()
        if lr is None or hr is None:
            raise InputError("Data", problem="no image layer for LR and HR", hint="open both sequences")
        if lr is hr:
            raise InputError(
                "Data",
                problem=f"LR and HR are both {lr.name}",
                hint="choose another layer for LR or HR",
            )
        return lr, hr

    def sequences(self) -> tuple[Stack, Stack]:
        """LR and HR."""
        lr, hr = self.layers()
        return stack_of(lr), stack_of(hr)

    def show_hr_at(self, hr_times: Iterable[float]) -> None:
        """Show the HR sequence at these times, if we opened it and it was shown at others, or at none known."""
        layer, (lr, hr) = self.layers()[1], self.sequences()
        known, times = provenance_of(layer), tuple(map(float, hr_times))
        if (
            known is None
            or known.role != "hr"
            or known.sequence is not hr
            or times == self._shown_at(layer, hr)
        ):
            return
        redraw(layer, sequence_pair(lr, hr, times, title=title_of(layer))[1])
        self._shown = layer, times

    def values(self) -> dict[str, Any]:
        """The pairing as settings of a plan; raises InputError for HR times that are none."""
        times = parse_times(self.hr_times.text())
        by_step = times is None and self.hr_step.value() > 0
        return {
            "hr_times": times,
            "hr_step": self.hr_step.value() if by_step else None,
            "hr_start": self.hr_start.value() if by_step else 0.0,
            "separation": self.separation.value(),
        }

    def saved(self) -> dict[str, Any]:
        """What to remember."""
        return {
            "hr_step": self.hr_step.value(),
            "hr_start": self.hr_start.value(),
            "separation": self.separation.value(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Set what was remembered, where it can be."""
        for box, value in ((self.hr_step, saved.get("hr_step")), (self.hr_start, saved.get("hr_start"))):
            if isinstance(value, int | float):
                box.setValue(value)
        if isinstance(saved.get("separation"), int):
            self.separation.setValue(saved["separation"])

    def _believe_hr(self) -> None:
        """A sequence that knows when its frames were taken is believed; the step was that of another."""
        layer = self.hr.layer()
        known = provenance_of(layer) if layer is not None else None
        if known is not None and known.sequence is not None and known.sequence.metadata.hr_times is not None:
            self.hr_step.setValue(0)

    def _offer_times(self) -> None:
        """Turn off what has no effect: a step beside times, a start without a step."""
        by_step = not self.hr_times.text().strip()
        self.hr_step.setEnabled(by_step)
        self.hr_start.setEnabled(by_step and self.hr_step.value() > 0)

    def _shown_at(self, layer: Layer, hr: Stack) -> tuple[float, ...] | None:
        if self._shown is not None and self._shown[0] is layer:
            return self._shown[1]
        return hr.metadata.hr_times

    def _build(self) -> None:
        layout = form(self)
        for label, field, tip in (
            ("LR", self.lr, "The fast, coarse sequence"),
            ("HR", self.hr, "The sharp sequence with fewer frames, of the same field of view"),
            ("HR step", self.hr_step, "One HR frame every N LR frames; may be a fraction"),
            (
                "HR start",
                self.hr_start,
                "With an HR step: the LR frame at which the first HR frame was taken",
            ),
            (
                "HR times",
                self.hr_times,
                "Or the LR frame number of every HR frame: 0, 10, 20; or a file that holds them",
            ),
            ("Separation", self.separation, "LR frames between the three of a window"),
        ):
            add_row(layout, label, field, tip)
        layout.addRow(self.found)
        self.found.setToolTip("What was found, how the sequences pair, and what a run takes")
        self.hr_step.setRange(0, 1e6)
        self.hr_step.setDecimals(4)
        self.hr_step.setSpecialValueText("from the HR sequence")
        self.hr_start.setRange(-1e6, 1e6)
        self.hr_start.setDecimals(4)
        self.hr_times.setPlaceholderText("by step")
        self.separation.setRange(1, 1000)


def is_image(layer: Layer) -> bool:
    """Whether a layer can be taken for a sequence; what it holds is looked at later, and told."""
    return type(layer).__name__ == "Image"

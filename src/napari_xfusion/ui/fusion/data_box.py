"""The box for the LR and HR layers and the times of the HR frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QPushButton, QWidget

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.plan import Flaw, parse_times
from napari_xfusion.core.recordings import Fields, Recording
from napari_xfusion.core.rig import place_lr, tell_apart
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, XFusionError
from napari_xfusion.ui.fusion.fields_section import CAMERAS, Entered, FieldsSection
from napari_xfusion.ui.shared.compare import RECORDED
from napari_xfusion.ui.shared.files_edit import FilesEdit
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.layers import redraw, sequence_pair, title_of
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.read_again import show_again
from napari_xfusion.ui.shared.widgets import Follower, LayerCombo, Sentence, add_row, form, offer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer


OFFSETS = ("lr_time_offset", "hr_time_offset")
LONGEST_OFFSET = 1e12
"""Nanoseconds."""
REFRESHES = "Read LR and HR again: frames that were written since they were opened appear."


def _offset(camera: str) -> dict[str, Any]:
    tooltip = (
        f"Added to the times of {camera} frames: half the exposure, where they are its start, or a delay."
    )
    return row(f"{camera} offset", tooltip, -LONGEST_OFFSET, LONGEST_OFFSET)


@dataclass(frozen=True)
class Pairing:
    """The times of the HR frames, as entered."""

    hr_step: Annotated[float, row("HR step", "LR frames from HR frame to HR frame, e.g. 9.5.", 0, 1e6)] = 0.0
    hr_start: Annotated[float, row("HR start", "LR frame of the first HR frame.", -1e6, 1e6)] = 0.0
    hr_times: Annotated[str, row("HR times", "LR frames of all HR frames, or a text file of them.")] = ""
    lr_time_offset: Annotated[float, _offset("LR")] = 0.0
    hr_time_offset: Annotated[float, _offset("HR")] = 0.0


class DataBox(QGroupBox):
    """LR, HR and their pairing."""

    changed = Signal()
    pair_changed = Signal()
    """The layers are those of another pair; before ``changed``."""
    redrawn = Signal()
    """One of the layers gets other data, by whomever; its provenance may follow."""

    mend_asked = Signal(tuple)
    """What is to be corrected."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Data", parent)
        self._mends: tuple[Flaw, ...] = ()
        self._viewer = viewer
        self._shown: tuple[Layer, tuple[float, ...]] | None = None
        self._pair: list[str] = []
        """The last pair, whose times the fields show; see ``_identity``."""
        self._saved: Mapping[str, Any] = {}
        self.lr = LayerCombo(viewer, is_input, none="select a sequence", parent=self)
        self.hr = LayerCombo(viewer, is_input, none="select a sequence", parent=self)
        self.refresh = QPushButton("Refresh", self)
        self.rig, self.extent = FilesEdit("rig file", self), QComboBox(self)
        self.found = Sentence(self)
        self._data = Follower(self, ("data",), self.redrawn.emit)
        self.mend = QPushButton(self)
        self._build()
        self.mend.clicked.connect(lambda _: self.mend_asked.emit(self._mends))
        for combo in (self.lr, self.hr):
            combo.chosen.connect(self._on_chosen)
        self.changed.connect(self._update_fields)
        self._update_fields()

    @property
    def undecided(self) -> bool:
        """Whether LR and HR are not two different layers yet."""
        return None in (self.lr.layer(), self.hr.layer()) or self.lr.layer() is self.hr.layer()

    @property
    def fits(self) -> bool:
        """Whether the selected layers fit as LR and HR; reads no frame."""
        try:
            lr, hr = self.sequences()
        except InputError:
            return False
        found = tell_apart(lr, hr)
        return found is not None and found[0] is lr

    def guess(self) -> None:
        """Select the first two sequences of the viewer that fit as LR and HR."""
        roles = {known.role: layer for layer in self._viewer.layers if (known := provenance_of(layer))}
        if "lr" in roles and "hr" in roles:
            self.lr.choose(roles["lr"])
            self.hr.choose(roles["hr"])
            return
        self.choose(list(self._viewer.layers))

    def choose(self, layers: list[Layer]) -> None:
        """Select LR and HR among ``layers``: the first two that fit, else the first two.

        In the latter case the panel shows why they do not fit.
        """
        stacks = [(layer, _stack_or_error(layer)) for layer in layers if is_input(layer)]
        sequences = [(layer, stack) for layer, stack in stacks if isinstance(stack, Stack)]
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
        """The layers of LR and HR; raises InputError if one is missing."""
        lr, hr = self.lr.layer(), self.hr.layer()
        if lr is None or hr is None:
            raise self._missing("LR" if lr is None else "HR")
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

    def to_read(self, *, anew: bool) -> list[Recording | Stack] | None:
        """What LR and HR are to be read from if they are to be read again: all files if ``anew``, else those whose
        flats and darks are not those of the form. None where that is neither.

        Raises InputError where one of them is to be corrected and was not opened by this package.
        """
        stacks, names = self.sequences(), zip(CAMERAS, self.fields.entered(), self.layers(), strict=True)
        wanted = [
            _corrected(stack, entered.fields(name), layer)
            for stack, (name, entered, layer) in zip(stacks, names, strict=True)
        ]
        read = [
            x if isinstance(x, Recording) and (anew or x != stack.recording) else stack
            for x, stack in zip(wanted, stacks, strict=True)
        ]
        return read if any(isinstance(x, Recording) for x in read) else None

    def show_read(self, stacks: Sequence[Stack]) -> None:
        """Show LR and HR as they were read again."""
        show_again(self.layers(), stacks)

    def offer(self, mends: tuple[Flaw, ...]) -> None:
        """Show a button that corrects ``mends``; none where there is nothing."""
        self._mends = mends
        names = ["shift and turn"] * ("shift" in mends) + ["HR times"] * ("time" in mends)
        self.mend.setText(f"Correct {' and '.join(names)}")
        self.mend.setVisible(bool(mends))

    def show_hr_at(self, hr_times: Iterable[float], calibration: Calibration | None) -> None:
        """Show the HR sequence at these times, if this plugin opened it and shows it at other or unknown times."""
        layer, (lr, hr) = self.layers()[1], self.sequences()
        known, times = provenance_of(layer), tuple(map(float, hr_times))
        if (
            known is None
            or known.role != "hr"
            or known.sequence is not hr
            or times == self._shown_at(layer, hr)
        ):
            return
        pair = sequence_pair(lr, hr, times, title=title_of(layer), calibration=calibration)
        redraw(layer, pair[1])
        self._shown = layer, times

    def choose_pair(self, lr: Layer, hr: Layer, rig_file: str) -> None:
        """Select LR, HR and their rig file."""
        self.lr.choose(lr)
        self.hr.choose(hr)
        self.rig.set_paths([rig_file])

    def calibration(self) -> Calibration | None:
        """The content of the rig file; None without one. Raises InputError where it is no rig file."""
        paths = self.rig.paths()
        if len(paths) > 1:
            raise InputError(
                setting="rig", expected="one file", found=f"{len(paths)}", hint="keep one of them"
            )
        return Calibration.load(paths[0]) if paths else None

    def values(self) -> dict[str, Any]:
        """Rig file and pairing as settings of a plan; raises InputError for an invalid rig file or HR times."""
        entered = self.pairing.value()
        times = parse_times(entered.hr_times)
        by_step = times is None and entered.hr_step > 0
        return {
            "calibration": self.calibration(),
            "extent": self.extent.currentText(),
            "hr_times": times,
            "hr_step": entered.hr_step if by_step else None,
            "hr_start": entered.hr_start if by_step else 0.0,
            **{name: getattr(entered, name) for name in OFFSETS if self.pairing[name].enabled},
        }

    def saved(self) -> dict[str, Any]:
        """The times, flats and darks of this pair, for the next session."""
        fields = [each._asdict() for each in self.fields.entered()]
        rig = {"rig": self.rig.text(), "extent": self.extent.currentText()}
        return {"pair": self._pair, "fields": fields, **rig, **asdict(self.pairing.value())}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Remember the values of the last session for their pair."""
        self._saved = saved

    def _on_chosen(self) -> None:
        """Times belong to one pair: another one begins with those saved for it, or without."""
        if not self.undecided:
            pair = [_identity(layer) for layer in self.layers()]
            if pair != self._pair:
                first, self._pair = not self._pair, pair
                saved = self._saved if self._saved.get("pair") == pair else {}
                self._restore_fields(saved)
                self._restore_rig(saved)
                hr = _stack_or_error(self.hr.layer())
                known = isinstance(hr, Stack) and hr.metadata.hr_times is not None
                if saved and not known:
                    self.pairing.restore(saved)
                elif not first or known:
                    self.pairing.restore(asdict(Pairing()))
                    self.pair_changed.emit()
        self.changed.emit()

    def _restore_fields(self, saved: Mapping[str, Any]) -> None:
        """Show the flats and darks of the selected recordings; where they have none, the saved ones."""
        stacks = [_stack_or_error(layer) for layer in self.layers()]
        entered = [_entered(stack) for stack in stacks]
        if not any(entered):
            entered = [_saved_fields(saved, k) for k in range(len(CAMERAS))]
        self.fields.restore(each or Entered() for each in entered)
        self.fields.begin_in(*(stack.source if isinstance(stack, Stack) else "" for stack in stacks))

    def _restore_rig(self, saved: Mapping[str, Any]) -> None:
        """The rig file that was saved for the pair; that of the last pair stays where it is of these cameras."""
        if saved.get("rig"):
            self.rig.setText(str(saved["rig"]))
            self.extent.setCurrentText(str(saved.get("extent")))
            return
        try:
            calibration = self.calibration()
            if calibration is not None:
                place_lr(*self.sequences(), calibration)
        except XFusionError:
            self.rig.clear()

    def _missing(self, name: str) -> InputError:
        """Why the sequence called ``name`` cannot be selected, or that it is not."""
        layers = [x for x in self._viewer.layers if is_input(x) or type(x).__name__ == "Labels"]
        found = [_stack_or_error(layer) for layer in layers]
        stacks = [layer for layer, stack in zip(layers, found, strict=True) if isinstance(stack, Stack)]
        errors = [error for error in found if isinstance(error, InputError)]
        if len(stacks) > 1:
            return InputError("Data", problem=f"{name} is not selected", hint=f"select the {name} sequence")
        if errors:
            return errors[0]
        if stacks:
            return InputError(
                "Data", problem=f"only one sequence is open, {stacks[0].name}", hint="open the other one"
            )
        hint = "drop the LR and the HR file on the window, or open the sample with File > Open Sample"
        return InputError("Data", problem="no image sequence is open", hint=hint)

    def _update_fields(self) -> None:
        """Disable what has no effect.

        That is the step if times are given, the start without a step, offsets without LR frame times, and Refresh
        without files.
        """
        entered = self.pairing.value()
        by_step = not entered.hr_times.strip()
        self.pairing["hr_step"].enabled = by_step
        self.pairing["hr_start"].enabled = by_step and entered.hr_step > 0
        lr, hr = self.lr.layer(), self.hr.layer()
        layers = [layer for layer in (lr, hr) if layer is not None]
        stacks = [_stack_or_error(layer) for layer in layers]
        fast = None if lr is None else stacks[0]
        for name in OFFSETS:
            self.pairing[name].enabled = isinstance(fast, Stack) and fast.clock.interval is not None
        self.extent.setEnabled(bool(self.rig.text().strip()))
        files = any(isinstance(x, Stack) and isinstance(x.recording, Recording) for x in stacks)
        offer(self.refresh, REFRESHES, "" if files else "Neither LR nor HR was opened by napari-xfusion.")
        self._data.follow(layers)

    def _shown_at(self, layer: Layer, hr: Stack) -> tuple[float, ...] | None:
        if self._shown is not None and self._shown[0] is layer:
            return self._shown[1]
        return hr.metadata.hr_times

    def _build(self) -> None:
        layout = form(self)
        add_row(layout, "LR", self.lr, "The fast, low-resolution sequence.")
        add_row(layout, "HR", self.hr, "The slow, high-resolution sequence of the same field of view.")
        add_row(layout, "", self.refresh, REFRESHES)
        self._add_rig(layout)
        self.pairing = Form(Pairing, layout, self.changed.emit)
        self.pairing["hr_step"].native.setSpecialValueText("from rig or HR file")
        self.pairing["hr_times"].native.setPlaceholderText("from HR step")
        for name in OFFSETS:
            self.pairing[name].native.setSuffix(" ns")
        self.fields = FieldsSection(self, self.changed.emit)
        layout.addRow(self.fields)
        layout.addRow(self.found)
        layout.addRow(self.mend)
        self.mend.setToolTip("Fuse the cameras as they fit by what both show.")
        self.mend.hide()
        self.found.setToolTip("Properties and pairing of the sequences, and the cost of a run.")

    def _add_rig(self, layout: QFormLayout) -> None:
        tip = "Where LR lies on HR, and when HR frames were taken: a file of the panel Rig (two cameras).\n"
        tip += "Without one, both cameras must show the same field of view."
        add_row(layout, "Rig file", (self.rig, self.rig.browse), tip)
        self.extent.addItems(["overlap", "hr"])
        tip = "With a rig file: fuse the HR pixels that LR sees, or complete HR frames."
        add_row(layout, "Extent", self.extent, tip)
        self.rig.textChanged.connect(lambda _: self.changed.emit())
        self.extent.currentIndexChanged.connect(lambda _: self.changed.emit())


def is_image(layer: Layer) -> bool:
    """Whether a layer is an image layer; its content is checked later."""
    return type(layer).__name__ == "Image"


def is_input(layer: Layer) -> bool:
    """Whether a layer is an image that can serve as LR or HR: what this package computed from others cannot."""
    known = provenance_of(layer)
    recorded = known is None or (known.role in RECORDED and not known.origins)
    return is_image(layer) and recorded


def _corrected(stack: Stack, fields: Fields, layer: Layer) -> Recording | Stack:
    """The recording of ``stack`` by ``fields``; ``stack`` itself if there is no recording."""
    if isinstance(stack.recording, Recording):
        return stack.recording.by(fields)
    if not fields:
        return stack
    raise InputError(
        f"layer {layer.name}",
        problem="flats and darks are for recordings that napari-xfusion opened",
        hint="open its file or folder with napari-xfusion, or clear its fields",
    )


def _stack_or_error(layer: Layer) -> Stack | InputError:
    try:
        return stack_of(layer)
    except InputError as error:
        return error


def _entered(stack: Stack | InputError) -> Entered | None:
    """The flats and darks that a recording was opened with; None without."""
    recording = stack.recording if isinstance(stack, Stack) else None
    fields = recording.options.fields if isinstance(recording, Recording) else None
    return Entered.of(fields) if fields else None


def _saved_fields(saved: Mapping[str, Any], k: int) -> Entered | None:
    """The flats and darks of camera ``k`` in the settings file, which may contain anything."""
    try:
        texts = saved["fields"][k]
        return Entered(**{name: str(texts[name]) for name in Entered._fields})
    except (LookupError, TypeError):
        return None


def _identity(layer: Layer) -> str:
    """The file of a layer that this package opened; of another layer what napari tells it from others by."""
    stack = _stack_or_error(layer)
    in_file = isinstance(stack, Stack) and stack.recording is not None
    return stack.source if in_file else str(layer.unique_id)

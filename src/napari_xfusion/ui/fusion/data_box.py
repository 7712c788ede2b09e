"""The section for the LR and HR layers: what they are, what their files do not hold, flats and darks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.recordings import Fields, Recording
from napari_xfusion.core.recordings.readers import file_endings
from napari_xfusion.core.rig import tell_apart
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, XFusionError
from napari_xfusion.ui.fusion.alignment_box import AlignmentBox, Pairing
from napari_xfusion.ui.fusion.fields_section import CAMERAS, Entered, FieldsSection
from napari_xfusion.ui.fusion.known_section import Known, KnownSection
from napari_xfusion.ui.fusion.recent import Recent, RecentButton
from napari_xfusion.ui.shared.compare import RECORDED
from napari_xfusion.ui.shared.layers import redraw, sequence_pair, title_of
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.read_again import PLUGIN, open_file, show_again
from napari_xfusion.ui.shared.steps import Facts, StepSection
from napari_xfusion.ui.shared.widgets import Follower, LayerCombo, add_row, offer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer


RECORDINGS = "Recordings"
SAMPLE = "two-cameras"
REFRESHES = "Read LR and HR again: frames that were written since they were opened appear."


class DataBox(StepSection):
    """LR and HR."""

    changed = Signal()
    pair_changed = Signal()
    """The layers are those of another pair; before ``changed``."""
    redrawn = Signal()
    """One of the layers gets other data, by whomever; its provenance may follow."""

    def __init__(self, viewer: napari.Viewer, alignment: AlignmentBox, parent: QWidget) -> None:
        super().__init__(RECORDINGS, parent)
        self._viewer, self._alignment = viewer, alignment
        self._shown: tuple[Layer, tuple[float, ...]] | None = None
        self._pair: list[str] = []
        """The last pair, whose times the fields show; see ``_identity``."""
        self._recent = Recent()
        self.lr = LayerCombo(viewer, is_input, none="select a sequence", parent=self)
        self.hr = LayerCombo(viewer, is_input, none="select a sequence", parent=self)
        self.open = QPushButton("Open …", self)
        self.recent = RecentButton(self._recent, lambda: self._pair, self)
        self.sample = QPushButton("Sample", self)
        self.refresh = QPushButton("Refresh", self)
        self.again = QPushButton("Open again by napari-xfusion", self)
        self.table = Facts(self)
        self._data = Follower(self, ("data",), self.redrawn.emit)
        self._build()
        for combo in (self.lr, self.hr):
            combo.chosen.connect(self._on_chosen)
        self.changed.connect(self._update_fields)
        alignment.changed.connect(self.changed)
        self.open.clicked.connect(lambda _: self._open())
        self.recent.chosen.connect(self.open_pair)
        self.recent.cleared.connect(self._clear_recent)
        self.sample.clicked.connect(lambda _: viewer.open_sample(PLUGIN, SAMPLE))
        self.again.clicked.connect(lambda _: self.open_again())
        self._update_fields()

    @property
    def empty(self) -> bool:
        """Whether no image is open that can serve as LR or HR."""
        return not any(map(is_input, self._viewer.layers))

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
                RECORDINGS,
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
        show_again(self.layers(), self._with_known(stacks))

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
        self._alignment.rig.set_paths([rig_file])

    def saved(self) -> dict[str, Any]:
        """The last pairs with their times, sizes, rates, flats and darks, this one first, for the next session."""
        if self._pair and not self.undecided:
            fields = [each._asdict() for each in self.fields.entered()]
            known = asdict(self.known.value())
            values = {"pair": self._pair, "fields": fields, "known": known, **self._alignment.saved()}
            self._recent.put(values)
            self.recent.update_button()
        return self._recent.saved()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Remember the pairs of earlier sessions with their values."""
        self._recent.restore(saved)
        self.recent.update_button()

    def open_pair(self, pair: list[str]) -> None:
        """Open two recordings, unless they are open, and select them as LR and HR."""
        for path in pair:
            if self._layer_of(path) is None:
                open_file(self._viewer, path)
        lr, hr = map(self._layer_of, pair)
        if lr is not None and hr is not None:
            self.lr.choose(lr)
            self.hr.choose(hr)

    def _layer_of(self, path: str) -> Layer | None:
        """The layer that shows the recording at ``path``."""
        inputs = filter(is_input, self._viewer.layers)
        return next((layer for layer in inputs if _identity(layer) == path), None)

    def _clear_recent(self) -> None:
        self._recent.clear()
        self.recent.update_button()

    def _on_chosen(self) -> None:
        """Times belong to one pair: another one begins with those saved for it, or without."""
        if not self.undecided:
            pair = [_identity(layer) for layer in self.layers()]
            if pair != self._pair:
                first, self._pair = not self._pair, pair
                saved = self._recent.of(pair)
                self._restore_fields(saved)
                lr, hr = map(_stack_or_none, self.layers())
                self._alignment.restore_rig(saved, lr, hr)
                known = hr is not None and hr.metadata.hr_times is not None
                if saved and not known:
                    self._alignment.pairing.restore(saved)
                elif not first or known:
                    self._alignment.pairing.restore(asdict(Pairing()))
                    self.pair_changed.emit()
                self._restore_known(saved.get("known"))
                self._alignment.history.begin()
        self.changed.emit()

    def _restore_fields(self, saved: Mapping[str, Any]) -> None:
        """Show the flats and darks of the selected recordings; where they have none, the saved ones."""
        stacks = [_stack_or_error(layer) for layer in self.layers()]
        entered = [_entered(stack) for stack in stacks]
        if not any(entered):
            entered = [_saved_fields(saved, k) for k in range(len(CAMERAS))]
        self.fields.restore(each or Entered() for each in entered)
        self.fields.begin_in(*(stack.source if isinstance(stack, Stack) else "" for stack in stacks))

    def _restore_known(self, saved: object) -> None:
        """Sizes and rates that were saved for the pair."""
        self._update_fields()
        self.known.restore(saved if isinstance(saved, dict) else {})
        if self.known.value() != Known():
            self._on_known()

    def _missing(self, name: str) -> InputError:
        """Why the sequence called ``name`` cannot be selected, or that it is not."""
        layers = [x for x in self._viewer.layers if is_input(x) or type(x).__name__ == "Labels"]
        found = [_stack_or_error(layer) for layer in layers]
        stacks = [layer for layer, stack in zip(layers, found, strict=True) if isinstance(stack, Stack)]
        errors = [error for error in found if isinstance(error, InputError)]
        if len(stacks) > 1:
            return InputError(
                RECORDINGS, problem=f"{name} is not selected", hint=f"select the {name} sequence"
            )
        if errors:
            return errors[0]
        if stacks:
            return InputError(
                RECORDINGS, problem=f"only one sequence is open, {stacks[0].name}", hint="open the other one"
            )
        hint = "drop the LR and the HR file on the window, or open the sample with File > Open Sample"
        return InputError(RECORDINGS, problem="no image sequence is open", hint=hint)

    def _update_fields(self) -> None:
        """Disable what has no effect or nothing to do."""
        layers = [self.lr.layer(), self.hr.layer()]
        stacks = [_stack_or_none(layer) for layer in layers]
        self._alignment.update_fields(*stacks)
        own = [layer is not None and provenance_of(layer) is not None for layer in layers]
        self.known.offer(stacks, own)
        files = any(stack is not None and isinstance(stack.recording, Recording) for stack in stacks)
        offer(self.refresh, REFRESHES, "" if files else "Neither LR nor HR was opened by napari-xfusion.")
        self.sample.setVisible(self.empty)
        self.again.setVisible(bool(self.foreign()))
        self._data.follow(layer for layer in layers if layer is not None)

    # Files.

    def field(self, setting: str) -> QWidget | None:
        """The field of a setting; None where it is not here."""
        own: dict[str, QWidget] = {f"{name.lower()}_normalise": self.fields.beams[name] for name in CAMERAS}
        own |= {name: self.known.fields[name].native for name in asdict(Known())}
        return own.get(setting)

    def foreign(self) -> list[Layer]:
        """Those of LR and HR that another reader opened from a file: sizes and times of the file are lost."""
        layers = dict.fromkeys(layer for layer in (self.lr.layer(), self.hr.layer()) if layer is not None)
        return [layer for layer in layers if provenance_of(layer) is None and layer.source.path]

    def open_again(self) -> None:
        """Open the files of ``foreign`` layers by this package, in place of these."""
        for layer in self.foreign():
            if open_file(self._viewer, layer.source.path):
                self._viewer.layers.remove(layer)
        self.guess()

    def _open(self) -> None:
        endings = " ".join(f"*{ending}" for ending in file_endings())
        kinds = f"Recordings ({endings});;All files (*)"
        for path in QFileDialog.getOpenFileNames(self, "Open LR and HR", "", kinds)[0]:
            open_file(self._viewer, path)

    def _on_known(self) -> None:
        """Show LR and HR with the entered sizes and rates; both rates give the HR step."""
        known = self.known.value()
        if not self.undecided:
            before = self.sequences()
            now = self._with_known(before)
            if any(a is not b for a, b in zip(before, now, strict=True)):
                with suppress(XFusionError):  # the check says why they do not pair
                    show_again(self.layers(), now)
            if known.hr_step:
                self._alignment.pairing["hr_step"].value = known.hr_step
        self.changed.emit()

    def _with_known(self, stacks: Iterable[Stack]) -> list[Stack]:
        known = self.known.value()
        return [known.of(camera.lower(), stack) for camera, stack in zip(CAMERAS, stacks, strict=True)]

    def _shown_at(self, layer: Layer, hr: Stack) -> tuple[float, ...] | None:
        if self._shown is not None and self._shown[0] is layer:
            return self._shown[1]
        return hr.metadata.hr_times

    def _build(self) -> None:
        add_row(self.rows, "LR", self.lr, "The fast, low-resolution sequence.")
        add_row(self.rows, "HR", self.hr, "The slow, high-resolution sequence of the same field of view.")
        line = QHBoxLayout()
        for button, tip in (
            (self.open, "Open the LR and the HR file. Folders of frames can be dropped on the window."),
            (self.recent, self.recent.toolTip()),
            (self.sample, "Open two simulated recordings of one event, and their truth."),
            (self.refresh, REFRESHES),
        ):
            button.setToolTip(tip)
            line.addWidget(button)
        self.rows.addRow(line)
        self.again.setToolTip(
            "Another reader opened them without their sizes and times: open the files again."
        )
        self.rows.addRow(self.again)
        self.rows.addRow(self.table)
        self.known = KnownSection(self, self._on_known)
        self.rows.addRow(self.known)
        self.fields = FieldsSection(self, self.changed.emit)
        self.rows.addRow(self.fields)


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


def _stack_or_none(layer: Layer | None) -> Stack | None:
    stack = None if layer is None else _stack_or_error(layer)
    return stack if isinstance(stack, Stack) else None


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

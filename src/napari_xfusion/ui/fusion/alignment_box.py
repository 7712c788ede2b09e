"""The section of a pair's place and time: the rig file, or the same field of view, and the times of the HR frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QPushButton, QWidget

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.plan import parse_times
from napari_xfusion.core.rig import place_lr
from napari_xfusion.core.rig.step import HrStep, find_step
from napari_xfusion.core.types import Token
from napari_xfusion.errors import InputError, XFusionError
from napari_xfusion.ui.shared.files_edit import FilesEdit
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.history import UndoButtons
from napari_xfusion.ui.shared.job import Outcome, Tell, Worker, until
from napari_xfusion.ui.shared.steps import StepSection
from napari_xfusion.ui.shared.widgets import Sentence, add_row, offer
from napari_xfusion.ui.shared.words import field as label_of
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    from napari_xfusion.core.types import Stack

OFFSETS = ("lr_time_offset", "hr_time_offset")
LONGEST_OFFSET = 1e12
"""Nanoseconds."""
FIND, STOP = "Find HR step and start", "Stop"
FINDS = "Compare all frames for the HR step and start at which HR agrees best with LR. Check the result."


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


class AlignmentBox(StepSection):
    """Rig file and times of one pair."""

    changed = Signal()
    rig_asked = Signal()
    """The user wants the Rig panel."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Alignment", parent)
        self.rig, self.extent = FilesEdit("rig file", self), QComboBox(self)
        self.open_rig = QPushButton("Open the Rig panel", self)
        tip = "Where LR lies on HR, and when HR frames were taken: a file of the panel Rig (two cameras).\n"
        tip += "Without one, both cameras must show the same field of view."
        add_row(self.rows, "Rig file", (self.rig, self.rig.browse), tip)
        add_row(self.rows, "", self.open_rig, "Fit where LR lies on HR, and when HR frames were taken.")
        self.extent.addItems(["overlap", "hr"])
        tip = "With a rig file: fuse the HR pixels that LR sees, or complete HR frames."
        add_row(self.rows, "Extent", self.extent, tip)
        self.pairing = Form(Pairing, self.rows, self.changed.emit)
        self.pairing["hr_step"].native.setSpecialValueText("from rig or HR file")
        self.pairing["hr_times"].native.setPlaceholderText("from HR step")
        for name in OFFSETS:
            self.pairing[name].native.setSuffix(" ns")
        self.search, self.found = QPushButton(FIND, self), Sentence(self)
        self.found.setToolTip("The HR step and start that fit best, or why that is not certain.")
        self.rows.addRow(self.search)
        self.rows.addRow(self.found)
        self._say("")
        self._stacks: tuple[Stack | None, Stack | None] = (None, None)
        self._searching = Worker(self, "HR step", ended=self._on_found, every=50)
        self.history = UndoButtons(self, self.saved, self._show, _differences)
        self.rows.addRow(self.history)
        self.open_rig.clicked.connect(lambda _: self.rig_asked.emit())
        self.search.clicked.connect(lambda _: self._find())
        self.changed.connect(self.history.changed)
        self.rig.textChanged.connect(lambda _: self.changed.emit())
        self.extent.currentIndexChanged.connect(lambda _: self.changed.emit())

    def field(self, setting: str) -> QWidget | None:
        """The field of a setting; None where it is not here."""
        own = {"rig": self.rig, "extent": self.extent}
        own |= {name: self.pairing[name].native for name in asdict(Pairing())}
        return own.get(setting)

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
        """What belongs to the pair, for the next session."""
        return {"rig": self.rig.text(), "extent": self.extent.currentText(), **asdict(self.pairing.value())}

    def restore_rig(self, saved: Mapping[str, Any], lr: Stack | None, hr: Stack | None) -> None:
        """The rig file that was saved for the pair; that of the last pair stays where it is of these cameras."""
        if saved.get("rig"):
            self.rig.setText(str(saved["rig"]))
            self.extent.setCurrentText(str(saved.get("extent")))
            return
        try:
            calibration = self.calibration()
            if calibration is not None and lr is not None and hr is not None:
                place_lr(lr, hr, calibration)
        except XFusionError:
            self.rig.clear()

    def _show(self, values: Mapping[str, Any]) -> None:
        """Show earlier values."""
        self.rig.setText(str(values["rig"]))
        self.extent.setCurrentText(str(values["extent"]))
        self.pairing.restore(values)

    def update_fields(self, lr: Stack | None, hr: Stack | None) -> None:
        """Disable what has no effect: the step if times are given, the start without a step, offsets without times.

        A search for the step of another pair ends.
        """
        if self._stacks != (lr, hr):
            self._stacks = lr, hr
            self._searching.forget()
            self._say("")
        self._offer()
        entered = self.pairing.value()
        by_step = not entered.hr_times.strip()
        self.pairing["hr_step"].enabled = by_step
        self.pairing["hr_start"].enabled = by_step and entered.hr_step > 0
        for name in OFFSETS:
            self.pairing[name].enabled = lr is not None and lr.clock.interval is not None
        self.extent.setEnabled(bool(self.rig.text().strip()))

    def _offer(self) -> None:
        reason = "Select LR and HR first." if None in self._stacks else ""
        self.search.setText(STOP if self._searching.busy else FIND)
        offer(self.search, "Stop; nothing changes." if self._searching.busy else FINDS, reason)

    def _say(self, words: str) -> None:
        self.found.setText(words)
        self.found.setVisible(bool(words))

    def find_step(self) -> None:
        """Find step and start, unless that is being done."""
        if not self._searching.busy:
            self._find()

    def _find(self) -> None:
        """Find step and start in the background, or stop that."""
        lr, hr = self._stacks
        if self._searching.busy:
            self._searching.cancel()
        elif lr is not None and hr is not None:
            try:
                calibration = self.calibration()
            except InputError as error:
                self._say(in_window_words(error))
                return

            def body(stop: Token, _tell: Tell) -> HrStep:
                return find_step(lr, hr, calibration, progress=until(stop))

            self._searching.ask(body)
            self._say("Comparing all frames …")
            self._offer()

    def _on_found(self, outcome: Outcome) -> None:
        self._offer()
        if outcome.value is None:
            self._say(outcome.in_words() or "Stopped; nothing changed.")
            return
        found: HrStep = outcome.value
        self.history.record()  # what was entered before is one change, this is the next
        self.pairing.restore({"hr_step": found.step, "hr_start": found.start, "hr_times": ""})
        self.history.record()
        self._say(
            f"HR step {found.step:g} from LR frame {found.start:g}: LR explains {found.explained:.1%} of what changes "
            "in HR."
        )


def _differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> str:
    """What differs between two values of the section: ``HR step 4``."""
    differing = {label_of(name): value for name, value in then.items() if value != now[name]}
    values = ((label, f"{x:g}" if isinstance(x, float) else x or "none") for label, x in differing.items())
    return ", ".join(f"{label} {value}" for label, value in values)

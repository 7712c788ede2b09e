"""The section for flats, darks and the normalisation of both cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from qtpy.QtWidgets import QComboBox, QWidget

from napari_xfusion.core.recordings import Fields
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from napari_xfusion.ui.shared.files_edit import FilesEdit, join_paths, split_paths
from napari_xfusion.ui.shared.widgets import Section, add_row

TITLE = "Flats and darks"
OFF, MEAN = "off", "mean"
CAMERAS = ("LR", "HR")


class Entered(NamedTuple):
    """Flats, darks and normalisation of one camera, as texts of the form."""

    flats: str = ""
    darks: str = ""
    beam: str = OFF

    @classmethod
    def of(cls, fields: Fields) -> Entered:
        """The texts that stand for ``fields``."""
        return cls(join_paths(fields.flats), join_paths(fields.darks), str(fields.beam or OFF))

    def fields(self, camera: str) -> Fields:
        """The value of the texts; raises InputError where the normalisation of ``camera`` is none."""
        return Fields(split_paths(self.flats), split_paths(self.darks), _beam(self.beam, camera))


def _beam(text: str, camera: str) -> Region | str | None:
    word = text.strip().lower()
    if word in ("", OFF):
        return None
    if word == MEAN:
        return MEAN
    try:
        return Region.parse(word)
    except ValueError:
        raise InputError(
            setting=f"{camera.lower()}_normalise",
            expected=f"{OFF}, {MEAN} or rows and columns as A:B,C:D, such as 0:40,0:128",
            found=text,
            hint="correct it",
        ) from None


class FieldsSection(Section):
    """The fields of both cameras; calls ``changed`` after every change."""

    def __init__(self, parent: QWidget, changed: Callable[[], object]) -> None:
        super().__init__(TITLE, parent)
        self.flats = {name: FilesEdit(f"{name} flats", self) for name in CAMERAS}
        self.darks = {name: FilesEdit(f"{name} darks", self) for name in CAMERAS}
        self.beams = {name: QComboBox(self) for name in CAMERAS}
        for name in CAMERAS:
            self._add_rows(name)
            for edit in (self.flats[name], self.darks[name]):
                edit.textChanged.connect(lambda _: changed())
            self.beams[name].currentTextChanged.connect(lambda _: changed())

    def entered(self) -> tuple[Entered, Entered]:
        """The texts for LR and HR."""
        lr, hr = (
            Entered(self.flats[name].text(), self.darks[name].text(), self.beams[name].currentText())
            for name in CAMERAS
        )
        return lr, hr

    def restore(self, entered: Iterable[Entered]) -> None:
        """Show other texts for LR and HR; the section opens where they have an effect."""
        for name, texts in zip(CAMERAS, entered, strict=True):
            self.flats[name].setText(texts.flats)
            self.darks[name].setText(texts.darks)
            self.beams[name].setCurrentText(texts.beam)
            if texts != Entered():
                self.expand(animate=False)

    def begin_in(self, *recordings: str) -> None:
        """Let the dialogs of LR and HR begin in the folders of their recordings."""
        for name, recording in zip(CAMERAS, recordings, strict=True):
            for edit in (self.flats[name], self.darks[name]):
                edit.folder = str(Path(recording).parent)

    def _add_rows(self, name: str) -> None:
        flats, darks, beam = self.flats[name], self.darks[name], self.beams[name]
        beam.setEditable(True)
        beam.addItems([OFF, MEAN])
        beam.setAccessibleName(f"{name} beam")
        tip = (
            f"Recordings of the open beam by the {name} camera; of two, the first was taken before, the other after.\n"
            "own: those in the recording's own HDF5 file. Separate several paths by ; or drop files here."
        )
        add_row(self.rows, f"{name} flats", (flats, flats.browse), tip)
        tip = f"Recordings of the {name} camera without beam; own: those in the recording's own HDF5 file."
        add_row(self.rows, f"{name} darks", (darks, darks.browse), tip)
        tip = (
            "Divide each frame by its mean, or by that of a region which only the beam reaches:\n"
            f"rows and columns of the {name} camera as A:B,C:D, such as 0:40,0:128."
        )
        add_row(self.rows, f"{name} beam", beam, tip)
        beam.lineEdit().setToolTip(tip)

"""Where the panels save to: endings, what is replaced, and what is told."""

from pathlib import Path

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_xfusion.errors import OutputError
from napari_xfusion.ui.shared.saving import ask_and_save

KINDS = "TIFF (*.tif);;OME-TIFF (*.ome.tif)"


@pytest.fixture
def saved(monkeypatch, qtbot, tmp_path):
    """Saves under a typed name; the paths that were written."""

    def save(typed: str, kind: str = "TIFF (*.tif)") -> list[str]:
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_: (typed and str(tmp_path / typed), kind)
        )
        paths: list[Path] = []
        ask_and_save(None, "Save sequence", "a/b.tif", KINDS, paths.append)
        return [path.name for path in paths]

    return save


@pytest.mark.parametrize(
    ("typed", "kind", "name"),
    [
        ("sequence.TIF", "TIFF (*.tif)", "sequence.TIF"),
        ("sequence", "TIFF (*.tif)", "sequence.tif"),
        ("sequence", "OME-TIFF (*.ome.tif)", "sequence.ome.tif"),
        ("melt 1.5us", "TIFF (*.tif)", "melt 1.5us.tif"),
        ("-ä #1.tif", "TIFF (*.tif)", "-ä #1.tif"),
        ("sequence.png", "TIFF (*.tif)", "sequence.png"),
    ],
)
def test_a_name_without_an_ending_gets_that_of_its_kind(saved, typed, kind, name):
    assert saved(typed, kind) == [name]


def test_no_name_saves_nothing(saved):
    assert saved("") == []


@pytest.mark.parametrize(("answer", "names"), [("Yes", ["sequence.tif"]), ("No", [])])
def test_what_the_dialog_did_not_ask_to_replace_is_asked_for(saved, tmp_path, monkeypatch, answer, names):
    asked = []
    monkeypatch.setattr(
        QMessageBox, "question", lambda *words: asked.append(words[-1]) or QMessageBox.StandardButton[answer]
    )
    (tmp_path / "sequence.tif").touch()
    assert saved("sequence") == names
    assert asked == ["sequence.tif already exists. Overwrite it?"]


def test_an_error_is_told(monkeypatch, qtbot, tmp_path):
    def fail(path):
        raise OutputError(path.name, expected="a disk", found="none", hint="find one")

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "x.tif"), KINDS))
    ask_and_save(None, "Save sequence", "x.tif", KINDS, fail)
    assert notification_manager.records[-1].message == "x.tif: expected a disk, found none. Find one."

"""Undo and redo of values, and of the section Alignment."""

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent, QShortcut
from qtpy.QtWidgets import QApplication

from napari_xfusion.ui.shared.history import MOST, History
from tests.ui.sequences import open_panel, open_sequences, settled
from tests.ui.test_fusion_panel import write_without_times


def test_values_are_undone_and_redone():
    history = History(0)
    for value in (1, 2, 2, 3):
        history.record(value)
    assert [history.undo() for _ in range(4)] == [2, 1, 0, 0]
    assert [history.redo() for _ in range(4)] == [1, 2, 3, 3]
    history.undo()
    history.record(9)
    assert history.redo() == 9
    for value in range(100, 200):
        history.record(value)
    assert len(history.past) == MOST
    history.begin(5)
    assert history.undo() == history.redo() == 5


@pytest.mark.drawn(False)
def test_changes_of_the_alignment_are_undone_and_belong_to_the_pair(viewer, tmp_path, qtbot):
    open_sequences(viewer, write_without_times(tmp_path / "first"))
    panel = open_panel(viewer, qtbot)
    box, pairing = panel.alignment, panel.alignment.pairing
    assert not box.history.undo.isEnabled()
    undo, redo = sorted(box.findChildren(QShortcut), key=lambda made: len(made.key().toString()))

    def values():
        return pairing["hr_step"].value, pairing["hr_start"].value, box.rig.text()

    pairing["hr_step"].value = 9  # the digits of a number are one change
    pairing["hr_step"].value = 9.5
    box.history.record()
    pairing["hr_start"].value = 2
    box.history.record()
    assert "HR start 0" in box.history.undo.toolTip()
    box.rig.setText("no-such-rig.json")
    undo.activated.emit()
    assert values() == (9.5, 2, "")
    undo.activated.emit()
    box.history.undo.click()
    assert values() == (0, 0, "")
    assert not box.history.undo.isEnabled()
    redo.activated.emit()
    assert values() == (9.5, 0, "")
    settled(panel, qtbot)
    assert panel._problem  # 9 LR frames hold no three HR frames of that step
    pairing["hr_step"].value = 4
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled(), panel.run_box.status.text()
    box.history.record()
    assert not box.history.redo.isEnabled()

    # The key in a field is that of the section.
    key = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QApplication.sendEvent(pairing["hr_step"].native, key)
    assert not key.isAccepted()

    # Another pair begins anew.
    open_sequences(viewer, write_without_times(tmp_path / "second"))
    panel.data.lr.choose(viewer.layers[-2])
    panel.data.hr.choose(viewer.layers[-1])
    assert values() == (0, 0, "")
    assert not box.history.undo.isEnabled()

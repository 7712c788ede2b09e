"""The button that finds HR step and start: it fills both fields, is undone at once, or says why it is not certain."""

import pytest
import tifffile

from napari_xfusion.core.rig import step
from napari_xfusion.lab.demo import sample_sequence
from tests.ui.samples import wait
from tests.ui.sequences import Pace, open_panel, open_sequences, settled

pytestmark = pytest.mark.drawn(False)


@pytest.fixture
def panel(viewer, tmp_path, qtbot):
    """The sample as a camera writes it that stores no times."""
    paths = [tmp_path / name for name in ("lr.tif", "hr.tif")]
    for path in paths:
        frames = tifffile.imread(sample_sequence(path.stem))
        tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TYX"})
    open_sequences(viewer, paths)
    panel = open_panel(viewer, qtbot)
    assert not panel.run_box.run.isEnabled()
    return panel


def searched(panel, qtbot):
    panel.alignment.search.click()
    assert panel.alignment.search.text() == "Stop"
    wait(qtbot, lambda: not panel.alignment._searching.busy)


def times(panel):
    entered = panel.alignment.pairing.value()
    return entered.hr_step, entered.hr_start, entered.hr_times


def test_the_step_is_found_and_undone(panel, qtbot):
    box = panel.alignment
    box.pairing["hr_times"].value = "0, 7"
    searched(panel, qtbot)
    assert times(panel) == (10, 0, "")
    assert box.found.text().startswith("HR step 10 from LR frame 0: LR explains 99.")
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()
    box.history.undo.click()
    assert times(panel) == (0, 0, "0, 7")
    box.history.undo.click()
    assert times(panel) == (0, 0, "")


def test_what_is_not_certain_is_said_and_changes_nothing(panel, viewer, qtbot, monkeypatch):
    monkeypatch.setattr(step, "LEAST", 1.0)
    searched(panel, qtbot)
    assert times(panel) == (0, 0, "")
    assert "at no HR step does LR show what changes in HR. Enter HR step" in panel.alignment.found.text()
    viewer.layers.remove(panel.data.hr.layer())
    settled(panel, qtbot)
    assert not panel.alignment.search.isEnabled()
    assert panel.alignment.found.text() == ""


def test_a_search_can_be_stopped(panel, qtbot, monkeypatch):
    pace = Pace(monkeypatch, step, "common_views")
    panel.alignment.search.click()
    assert panel.alignment.found.text() == "Comparing all frames …"
    panel.alignment.search.click()
    pace.allow()
    wait(qtbot, lambda: not panel.alignment._searching.busy)
    assert times(panel) == (0, 0, "")
    assert panel.alignment.found.text() == "Stopped; nothing changed."
    assert panel.alignment.search.text() == "Find HR step and start"


def test_a_step_at_which_hr_and_lr_do_not_agree_offers_the_search(viewer, qtbot):
    """One LR frame wrong of ten: HR correlates with LR by 0.99 even so."""
    viewer.open_sample("napari-xfusion", "two-cameras")
    panel = open_panel(viewer, qtbot)
    assert panel.check.search.isHidden()
    panel.alignment.pairing["hr_step"].value = 9
    settled(panel, qtbot)
    assert not panel.check.search.isHidden()
    assert panel.sections.next is panel.check.search  # the times in the files say 10
    panel.check.search.click()
    wait(qtbot, lambda: not panel.alignment._searching.busy)
    assert times(panel) == (10, 0, "")
    settled(panel, qtbot)
    assert panel.check.search.isHidden()
    panel.alignment.pairing["hr_times"].value = "2, 12, 22, 32, 42, 50"
    settled(panel, qtbot)
    assert panel.check.search.isHidden()  # the user knows the times

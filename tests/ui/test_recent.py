"""The last pairs of recordings: offered, opened with what was entered for them, missing, cleared."""

from dataclasses import asdict

import pytest

from napari_xfusion.ui.fusion.alignment_box import Pairing
from napari_xfusion.ui.fusion.panel import PANEL
from napari_xfusion.ui.fusion.recent import MOST, Recent
from napari_xfusion.ui.fusion.settings import load_settings, save_settings
from tests.ui.sequences import open_panel, settled
from tests.ui.test_fusion_panel import write_without_times

pytestmark = pytest.mark.drawn(False)


def test_the_newest_pairs_are_remembered_each_once():
    recent = Recent()
    for k in [*range(MOST + 2), 3]:
        recent.put({"pair": [f"lr{k}", "hr"], "k": k})
    assert [values["k"] for values in recent] == [3, 11, 10, 9, 8, 7, 6, 5, 4, 2]
    again = Recent()
    again.restore(recent.saved())
    assert again.saved() == recent.saved()
    assert again.of(["lr9", "hr"])["k"] == 9
    assert again.of(["lr0", "hr"]) == {}
    for rubbish in ({}, {"recent": 3}, {"recent": [None, {}, {"pair": "x"}, {"pair": [1, 2]}]}):
        other = Recent()
        other.restore(rubbish)
        assert not list(other)


def test_a_pair_of_an_earlier_session_is_opened_with_its_times(viewer, tmp_path, qtbot):
    pairs = {name: [str(path) for path in write_without_times(tmp_path / name)] for name in ("a", "b", "c")}
    entered = [
        {"pair": pair, **asdict(Pairing(hr_step=step))}
        for pair, step in zip(pairs.values(), (4, 3.5, 4), strict=True)
    ]
    foreign = {"pair": ["0b5e8b5e", "77d1c2aa"]}  # layers of another reader
    save_settings(PANEL, {"data": {"recent": [*entered, foreign]}})
    (tmp_path / "c" / "hr.tif").unlink()
    panel = open_panel(viewer, qtbot)
    button = panel.data.recent

    def offered():
        button.fill()
        *actions, _, _clear = button.entries.actions()
        return {action.text(): action.isEnabled() for action in actions}

    def select(k):
        button.fill()
        button.entries.actions()[k].trigger()
        settled(panel, qtbot)

    assert button.isEnabled()
    button.click()
    assert not button.entries.isEmpty()
    button.entries.close()
    assert offered() == {
        "a: lr.tif, hr.tif": True,
        "b: lr.tif, hr.tif": True,
        "c: lr.tif, hr.tif (not found)": False,
    }
    select(1)
    assert [layer.name for layer in viewer.layers] == ["b · LR", "b · HR"]
    assert panel.alignment.pairing["hr_step"].value == 3.5
    assert panel.run_box.run.isEnabled(), panel.run_box.status.text()
    assert list(offered()) == ["a: lr.tif, hr.tif", "c: lr.tif, hr.tif (not found)"]

    # What is open is not opened again; each pair has its own times.
    select(0)
    panel.alignment.pairing["hr_step"].value = 2
    settled(panel, qtbot)
    select(0)
    assert panel.data.lr.layer().name == "b · LR"
    assert panel.alignment.pairing["hr_step"].value == 3.5
    select(0)
    assert panel.alignment.pairing["hr_step"].value == 2
    assert len(viewer.layers) == 4

    select(-1)  # cleared
    assert not button.isEnabled()
    assert "No other pair" in button.toolTip()
    assert [values["pair"] for values in load_settings(PANEL)["data"]["recent"]] == [pairs["a"]]

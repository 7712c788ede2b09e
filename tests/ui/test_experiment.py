"""The Virtual experiment panel: the core's sequences and numbers, in layers and a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.inspect.evaluate import Row, evaluate
from napari_xfusion.core.inspect.metrics import Metrics
from napari_xfusion.core.networks import cards
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.run import fuse
from napari_xfusion.lab.virtual.experiment import simulate
from napari_xfusion.ui.shared.layers import sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from tests.sequences import moving_discs, stack
from tests.ui.leaks import wait_for_thread
from tests.ui.samples import sample, wait
from tests.ui.sequences import Pace

pytestmark = pytest.mark.drawn(False)
SEQUENCE = (moving_discs(21, (64, 96)) * 4000 + 200).astype(np.uint16)


@pytest.fixture
def panel(viewer):
    made = sequence_layer(stack(SEQUENCE, "discs", pixel_size=2.0), role="truth", name="discs · truth")
    viewer.add_image(made.data, **made.options)
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Virtual experiment")
    panel.settings["hr_step"].value = 7
    return panel


@pytest.fixture
def pace(monkeypatch):
    pace = Pace(monkeypatch)
    yield pace
    pace.allow()


def run(panel, qtbot, button) -> None:
    button.click()
    wait(qtbot, lambda: not panel._worker.busy)


def choose(panel, *methods) -> None:
    for method, box in panel.methods.items():
        box.setChecked(method in methods)


def test_sequences_are_those_of_the_core_and_lie_upon_each_other(panel, viewer, qtbot):
    panel.settings["seed"].value = 3
    run(panel, qtbot, panel.make)
    made = {provenance_of(layer).role: layer for layer in viewer.layers if "simulated" in layer.name}
    assert made["lr"].name.endswith(", simulated, HR step 7 · LR")
    expected = simulate(stack(SEQUENCE), 7, lr_psnr=40, seed=3)
    for role in ("lr", "hr", "truth"):
        sequence = stack_of(made[role])
        assert sequence.shape == getattr(expected, role).shape
        for i in (0, len(sequence) - 1):
            np.testing.assert_array_equal(sequence.frame(i), getattr(expected, role).frame(i))
    corners = [layer.data_to_world((0, -0.5, -0.5))[1:] for layer in made.values()]
    np.testing.assert_allclose(corners, np.full((3, 2), -1.0), atol=1e-9)
    assert made["hr"].data.shape[0] == made["lr"].data.shape[0] == 21


def test_table_is_what_the_core_evaluates(panel, qtbot, tmp_path, monkeypatch):
    choose(panel, "bicubic", "flow")
    run(panel, qtbot, panel.run)
    experiment = simulate(stack(SEQUENCE), 7, lr_psnr=40)
    csv_path = tmp_path / "methods.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(csv_path), ""))
    panel.save.click()
    with csv_path.open() as file:
        rows = {(row["method"], row["frames"]): row for row in csv.DictReader(file)}
    best = []
    for line, method in enumerate(("bicubic", "flow")):
        sequence = np.stack([f.image for f in fuse(Plan(method=method), experiment.lr, experiment.hr)])
        expected = evaluate(experiment.truth, as_stack(sequence), hr_times=experiment.hr_times).summary()
        for offset, kind in enumerate(("unseen", "all")):
            row = 1 + line + 3 * offset
            items = [panel.table.item(row, column) for column in range(3)]
            texts = [item.text() for item in items]
            best.append([item.font().bold() for item in items])
            assert panel.table.verticalHeaderItem(row).text() == method
            assert panel.table.verticalHeaderItem(3 * offset).text() == f"{kind} frames:"
            means = {name: expected[kind][name]["mean"] for name in ("psnr", "aad", "ssim")}
            assert texts == [f"{means['psnr']:.2f}", f"{means['aad']:.3f}", f"{means['ssim']:.3f}"]
            saved = rows[method, kind]
            assert int(saved["count"]) == expected[kind]["frames"]
            assert float(saved["ssim median"]) == pytest.approx(expected[kind]["ssim"]["median"], rel=1e-5)
    assert panel.status.text() == "Done."
    assert best == [[False] * 3] * 2 + [[True] * 3] * 2


@pytest.mark.drawn(True)
def test_the_table_is_readable_at_the_default_width(panel):
    worst = Row(0, False, Metrics(48.88, 8.888, 0.888, 0.888))
    panel._rows, panel._total = {method: [worst] for method in panel.methods}, 1
    panel._fill_table()  # in bold, as all are equal
    QApplication.processEvents()
    assert panel.width() < 400
    columns = list(map(panel.table.columnWidth, range(3)))
    assert all(columns[k] >= panel.table.sizeHintForColumn(k) for k in range(3))
    assert sum(columns) <= panel.table.viewport().width()
    heading = panel.table.verticalHeader()
    assert heading.width() >= heading.sizeHint().width()


def test_settings_reach_the_experiment(panel, qtbot):
    panel.settings["noise"].value = False
    panel.settings["binning"].value = "bicubic"
    panel.settings["separation"].value = 2
    choose(panel, "bicubic")
    run(panel, qtbot, panel.run)
    experiment = simulate(stack(SEQUENCE), 7, binning="bicubic")
    sequence = np.stack(
        [f.image for f in fuse(Plan(method="bicubic", separation=2), experiment.lr, experiment.hr)]
    )
    expected = evaluate(experiment.truth, as_stack(sequence), hr_times=experiment.hr_times)
    assert panel.evaluations["bicubic"].rows == expected.rows


def test_cancel_keeps_methods_that_are_whole(panel, qtbot, pace):
    choose(panel, "bicubic", "flow")
    panel.run.click()
    pace.allow(3)
    wait(qtbot, lambda: len(panel._rows["flow"]) == 3)
    panel.cancel.click()
    pace.allow()
    wait(qtbot, lambda: not panel._worker.busy)
    assert panel.status.text() == "Stopped."
    assert set(panel.evaluations) == {"bicubic"}
    assert panel.table.item(1, 0).text() != "–"
    assert panel.run.isEnabled()
    assert panel.save.isEnabled()


def test_a_fresh_panel_compares_the_default_method_and_tab_follows_the_fields(panel):
    assert DEFAULT_METHOD in panel.selected
    expected = [panel.sequence, *panel.settings.natives, panel.make, panel.run, panel.cancel, panel.save]
    chain = [panel.sequence]
    while chain[-1] is not panel.save:  # PySide6 would keep the window alive if the chain went on to it
        chain.append(chain[-1].nextInFocusChain())
    assert [widget for widget in chain if widget in expected] == expected


def test_what_cannot_be_used_or_was_changed_is_told(panel, viewer, qtbot):
    # A mask, and a layer that repeats its frames, are refused before anything runs.
    panel.sequence.choose(viewer.add_image(np.zeros((5, 32, 32), bool), name="mask"))
    assert not panel.make.isEnabled()
    assert not panel.run.isEnabled()
    assert panel.status.text().startswith("mask: expected grey values")
    lr, hr, _ = sample()
    made = sequence_pair(lr, hr)[1]
    panel.sequence.choose(viewer.add_image(made.data, **made.options))
    assert not panel.make.isEnabled()
    assert panel.status.text().startswith("The layer shows 51 frames of a recording of 6")
    flat = sequence_layer(stack(np.full((5, 32, 32), 7, np.uint16), "flat"), role="sequence", name="flat")
    panel.sequence.choose(viewer.add_image(flat.data, **flat.options))
    run(panel, qtbot, panel.make)
    assert "one grey value throughout" in panel.status.text()
    assert not any("simulated" in layer.name for layer in viewer.layers)
    odd = sequence_layer(stack(SEQUENCE[:, :30, :], "odd"), role="sequence")
    panel.sequence.choose(viewer.add_image(odd.data, **odd.options))
    panel.settings["noise"].value = False
    run(panel, qtbot, panel.make)
    said, *notes = panel.status.text().splitlines()
    assert said == "Done."
    assert "cropped" in notes[0]


def test_results_are_not_offered(panel, viewer):
    for role in ("fused", "difference"):
        made = sequence_layer(stack(SEQUENCE, "made"), role=role, name=f"made, {role}")
        layer = viewer.add_image(made.data, **made.options)
        panel.sequence.choose(layer)
        assert panel.sequence.layer() is not layer
    viewer.layers.remove(panel.sequence.layer())
    assert panel.sequence.layer() is None


def test_buttons_that_cannot_work_say_why(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "BUNDLED", tmp_path)  # no weights came with the package
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Virtual experiment")
    assert not panel.make.isEnabled()
    assert "Select a fast, sharp sequence first" in panel.make.toolTip()
    made = sequence_layer(stack(SEQUENCE, "discs"), role="sequence", name="discs")
    viewer.add_image(made.data, **made.options)
    assert panel.sequence.currentText() == "discs"  # the first sequence that comes is taken
    assert panel.make.isEnabled()
    choose(panel)
    assert not panel.run.isEnabled()
    assert "Select a method first" in panel.run.toolTip()
    assert panel.status.text() == "Select a method first."
    assert not panel.methods["edvr"].isEnabled()
    assert "No weights" in panel.methods["edvr"].toolTip()


@pytest.mark.parametrize("moment", ["at once", "in a frame"])
def test_closing_in_the_middle_leaves_nothing(panel, viewer, pace, opened_by_close, moment):
    """Of timers and widgets ``nothing_left`` makes sure, the fixture of every window test."""
    opened_by_close(pace)
    choose(panel, "flow")
    panel.run.click()
    if moment == "in a frame":
        assert pace.begun.wait(1200)
    viewer.close()
    wait_for_thread("virtual experiment")


def test_a_reason_goes_when_it_holds_no_more(panel, qtbot):
    sequence = panel.sequence.layer()
    panel.sequence.setCurrentIndex(0)
    assert panel.status.text().startswith("Select a fast, sharp sequence")
    assert not panel.make.isEnabled()
    panel.sequence.choose(sequence)
    assert panel.make.isEnabled()
    assert panel.status.text() == ""
    run(panel, qtbot, panel.make)
    assert panel.status.text() == "Done."
    panel.settings["noise"].value = False
    assert panel.status.text() == ""

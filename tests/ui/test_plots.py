"""The plots below the sequences: the core's numbers, and a cursor that is the slider."""

from __future__ import annotations

import csv
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog
from skimage.measure import profile_line

from napari_xfusion.core.inspect.attention import normalise
from napari_xfusion.core.inspect.evaluate import evaluate
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.results.record import FrameRecord, RunRecord, ScoreRecord
from napari_xfusion.core.rig import Mapping
from napari_xfusion.core.run import fuse
from napari_xfusion.ui.inspection.plots import profile
from napari_xfusion.ui.shared.layers import sequence_layer
from napari_xfusion.ui.shared.provenance import METADATA
from tests.sequences import binned, stack
from tests.ui.leaks import wait_for_thread
from tests.ui.samples import PLAN, add_sample, press, sample, wait, write_small_network
from tests.ui.sequences import Pace

pytestmark = pytest.mark.drawn(False)
HR_TIMES = (0, 10, 20, 30, 40, 50)


@pytest.fixture
def layers(viewer):
    return add_sample(viewer)


@pytest.fixture
def dock(viewer, layers):
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    return panel.show_plots()


@pytest.fixture
def pace(monkeypatch):
    """The truth is compared frame by frame, as it is allowed."""
    pace = Pace(monkeypatch, sys.modules[evaluate.__module__], "measure")
    yield pace
    pace.allow()


def compute(dock, qtbot) -> None:
    dock.compute.click()
    wait(qtbot, lambda: not dock._worker.busy)


def background_of(dock) -> int:
    return dock.quality.area.backgroundBrush().color().lightness()


def cursor_is_slider(dock, viewer):
    for t in (7, 50, 0, 33):
        viewer.dims.set_current_step(0, t)
        assert {c.value() for plots in (dock.quality, dock.consistency) for c in plots.cursors} == {t}
    cursor = dock.quality.cursors[1]
    cursor.setValue(21.3)
    cursor.sigDragged.emit(cursor)
    assert viewer.dims.current_step[0] == 21
    assert {c.value() for plots in (dock.quality, dock.consistency) for c in plots.cursors} == {21}
    cursor.setValue(400)  # dragged out of the sequence
    cursor.sigDragged.emit(cursor)
    assert viewer.dims.current_step[0] == 50


def noise_is_that_of_lr(dock, truth, lr, span):
    _, _, noise = dock.consistency.plots[0].listDataItems()  # RMS, its circles, LR's own noise
    true = np.stack([truth.frame(t) for t in range(51)]).astype(float)
    recorded = np.stack([lr.frame(t) for t in range(51)]).astype(float)
    expected = np.mean((binned(true) - recorded) ** 2) / span**2
    assert np.mean(noise.yData**2) == pytest.approx(expected, rel=0.2)
    assert "LR&nbsp;noise" in dock.consistency.headings[0].text()


@pytest.mark.drawn(True)
def test_numbers_are_those_of_the_core_saved_and_drawn_in_any_theme_and_the_cursor_is_the_slider(
    dock, viewer, layers, qtbot, tmp_path, monkeypatch
):
    assert not dock.save.isEnabled()
    compute(dock, qtbot)
    lr, hr, truth = sample()
    sequence = np.stack([frame.image for frame in fuse(PLAN, lr, hr)])
    expected = evaluate(truth, as_stack(sequence), hr_times=HR_TIMES)
    assert [each.row for each in dock.numbers] == list(expected.rows)
    curve, marks = dock.quality.plots[0].listDataItems()
    np.testing.assert_allclose(curve.yData, [row.metrics.psnr for row in expected.rows])
    assert marks.xData.tolist() == list(HR_TIMES)
    for heading, name in zip(dock.quality.headings, ("PSNR (dB)", "AAD (of 255)", "SSIM"), strict=True):
        assert name in heading.text()
        assert "HR&nbsp;frame, else&nbsp;unseen" in heading.text()
        assert heading.heightForWidth(heading.width()) <= heading.height()  # nothing is cut
    psnr = f"{expected.rows[5].metrics.psnr:.4g}"  # of the frame under the slider
    assert f"PSNR&nbsp;{psnr}" in dock.quality.headings[0].text()
    rms = dock.consistency.plots[0].listDataItems()[0].yData
    zero, span = (
        664.0,
        2230.0,
    )  # percentiles of the sample's HR sequence, near enough for a check of the scale
    seen = (binned(sequence[5:6])[0] - np.asarray(lr.frame(5), float)) / span
    assert rms[5] == pytest.approx(np.sqrt(np.mean((seen - seen.mean()) ** 2)), rel=0.1)
    assert zero < sequence.mean()
    noise_is_that_of_lr(dock, truth, lr, span)
    cursor_is_slider(dock, viewer)

    for theme in ("light", "dark"):
        viewer.theme = theme
        wait(qtbot, lambda theme=theme: (background_of(dock) < 128) == (theme == "dark"))
        background = background_of(dock)
        text = dock.quality.plots[0].getAxis("left").textPen().color().lightness()
        curve = dock.quality.plots[0].listDataItems()[0].opts["pen"].color().lightness()
        assert abs(text - background) > 100
        assert abs(curve - background) > 60
    # The file is that of the command line.
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "n.csv"), ""))
    dock.save.click()
    with (tmp_path / "n.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["frame", "seen", "psnr", "aad", "ssim", "ssim_gaussian"]
    assert [int(row["frame"]) for row in rows if row["seen"] == "1"] == list(HR_TIMES)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "gone" / "n.csv"), ""))
    dock.save.click()
    assert "n.csv: expected a place to write" in notification_manager.records[-1].message
    # Without a truth only quality is missing.
    viewer.layers.remove(layers["truth"])
    compute(dock, qtbot)
    assert dock.status.text() == "51 frames; PSNR, AAD and SSIM require a truth; attention requires a network"
    assert dock.numbers[0].row is None
    assert [plot.listDataItems() for plot in dock.quality.plots] == [[], [], []]
    assert len(dock.consistency.plots[0].listDataItems()[0].xData) == 51
    assert not dock.save.isEnabled()
    viewer.layers.remove(layers["fused"])
    assert dock._in_words().startswith("51 frames of melt · fused (interpolation); ")


def test_a_black_frame_has_numbers_and_one_that_is_not_fused_has_none(dock, layers, qtbot):
    fused = layers["fused"]
    fused.data[5] = 0
    known = replace(fused.metadata[METADATA], done=set(range(12)) - {6})
    fused.metadata = {**fused.metadata, METADATA: known}
    compute(dock, qtbot)
    assert [each.frame for each in dock.numbers] == [t for t in range(12) if t != 6]


def test_cancel_keeps_what_is_drawn(dock, qtbot, pace):
    dock.compute.click()
    pace.allow(3)
    wait(qtbot, lambda: len(dock.numbers) == 3)
    dock.cancel.click()
    pace.allow()
    wait(qtbot, lambda: not dock._worker.busy)
    assert len(dock.numbers) == 3
    assert dock.status.text().startswith("Stopped: ")
    assert len(dock.quality.plots[0].listDataItems()[0].xData) == len(dock.numbers)
    assert dock.compute.isEnabled()


def test_scores_of_the_record_are_drawn_without_the_network(dock, layers, qtbot, tmp_path):
    frames = tuple(
        FrameRecord(
            frame=t,
            scores={
                role: ScoreRecord(raw=1 + t / 100 + k, sigmoid=0.5) for k, role in enumerate(("hr-", "hr+"))
            },
        )
        for t in range(51)
    )
    plan = PLAN.model_copy(update={"method": "edvr-stf", "model": "not at hand"})
    metadata = layers["fused"].metadata
    known = replace(metadata[METADATA], plan=plan, record=RunRecord.model_construct(frames=frames))
    layers["fused"].metadata = {**metadata, METADATA: known}
    compute(dock, qtbot)
    backward, forward = dock.attention.plots[0].listDataItems()
    np.testing.assert_allclose(backward.yData, 1 + np.arange(51) / 100)
    np.testing.assert_allclose(forward.yData, 2 + np.arange(51) / 100)
    normal = normalise(range(51), backward.yData.tolist(), forward.yData.tolist(), HR_TIMES)
    np.testing.assert_allclose(dock.attention.plots[1].listDataItems()[1].yData, normal.forward)
    counts = dock.histograms.images[0].image
    assert counts.sum() == 51
    assert counts[0].sum() == 6  # six HR frames' own times
    for tab, total in ((dock.histograms, 2 * 51), (dock.attention, None)):
        dock.tabs.setCurrentWidget(tab)
        assert dock.save.isEnabled()
        dock.write(tmp_path / "tab.csv")
        with (tmp_path / "tab.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert total is None or sum(int(row["count"]) for row in rows) == total
    assert [float(r["y"]) for r in rows[:51]] == pytest.approx(backward.yData.tolist())


def test_scores_come_from_the_network_where_no_record_has_them(dock, layers, qtbot):
    plan = PLAN.model_copy(
        update={"method": "edvr-stf", "model": write_small_network("edvr-stf"), "frames": (8, 10)}
    )
    metadata = layers["fused"].metadata
    layers["fused"].metadata = {**metadata, METADATA: replace(metadata[METADATA], plan=plan)}
    layers["fused"].data = layers["fused"].data[8:10]
    compute(dock, qtbot)
    lr, hr, _ = sample()
    scores = {f.index: f.scores for f in fuse(plan, lr, hr)}
    assert [each.frame for each in dock.numbers] == [8, 9]
    for each in dock.numbers:
        assert each.scores["hr-"] == pytest.approx(scores[each.frame]["hr-"].raw, rel=1e-4)


@pytest.mark.drawn(True)
def test_profile_is_that_of_scikit_image_follows_what_is_shown_and_what_cannot_be_done_is_said(
    dock, viewer, layers
):
    def curves():
        return {item.name(): item.yData.copy() for item in dock.profile.plots[0].listDataItems()}

    line = dock.draw_line()
    truth = layers["truth"]
    names = [item.name() for item in dock.profile.plots[0].listDataItems()]
    assert truth.name in names
    drawn = dock.profile.plots[0].listDataItems()[names.index(truth.name)]
    ends = line.data[0] / 2  # 2 um a pixel
    low, high = truth.contrast_limits
    expected = (profile_line(np.asarray(truth.data[5], float), *ends) - low) / (high - low)
    np.testing.assert_allclose(drawn.yData, expected, atol=1e-9)
    assert drawn.xData[-1] == pytest.approx(np.hypot(*(line.data[0][1] - line.data[0][0])))
    assert "µm" in dock.profile.plots[0].getAxis("bottom").labelText

    before = curves()[truth.name]
    viewer.dims.set_current_step(0, 25)
    after = curves()[truth.name]
    assert np.abs(before - after).max() > 0.01
    line.data = [line.data[0] + [10, 0]]
    assert np.abs(curves()[truth.name] - after).max() > 0.01

    # It is of what is shown, as it is shown.
    before = curves()
    layers["hr"].visible = False
    assert set(before) - set(curves()) == {"melt · HR"}
    layers["truth"].contrast_limits = (0, 100)
    assert curves()["melt · truth"].min() > before["melt · truth"].max()
    line.data = []
    assert not curves()
    assert len(dock.draw_line().data) == 1
    assert "melt · truth" in curves()
    viewer.dims.ndisplay = 3  # no one frame is on screen
    assert not curves()
    viewer.dims.ndisplay = 2
    added = viewer.add_image(np.ones((51, 144, 240)), name="new")
    assert "new" in curves()
    viewer.layers.remove(added)
    assert "new" not in curves()
    viewer.layers.remove(line)
    assert not curves()

    # What cannot be done is said.
    viewer.dims.ndisplay = 3
    assert dock.draw_line() is None
    assert "2-D" in dock.status.text()
    viewer.dims.ndisplay = 2
    line = dock.draw_line()
    assert line is not None
    viewer.layers.remove(line)
    viewer.layers.remove(layers["fused"])
    assert not dock.compute.isEnabled()
    assert "Select a fused sequence first." in dock.compute.toolTip()
    viewer.layers.clear()
    dock.line.click()
    assert "Open a sequence first" in dock.status.text()
    assert not viewer.layers


def test_profiles_of_both_cameras_lie_at_the_same_place():
    """On a plane both cameras see the same value at the same place, to the pixel's hundredth."""
    y, x = np.mgrid[:64, :96].astype(np.float32)
    plane = np.repeat((3 * x + 2 * y)[None], 2, axis=0)
    ends = np.array([[20.0, 30.0], [90.0, 150.0]])
    drawn = []
    for sequence, coarseness in ((plane, 1), (binned(plane), 4)):
        made = sequence_layer(
            stack(sequence), role="sequence", pixel_size=2.0, mapping=Mapping.scaled((coarseness, coarseness))
        )
        layer = Image(made.data, **made.options | {"contrast_limits": (0, 1)})
        distance, values = profile(layer, ends, layer.data_to_world((1, 0, 0)))
        drawn.append(np.interp(np.linspace(0, distance[-1], 20), distance, values))
    np.testing.assert_allclose(drawn[0], drawn[1], atol=0.02)
    assert np.ptp(drawn[0]) > 200


@pytest.mark.drawn(True)
def test_the_plots_of_a_tab_are_built_when_it_is_first_shown(dock, viewer, qtbot):
    """Each takes pyqtgraph 10 ms. The cursors are at the slider, the headings there, whenever that is."""
    assert not dock.attention._built
    viewer.dims.set_current_step(0, 7)
    dock.tabs.setCurrentWidget(dock.attention)
    wait(qtbot, lambda: dock.attention._built)
    assert [cursor.value() for cursor in dock.attention.cursors] == [7, 7]
    assert "normalised attention" in dock.attention.headings[1].text()
    assert not dock.profile._built


def test_closing_while_numbers_come_leaves_nothing(dock, viewer, qtbot, pace, opened_by_close):
    """Of timers and widgets ``nothing_left`` makes sure, the fixture of every window test."""
    opened_by_close(pace)
    dock.compute.click()
    pace.allow(1)
    wait(qtbot, lambda: len(dock.numbers) == 1)
    viewer.close()
    wait_for_thread("inspection numbers")


def test_profile_of_a_slow_layer_comes_with_it(viewer, layers, qtbot):
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    dock = panel.show_plots()
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    layer = viewer.layers.selection.active
    inner, gate = layer.data.stack, threading.Event()

    def slow(t):
        assert gate.wait(1200)
        return inner.frame(t)

    layer.data.stack = inner.derive(slow, inner.shape, inner.dtype)
    dock.draw_line()
    viewer.dims.set_current_step(0, 33)

    def values():
        return {item.name(): item.yData for item in dock.profile.plots[0].listDataItems()}[layer.name]

    assert np.isnan(values()).all()
    gate.set()
    wait(qtbot, lambda: np.isfinite(values()).all())

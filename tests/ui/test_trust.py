"""How far a result can be trusted: the lines of the section Judge, what they lead to, reports, and adapting."""

import json
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog

from napari_xfusion.core.holdout import intervals
from napari_xfusion.core.holdout.score import score_methods
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.trust.sources import FINE, Shares
from napari_xfusion.core.trust.summary import GOOD, LOOK, UNKNOWN
from napari_xfusion.lab import adapt as lab
from napari_xfusion.ui.fusion import export
from napari_xfusion.ui.fusion.adapt_box import too_few
from napari_xfusion.ui.fusion.guide import Situation
from napari_xfusion.ui.fusion.request import Findings
from napari_xfusion.ui.fusion.trust import trust_lines
from napari_xfusion.ui.plugin.reader import get_reader
from napari_xfusion.ui.shared.provenance import METADATA, Provenance, learn, provenance_of
from napari_xfusion.ui.shared.steps import State
from tests.sequences import moving_discs, two_cameras
from tests.ui.samples import wait
from tests.ui.sequences import Pace, ended, fused_layer, open_panel, open_sequences, settled, write_sequences

LR, HR, TIMES = two_cameras((moving_discs(17, (32, 48)) * 20000).astype(np.uint16), step=4)
PLAN = make_plan(method="flow", hr_times=TIMES)
STACKS = as_stack(LR, name="LR"), as_stack(HR, name="HR")
RIG = rig_of(PLAN, *STACKS)


@pytest.fixture(scope="module")
def score():
    return score_methods(PLAN, *STACKS, methods=["bicubic", "flow"])


def situation(method="flow", **more):
    plan = make_plan(method=method, hr_times=TIMES)
    findings = Findings(rig=RIG, familiar=None if method == "flow" else more.pop("familiar"))
    return Situation(STACKS, request=SimpleNamespace(plan=plan), findings=findings, scored=PLAN, **more)


def marks(now):
    """Mark and link by what the lines are about."""
    return {each.line.about: (each.line.mark, each.link) for each in trust_lines(now)}


def test_without_a_pair_nothing_is_said_and_before_a_run_nothing_is_known():
    assert not list(trust_lines(Situation(empty=True)))
    unknown = {"error": (UNKNOWN, "Score"), "interval": (UNKNOWN, ""), "sources": (UNKNOWN, "")}
    assert marks(situation()) == unknown
    assert marks(situation(scoring=True))["error"] == (UNKNOWN, "")
    assert all(each.state is State.PENDING for each in trust_lines(situation()))


def test_a_score_tells_of_error_other_methods_and_pairing(score):
    good = marks(situation(score=score))
    assert [good[about] for about in ("error", "method", "pairing")] == [(GOOD, "")] * 3
    best = score.choice.model_copy(update={"method": "bicubic", "clear": True})
    offset = SimpleNamespace(gain=2.1, text="HR times 0.50 LR frames later")
    other = score.model_copy(update={"choice": best, "offset": offset})
    found = {each.line.about: each.line.text for each in trust_lines(situation(score=other))}
    assert found["pairing"] == "The score is 2.1 dB better with HR times 0.50 LR frames later."
    assert marks(situation(score=other))["pairing"] == (LOOK, "Alignment")
    assert marks(situation(score=other))["method"] == (LOOK, "Take it")


def test_a_score_of_other_weights_tells_nothing_of_these(score):
    assert marks(situation("lite", familiar=True, score=score))["error"] == (UNKNOWN, "Score")
    assert marks(situation("lite", familiar=True))["network"] == (GOOD, "")
    assert marks(situation("lite", familiar=False))["network"] == (LOOK, "Check")


@pytest.mark.parametrize(("own", "mark"), [(0.1, GOOD), (0.5, LOOK)])
def test_a_result_tells_what_was_computed_of_it(own, mark):
    layer = Image(np.zeros((2, 4, 4)), metadata={METADATA: Provenance("fused")})
    assert marks(situation(result=layer))["sources"] == (UNKNOWN, "Compute")
    assert marks(situation(result=layer))["interval"] == (UNKNOWN, "Calibrate")
    share = Shares(0.5, {source.name: 0.0 for source in FINE} | {"method": own, "before": 1 - own})
    learn(
        layer,
        shares={0: share, 1: share},
        intervals=SimpleNamespace(coverage=0.9, reached=0.9 - own / 4, frames=5),
    )
    assert marks(situation(result=layer))["sources"] == (mark, "")
    assert marks(situation(result=layer))["interval"][0] == mark


def test_too_few_hr_frames_to_adapt_are_counted():
    assert "at least 6 usable HR frames" in too_few(RIG)
    assert "found 5" in too_few(RIG)


def test_the_report_of_a_result_that_was_opened_refers_to_its_file(tmp_path):
    paths = write_sequences(tmp_path / "shot", 9, (32, 48))
    fuse_files(make_plan(method="bicubic", hr_step=4), *paths, tmp_path / "fused.tif")
    read = get_reader(str(tmp_path / "fused.tif"))
    data, options, _ = read(str(tmp_path / "fused.tif"))[0]
    opened = export.result_of(Image(data, **options))
    assert (opened.path, opened.saved) == (str(tmp_path / "fused.tif"), True)


@pytest.fixture
def panel(viewer, tmp_path, qtbot):
    """The Fusion panel with a result by flow."""
    open_sequences(viewer, write_sequences(tmp_path, 25, (64, 96)))
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("flow")
    settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    return panel


def line_about(panel, about):
    return next(each for each in panel.judge.trust.lines if each.line.about == about)


def save_to(monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))


@pytest.mark.drawn(False)
def test_links_lead_to_what_is_not_known_and_a_report_says_it_all(
    panel, viewer, qtbot, tmp_path, monkeypatch
):
    """One window for all: it takes longer to open than all that is looked at."""
    panel.judge.trust.asked.emit("error")
    wait(qtbot, lambda: not panel.judge.busy)
    assert line_about(panel, "error").line.mark == GOOD
    sources_are_drawn(panel, viewer, qtbot, tmp_path)
    uncertain_pixels_fade(panel, viewer, qtbot, monkeypatch)
    a_report_is_written(panel, viewer, qtbot, tmp_path, monkeypatch)
    panel.check.collapse(animate=False)
    panel.judge.trust.asked.emit("network")
    assert panel.check.isExpanded()
    other = panel.judge.found.choice.model_copy(update={"method": "bayesian"})
    panel.judge.found = panel.judge.found.model_copy(update={"choice": other})
    panel.judge.trust.asked.emit("method")
    assert panel.method.values()["method"] == "bayesian"


def sources_are_drawn(panel, viewer, qtbot, folder):
    panel.judge.trust.asked.emit("sources")
    dock = panel.inspect().show_plots()
    wait(qtbot, lambda: not dock._worker.busy)
    assert "the method's own" in line_about(panel, "sources").line.text
    drawn = dock.sources.plots[0].listDataItems()
    assert [curve.name() for curve in drawn] == [source.title for source in FINE]
    np.testing.assert_allclose(np.sum([curve.yData for curve in drawn], axis=0), 100, atol=0.01)
    layer = fused_layer(viewer)
    shares = export.result_of(layer).part(export.result_of(layer).sources_of(6))
    assert [curve.yData[6] / 100 for curve in drawn] == pytest.approx(list(shares.fine.values()), abs=1e-4)
    assert drawn[0].opts["pen"].color().name() in dock.sources.headings[0].text()
    viewer.dims.set_current_step(0, 9)
    assert {cursor.value() for cursor in dock.sources.cursors} == {9}
    dock.write(folder / "shares.csv")
    assert "the method alone" in (folder / "shares.csv").read_text(encoding="utf-8")


def uncertain_pixels_fade(panel, viewer, qtbot, monkeypatch):
    pace, inspect = Pace(monkeypatch, intervals, "_errors"), panel.inspect()
    panel.judge.trust.asked.emit("interval")
    wait(qtbot, pace.begun.is_set)
    inspect.cancel.click()
    pace.allow()
    wait(qtbot, lambda: not inspect._background._asked)
    assert line_about(panel, "interval").line.mark == UNKNOWN
    panel.judge.trust.asked.emit("interval")
    wait(qtbot, lambda: line_about(panel, "interval").line.mark != UNKNOWN)
    assert "Intervals of 90% contain" in line_about(panel, "interval").line.text
    uncertain = viewer.layers[-1]
    assert uncertain.name.startswith("uncertain beyond HR noise, 90% (HR grey values)")
    plan, stacks = panel._request.plan, panel._request.sequences
    with Session(plan, rig_of(plan, *stacks)) as session:
        (frame,) = session.frames([9], threading.Event())
        beyond = provenance_of(fused_layer(viewer)).intervals.beyond_noise(frame, session.reader, None)
    wait(qtbot, lambda: np.isfinite(np.asarray(uncertain.data[9])).all())
    np.testing.assert_allclose(np.asarray(uncertain.data[9]), beyond, rtol=1e-4, atol=0.1)
    np.testing.assert_allclose(uncertain.colormap.map([0.0, 1.0])[:, 3], [0, 1])  # from seen to hidden


def a_report_is_written(panel, viewer, qtbot, folder, monkeypatch):
    save_to(monkeypatch, folder / "shot.html")
    panel.export.save_report.click()
    wait(qtbot, lambda: not panel.export._worker.busy)
    assert panel.export.status.text() == "saved shot.html"
    assert f'href="{(folder / "shot.html").as_uri()}"' in panel.export.page.text()
    assert fused_layer(viewer).name in (folder / "shot.html").read_text(encoding="utf-8")
    assert json.loads((folder / "shot-ro-crate-metadata.json").read_text())["@graph"]
    save_to(monkeypatch, folder / "gone" / "shot.html")
    panel.export.save_report.click()
    wait(qtbot, lambda: not panel.export._worker.busy)
    assert "folder does not exist" in panel.export.status.text()
    assert panel.export.page.isHidden()
    (folder / "shot.html").unlink()
    save_to(monkeypatch, folder / "shot.html")
    panel.export.save_report.click()
    wait(qtbot, lambda: not panel.export._worker.busy)
    assert "Choose another name for the report" in panel.export.status.text()
    panel.export.sequence.choose(viewer.layers[0])
    assert "Select the result of a completed run." in panel.export.save_report.toolTip()


@pytest.mark.drawn(False)
def test_an_adapted_model_is_selected_where_it_is_better(panel, qtbot, tmp_path, monkeypatch):
    adapt, model = panel.judge.adapt, tmp_path / "own.safetensors"
    save_to(monkeypatch, model)
    pace = Pace(monkeypatch, lab, "crop")
    adapt.adapt.click()
    pace.allow(lab.BATCH)
    wait(qtbot, lambda: "1 of 160 iterations" in adapt.status.text())
    adapt.cancel.click()
    pace.allow()
    wait(qtbot, lambda: not adapt.busy)
    assert adapt.status.text() == "Stopped; nothing was saved."
    assert not [path for path in tmp_path.iterdir() if "own" in path.name]

    monkeypatch.setattr(lab, "ITERATIONS", 4)
    monkeypatch.setattr(lab, "LEAST_GAIN", 100.0)
    adapt.adapt.click()
    wait(qtbot, lambda: not adapt.busy)
    assert adapt.status.text().startswith("not better, nothing was written: ")
    assert not model.exists()

    monkeypatch.setattr(lab, "LEAST_GAIN", -1.0)
    monkeypatch.setattr(lab, "standard_error", lambda _gain: None)
    adapt.adapt.click()
    wait(qtbot, lambda: not adapt.busy)
    assert re.match(r"Saved own.safetensors, selected under Fuse: [+-]\d\.\d\d dB on ", adapt.status.text())
    assert panel.method.values() | {"method": "lite", "model": str(model)} == panel.method.values()
    settled(panel, qtbot)
    assert panel._request.method == "own"
    assert line_about(panel, "network").line.mark in (GOOD, LOOK)
    adapt.adapt.click()
    wait(qtbot, lambda: not adapt.busy)
    assert "would overwrite an input" in adapt.status.text()

"""The sections of the Fusion panel: what they say for each situation, which button is next, and that nothing is cut."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QAbstractSpinBox, QScrollArea

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.session import rig_of
from napari_xfusion.errors import InputError, OutputError, UnknownTimesError
from napari_xfusion.ui.fusion.guide import Situation, recording_rows, steps
from napari_xfusion.ui.fusion.request import Findings
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.steps import Fact, State
from napari_xfusion.ui.shared.timeline import Timeline
from napari_xfusion.ui.shared.times import Times
from napari_xfusion.ui.shared.widgets import WrappedLabel
from tests.sequences import moving_discs, two_cameras
from tests.ui.samples import wait
from tests.ui.sequences import fused_layer, open_panel, open_sequences, settled, write_sequences

LR, HR, TIMES = two_cameras((moving_discs(12, (32, 48)) * 20000).astype(np.uint16), step=4)
PLAN = make_plan(method="flow", hr_times=TIMES)
STACKS = as_stack(LR, name="LR"), as_stack(HR, name="HR")
RIG = rig_of(PLAN, *STACKS)
REQUEST = SimpleNamespace(plan=PLAN, method="flow", output=None)
READY = Situation(STACKS, request=REQUEST, findings=Findings(rig=RIG, seconds=3))
CHOICE = SimpleNamespace(method="bayesian", runner_up="flow", margin=1.25, clear=True)
D, A, P = State.DONE, State.ATTENTION, State.PENDING


def refused(error):
    return Situation(STACKS, findings=Findings.of_problem(error))


def said(**more):
    return {"problem": "x", "hint": "y", **more}


CASES = {
    "nothing is open": (Situation(empty=True), [P, P, P, P, P], "both files"),
    "one is open": (
        Situation(findings=Findings.of_problem(InputError("a", **said()))),
        [A, P, P, P, P],
        "reason",
    ),
    "another reader": (replace(READY, foreign=True), [A, D, D, P, P], "another reader"),
    "no times": (refused(UnknownTimesError("a", **said(setting="hr_times"))), [D, A, P, P, P], "field"),
    "no output": (refused(OutputError("Output", **said())), [D, P, P, A, P], "reason"),
    "ready": (READY, [D, D, D, P, P], "scale 4 x 4"),
    "warnings": (replace(READY, findings=Findings(rig=RIG, notes=("a", "b"))), [D, D, A, P, P], "2 warnings"),
    "running": (replace(READY, running=True), [D, D, D, P, P], "is running"),
    "finished": (replace(READY, finished=True), [D, D, D, D, P], "score, look"),
    "another method is better": (
        replace(READY, finished=True, score=SimpleNamespace(choice=CHOICE)),
        [D, D, D, D, A],
        "bayesian, 1.25 dB above flow",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_steps_of_a_situation(case):
    now, states, words = CASES[case]
    made = steps(now)
    assert [step.state for step in made] == states
    assert any(words in step.words for step in made)


def test_the_time_of_a_run_does_not_hide_that_the_network_is_loaded_first(monkeypatch):
    network = SimpleNamespace(plan=PLAN.model_copy(update={"method": "lite"}), method="lite", output=None)
    now = replace(READY, request=network)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert steps(now)[3].words == "lite, about 3 s"
    monkeypatch.delitem(sys.modules, "torch")
    assert steps(now)[3].words == "lite, about 3 s, after loading the network"
    assert "loading" not in steps(READY)[3].words


def test_the_table_marks_what_warnings_are_about_and_leads_to_fields():
    findings = Findings(rig=RIG, codes=frozenset({"pixel-sizes"}))
    rows = {row.name: row for row in recording_rows(replace(READY, findings=findings))}
    assert rows["frames"].values == ("12", "4")
    assert "Check" in rows["pixel"].wrong
    assert rows["pixel"].setting == "lr_pixel"
    assert not rows["interval"].setting  # the times are known without it
    unknown = {row.name: row for row in recording_rows(Situation(STACKS))}
    assert unknown["interval"].setting == "lr_rate"
    assert "&lt;b&gt;" in Fact("file", ("<b>",)).html


def test_states_differ_by_shape(qtbot):
    def shape(state):
        image = state.icon.pixmap(36, 36).toImage()
        rows = range(image.height())
        return tuple(image.pixelColor(x, y).alpha() > 127 for y in rows for x in range(image.width()))

    shapes = [shape(state) for state in State]
    differing = [sum(a != b for a, b in zip(shapes[i], shapes[i - 1], strict=True)) for i in range(3)]
    assert min(differing) > 100


def test_gaps_and_inputs_of_times():
    times = Times(51, np.array([2.0, 10, 20, 30, 40]), bad_hr=(2,))
    assert times.gaps == [(0.0, 2.0), (10.0, 30.0), (40.0, 50.0)]
    assert times.inputs(25, 2) == ([23, 25, 27], [10.0, 30.0])
    assert times.inputs(0, 1) == ([0, 1], [2.0])
    assert Times(9, np.array([])).inputs(3, 1) == ([2, 3, 4], [])


def test_the_timeline_shows_what_is_fused_and_goes_where_it_is_clicked(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=False)
    timeline = Timeline(viewer, None, "tip", fused=True)
    qtbot.addWidget(timeline)
    timeline.resize(320, 80)
    timeline.show_times(Times(200, np.arange(0.0, 200, 10), bad_lr=(7,), bad_hr=(3,)))
    timeline.show()
    assert len(timeline.bars.opts["x0"]) == 19
    timeline.show_fused([3, 4, 5, 9])
    assert timeline.done.getData()[0].tolist() == [2.5, 5.5, 8.5, 9.5]
    timeline.show_frame(150, 1)
    left, right = timeline.plot.viewRange()[0]
    assert left < 150 < right
    assert timeline.marked.getData()[0].tolist() == [149, 149, 150, 150, 151, 151, 150, 150, 160, 160]
    place = timeline.plot.vb.mapViewToScene(timeline.displayed.pos())
    with qtbot.waitSignal(timeline.chosen) as chosen:
        timeline.area.scene().sigMouseClicked.emit(SimpleNamespace(scenePos=lambda: place))
    assert chosen.args == [150]
    viewer.theme = "light"
    timeline.show_fused([])
    assert not len(timeline.done.getData()[0])


@pytest.fixture
def recordings(tmp_path):
    """LR and HR of which nothing is known but their frames."""
    paths = write_sequences(tmp_path / "melt01", 9)
    for path in paths:
        tifffile.imwrite(path, tifffile.imread(path), photometric="minisblack", metadata={"axes": "TYX"})
    return paths


@pytest.mark.drawn(False)
def test_recordings_of_another_reader_are_opened_again_and_rates_give_the_step(viewer, recordings, qtbot):
    for path in recordings:
        viewer.open(str(path), plugin="napari")
    panel = open_panel(viewer, qtbot)
    assert panel.data.step.state is State.ATTENTION
    assert panel.sections.next is panel.data.again
    moved = recordings[0].rename(recordings[0].with_suffix(".gone"))
    panel.data.again.click()
    settled(panel, qtbot)
    assert [provenance_of(layer) is None for layer in viewer.layers] == [True, False]  # what is gone stays
    moved.rename(recordings[0])
    panel.data.again.click()
    settled(panel, qtbot)
    assert {provenance_of(layer).role for layer in viewer.layers} == {"lr", "hr"}
    assert panel.data.again.isHidden()

    # A link leads to the field.
    assert not panel.run_box.run.isEnabled()
    assert (panel.alignment.step.setting, panel.alignment.step.state) == ("hr_step", State.ATTENTION)
    assert panel.alignment.isExpanded()
    panel.data.table.asked.emit("lr_rate")
    assert panel.data.known.isExpanded()
    known = panel.data.known.fields
    for name, value in {"lr_rate": 50_000, "hr_rate": 12_500, "lr_pixel": 8, "hr_pixel": 2}.items():
        known[name].value = value
    settled(panel, qtbot)
    assert panel.alignment.pairing["hr_step"].value == 4
    assert panel.run_box.run.isEnabled(), panel.run_box.status.text()
    lr, hr = (stack_of(layer) for layer in panel.data.layers())
    assert (lr.pixel_size, hr.pixel_size) == (8, 2)
    assert lr.clock.interval == pytest.approx(2e-5)
    assert tuple(panel.data.hr.layer().scale) == pytest.approx((2e-5, 2, 2))
    panel.data.refresh.click()
    settled(panel, qtbot)
    assert stack_of(panel.data.lr.layer()).pixel_size == 8

    # They belong to the pair.
    other = open_panel(viewer, qtbot)
    assert other.data.known.value() == panel.data.known.value()


ROOM = 6
"""Screen pixels that a number box needs next to its text."""


def cut(panel):
    """The texts that the panel does not show completely."""
    area, labels = panel.findChild(QScrollArea), panel.findChildren(WrappedLabel)
    for label in filter(WrappedLabel.isVisible, labels):
        document = QTextDocument()
        document.setDefaultFont(label.font())
        document.setDocumentMargin(0)
        document.setHtml(label.text())
        document.setTextWidth(label.width())
        if document.size().width() > label.width() or label.height() < label.heightForWidth(label.width()):
            yield label.text()
    for box in filter(QAbstractSpinBox.isVisible, panel.findChildren(QAbstractSpinBox)):
        field = box.lineEdit()
        if field.fontMetrics().horizontalAdvance(box.text()) + ROOM > field.width():
            yield box.text()
    if area.widget().width() > area.viewport().width():
        yield "the panel is wider than its dock"


def test_the_walk_of_a_result_cuts_nothing_off_at_the_default_width(viewer, tmp_path, qtbot):
    open_sequences(viewer, write_sequences(tmp_path / "a recording with a rather long name", 24, (64, 96)))
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("flow")
    settled(panel, qtbot)
    panel.run_box.preview.click()
    wait(qtbot, lambda: not panel.previews.busy)
    panel.run_box.run.click()
    wait(qtbot, lambda: not panel.runner.busy)
    settled(panel, qtbot)
    assert fused_layer(viewer).opacity == 1
    assert panel.sections.next is panel.judge.score
    wait(qtbot, lambda: not panel.judge.score.visibleRegion().isEmpty())  # it is scrolled to
    panel.judge.score.click()
    wait(qtbot, lambda: not panel.judge.busy)
    assert len(panel.judge.table.rows) > 4
    assert "best here" in panel.judge.step.words
    panel.judge.worst.click()
    assert panel._frame() == round(panel.judge.found.best.worst[0].time)
    for section in panel.sections.all:
        section.expand(animate=False)
    qtbot.wait(50)
    assert not list(cut(panel))

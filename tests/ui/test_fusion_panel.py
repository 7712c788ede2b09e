"""The Fusion panel in a real window: said before it runs, filled in while it runs, stopped, resumed."""

import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results.file_sink import FileSink
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.types import Region
from napari_xfusion.ui.fusion import FusionPanel
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import fused_in, provenance_of, stack_of
from tests.ui.samples import destroyed, wait
from tests.ui.sequences import Pace, ended, fused_layer, open_panel, open_sequences, settled, write_sequences

METHOD = "flow"


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    return write_sequences(tmp_path_factory.mktemp("sequences") / "melt01")


@pytest.fixture(scope="module")
def expected(sequences, tmp_path_factory):
    """What the command line makes of them."""
    path = tmp_path_factory.mktemp("expected") / "fused.tif"
    fuse_files(make_plan(method=METHOD), *sequences, path)
    return path


@pytest.fixture
def viewer(make_napari_viewer, plugin):
    """Not shown: drawing costs most of a test's time, and the panel does not know the difference."""
    return make_napari_viewer(show=False)


@pytest.fixture
def panel(viewer, sequences, qtbot):
    open_sequences(viewer, sequences)
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText(METHOD)
    settled(panel, qtbot)
    return panel


@pytest.fixture
def pace(monkeypatch):
    pace = Pace(monkeypatch)
    yield pace
    pace.allow()


def run_for(panel, qtbot, pace, frames):
    """Run until ``frames`` more are there, and the next one waits."""
    done = len(panel.runner._result.done) if panel.runner._result else 0
    panel.run_box.run.click()
    pace.allow(frames)
    wait(qtbot, lambda: panel.runner._result and len(panel.runner._result.done) == done + frames)


def cancel(panel, qtbot, pace):
    """Cancel; the frame at work is still made and kept."""
    panel.run_box.cancel.click()
    pace.allow(1)
    ended(panel, qtbot)
    return len(panel.runner._result.done)


def to_file(panel, path, qtbot):
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(path))
    settled(panel, qtbot)


def test_before_a_run_it_says_what_was_found_and_what_has_no_effect_is_off(panel, sequences, qtbot):
    said = panel.data.table.words + panel.check.words
    for fact in ("file lr.tif hr.tif", "frames 24 6", "size 32\u00a0x\u00a048", "interval 100 µs"):
        assert fact in said
    assert "scale 4 x 4 HR pixels per LR pixel" in said
    assert "HR at LR frames 0, 4, 8" in said
    assert panel.run_box.run.text() == "Run"
    assert panel.run_box.run.isEnabled()
    assert not panel.run_box.cancel.isEnabled()
    assert panel.output.last.value() == 23

    # It fits a small screen.
    assert 320 <= max(panel.minimumWidth(), panel.minimumSizeHint().width()) < 400
    assert panel.minimumSizeHint().height() < 600

    # A file next to LR is proposed, and findings stay without a name.
    panel.output.destination.setCurrentText("file")
    assert panel.output.path.text() == str(sequences[0].with_name("lr-fused.tif"))
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()
    panel.output.path.setText("")
    settled(panel, qtbot)
    assert "no file name" in panel.run_box.status.text()
    assert "frames 24 6" in panel.data.table.words

    # The page of Preferences and the panel are one.
    computing = compat.plugin_settings("napari-xfusion").computing
    device, precision = panel.method.options["device"], panel.method.options["precision"]
    computing.device, computing.precision = "cpu", "bfloat16"
    assert (device.value, precision.value) == ("cpu", "bfloat16")
    device.value = "auto"
    assert (computing.device, computing.precision) == ("auto", "bfloat16")

    step, start = panel.alignment.pairing["hr_step"], panel.alignment.pairing["hr_start"]
    for every, times, able in ((0, "", (True, False)), (4, "", (True, True)), (4, "0, 4", (False, False))):
        step.value = every
        panel.alignment.pairing["hr_times"].value = times
        assert (step.enabled, start.enabled) == able
    settled(panel, qtbot)


def test_sequences_that_come_after_the_panel_are_found_and_the_method_is_that_of_every_door(
    viewer, sequences, qtbot
):
    panel = open_panel(viewer, qtbot)
    assert not panel.run_box.run.isEnabled()
    open_sequences(viewer, sequences)
    wait(qtbot, panel.run_box.run.isEnabled)
    assert panel.data.lr.layer().name == "melt01 · LR"
    assert panel.data.hr.layer().name == "melt01 · HR"
    assert panel.method.method.currentText() == DEFAULT_METHOD


def test_hr_is_shown_at_the_times_that_the_run_takes(panel, viewer, sequences, pace, qtbot):
    hr = panel.data.hr.layer()
    sharp = open_stack(sequences[1])
    np.testing.assert_array_equal(hr.data[10], sharp.frame(2))
    panel.alignment.pairing["hr_step"].value = 3
    settled(panel, qtbot)
    run_for(panel, qtbot, pace, 1)
    np.testing.assert_array_equal(hr.data[10], sharp.frame(3))
    assert stack_of(hr) is panel.data.sequences()[1]
    cancel(panel, qtbot, pace)
    assert panel.run_box.run.text() == "Resume"


def test_run_cancel_resume_in_memory_gives_what_the_command_line_gives(panel, viewer, expected, pace, qtbot):
    run_for(panel, qtbot, pace, 11)
    assert cancel(panel, qtbot, pace) == 12
    assert "Stopped: 12 of 24 frames are saved" in panel.run_box.status.text()
    assert panel.run_box.run.text() == "Resume"
    layer, data = fused_layer(viewer), fused_layer(viewer).data
    assert layer.name == "melt01 · fused (flow)"
    pace.allow()
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert panel.run_box.run.text() == "Run"
    assert fused_layer(viewer) is layer
    assert layer.data is data
    np.testing.assert_array_equal(layer.data, tifffile.imread(expected))
    record = provenance_of(layer).record
    assert record.frames_resumed == 12
    assert [frame.frame for frame in record.frames] == [*range(24)]


@pytest.mark.parametrize("opened_by", ["this package", "others"])
def test_resume_in_memory_after_the_panel_was_closed_and_after_another_run(
    viewer, sequences, expected, pace, qtbot, opened_by, opened_by_close
):
    if opened_by == "this package":
        open_sequences(viewer, sequences)
    else:
        for name, path, side in (("LR", sequences[0], 4), ("HR", sequences[1], 1)):
            place = {"scale": (1, side, side), "translate": (0, (side - 1) / 2, (side - 1) / 2)}
            viewer.add_image(tifffile.imread(path), name=name, rgb=False, **place)
        viewer.dims.set_current_step(0, 0)

    def opened():
        panel = open_panel(viewer, qtbot)
        panel.method.method.setCurrentText(METHOD)
        panel.alignment.pairing["hr_times"].value = "0, 4, 8, 12, 16, 20"
        settled(panel, qtbot)
        return panel

    panel = opened()
    run_for(panel, qtbot, pace, 6)
    layer, there = fused_layer(viewer), min(panel.runner._result.done)
    viewer.dims.set_current_step(0, 6)  # the frame at work
    assert layer.opacity == 0
    opened_by_close(pace, 1)
    with destroyed(qtbot, panel):
        viewer.window.remove_dock_widget(panel)
    wait(qtbot, lambda: not [t for t in threading.enumerate() if t.name.startswith("fusion")])
    assert layer.opacity == 1
    seen = []
    for frame in (23, there, 22):  # also without the panel, what is below is seen where a frame is missing
        viewer.dims.set_current_step(0, frame)
        seen.append(layer.opacity)
    viewer.dims.ndisplay = 3
    assert [*seen, layer.opacity] == [0, 1, 0, 1]
    viewer.dims.ndisplay = 2

    panel = opened()
    assert panel.run_box.run.text() == "Resume"
    viewer.dims.set_current_step(0, 23)
    text = compat.text_overlay(viewer)
    wait(qtbot, lambda: text.text.endswith("not fused yet"))
    panel.method.method.setCurrentText("bicubic")
    settled(panel, qtbot)
    assert panel.run_box.run.text() == "Run"
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert fused_layer(viewer) is not layer
    panel.method.method.setCurrentText(METHOD)
    settled(panel, qtbot)
    assert panel.run_box.run.text() == "Resume"
    pace.allow()
    panel.run_box.run.click()
    ended(panel, qtbot)
    np.testing.assert_array_equal(layer.data, tifffile.imread(expected))
    assert provenance_of(layer).record.frames_resumed == 7


@pytest.mark.parametrize("name", ["fused.tif", "fused.zarr"])
def test_resume_from_the_file_after_a_new_viewer(
    name, make_napari_viewer, plugin, sequences, pace, opened_by_close, qtbot, tmp_path
):
    def opened():
        viewer = make_napari_viewer(show=False)
        open_sequences(viewer, sequences)
        panel = open_panel(viewer, qtbot)
        panel.method.method.setCurrentText(METHOD)
        to_file(panel, tmp_path / name, qtbot)
        return viewer, panel

    viewer, panel = opened()
    assert panel.run_box.run.text() == "Run"
    run_for(panel, qtbot, pace, 6)
    opened_by_close(pace, 1)
    viewer.close()
    wait(qtbot, lambda: not [t for t in threading.enumerate() if t.name.startswith("fusion")])
    viewer, panel = opened()
    assert panel.run_box.run.text() == "Resume"
    panel.run_box.run.click()
    wait(qtbot, lambda: panel.runner._result.layer is not None)
    frames = stack_frames(fused_layer(viewer))  # those of the run before are on screen at once
    assert [k for k in range(24) if frames[k].any()] == [*range(7)]
    pace.allow()
    ended(panel, qtbot)
    sequence = stack_of(fused_layer(viewer))
    assert sequence.source == str(tmp_path / name)
    (tmp_path / "expected").mkdir()
    fuse_files(make_plan(method=METHOD), *sequences, tmp_path / "expected" / name)
    same_files(tmp_path / name, tmp_path / "expected" / name)


def stack_frames(layer):
    return np.stack([np.asarray(layer.data[k]) for k in range(len(layer.data))])


def same_files(a, b):
    files = [
        sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] for path in (a, b)
    ]
    assert len(files[0]) == len(files[1])
    for mine, theirs in zip(*files, strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def test_the_new_layer_lies_on_hr_is_selected_and_gets_the_frame_on_screen_first(panel, viewer, pace, qtbot):
    viewer.layers.selection = set(viewer.layers)
    viewer.dims.set_current_step(0, 17)
    panel.run_box.run.click()
    wait(qtbot, lambda: panel.runner._result.layer is not None)
    layer, hr = fused_layer(viewer), panel.data.hr.layer()
    assert not panel.runner._result.done
    np.testing.assert_allclose(layer.extent.world, hr.extent.world, atol=1e-9)
    assert tuple(layer.units) == tuple(hr.units)
    assert tuple(layer.contrast_limits) == tuple(hr.contrast_limits)
    assert compat.scale_bar(viewer).visible

    # The frame on screen comes first, and others are said to be missing.
    pace.allow(3)
    wait(qtbot, lambda: panel.runner._result.done == {16, 17, 18})
    assert set(viewer.layers.selection) == {layer}
    listed = viewer.window._qt_viewer.layers.selectionModel()
    assert [index.data() for index in listed.selectedIndexes()] == [layer.name]
    assert listed.currentIndex().data() == layer.name
    viewer.dims.set_current_step(0, 0)
    text = compat.text_overlay(viewer)
    assert text.visible
    wait(qtbot, lambda: text.text == "frame 0 · 0 ns · HR 0 at 0 ns · not fused yet")
    assert not layer.data[0].any()
    assert layer.opacity == 0  # what is below is seen
    viewer.dims.set_current_step(0, 17)
    assert layer.opacity == 1
    viewer.dims.set_current_step(0, 0)
    assert [t for t in range(24) if fused_in(layer)(t)] == [16, 17, 18]
    pace.allow(2)  # the one that was begun, and the one that is looked at now
    wait(qtbot, lambda: text.text == "frame 0 · 0 ns · HR 0 at 0 ns")
    assert panel.runner._result.done == {16, 17, 18, 19, 0}
    assert layer.opacity == 1
    pace.allow()
    ended(panel, qtbot)


def test_a_result_goes_with_its_layer_and_progress_is_told_here_and_in_the_activity_dock(
    panel, viewer, pace, qtbot
):
    from napari.utils.progress import progress

    run_for(panel, qtbot, pace, 2)
    viewer.layers.remove(fused_layer(viewer))
    pace.allow(1)
    ended(panel, qtbot)
    assert panel.run_box.run.text() == "Run"
    assert panel.runner._result is None
    assert panel.run_box.status.text() == "Stopped: the fused layer was removed."

    run_for(panel, qtbot, pace, 5)
    assert panel.run_box.progress.value() == 5
    assert panel.run_box.status.text().startswith("5 of 24 frames · ")
    assert "frames/s" in panel.run_box.status.text()
    assert "left" in panel.run_box.status.text()
    (bar,) = [bar for bar in progress._all_instances if bar.desc and "fusing melt01" in bar.desc]
    assert (bar.n, bar.total) == (5, 24)
    bar.cancel()  # what its button in the dock does
    pace.allow(1)
    wait(qtbot, lambda: len(panel.runner._result.done) == 6)
    pace.allow(1)
    ended(panel, qtbot)
    assert "Stopped" in panel.run_box.status.text()

    # A run that is cancelled at once leaves no bar.
    viewer.layers.remove(fused_layer(viewer))
    settled(panel, qtbot)
    panel.run_box.run.click()
    assert panel.runner.busy
    panel.runner.cancel()
    pace.allow()
    ended(panel, qtbot)
    wait(qtbot, panel.runner._result.shown.is_set)  # the layer comes after the end
    assert not [bar for bar in progress._all_instances if bar.desc and "fusing" in bar.desc]


def test_a_region_and_a_range_of_frames_lie_where_they_belong(panel, viewer, expected, qtbot):
    layer = panel.data.hr.layer()
    world = [
        layer.data_to_world((0, y, x))[-2:]
        for y, x in ((15.5, 31.5), (15.5, 95.5), (63.5, 95.5), (63.5, 31.5))
    ]
    viewer.add_shapes([np.array(world)], name="here", units=layer.units[-2:])
    panel.output.region.choose(viewer.layers["here"])
    panel.output.first.setValue(5)
    panel.output.last.setValue(9)
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled(), panel.run_box.run.toolTip()
    panel.run_box.run.click()
    ended(panel, qtbot)
    fused = fused_layer(viewer)
    assert fused.name == "melt01 · fused (flow, Frames 5:10, Region 16:64,32:96)"
    np.testing.assert_array_equal(fused.data, tifffile.imread(expected)[5:10, 16:64, 32:96])
    np.testing.assert_allclose(fused.data_to_world((0, 0, 0)), layer.data_to_world((5, 16, 32)), atol=1e-9)


def test_a_region_follows_what_is_drawn_and_selected(panel, viewer, qtbot):
    """The layer is chosen first and drawn in then, as one does."""
    hr = panel.data.hr.layer()
    shapes = viewer.add_shapes(name="here", ndim=2, units=hr.units[-2:])
    panel.output.region.choose(shapes)
    settled(panel, qtbot)
    assert "Draw a rectangle" in panel.run_box.run.toolTip()

    def region() -> Region:
        settled(panel, qtbot)
        return panel._request.plan.region

    first, second = (
        np.array([[a, b], [a, b + 9], [a + 9, b + 9], [a + 9, b]]) for a, b in ((3, 4), (30, 50))
    )
    shapes.add_rectangles(first)
    assert region() == Region(3, 13, 4, 14)
    shapes.data = [first + 10]
    assert region() == Region(13, 23, 14, 24)
    shapes.data = [first, second]
    shapes.selected_data = {1}
    assert region() == Region(30, 40, 50, 60)
    shapes.selected_data = set()
    assert region() == Region(3, 40, 4, 60)


def test_settings_are_remembered_but_no_step_for_sequences_that_know_their_times(
    panel, make_napari_viewer, sequences, qtbot
):
    panel.alignment.pairing["hr_step"].value = 3
    panel.method.method.setCurrentText("bayesian")
    panel.method.options["separation"].value = 3
    settled(panel, qtbot)
    other = make_napari_viewer(show=False)
    open_sequences(other, sequences)
    again = open_panel(other, qtbot)
    assert again.method.method.currentText() == "bayesian"
    assert again.method.options["separation"].value == 1
    assert again.alignment.pairing["hr_step"].value == 0


def write_without_times(folder):
    """LR and HR as most cameras write them: nothing says when the HR frames were taken."""
    folder.mkdir()
    for path in (paths := write_sequences(folder, 9)):
        tifffile.imwrite(path, tifffile.imread(path), photometric="minisblack", metadata={"axes": "TYX"})
    return paths


def test_times_are_those_of_one_pair_and_remembered_for_it(make_napari_viewer, plugin, tmp_path, qtbot):
    first, second = (write_without_times(tmp_path / name) for name in ("first", "second"))

    def open_pair(paths):
        viewer = make_napari_viewer(show=False)
        open_sequences(viewer, paths)
        return viewer, open_panel(viewer, qtbot)

    def shown(panel):
        return [
            widget.value
            for widget in (
                *map(panel.alignment.pairing.__getitem__, ("hr_step", "hr_start")),
                panel.method.options["separation"],
            )
        ]

    viewer, panel = open_pair(first)
    panel.alignment.pairing["hr_step"].value, panel.alignment.pairing["hr_start"].value = 3, 1
    panel.method.options["separation"].value = 2
    settled(panel, qtbot)
    open_sequences(viewer, second)
    panel.data.lr.choose(viewer.layers[-2])
    panel.data.hr.choose(viewer.layers[-1])
    assert shown(panel) == [0, 0, 1]
    panel.data.lr.choose(viewer.layers[0])
    panel.data.hr.choose(viewer.layers[1])
    panel.alignment.pairing["hr_step"].value, panel.alignment.pairing["hr_start"].value = 3, 1
    settled(panel, qtbot)
    panel = open_pair(second)[1]
    assert shown(panel) == [0, 0, 1]
    assert not panel.run_box.run.isEnabled()
    assert shown(open_pair(first)[1])[:2] == [3, 1]


def test_the_label_is_true_without_a_pair_and_goes_with_layers_and_panel(panel, viewer, qtbot):
    label = compat.text_overlay(viewer)
    viewer.dims.set_current_step(0, 9)
    viewer.layers.remove(panel.data.hr.layer())
    settled(panel, qtbot)
    viewer.dims.set_current_step(0, 10)
    wait(qtbot, lambda: label.text == "frame 10 · 1 ms")
    lr = panel.data.lr.layer()
    viewer.layers.remove(lr)
    wait(qtbot, lambda: label.text == "")
    viewer.add_layer(lr)
    panel.data.lr.choose(lr)
    wait(qtbot, lambda: label.text.startswith("frame "))
    with destroyed(qtbot, panel):
        viewer.window.remove_dock_widget(panel)
    assert label.text == ""


def test_settings_that_make_no_sense_are_left_alone(viewer, sequences, qtbot):
    from napari_xfusion.ui.fusion.settings import settings_file

    settings_file().parent.mkdir(parents=True)
    settings_file().write_text(
        '{"fusion": {"data": {"hr_step": "x"}, "method": {"method": 7, "separation": null}}}'
    )
    open_sequences(viewer, sequences)
    panel = open_panel(viewer, qtbot)
    assert panel.method.method.currentText() == DEFAULT_METHOD
    assert panel.method.options["separation"].value == 1


@pytest.mark.parametrize("cancels", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_cancels_at_random_moments(make_napari_viewer, plugin, sequences, expected, qtbot, capfd, cancels):
    """Whether a run is then stopped or done, it goes on from there and ends with the same sequence."""
    chance, viewer = random.Random(1), make_napari_viewer(show=False)  # noqa: S311 - no secret
    open_sequences(viewer, sequences)
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText(METHOD)
    settled(panel, qtbot)
    for _ in range(cancels):
        panel.run_box.run.click()
        qtbot.wait(chance.randrange(300))
        panel.run_box.cancel.click()
        ended(panel, qtbot)
        if panel.runner._result.finished:
            viewer.layers.remove(fused_layer(viewer))
            settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    np.testing.assert_array_equal(fused_layer(viewer).data, tifffile.imread(expected))
    assert "QThread" not in capfd.readouterr().err


@pytest.mark.parametrize("closes", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_closes_at_random_moments(make_napari_viewer, plugin, sequences, qtbot, capfd, closes):
    """What is left behind is looked for by ``nothing_left``, the fixture of every window test."""
    chance = random.Random(2)  # noqa: S311 - no secret
    for number in range(closes):
        viewer = make_napari_viewer(show=False)
        open_sequences(viewer, sequences)
        panel = FusionPanel(viewer)
        viewer.window.add_dock_widget(panel, name="Fusion", area="right")
        if number % 4:
            settled(panel, qtbot)
            panel.run_box.run.click() if number % 2 else panel.run_box.preview.click()
            qtbot.wait(chance.randrange(150))
        viewer.close()
    assert "QThread" not in capfd.readouterr().err


QUIT = """
import sys
import threading
import napari
from qtpy.QtCore import QTimer
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.ui.shared.layers import sequence_pair

imported = {}

class Imports:
    def find_spec(self, name, path=None, target=None):
        imported.setdefault(name, threading.current_thread())

sys.meta_path.insert(0, Imports())
viewer = napari.Viewer()
for layer in sequence_pair(*map(open_stack, sys.argv[1:])):
    viewer.add_image(layer.data, **layer.options)
for name in ("Inspect", "Virtual experiment", "Fusion"):
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", name)
assert "torch" not in sys.modules
assert imported.get("pyqtgraph") is not threading.main_thread()

def run():
    if panel.run_box.run.isEnabled():
        timer.stop()
        panel.run_box.run.click()
        QTimer.singleShot(150, viewer.window._qt_window.close)

timer = QTimer()
timer.timeout.connect(run)
timer.start(20)
napari.run()
assert imported["pyqtgraph"] is not threading.main_thread()
"""


def test_quitting_during_a_run_is_quiet_and_the_window_waits_for_neither_torch_nor_pyqtgraph(
    sequences, qtbot
):
    """In a process of its own, to its very end. The panel has a timeline, by pyqtgraph."""
    command = [sys.executable, "-c", QUIT, *map(str, sequences)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_file_is_read_while_it_is_written(tmp_path, sequences, expected):
    """The array that napari is given for a result on disk."""
    from napari_xfusion.core.results import open_sink
    from napari_xfusion.core.run import Run
    from napari_xfusion.ui.fusion.runner import KeptFrames

    sink = open_sink(tmp_path / "fused.tif")
    assert isinstance(sink, FileSink)
    truth = tifffile.imread(expected)
    run, done = Run(make_plan(method=METHOD), *sequences), set()
    with sink:
        run.begin(sink)
        frames = KeptFrames(sink, run.spec, done)
        for frame in run.frames(stop=NEVER):
            done.add(frame.index)
            np.testing.assert_array_equal(frames[frame.index], truth[frame.index])
            assert not frames[23].any() or frame.index == 23
        run.commit()
    assert frames.shape == truth.shape
    np.testing.assert_array_equal(frames[2:9:3, 5], truth[2:9:3, 5])
    np.testing.assert_array_equal(frames[np.int64(-1), 3:7, ::2], truth[-1, 3:7, ::2])
    np.testing.assert_array_equal(np.asarray(frames), truth)


class NEVER:
    @staticmethod
    def is_set():
        return False

"""Preview and Live: the frame under the slider, what is seen of it, and never a stale one."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from napari_xfusion.core.methods.interpolation import InterpolationStream
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.run import fuse
from napari_xfusion.ui.fusion import live
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import provenance_of
from tests.ui.samples import wait
from tests.ui.sequences import Pace, ended, fused_layer, open_panel, open_sequences, settled, write_sequences

pytestmark = pytest.mark.drawn(False)
METHODS = ("bicubic", "interpolation", "flow")


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    return write_sequences(tmp_path_factory.mktemp("sequences") / "melt01", frames=12, shape=(48, 64))


@pytest.fixture
def viewer(make_napari_viewer, plugin):
    return make_napari_viewer(show=False)


@pytest.fixture
def panel(viewer, sequences, qtbot):
    open_sequences(viewer, sequences)
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("interpolation")
    settled(panel, qtbot)
    return panel


def answered(panel, qtbot):
    """Wait until the frame that is asked for is there."""
    settled(panel, qtbot)
    wait(qtbot, lambda: not panel.previews.busy)


def live_layer(viewer):
    (layer,) = [layer for layer in viewer.layers if "preview" in layer.name]
    return layer


def is_truth(layer, sequences):
    """Whether a preview shows what fuse() gives for the plan that it says it has."""
    plan = provenance_of(layer).plan
    (frame,) = fuse(plan, *map(open_stack, sequences))
    np.testing.assert_allclose(layer.data[0], frame.image, rtol=1e-5, atol=0.01)
    return plan


def test_preview_shows_that_frame_at_its_time_or_what_went_wrong(
    panel, viewer, sequences, monkeypatch, qtbot
):
    viewer.dims.set_current_step(0, 6)
    panel.run_box.preview.click()
    answered(panel, qtbot)
    layer, hr = live_layer(viewer), panel.data.hr.layer()
    assert layer.name == "melt01 · fused (interpolation, preview)"
    assert is_truth(layer, sequences).frames == (6, 7)
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), hr.data_to_world((6, 0, 0)), atol=1e-12)
    np.testing.assert_allclose(layer.extent.world[:, 1:], hr.extent.world[:, 1:])
    assert tuple(layer.contrast_limits) == tuple(hr.contrast_limits)
    assert "frame 6" in panel.run_box.status.text()

    def fail(self, window):
        raise MemoryError("no room")

    viewer.dims.set_current_step(0, 7)
    monkeypatch.setattr(InterpolationStream, "combine", fail)
    panel.run_box.preview.click()
    answered(panel, qtbot)
    assert panel.run_box.status.text().startswith("Unexpected MemoryError, see the log")


def test_a_run_keeps_the_previewed_frame(panel, viewer, sequences, monkeypatch, qtbot):
    """It is not fused again: the method has no permit for a twelfth frame."""
    panel.method.method.setCurrentText("flow")
    settled(panel, qtbot)
    pace = Pace(monkeypatch)
    pace.allow(12)
    viewer.dims.set_current_step(0, 6)
    panel.run_box.preview.click()
    answered(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert "Done: 12 frames" in panel.run_box.status.text()
    pace.allow()
    fused = [
        frame.image for frame in fuse(provenance_of(fused_layer(viewer)).plan, *map(open_stack, sequences))
    ]
    np.testing.assert_allclose(fused_layer(viewer).data, fused, rtol=1e-5, atol=0.51)


def test_live_follows_slider_method_and_separation_and_it_stays_said_how_a_run_ended(
    panel, viewer, sequences, qtbot
):
    panel.run_box.live.setChecked(True)
    answered(panel, qtbot)
    assert is_truth(live_layer(viewer), sequences).frames == (0, 1)
    viewer.dims.set_current_step(0, 5)
    answered(panel, qtbot)
    assert is_truth(live_layer(viewer), sequences).frames == (5, 6)
    panel.method.method.setCurrentText("bicubic")
    answered(panel, qtbot)
    plan = is_truth(live_layer(viewer), sequences)
    assert (plan.method, plan.frames) == ("bicubic", (5, 6))
    assert live_layer(viewer).name == "melt01 · fused (bicubic, preview)"
    panel.method.options["separation"].value = 2
    answered(panel, qtbot)
    assert is_truth(live_layer(viewer), sequences).separation == 2
    panel.run_box.live.setChecked(False)
    viewer.dims.set_current_step(0, 9)
    answered(panel, qtbot)
    assert provenance_of(live_layer(viewer)).plan.frames == (5, 6)
    panel.run_box.live.setChecked(True)
    answered(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    answered(panel, qtbot)
    assert panel.run_box.status.text().startswith("Done: 12 frames.")
    panel.run_box.live.setChecked(False)
    panel.method.method.setCurrentText("interpolation")  # another run
    settled(panel, qtbot)
    assert panel.run_box.status.text() == ""
    assert panel.run_box.progress.isHidden()


def test_only_what_is_seen_is_fused_when_zoomed_in(make_napari_viewer, plugin, sequences, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(800, 500)
    open_sequences(viewer, sequences)
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("interpolation")
    settled(panel, qtbot)
    compat.camera(viewer).zoom *= 4
    whole = panel.data.hr.layer()
    wait(qtbot, lambda: np.ptp(whole.corner_pixels[:, 2]) < 50)
    panel.run_box.live.setChecked(True)
    answered(panel, qtbot)
    layer, hr = live_layer(viewer), panel.data.hr.layer()
    region = is_truth(layer, sequences).region
    assert layer.data.shape[1:] == region.shape
    assert region.shape < (48, 64)
    seen = np.asarray(hr.corner_pixels)[:, 1:]
    assert (np.array([region.top, region.left]) <= seen[0] + 1).all()
    assert (np.array([region.bottom, region.right]) >= seen[1]).all()
    np.testing.assert_allclose(
        layer.data_to_world((0, 0, 0))[1:], hr.data_to_world((0, region.top, region.left))[1:]
    )
    viewer.reset_view()
    wait(qtbot, lambda: provenance_of(live_layer(viewer)).plan.region is None)


def test_neighbouring_frames_are_asked_of_one_session(panel, viewer, monkeypatch, qtbot):
    from napari_xfusion.core.session import Session

    opened, init = [], Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda self, *a: opened.append(self) or init(self, *a))
    panel.run_box.live.setChecked(True)
    for step in range(5):
        viewer.dims.set_current_step(0, step)
        answered(panel, qtbot)
    assert len(opened) == 1
    panel.method.method.setCurrentText("bicubic")
    answered(panel, qtbot)
    assert len(opened) == 2
    assert opened[0]._stream is None  # freed before the next


@pytest.mark.parametrize("changes", [25, pytest.param(200, marks=pytest.mark.soak)])
def test_stale_answers_never_win(panel, viewer, sequences, qtbot, changes):
    """Changes of frame, method and separation at random moments: what is shown is what is asked for."""
    chance, shown = random.Random(3), []  # noqa: S311 - no secret

    def note(words):
        request = panel._request
        assert request is not None, "an answer to settings that had changed"
        plan = provenance_of(live_layer(viewer)).plan
        assert (plan.method, plan.separation) == (request.plan.method, request.plan.separation)
        assert plan.frames == (panel._frame(), panel._frame() + 1)
        shown.append(words)

    panel.previews.shown.connect(note)
    panel.run_box.live.setChecked(True)
    for number in range(changes):
        kind = chance.randrange(8)
        if kind == 0:
            panel.method.method.setCurrentText(chance.choice(METHODS))
        elif kind == 1:
            panel.method.options["separation"].value = chance.randrange(1, 4)
        else:
            viewer.dims.set_current_step(0, chance.randrange(12))
        if number % 6:
            qtbot.wait(chance.choice((0, 1, 5, 20, 60)))
        else:
            answered(panel, qtbot)
    viewer.dims.set_current_step(0, (panel._frame() + 1) % 12)
    answered(panel, qtbot)
    assert shown
    plan = is_truth(live_layer(viewer), sequences)
    assert (plan.method, plan.separation) == (
        panel.method.method.currentText(),
        panel.method.options["separation"].value,
    )
    assert plan.frames == (panel._frame(), panel._frame() + 1)


def test_flow_is_shown_while_the_first_network_is_loaded(panel, viewer, sequences, monkeypatch, qtbot):
    panel.method.method.setCurrentText("lite")
    settled(panel, qtbot)
    shown, show = [], panel.previews._show
    monkeypatch.setattr(live, "sys", SimpleNamespace(modules={}))  # as in a session without torch
    monkeypatch.setattr(
        panel.previews, "_show", lambda answer: (show(answer), shown.append(live_layer(viewer).name))
    )
    panel.run_box.preview.click()
    answered(panel, qtbot)
    names = [f"melt01 · fused ({method}, preview)" for method in ("flow", "lite")]
    assert shown == names
    is_truth(live_layer(viewer), sequences)

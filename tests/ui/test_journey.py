"""One long walk through a real window, as a scientist's first: from the sample in the menu to a file on disk.

With ``--pictures FOLDER`` its moments are saved as the pictures of the documentation (``make pictures``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton
from skimage.registration import phase_cross_correlation

from napari_xfusion.cli import main
from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.networks.engine import NetworkStream
from napari_xfusion.lab import demo
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import provenance_of
from napari_xfusion.ui.shared.steps import NEXT, State
from napari_xfusion.ui.shared.widgets import bring_into_view
from tests.small_sample import FRAMES, write_small_sample
from tests.ui.samples import press, wait
from tests.ui.sequences import Pace, ended, fused_layer, settled
from tests.ui.test_menus import run
from tests.ui.test_reader import drop

EVERY_LAYER = (
    *(f"Add a layer: {name}, each frame divided" for name in ("LR", "HR", "fused", "truth")),
    *(
        f"Add a layer: the same two sequences fused by {name}"
        for name in ("bicubic.", "interpolation", "flow", "Bayesian.")
    ),
    "Add a layer: the fused sequence minus bicubic",
    "Add a layer: the fused sequence binned to LR",
    "Add a layer: the standard deviation",
    "The attention of a network",
)
SOME_LAYERS = (EVERY_LAYER[0], "Add a layer: the fused sequence minus bicubic", "The attention of a network")
"""A window draws each of its layers after every step."""


@pytest.fixture(params=["a part", pytest.param("the whole", marks=pytest.mark.slow)])
def extent(request, tmp_path, monkeypatch):
    """How much of the sample is walked through: a part shows the same, and a network is done with it sooner."""
    if request.param == "a part":
        monkeypatch.setattr(demo, "SAMPLE_PLACES", (write_small_sample(tmp_path / "sample"),))
    return request.param


@pytest.fixture
def frames(extent):
    """How many LR frames the sample has."""
    return FRAMES if extent == "a part" else 51


@pytest.fixture
def picture(request, viewer, extent):
    """Saves what the window shows of the sample."""
    folder = request.config.getoption("--pictures") if extent == "the whole" else None
    return camera_of(viewer, folder)


@pytest.fixture
def rig_picture(request, viewer):
    """Saves what the window shows of the two cameras."""
    return camera_of(viewer, request.config.getoption("--pictures"))


def camera_of(viewer, folder):
    """Saves what the window shows in ``folder``, where there is one; a picture of nothing is a failure."""

    def save(name: str) -> None:
        QApplication.processEvents()
        image = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False))
        assert image.size == (1366, 768)  # it fits a small laptop
        assert len(image.convert("L").getcolors()) > 20
        if folder:  # few colours keep the repository small, and nobody sees the difference
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            small.save(Path(folder) / f"window-{name}.png", optimize=True)

    return save


def panel_of(viewer, name, kind):
    run(name)
    docks = viewer.window._wrapped_dock_widgets.values()
    return next(w for dock in docks for w in dock.findChildren(object) if type(w).__name__ == kind)


@pytest.fixture
def pace(monkeypatch):
    """The network makes frames as they are allowed."""
    pace = Pace(monkeypatch, NetworkStream, "_launch")
    yield pace
    pace.allow()


MENU = 3
"""Clicks: Plugins, napari-xfusion, Fusion."""


class User:
    """Clicks what the panel marks as the next button, and counts."""

    def __init__(self, panel, qtbot):
        self.panel, self.qtbot, self.clicks = panel, qtbot, MENU

    def click(self, button):
        wait(self.qtbot, lambda: button.isEnabled() and not button.visibleRegion().isEmpty())
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.clicks += 1

    def follow(self, expected):
        wait(self.qtbot, lambda: self.panel.sections.next is expected)
        marked = [each for each in self.panel.findChildren(QPushButton) if each.styleSheet() == NEXT]
        assert marked == [expected]
        self.click(expected)


def laid_out(panel):
    """Whether layouts have followed the last change."""
    whole = panel.run_box.height() == panel.run_box.sizeHint().height()
    return whole and panel.data.open.height() >= panel.data.open.sizeHint().height()


@pytest.mark.early
def test_a_first_time_user_gets_to_a_judged_and_saved_result_in_twelve_clicks(
    viewer, qtbot, tmp_path, picture, frames, monkeypatch
):
    panel = panel_of(viewer, "fusion", "FusionPanel")
    settled(panel, qtbot)
    user = User(panel, qtbot)
    wait(qtbot, lambda: laid_out(panel))
    picture("start")
    user.click(panel.data.sample)
    wait(qtbot, lambda: panel.run_box.run.isEnabled() and laid_out(panel))
    picture("check")
    user.follow(panel.run_box.preview)
    wait(qtbot, lambda: not panel.previews.busy)
    user.follow(panel.run_box.run)
    ended(panel, qtbot)
    assert len(panel.runner._result.done) == frames
    user.follow(panel.judge.score)
    wait(qtbot, lambda: not panel.judge.busy)
    wait(qtbot, lambda: not panel.judge.inspect.visibleRegion().isEmpty())
    picture("judge")
    user.follow(panel.judge.inspect)
    inspect = panel_of(viewer, "inspect", "InspectPanel")
    press(inspect, qtbot, "Add a layer: the fused sequence binned to LR")
    panel.parent().raise_()
    user.clicks += 3  # that button, the tab of the Fusion panel, and Save in the dialog
    saved = tmp_path / "saved.tif"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    user.follow(panel.export.save_sequence)
    wait(qtbot, lambda: "saved" in panel.export.status.text())
    assert len(tifffile.imread(saved)) == frames
    assert panel.sections.next is None
    assert user.clicks <= 12
    assert all(section.step.state is not State.PENDING for section in panel.sections.all)


@pytest.mark.early
def test_two_dropped_files_that_hold_nothing_but_frames_become_a_saved_result_in_twelve_clicks(
    viewer, qtbot, tmp_path, picture, frames, monkeypatch
):
    panel = panel_of(viewer, "fusion", "FusionPanel")
    settled(panel, qtbot)
    user = User(panel, qtbot)
    folder = tmp_path / "melt01"
    folder.mkdir()
    for name in ("lr", "hr"):
        recorded = tifffile.imread(demo.sample_sequence(name))
        tifffile.imwrite(folder / f"{name}.tif", recorded, photometric="minisblack", metadata=None)
    get_settings().plugins.extension2reader = {
        "*.tif": "napari"
    }  # napari's chooser offers its own reader first
    drop(viewer, *(str(folder / f"{name}.tif") for name in ("lr", "hr")))
    user.clicks += 2  # the drag, and OK in the chooser
    settled(panel, qtbot)
    wait(qtbot, lambda: laid_out(panel))
    picture("dropped")
    user.follow(panel.data.again)
    settled(panel, qtbot)
    assert {provenance_of(layer).role for layer in viewer.layers} == {"lr", "hr"}

    # The HR step: a link leads to the field.
    assert not panel.run_box.run.isEnabled()
    assert panel.alignment.step.setting == "hr_step"
    panel.alignment.line.linkActivated.emit("hr_step")
    user.clicks += 1
    field = panel.alignment.pairing["hr_step"].native
    wait(qtbot, lambda: not field.visibleRegion().isEmpty() and laid_out(panel))
    picture("no-step")
    field.selectAll()
    QTest.keyClicks(field, "10")
    settled(panel, qtbot)
    assert panel.alignment.step.state is State.DONE
    assert "correlation 0.99" in panel.check.step.words
    wait(qtbot, lambda: laid_out(panel))
    picture("step")
    user.follow(panel.run_box.preview)
    wait(qtbot, lambda: not panel.previews.busy)
    user.follow(panel.run_box.run)
    ended(panel, qtbot)
    assert len(panel.runner._result.done) == frames
    saved = tmp_path / "saved.tif"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    bring_into_view(panel.export.save_sequence)  # with the wheel
    user.click(panel.export.save_sequence)
    user.clicks += 2  # the section Judge, and Save in the dialog
    wait(qtbot, lambda: "saved" in panel.export.status.text())
    assert len(tifffile.imread(saved)) == frames
    assert user.clicks <= 12


@pytest.mark.early
def test_from_the_sample_to_a_file_that_equals_the_command_lines(
    viewer, qtbot, tmp_path, picture, pace, extent, frames
):
    middle, half = frames // 2, 2 * frames // 5
    viewer.open_sample("napari-xfusion", "two-cameras")
    panel = panel_of(viewer, "fusion", "FusionPanel")
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled(), panel.run_box.status.text()
    viewer.dims.set_current_step(0, middle)
    panel.run_box.preview.click()
    pace.allow(1)
    name = "sample · fused (lite, preview)"  # at first it may be flow's, while torch is loaded
    wait(qtbot, lambda: name in viewer.layers)
    picture("preview")

    # Run, cancel halfway, resume.
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(tmp_path / "fused.tif"))
    settled(panel, qtbot)
    panel.run_box.run.click()
    pace.allow(half - 1)  # and the previewed frame
    wait(qtbot, lambda: panel.runner._result and len(panel.runner._result.done) == half)
    picture("run")
    viewer.dims.set_current_step(0, frames - 1)
    wait(qtbot, lambda: compat.text_overlay(viewer).text.endswith("not fused yet"))
    assert viewer.screenshot(flash=False)[..., :3].max(axis=-1).mean() > 30  # HR, and not black
    viewer.dims.set_current_step(0, middle)
    panel.run_box.cancel.click()
    pace.allow(10_000)
    ended(panel, qtbot)
    kept = set(panel.runner._result.done)
    assert len(kept) == half
    assert middle in kept  # the frame under the slider went first
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert f"Done: {frames} frames" in panel.run_box.status.text()
    fused = fused_layer(viewer)
    picture("fusion")
    viewer.theme = "light"
    picture("light")
    viewer.theme = "dark"

    scrub(viewer, qtbot)
    add_layers(viewer, qtbot, fused, picture, SOME_LAYERS if extent == "a part" else EVERY_LAYER)

    # Out of the window, and the same from the command line.
    panel.export.sequence.choose(fused)
    panel.export.export_sequence(tmp_path / "exported.tif")
    wait(qtbot, lambda: "saved" in panel.export.status.text())
    sequences = [str(demo.sample_sequence(name)) for name in ("lr", "hr")]
    assert main(["fuse", *sequences, "-o", str(tmp_path / "headless.tif")]) == 0
    headless = tifffile.imread(tmp_path / "headless.tif")
    for name in ("fused.tif", "exported.tif"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name), headless)
    assert (tmp_path / "fused.tif").read_bytes() == (tmp_path / "headless.tif").read_bytes()


@pytest.mark.early
def test_from_two_cameras_to_a_fused_sequence_that_equals_the_command_lines(
    viewer, qtbot, tmp_path, rig_picture
):
    viewer.open_sample("napari-xfusion", "uncalibrated")
    panel = panel_of(viewer, "rig", "RigPanel")

    # The geometry from the grid.
    panel.geometry_box.settings["way"].value = "grid"
    panel.geometry_box.fit.click()
    wait(qtbot, lambda: not panel._worker.busy)
    rig_picture("rig-fit")
    panel.geometry_box.checkerboard.click()
    wait(qtbot, lambda: not panel._worker.busy)
    viewer.layers.selection.active = viewer.layers["rig · checkerboard"]
    rig_picture("rig-checkerboard")

    # The clock from the shot.
    panel.lr.choose(viewer.layers["shot · LR"])
    panel.hr.choose(viewer.layers["shot · HR"])
    panel.clock_box.synchronise.click()
    wait(qtbot, lambda: not panel._worker.busy)
    viewer.dims.set_current_step(0, 27)
    rig_picture("rig-clock")
    panel.save_rig(tmp_path / "rig.json")

    # The fused sequence, as the command line makes it.
    panel.open_fusion()
    fusion = panel_of(viewer, "fusion", "FusionPanel")
    fusion.method.method.setCurrentText("interpolation")
    settled(fusion, qtbot)
    assert fusion.run_box.run.isEnabled(), fusion.run_box.status.text()
    fusion.run_box.preview.click()
    wait(qtbot, lambda: any("preview" in layer.name for layer in viewer.layers))
    fusion.output.destination.setCurrentText("file")
    fusion.output.path.setText(str(tmp_path / "fused.tif"))
    settled(fusion, qtbot)
    fusion.run_box.run.click()
    ended(fusion, qtbot)
    assert "Done: 61 frames" in fusion.run_box.status.text()
    fused = fused_layer(viewer)
    show_only(viewer, [fused])
    rig_picture("rig-fused")
    sequences = [str(demo.sample_sequence(f"rig/shot_{name}")) for name in ("lr", "hr")]
    options = ["--rig", str(tmp_path / "rig.json"), "--method", "interpolation"]
    assert main(["fuse", *sequences, *options, "-o", str(tmp_path / "headless.tif")]) == 0
    assert (tmp_path / "fused.tif").read_bytes() == (tmp_path / "headless.tif").read_bytes()
    in_register(viewer, fused)


@pytest.mark.slow
def test_clicks_on_the_canvas_make_pairs_and_their_residuals(viewer, qtbot, rig_picture):
    viewer.open_sample("napari-xfusion", "uncalibrated")
    panel = panel_of(viewer, "rig", "RigPanel")
    viewer.theme = "light"
    panel.geometry_box.click.click()
    QApplication.processEvents()  # the canvas gets its size
    viewer.reset_view()
    QApplication.processEvents()
    lr = np.array([(20, 30), (40, 70), (15, 80), (50, 25), (35, 50)])
    truth = Calibration.load(demo.sample_sequence("rig/grid_lr").with_name("rig.json"))
    for pair in zip(lr, truth.mapping.to_output(lr), strict=True):
        for camera, pixel in zip(("LR", "HR"), pair, strict=True):
            wait(qtbot, lambda camera=camera: panel.pairs.turn == camera)
            click_at(viewer, viewer.layers[f"grid · {camera}"], pixel)
            wait(qtbot, lambda: panel.pairs.settled)
    assert "Click point 6 on LR. 5 points, residual 0." in panel.geometry_box.found.text()
    panel.pairs._layers["LR"].add((45, 60))
    wait(qtbot, lambda: panel.pairs.turn == "HR" and panel.pairs.settled)
    rig_picture("rig-pairs")


def click_at(viewer, layer, pixel):
    """Click on the canvas where a layer shows a pixel."""
    canvas, camera = viewer.window._qt_viewer.canvas.native, compat.camera(viewer)
    away = np.asarray(layer.data_to_world(pixel))[-2:] - np.asarray(camera.center)[-2:]
    y, x = away * camera.zoom + np.array([canvas.height(), canvas.width()]) / 2
    place = QPoint(round(x), round(y))
    QTest.mouseMove(canvas, place)
    QApplication.processEvents()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
    QApplication.processEvents()


def in_register(viewer, fused):
    """All layers of two cameras lie where the true rig places them, to 0.1 HR pixels: fiducials and extents."""
    truth = Calibration.load(demo.sample_sequence("rig/grid_lr").with_name("rig.json"))
    pixel = truth.hr.pixel_size
    seen = [layer for layer in viewer.layers if " · " in layer.name]
    assert len(seen) == 7
    for layer in seen:
        is_lr = layer.name.endswith("LR")
        height, width = layer.data.shape[-2:]
        corner = np.zeros(2)
        if "fused" in layer.name:
            region = provenance_of(layer).plan.region
            corner = np.array([region.top, region.left])
            assert region.shape == (height, width)
        for fiducial in [(0.0, 0.0), (height - 1.0, 0.0), (0.0, width - 1.0), (30.0, 44.0)]:
            place = layer.data_to_world([*[0] * (layer.ndim - 2), *fiducial])[-2:]
            expected = truth.mapping.to_output(fiducial) if is_lr else corner + fiducial
            assert np.asarray(place) / pixel == pytest.approx(expected, abs=0.1), layer.name
    # What the layers show lies there, too: the fused frame is the HR frame of about the same time.
    assert fused.data.shape[0] == 61
    top, bottom, left, right = provenance_of(fused).plan.region
    hr = viewer.layers["shot · HR"]
    own, recorded = (np.asarray(layer.data[19], float) for layer in (fused, hr))  # HR frame 2 is at 18.97
    shift, *_ = phase_cross_correlation(recorded[top:bottom, left:right], own, upsample_factor=50)
    assert np.abs(shift).max() < 0.1


def show_only(viewer, wanted):
    """These layers and no others; napari draws again for each that is set."""
    for layer in viewer.layers:
        if layer.visible != (layer in wanted):
            layer.visible = not layer.visible


def scrub(viewer, qtbot):
    """By the arrow keys."""
    viewer.dims.set_current_step(0, 10)
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    for _ in range(5):
        QTest.keyClick(canvas, Qt.Key.Key_Right)
    wait(qtbot, lambda: viewer.dims.current_step[0] == 15)


def add_layers(viewer, qtbot, fused, picture, tips):
    """What the Inspect panel shows, by its explanations, each in a layer of its own, and the plots."""
    inspect = panel_of(viewer, "inspect", "InspectPanel")
    before = set(viewer.layers)
    for tip in tips:
        press(inspect, qtbot, tip)
    made = [layer for layer in viewer.layers if layer not in before]
    assert len(made) == len(tips) + 4  # attention adds five
    assert all(provenance_of(layer).origins for layer in made)
    for layer in made:
        wait(qtbot, lambda layer=layer: np.isfinite(np.asarray(layer.data[15])).any())
    show_only(viewer, [fused, *made[-5:]])
    compat.grid(viewer).enabled = True
    viewer.reset_view()
    picture("attention")
    compat.grid(viewer).enabled = False
    show_only(viewer, [fused])
    viewer.reset_view()
    plots = inspect.show_plots()
    plots.compute.click()
    wait(qtbot, lambda: not plots.cancel.isEnabled())
    viewer.dims.set_current_step(0, 16)  # the cursor in the plots goes with the slider
    wait(qtbot, lambda: compat.text_overlay(viewer).text.startswith("frame 16"))
    picture("plots")
    plots.tabs.setCurrentWidget(plots.measuring)
    plots.measuring.what.setCurrentText("kymograph")
    (_, left), (bottom, right) = fused.extent.world[:, -2:]
    across = left + 0.49 * (right - left)
    down = (0.13 * bottom, 0.83 * bottom)
    plots.draw_line().data = [np.array([[down[0], across], [down[1], across]])]
    wait(qtbot, lambda: not plots.measuring.busy)
    assert list(plots.measuring.kymographs.images) == ["LR", "HR", "fused", "truth"]
    picture("measure")

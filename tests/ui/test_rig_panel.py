"""The Rig panel: fits that succeed and fits that are refused, pairs clicked on both cameras, the ruler, rig files."""

import numpy as np
import pytest

from napari_xfusion.core.calibration import Calibration, CameraFacts
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.plugin.sample import rig_layers
from napari_xfusion.ui.rig import RigPanel
from napari_xfusion.ui.rig.overlay import Overlay
from napari_xfusion.ui.shared.layers import lie_upon, sequence_layer
from tests.ui.samples import wait
from tests.ui.sequences import open_panel, settled

TRUTH = Calibration.load(sample_sequence("rig/grid_lr").with_name("rig.json"))
CORNERS = np.array(
    [(9.0, 14.0), (10.0, 88.0), (57.0, 16.0), (52.0, 85.0), (30.0, 44.0), (12.0, 60.0), (40.0, 20.0)]
)
"""LR pixels that HR shows."""


@pytest.fixture
def panel(viewer):
    for data, options, _ in rig_layers():
        viewer.add_image(data, **options)
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Rig (two cameras)")
    assert isinstance(panel, RigPanel)
    return panel


def choose(panel, viewer, title):
    panel.lr.choose(viewer.layers[f"{title} · LR"])
    panel.hr.choose(viewer.layers[f"{title} · HR"])


def fit(panel, qtbot, **settings):
    for name, value in settings.items():
        panel.geometry_box.settings[name].value = value
    panel.geometry_box.fit.click()
    wait(qtbot, lambda: not panel._worker.busy)
    return panel.geometry_box.found.text()


def click(panel, qtbot, lr, hr):
    """Add pairs in turn, as clicks on the canvas do."""
    for points in zip(lr, hr, strict=True):
        for camera, point in zip(("LR", "HR"), points, strict=True):
            assert panel.pairs.turn == camera
            panel.pairs._layers[camera].add(point)
            wait(qtbot, lambda: panel.pairs.settled)


def places(viewer):
    return {layer.name: layer.data_to_world((0,) * layer.ndim) for layer in viewer.layers}


@pytest.mark.drawn(False)
def test_the_fitted_lr_lies_on_hr_and_the_rig_applies_to_the_next_pair(panel, viewer, qtbot):
    assert [box.layer().name for box in (panel.lr, panel.hr)] == ["grid · LR", "grid · HR"]
    text = fit(panel, qtbot, way="grid")
    assert "turn 1.50°, mirrored" in text
    assert "LR shows 91.1% of HR" in text
    lr, hr = (viewer.layers[f"grid · {camera}"] for camera in ("LR", "HR"))
    for pixel in CORNERS:
        assert hr.world_to_data(lr.data_to_world(pixel)) == pytest.approx(
            TRUTH.mapping.to_output(pixel), abs=0.1
        )
    choose(panel, viewer, "shot")
    lr, hr = (viewer.layers[f"shot · {camera}"] for camera in ("LR", "HR"))
    assert [layer.visible for layer in (lr, hr, viewer.layers["grid · HR"])] == [True, True, False]
    panel.clock_box.synchronise.click()
    wait(qtbot, lambda: not panel._worker.busy)
    clock = panel.calibration.clock
    assert clock.offset_ns / clock.lr_interval_ns == pytest.approx(2.37, abs=0.1)
    assert "2.37" in panel.clock_box.found.text()
    assert hr.data.shape[0] == lr.data.shape[0]
    # By hand on the ruler.
    panel.clock_box.ruler.bars.dropped.emit(1.5)
    moved = panel.calibration.clock
    assert moved.source == "manual"
    assert moved.offset_ns - clock.offset_ns == pytest.approx(1.5 * clock.lr_interval_ns)
    assert "2.37" in panel.history.undo.toolTip()
    panel.history.undo.click()
    assert panel.calibration.clock == clock
    assert "2.37" in panel.clock_box.found.text()
    panel.history.redo.click()
    assert panel.calibration.clock == moved
    # Another fit of the geometry leaves it.
    choose(panel, viewer, "grid")
    fit(panel, qtbot, way="grid")
    assert panel.calibration.clock == moved


@pytest.mark.drawn(False)
def test_lr_that_was_moved_by_hand_is_the_start(panel, viewer, qtbot):
    lr, hr = (viewer.layers[f"grid · {camera}"] for camera in ("LR", "HR"))
    shift = tuple(np.add(TRUTH.mapping.shift, (4, -3)))
    lie_upon(lr, hr, TRUTH.mapping.model_copy(update={"shift": shift}))
    assert "LR shows" in fit(panel, qtbot, way="content", near=True)
    for pixel in CORNERS:
        assert hr.world_to_data(lr.data_to_world(pixel)) == pytest.approx(
            TRUTH.mapping.to_output(pixel), abs=0.2
        )


@pytest.mark.drawn(False)
def test_pairs_are_clicked_in_turn_with_their_residuals_and_undone(panel, viewer, qtbot):
    hr = TRUTH.mapping.to_output(CORNERS)
    panel.geometry_box.click.click()
    click(panel, qtbot, CORNERS[:2], hr[:2])
    assert "2 of at least 3 pairs" in panel.geometry_box.found.text()
    click(panel, qtbot, CORNERS[2:5], hr[2:5] + np.array([(0, 0), (0, 0), (1.5, 0)]))
    assert "5 points, residual" in panel.geometry_box.found.text()
    assert len(panel.pairs.arrows.layer.data) == 5
    for _ in range(2):
        panel.geometry_box.undo.click()
        wait(qtbot, lambda: panel.pairs.settled)
    assert [len(points) for points in panel.pairs.pairs] == [4, 4]
    text = fit(panel, qtbot)  # the way is that of the pairs by now
    assert "similarity: scale 2.9" in text
    assert panel.calibration.way == "points"
    assert panel.calibration.mapping.to_output(CORNERS) == pytest.approx(hr, abs=1e-6)
    assert viewer.layers["grid · LR"].visible
    assert viewer.layers["grid · HR"].visible


def _one_grid(viewer):
    layer = viewer.layers["grid · HR"]
    layer.data = np.random.default_rng(0).normal(1000, 50, layer.data.shape).astype(np.uint16)


LINE = np.stack([np.arange(15, 55, 10), np.arange(15, 55, 10)], axis=1).astype(float)
BAD_PAIRS = {
    "a line": (LINE, TRUTH.mapping.to_output(LINE), "line"),
    "too few": (CORNERS[:2], TRUTH.mapping.to_output(CORNERS[:2]), "at least 3 pairs"),
    "NaN": (np.vstack([CORNERS[:4], (np.nan, 3)]), TRUTH.mapping.to_output(CORNERS[:5]), "5 are not finite"),
}


@pytest.mark.drawn(False)
@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast:RuntimeWarning"
)  # napari's, of NaN points
def test_what_cannot_be_fitted_is_named_and_nothing_changes(panel, viewer, qtbot, tmp_path):
    before = places(viewer)
    panel.geometry_box.fit.click()
    panel.geometry_box.cancel.click()
    assert not panel._worker.busy
    assert not panel.geometry_box.found.text()
    for lr, hr, named in BAD_PAIRS.values():
        panel.geometry_box.click.setChecked(True)
        for camera, points in (("LR", lr), ("HR", hr)):
            panel.pairs._layers[camera].data = points
        assert named in fit(panel, qtbot, way="clicked pairs")
    other = TRUTH.model_copy(update={"hr": CameraFacts(source="HR", shape=(800, 1280))})
    other.save(tmp_path / "other.json")
    panel.load_rig(tmp_path / "other.json")
    assert "800x1280" in panel.status.text()
    (tmp_path / "none.json").write_text("[]")
    panel.load_rig(tmp_path / "none.json")
    assert "rig file" in panel.status.text()
    _one_grid(viewer)
    assert "HR" in fit(panel, qtbot, way="grid")
    assert panel.calibration is None
    now = places(viewer)
    assert {name: now[name] for name in before} == before
    # The rig of one pair does not move another camera's layer.
    panel.load_rig(sample_sequence("rig/grid_lr").with_name("rig.json"))
    large = viewer.add_image(np.zeros((3, 400, 600)), name="other")
    panel.hr.choose(large)
    assert "400x600" in panel.geometry_box.found.text()
    assert not panel.clock_box.found.text()


@pytest.mark.drawn(False)
def test_a_rig_file_is_saved_loaded_and_shown(panel, viewer, qtbot, tmp_path):
    fit(panel, qtbot, way="grid")
    panel.save_rig(tmp_path / "rig.json")
    saved = Calibration.load(tmp_path / "rig.json")
    panel.load_rig(tmp_path / "rig.json")
    assert panel.calibration == saved
    assert "made" in panel.status.text()
    for kind in ("checkerboard", "difference"):
        panel.add_overlay(kind)
        wait(qtbot, lambda: not panel._worker.busy)
        layer = viewer.layers[f"rig · {kind}"]
        assert layer.extent.world == pytest.approx(viewer.layers["grid · HR"].extent.world)
        assert np.isfinite(np.asarray(layer.data)).mean() > 0.9
    panel.geometry_box.flicker.click()
    assert not viewer.layers["grid · HR"].visible
    panel.geometry_box.flicker.click()
    assert viewer.layers["grid · HR"].visible


def test_an_overlay_is_blank_where_both_cameras_show_the_same():
    lr, hr = (open_stack(sample_sequence(f"rig/grid_{camera}")) for camera in ("lr", "hr"))
    overlay = Overlay(TRUTH.mapping, lr.shape[1:], hr.shape[1:])
    moved = TRUTH.mapping.model_copy(update={"shift": tuple(np.add(TRUTH.mapping.shift, (3.0, 0.0)))})
    wrong = Overlay(Mapping.model_validate(moved.model_dump()), lr.shape[1:], hr.shape[1:])
    right, left = (np.nanstd(each.difference(lr.frame(0), hr.frame(0))) for each in (overlay, wrong))
    assert right < 0.5 * left
    board = overlay.checkerboard(lr.frame(0), hr.frame(0))
    own = board == hr.frame(0)
    assert 0.4 < own.mean() < 0.7
    assert np.corrcoef(board[~own], hr.frame(0)[~own])[0, 1] > 0.9


@pytest.mark.drawn(False)
def test_the_fusion_panel_takes_a_rig_file(viewer, qtbot, tmp_path):
    for camera in ("lr", "hr"):
        stack = open_stack(sample_sequence(f"rig/shot_{camera}"))
        made = sequence_layer(stack, role="sequence")
        viewer.add_image(made.data, **made.options)
    fusion = open_panel(viewer, qtbot)
    lr, hr = viewer.layers
    TRUTH.model_copy(update={"hr": CameraFacts(source="HR", shape=(800, 1280))}).save(tmp_path / "other.json")
    TRUTH.model_copy(update={"clock": None}).save(tmp_path / "no clock.json")
    for name, named in {
        "missing.json": "missing.json",
        "other.json": "800x1280",
        "a.json; b.json": "one file",
        "no clock.json": "HR step",
    }.items():
        fusion.alignment.rig.setText("; ".join(str(tmp_path / part) for part in name.split("; ")))
        settled(fusion, qtbot)
        assert not fusion.run_box.run.isEnabled()
        assert named in fusion.run_box.status.text(), name
    fusion.alignment.rig.setText(str(sample_sequence("rig/grid_lr").with_name("rig.json")))
    fusion.method.method.setCurrentText("interpolation")
    fusion.alignment.extent.setCurrentText("hr")
    settled(fusion, qtbot)
    fusion.run_box.preview.click()
    wait(qtbot, lambda: not fusion.previews.busy)
    (shown,) = (layer for layer in viewer.layers if "preview" in layer.name)
    assert shown.data.shape[-2:] == TRUTH.hr.shape
    assert hr.world_to_data(shown.data_to_world((0, 0, 0)))[-2:] == pytest.approx((0, 0), abs=1e-6)
    placed = hr.world_to_data(lr.data_to_world((0, 30, 44)))[-2:]
    assert placed == pytest.approx(TRUTH.mapping.to_output((30, 44)))
    assert "--rig rig.json --method interpolation" in fusion.export.command()

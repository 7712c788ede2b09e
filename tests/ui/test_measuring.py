"""Measurements in the window are those of the core, at the place of the shape, and follow it."""

import csv

import numpy as np
import pytest
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QFileDialog

from napari_xfusion.core.inspect.measure import measure
from napari_xfusion.core.inspect.places import Area, Line, Measure, Scale
from napari_xfusion.ui.shared.provenance import scale_of
from tests.ui.samples import add_sample, sample, wait


@pytest.fixture
def layers(viewer):
    return add_sample(viewer)


@pytest.fixture
def dock(viewer, layers, qtbot):
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    dock = panel.show_plots()
    dock.tabs.setCurrentWidget(dock.measuring)
    return dock


def measured(dock, qtbot):
    """What is drawn, when it has come."""
    wait(qtbot, lambda: not dock.measuring.busy)
    return dock.measuring.measured


def choose(dock, what):
    dock.measuring.what.setCurrentText(what)


def test_curves_of_all_sequences_follow_the_shape_and_are_saved(
    dock, viewer, layers, qtbot, tmp_path, monkeypatch
):
    assert measured(dock, qtbot) == {}
    assert dock.measuring.status.text() == "Draw a line or a region."
    line = dock.draw_line()
    lr, _, truth = sample()
    for column in (101.0, 118.0):  # HR pixels; 2 um each
        line.data = [np.array([[20.0, column], [120.0, column]]) * 2]
        found = measured(dock, qtbot)
        place = Line(start=(20, column), stop=(120, column))
        expected = measure(truth, Measure(what="edge", place=place), scale=Scale(2, 2, "um"))
        np.testing.assert_allclose(found["truth"].values, expected.values)
        low = Line(
            start=((20.5) / 4 - 0.5, (column + 0.5) / 4 - 0.5),
            stop=(120.5 / 4 - 0.5, (column + 0.5) / 4 - 0.5),
        )
        expected = measure(lr, Measure(what="edge", place=low), scale=Scale(8, 8, "um"))
        np.testing.assert_allclose(found["LR"].values, expected.values)
    assert found["HR"].frames.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_allclose(found["fused"].seconds, np.arange(51) * 2e-5)
    plot = dock.measuring.curves.plots[0]
    assert [item.name() for item in plot.listDataItems()] == ["LR", "HR", "fused", "truth"]
    viewer.dims.set_current_step(0, 7)
    heading = dock.measuring.curves.headings[0].text()
    assert "edge (µm)" in heading
    assert f"truth&nbsp;{found['truth'].values[7]:.4g}" in heading
    dock.measuring.find_interval.click()
    assert dock.cancel.isEnabled()
    measured(dock, qtbot)
    half = dock.measuring.interval.half_width
    assert (dock.measuring.interval.frames, dock.measuring.interval.coverage) == (4, 0.8)
    for name in ("edge.csv", "edge.svg"):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=name: (str(tmp_path / name), ""))
        dock.save.click()
    with (tmp_path / "edge.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["sequence"] == "fused"]
    np.testing.assert_allclose([float(row["edge_um"]) for row in rows], found["fused"].values, rtol=1e-8)
    assert {row["half_width"] for row in rows} == {f"{half:.9g}"}
    assert QSvgRenderer(str(tmp_path / "edge.svg")).isValid()
    assert b"edge" in (tmp_path / "edge.svg").read_bytes()
    line.data = [line.data[0] + 4]
    measured(dock, qtbot)
    assert dock.measuring.interval is None  # of the number before


def test_regions_thresholds_kymographs_and_what_is_not_there(dock, viewer, layers, qtbot):
    dock.draw_region().data = [np.array([[40.0, 60], [40, 300], [200, 300], [200, 60]])]
    measured(dock, qtbot)
    assert "Draw a line to measure edge" in dock.measuring.status.text()
    choose(dock, "area")
    dock.measuring.threshold.setText("1500")
    dock.measuring.measure_now()
    found = measured(dock, qtbot)
    *_, truth = sample()
    area = Area(corners=((20, 30), (20, 150), (100, 150), (100, 30)))
    expected = measure(truth, Measure(what="area", place=area, threshold=1500), scale=Scale(2, 2, "um"))
    np.testing.assert_allclose(found["truth"].values, expected.values)
    # LR is measured at the same threshold on its own grey scale, to LR's resolution.
    np.testing.assert_allclose(found["LR"].values, expected.values, rtol=0.1)
    dock.draw_line()
    assert list(viewer.layers["measure"].shape_type) == ["line"]
    choose(dock, "kymograph")
    found = measured(dock, qtbot)
    assert list(dock.measuring.kymographs.images) == ["LR", "HR", "fused", "truth"]
    np.testing.assert_allclose(dock.measuring.kymographs.images["truth"].image, found["truth"].values)
    (first, last), _ = dock.measuring.kymographs.plots[3].viewRange()
    assert (first, last) == pytest.approx((0, 50), abs=6)
    viewer.layers.remove("measure")
    assert measured(dock, qtbot) == {}
    assert not dock.save.isEnabled()
    choose(dock, "edge")
    dock.measuring.threshold.clear()
    layers["fused"].data[7] = np.nan  # not fused
    dock.draw_line()
    found = measured(dock, qtbot)["fused"].values
    assert np.flatnonzero(np.isnan(found)).tolist() == [7]
    layers["truth"].translate = (0, 0, 900)  # outside of the line
    dock.measuring.measure_now()
    assert set(measured(dock, qtbot)) == {"LR", "HR", "fused"}
    assert "expected a place within the frame" in dock.measuring.status.text()


def test_sizes_of_pixels_that_lie_turned_are_those_of_the_world(viewer):
    layer = viewer.add_image(np.zeros((2, 8, 9)), scale=(1, 0.5, 0.5), units=("s", "mm", "mm"))
    turn = np.eye(4)
    turn[1:3, 1:3] = [[0, -1], [4, 0]]
    layer.affine = turn
    np.testing.assert_allclose(scale_of(layer)[:2], (2000, 500))
    assert scale_of(layer).unit == "um"

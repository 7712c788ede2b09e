"""The magnifier in a real window: the same place of all sequences, their own pixels, and nothing left."""

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_xfusion.ui.inspection.magnifier import short_name
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.place import sampled
from napari_xfusion.ui.shared.provenance import METADATA
from tests.ui.samples import add_sample, destroyed, press, wait
from tests.ui.test_inspection import in_progress

HR_PIXEL = 2.0
"""Micrometres."""


def test_the_magnifier_shows_the_place_below_the_mouse_in_all_sequences(viewer, qtbot):
    layers = add_sample(viewer)
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    by_bicubic = viewer.layers[-1]
    callbacks = list(viewer.mouse_move_callbacks)
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_M)
    lens = panel.magnifier
    wait(qtbot, lambda: lens.isVisible() and not lens.pictures[0].visibleRegion().isEmpty())

    # Below the mouse, and later where it was.
    middle = canvas.rect().center()
    QTest.mouseMove(canvas, middle + QPoint(9, 7))
    QTest.mouseMove(canvas, middle)
    wait(qtbot, lambda: lens._place is not None)
    place = lens._place
    QTest.keyClick(canvas, Qt.Key.Key_M, Qt.KeyboardModifier.ShiftModifier)
    assert lens.hold.isChecked()
    QTest.mouseMove(canvas, middle + QPoint(30, 30))
    QTest.mouseMove(canvas, middle + QPoint(31, 30))
    assert lens._place is place

    shows_own_pixels(lens, layers)
    shows_the_displayed_frame(lens, layers, viewer, qtbot)

    # It goes with its key and with the panel, and layers that stay are blank where nothing fuses them.
    panel.toggle_magnifier()
    wait(qtbot, lambda: panel.magnifier is None)
    assert list(viewer.mouse_move_callbacks) == callbacks
    # What is all in view stays so beside a new dock.
    for layer in viewer.layers:
        layer.visible = False
    tall = viewer.add_image(np.zeros((51, 300, 100)), scale=layers["lr"].scale, units=layers["lr"].units)
    viewer.reset_view()
    wait(qtbot, lambda: tall.corner_pixels.tolist() == [[0, 0, 0], [0, 299, 99]])
    zoom = compat.camera(viewer).zoom
    panel.toggle_magnifier()
    panel.show_plots()
    wait(qtbot, lambda: compat.camera(viewer).zoom < zoom)
    with destroyed(qtbot, panel):
        viewer.window.remove_dock_widget(panel)
    wait(qtbot, lambda: list(viewer.mouse_move_callbacks) == callbacks)
    assert not viewer.keymap
    viewer.dims.set_current_step(0, 40)
    assert np.isnan(np.asarray(by_bicubic.data[40])).all()
    assert by_bicubic.metadata[METADATA].role == "baseline"


def shows_own_pixels(lens, layers):
    """The pixels of each sequence, LR at half an LR pixel from the corner of HR."""
    shown = [title.text().split(":")[0] for title in lens.titles if title.isVisible()]
    assert shown == ["LR", "HR", "fused (interpolation)", "by bicubic", "truth"]
    lens.look_at(HR_PIXEL * 61.0, HR_PIXEL * 101.0)
    titles = [title.text() for title in lens.titles]
    assert titles[4].endswith(f": {layers['truth'].data[5, 61, 101].compute()}")
    assert titles[2].endswith(f": {layers['fused'].data[5, 61, 101]:.5g}")
    assert titles[0].endswith(f": {layers['lr'].data[5, 15, 25].compute()}")
    part = sampled(layers["truth"], np.asarray(layers["truth"].data[5]), lens._place, 8 * HR_PIXEL, 32)
    np.testing.assert_array_equal(part[::4, ::4], np.asarray(layers["truth"].data[5])[57:65, 97:105])
    outside = sampled(layers["lr"], np.asarray(layers["lr"].data[5]), np.array([-100.0, 0]), 8, 4)
    assert np.isnan(outside).all()
    lens.side.setValue(8)
    truth, hr = lens.pictures[4].grey, layers["hr"]
    layers["truth"].contrast_limits = (0, 1)  # the contrast is that of HR
    np.testing.assert_array_equal(lens.pictures[4].grey, truth)
    hr.contrast_limits = (hr.contrast_limits[0], hr.contrast_limits[1] * 2)
    assert lens.pictures[4].grey.mean() < truth.mean()


def shows_the_displayed_frame(lens, layers, viewer, qtbot):
    """At the displayed frame, once it is fused."""
    in_progress(layers["fused"], {5})
    viewer.dims.set_current_step(0, 6)
    assert lens.titles[2].text().endswith("not fused yet")
    assert lens.pictures[2].grey is None
    assert lens.titles[4].text().endswith(f": {layers['truth'].data[6, 61, 101].compute()}")
    wait(qtbot, lambda: ":" in lens.titles[3].text())
    viewer.layers.remove(layers["hr"])
    assert next(map(short_name, lens._layers())) == "LR"
    viewer.layers.remove(layers["truth"])
    assert not lens.titles[3].isVisible()
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2

"""The parts of panels that are not seen at work in a panel's own tests."""

from __future__ import annotations

import gc
import threading

import pytest
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QWidget

from napari_xfusion.ui.shared.widgets import Sentence, draw_later, form
from tests.ui.samples import add_sample, wait


@pytest.mark.parametrize("floating", [False, True])
def test_the_main_window_is_drawn_again_though_the_widget_went(qtbot, floating):
    window = QMainWindow()
    qtbot.addWidget(window)
    dock, label = QDockWidget(window), QLabel("here")
    dock.setWidget(label)
    window.addDockWidget(dock.allowedAreas().RightDockWidgetArea, dock)
    dock.setFloating(floating)
    draw_later(label, 20)
    assert not window.updatesEnabled()
    dock.deleteLater()
    wait(qtbot, window.updatesEnabled)


@pytest.mark.parametrize("name", ["Fusion", "Inspect", "Virtual experiment"])
def test_a_panel_goes_with_its_dock_and_comes_again(make_napari_viewer, plugin, qtbot, name):
    """As by the cross of its dock; what is only collected as garbage later would take the window along."""
    viewer = make_napari_viewer(show=False)
    add_sample(viewer)
    for _ in range(2):
        before = set(threading.enumerate())
        dock, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", name)
        listening = len(viewer.layers.events.removed.callbacks)
        with qtbot.waitSignal(panel.destroyed, timeout=120_000):
            dock.destroyOnClose()
        del dock, panel
        gc.collect()
        wait(qtbot, lambda before=before: set(threading.enumerate()) <= before)
        assert len(viewer.layers.events.removed.callbacks) < listening


def test_the_plots_come_again_after_their_dock_was_closed(make_napari_viewer, plugin, qtbot):
    viewer = make_napari_viewer(show=False)
    add_sample(viewer)
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    plots = panel.show_plots()
    with qtbot.waitSignal(plots.destroyed, timeout=120_000):
        plots.parent().destroyOnClose()
    assert panel.show_plots().isVisibleTo(viewer.window._qt_window)


def test_wrapped_text_is_visible_completely_at_every_width(qtbot):
    box = QWidget()
    qtbot.addWidget(box)
    text, layout = Sentence(box), form(box)
    layout.addRow(text)
    box.show()
    for width in (380, 320, 400):
        text.setText("One of many sentences on what was found. " * 40)
        box.resize(width, 5000)
        wait(qtbot, lambda: text.height() >= text.heightForWidth(text.width()) > 100)

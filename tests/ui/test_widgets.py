"""The parts of panels that are not seen at work in a panel's own tests."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow

from napari_xfusion.ui.widgets import draw_later


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
    qtbot.waitUntil(window.updatesEnabled)

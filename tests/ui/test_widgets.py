"""The parts of panels that are not seen at work in a panel's own tests."""

from __future__ import annotations

import gc
import threading
from functools import partial

import pytest
from qtpy.QtCore import QLocale, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QDoubleSpinBox,
    QLabel,
    QMainWindow,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_xfusion.ui.shared.widgets import Panel, Sentence, draw_later, form, in_turns
from tests.tables import crossed
from tests.ui.samples import add_sample, destroyed, wait

PANELS = ("Fusion", "Inspect", "Virtual experiment")


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


def test_between_turns_the_window_reacts_and_what_is_left_goes_with_its_owner(qtbot):
    done = []
    owner = QWidget()
    qtbot.addWidget(owner)

    def act(k):
        done.append(k)
        QTimer.singleShot(0, lambda: done.append(-k))

    in_turns(owner, *(partial(act, k) for k in (1, 2, 3)))
    assert not done
    wait(qtbot, lambda: len(done) == 6)
    assert done == [1, -1, 2, -2, 3, -3]

    done.clear()
    gone, ended = QWidget(), []
    gone.destroyed.connect(lambda: ended.append(True))
    in_turns(gone, gone.deleteLater, partial(done.append, 1))
    wait(qtbot, lambda: bool(ended))
    qtbot.wait(20)
    assert not done


def turn_wheel(widget):
    """One notch of the wheel over ``widget``, downwards; whether ``widget`` accepts it, or Qt asks its parent."""
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def setting(field):
    return field.currentIndex() if isinstance(field, QComboBox) else field.value()


@pytest.fixture
def desktop(request):
    """The language of the desktop: with a decimal comma, and separators of thousands that are points or spaces."""
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield
    QLocale.setDefault(before)


def typed(field, text):
    """The value of a number box after ``text`` was typed into it."""
    field.lineEdit().clear()
    for key in text:
        field.lineEdit().insert(key)
    field.interpretText()
    return field.value()


GROUPED = ("1.397,5", "1,397.5", "1 397,5", "1\u202f397,5", "1'397.5")
"""1397.5 in the languages of desktops."""


@pytest.mark.parametrize(("desktop", "name"), crossed(["de_DE", "fr_FR"], PANELS), indirect=["desktop"])
def test_fields_heed_neither_an_unfocused_wheel_nor_the_language(make_napari_viewer, plugin, desktop, name):
    viewer = make_napari_viewer(show=False)
    add_sample(viewer)
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", name)
    fields = [*panel.findChildren(QAbstractSpinBox), *panel.findChildren(QComboBox)]
    for field in (*fields, *panel.findChildren(QSlider)):
        before = setting(field)
        turn_wheel(field)
        assert setting(field) == before, field.toolTip()
        assert field.focusPolicy() == Qt.FocusPolicy.StrongFocus
    for field in panel.findChildren(QDoubleSpinBox):
        for text in ("13.97", "13,97", "13.97125", "13,97125"):
            assert typed(field, text) == float(text.replace(",", ".")), field.toolTip()
            assert field.text().removesuffix(field.suffix()) == text.replace(",", ".")
        for text in GROUPED:  # the second separator is not taken, and what is shown counts
            typed(field, text)
            shown = field.text().removesuffix(field.suffix())
            assert shown in (field.specialValueText(), f"{field.value():.10f}".rstrip("0").rstrip("."))
            assert field.value() != 13975
    for field in panel.findChildren(QSpinBox):
        field.lineEdit().clear()
        QTest.keyClicks(field.lineEdit(), ".,")
        assert not {".", ","} & set(field.text())


def test_the_wheel_changes_a_field_with_the_focus_and_is_else_left_to_the_panel(qtbot):
    panel, field = Panel(), QSpinBox()
    qtbot.addWidget(panel)
    field.setValue(7)
    panel.lay_out([field])
    assert not turn_wheel(field)
    assert field.value() == 7
    field.hasFocus = lambda: True
    assert turn_wheel(field)
    assert field.value() == 6


def test_a_panel_and_the_plots_go_with_their_docks_and_come_again(make_napari_viewer, plugin, qtbot):
    """As by the cross of its dock; what is only collected as garbage later would take the window along."""
    viewer = make_napari_viewer(show=False)
    add_sample(viewer)
    for name in (*PANELS, *PANELS):
        before = set(threading.enumerate())
        dock, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", name)
        listening = len(viewer.layers.events.removed.callbacks)
        with destroyed(qtbot, panel):
            dock.destroyOnClose()
        del dock, panel
        gc.collect()
        wait(qtbot, lambda before=before: set(threading.enumerate()) <= before)
        assert len(viewer.layers.events.removed.callbacks) < listening
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    plots = panel.show_plots()
    with destroyed(qtbot, plots):
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

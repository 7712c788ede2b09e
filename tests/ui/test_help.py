"""The help card, the keys that it lists, and the same list in the documentation."""

from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QShortcut
from qtpy.QtTest import QTest

from napari_xfusion.ui.inspection.comparing import ComparingBox
from napari_xfusion.ui.shared.help import ORDER, HelpCard, help_html, help_table
from napari_xfusion.ui.shared.keys import KEYS
from tests.ui.samples import destroyed, wait
from tests.ui.sequences import Pace, ended, open_panel, open_sequences, settled, write_sequences

DOCS = Path(__file__).parents[2] / "docs" / "napari.md"


def test_the_documentation_and_the_card_list_the_same_keys():
    assert help_table() in DOCS.read_text(encoding="utf-8")
    card = help_html()
    for key in KEYS.values():
        assert key.keys in card
        assert key.does in card
    assert len({key.keys for key in KEYS.values()}) == len(KEYS)


def test_every_key_is_bound_and_does_what_the_card_says(viewer, tmp_path, qtbot, monkeypatch):
    pace = Pace(monkeypatch)
    open_sequences(viewer, write_sequences(tmp_path / "melt01", 24))
    panel = open_panel(viewer, qtbot)
    _, inspect = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    box = inspect.findChild(ComparingBox)
    box.left.choose(panel.data.lr.layer())
    box.right.choose(panel.data.hr.layer())
    box.blink.click()
    bound = {str(key).replace("LeftArrow", "Left").replace("RightArrow", "Right") for key in viewer.keymap}
    fields = {made.key().toString() for made in panel.findChildren(QShortcut)}
    assert bound | fields == {key.keys for key in KEYS.values()}
    assert [section._title for section in panel.sections.all] == [name for name, _ in ORDER]
    box.blink.click()
    canvas = viewer.window._qt_viewer.canvas.native

    def press(key, widget=canvas, modifier=Qt.KeyboardModifier.ShiftModifier):
        QTest.keyClick(widget, key, modifier)

    # HR frames, at LR frames 0, 4, 8 ...
    frames = []
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        press(key)
        frames.append(panel._frame())
    assert frames == [0, 4, 8, 4]
    viewer.dims.set_current_step(0, 22)
    press(Qt.Key.Key_Right)
    assert panel._frame() == 22

    # A run; a button with the focus passes the key on, a disabled button does nothing.
    panel.method.method.setCurrentText("flow")
    settled(panel, qtbot)
    press(Qt.Key.Key_X)
    press(Qt.Key.Key_R, panel.run_box.live)
    pace.allow(2)
    wait(qtbot, lambda: panel.runner._result and len(panel.runner._result.done) == 2)
    press(Qt.Key.Key_X)
    pace.allow()
    ended(panel, qtbot)
    assert panel.run_box.run.text() == "Resume"
    press(Qt.Key.Key_F)
    wait(qtbot, lambda: any("preview" in layer.name for layer in viewer.layers))

    # The card.
    main = viewer.window._qt_window
    for opens, closes in ((canvas, canvas), (panel.run_box.help, None), (inspect, None)):
        press(Qt.Key.Key_F1, opens, Qt.KeyboardModifier.NoModifier)
        wait(qtbot, lambda: main.findChild(HelpCard) is not None)
        card = main.findChild(HelpCard)
        wait(qtbot, card.isVisible)
        assert card.text.height() >= card.text.heightForWidth(card.text.width())
        picture = card.grab().toImage()
        assert len(np.unique([picture.pixel(60, y) for y in range(picture.height())])) > 3
        press(Qt.Key.Key_F1, closes or card, Qt.KeyboardModifier.NoModifier)
        wait(qtbot, lambda: main.findChild(HelpCard) is None)
    for each in (inspect, panel):
        with destroyed(qtbot, each):
            viewer.window.remove_dock_widget(each)
    assert not viewer.keymap

"""A file with several sequences dropped on napari: a tree of them, of which one is opened."""

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_xfusion.ui.plugin.chooser import Chooser

h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")
pytestmark = pytest.mark.drawn(False)
CHOICES = [
    ("/e/fast/data", (9, 4, 5), "uint16"),
    ("/e/slow/data", (3, 16, 20), "uint8"),
    ("/raw", (2, 3, 4), "float32"),
]


def test_the_tree_shows_groups_and_shapes_and_opens_datasets_only(qtbot):
    dialog = Chooser("a.h5", CHOICES)
    qtbot.addWidget(dialog)
    top = [dialog.tree.topLevelItem(k) for k in range(dialog.tree.topLevelItemCount())]
    assert [x.text(0) for x in top] == ["e", "raw"]
    assert [top[0].child(k).text(0) for k in range(2)] == ["fast", "slow"]
    item = top[0].child(1).child(0)
    assert (item.text(1), item.text(2)) == ("3 x 16 x 20", "uint8")
    assert dialog.chosen == "/e/fast/data"
    button = dialog.buttons.button(QDialogButtonBox.StandardButton.Open)
    for selected, path in ((item, "/e/slow/data"), (top[0], None)):
        dialog.tree.setCurrentItem(selected)
        assert (dialog.chosen, button.isEnabled()) == (path, path is not None)


@pytest.mark.parametrize("accept", [True, False])
def test_the_chosen_dataset_becomes_a_layer(viewer, tmp_path, accept):
    path = tmp_path / "a.h5"
    frames = np.random.default_rng(3).integers(0, 99, (5, 8, 9)).astype("u1")
    with h5py.File(path, "w") as file:
        file["one"], file["two"] = frames, frames[:3, ::2] + 1

    def answer():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, Chooser):
            timer.stop()
            assert dialog.parent() is not None or not viewer.window._qt_window.isVisible()  # it has its theme
            for key in (Qt.Key.Key_Down, Qt.Key.Key_Return if accept else Qt.Key.Key_Escape):
                QTest.keyClick(dialog.tree, key)

    timer = QTimer()
    timer.timeout.connect(answer)
    timer.start(20)
    viewer.open(str(path), plugin="napari-xfusion")
    assert len(viewer.layers) == int(accept)
    if accept:
        np.testing.assert_array_equal(np.asarray(viewer.layers[0].data), frames[:3, ::2] + 1)

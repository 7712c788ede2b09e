"""Random actions on all panels at once: whatever a user does, nothing fails unexpectedly."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QMessageBox,
    QSlider,
    QSpinBox,
)

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.ui.shared.layers import sequence_pair
from tests.ui.sequences import write_sequences

ACTIONS = 300
LAYERS = 10
"""More are removed: napari takes seconds to lay out a large grid."""
PANELS = ("Fusion", "Inspect", "Virtual experiment", "Rig (two cameras)")


class Monkey:
    """Does one random thing after another; ``done`` lists them."""

    def __init__(self, viewer, qtbot, seed, paths):
        self.viewer, self.qtbot, self.paths = viewer, qtbot, paths
        self.chance = random.Random(seed)  # noqa: S311 - no cryptography
        self.done = []
        self.panels = [viewer.window.add_plugin_dock_widget("napari-xfusion", name)[1] for name in PANELS]
        self.panels.append(self.panels[1].show_plots())

    def act(self):
        kinds = [self.press] * 5 + [self.choose] * 4 + [self.spin, self.drag, self.slide, self.slide]
        kinds += [self.add, self.remove, self.rename, self.hide, self.reorder, self.select, self.turn]
        self.chance.choice(kinds)()
        if len(self.viewer.layers) > LAYERS:
            self.remove()
        self.qtbot.wait(self.chance.choice((0, 0, 5, 30)))

    def widget(self, kind):
        found = [w for panel in self.panels for w in panel.findChildren(kind) if w.isEnabled()]
        return self.chance.choice(found) if found else None

    def note(self, what, thing, *more):
        self.done.append(" ".join(map(str, (what, thing, *more))))

    def press(self):
        button = self.widget(QAbstractButton)
        if button is not None:
            self.note("press", button.text(), type(button).__name__)
            button.toggle() if isinstance(button, QCheckBox) else button.click()

    def choose(self):
        box = self.widget(QComboBox)
        if box is not None and box.count():
            box.setCurrentIndex(self.chance.randrange(box.count()))
            self.note("choose", box.currentText())

    def spin(self):
        box = self.widget(QAbstractSpinBox)
        if box is not None:
            number = self.chance.choice((0, 1, 2, 3, 4, 9))
            self.note("spin", box.accessibleName() or box.toolTip()[:30], number)
            box.setValue(number) if isinstance(box, QSpinBox) else box.stepBy(number)

    def drag(self):
        slider = self.widget(QSlider)
        if slider is not None:
            slider.setValue(self.chance.randint(slider.minimum(), slider.maximum()))
            self.note("drag", slider.value())

    def slide(self):
        if self.viewer.dims.ndim > 2:
            frame = self.chance.randint(0, int(self.viewer.dims.nsteps[0]) - 1)
            self.note("slide", frame)
            self.viewer.dims.set_current_step(0, frame)

    def add(self):
        kind = self.chance.choice(("pair", "pair", "image", "picture", "rgb", "mask", "shapes", "labels"))
        self.note("add", kind)
        numbers = np.random.default_rng(self.chance.randrange(99))
        if kind == "pair":
            for shown in sequence_pair(*map(open_stack, self.paths)):
                self.viewer.add_image(shown.data, **shown.options)
        elif kind == "shapes":
            self.viewer.add_shapes(np.array([[8, 8], [40, 60]]), shape_type="rectangle")
        elif kind == "labels":
            self.viewer.add_labels(np.ones((12, 20, 30), int))
        else:
            shape = {"picture": (30, 40), "rgb": (30, 40, 3)}.get(kind, (12, 30, 40))
            data = numbers.random(shape)
            self.viewer.add_image(data > 0.5 if kind == "mask" else data, rgb=kind == "rgb", name=kind)

    def layer(self):
        return self.chance.choice(list(self.viewer.layers)) if self.viewer.layers else None

    def remove(self):
        if (layer := self.layer()) is not None:
            self.note("remove", layer)
            self.viewer.layers.remove(layer)

    def rename(self):
        if (layer := self.layer()) is not None:
            self.note("rename", layer)
            layer.name = self.chance.choice(("a", "b · c", "x" * 60, "LR"))

    def hide(self):
        if (layer := self.layer()) is not None:
            self.note("hide or show", layer)
            layer.visible = not layer.visible

    def reorder(self):
        if self.viewer.layers:
            a, b = (self.chance.randrange(len(self.viewer.layers)) for _ in range(2))
            self.note("move", a, b)
            self.viewer.layers.move(a, b)

    def select(self):
        if self.viewer.layers:
            count = self.chance.randint(0, len(self.viewer.layers))
            self.note("select", count)
            self.viewer.layers.selection = set(self.chance.sample(list(self.viewer.layers), count))

    def turn(self):
        self.viewer.dims.ndisplay = self.chance.choice((2, 2, 3))
        self.note("show axes", self.viewer.dims.ndisplay)


@pytest.mark.soak
@pytest.mark.drawn(False)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(10))
def test_random_actions_do_not_fail(viewer, qtbot, seed, tmp_path, monkeypatch, caplog):
    """An exception in the event loop fails the test by itself; those of threads are in the log."""
    monkey = Monkey(viewer, qtbot, seed, write_sequences(tmp_path / "data", 12, (64, 96)))
    paths = ("", str(tmp_path / "out.csv"), str(tmp_path / "out.tif"), str(tmp_path / "no" / "out"))
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_, **__: (monkey.chance.choice(paths), "TIFF (*.tif)"))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(
        QFileDialog, "getOpenFileNames", lambda *_, **__: (monkey.chance.sample(paths, 1), "")
    )
    monkeypatch.setattr(QMessageBox, "question", lambda *_, **__: QMessageBox.StandardButton.Yes)
    try:
        with caplog.at_level(logging.ERROR):
            for _ in range(ACTIONS):
                monkey.act()
    finally:
        (tmp_path / "actions.txt").write_text("\n".join(monkey.done))
        print(*monkey.done[-20:], sep="\n")  # pytest shows it if the test fails
    unexpected = [record for record in caplog.records if record.exc_info]
    assert not unexpected, [str(record.exc_info[1]) for record in unexpected]

"""What napari's menus offer: the panels as docks, and commands on the selected layers."""

import pytest
from app_model import Application
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QMenu,
    QProgressBar,
    QSlider,
    QTabBar,
    QTableWidget,
    QWidget,
)

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import provenance_of
from napari_xfusion.ui.shared.widgets import Panel
from tests.ui.conftest import PREFERENCES as NEWER
from tests.ui.samples import wait

PLUGIN = "napari-xfusion"
PANELS = {
    "Rig (two cameras)": "RigPanel",
    "Fusion": "FusionPanel",
    "Inspect": "InspectPanel",
    "Virtual experiment": "ExperimentPanel",
}
TABS = ["Rig", "Fusion", "Inspect", "Virtual experiment"]
FIELDS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QProgressBar, QSlider, QTableWidget)
COMMANDS = {
    "Rig (two cameras)": "rig",
    "Fusion": "fusion",
    "Inspect": "inspect",
    "Virtual experiment": "experiment",
}


def menu_texts(menu: QMenu) -> list[str]:
    menu.aboutToShow.emit()
    texts = []
    for action in menu.actions():
        texts.append(action.text().replace("&", ""))
        if action.menu() is not None:
            texts += menu_texts(action.menu())
    return texts


def run(command: str) -> None:
    before = {f"{PLUGIN}.{there}": f"{PLUGIN}:{name}" for name, there in COMMANDS.items()}
    named = f"{PLUGIN}.{command}"
    if not NEWER:  # napari called panels by their names
        named = before.get(named, named)
    Application.get_app("test_app").commands.execute_command(named).result()


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_opens_from_the_plugins_menu_fits_a_small_screen_and_explains_its_fields(
    viewer, qtbot, name
):
    texts = menu_texts(viewer.window.plugins_menu)
    assert any(name in text for text in texts), texts
    run(COMMANDS[name])
    dock = viewer.window._wrapped_dock_widgets[f"{name} ({PLUGIN})"]
    wait(qtbot, dock.isVisible)
    assert PANELS[name] in {type(widget).__name__ for widget in dock.findChildren(QWidget)}
    assert 300 <= dock.minimumSizeHint().width() <= 480
    window = viewer.window._qt_window
    assert (window.width(), window.height()) == (1366, 768)  # the docks did not push it wider
    dock.destroyOnClose()
    viewer.open_sample(PLUGIN, "two-cameras")
    run(COMMANDS[name])
    dock = viewer.window._wrapped_dock_widgets[f"{name} ({PLUGIN})"]
    wait(qtbot, dock.isVisible)
    inside = dock.findChildren(Panel)[0]
    fields = [w for kind in FIELDS for w in inside.findChildren(kind) if not w.objectName().startswith("qt_")]
    assert len(fields) > 10
    assert not [widget for widget in fields if not widget.toolTip()]
    for button in inside.findChildren(QAbstractButton):
        assert not button.isVisible() or button.width() >= button.minimumSizeHint().width(), button.text()
    for spin in inside.findChildren(QAbstractSpinBox):
        text = spin.fontMetrics().horizontalAdvance(spin.text())
        assert not spin.isVisible() or spin.lineEdit().width() >= text, spin.toolTip()


def test_commands_on_layers_compare_them_and_divide_their_frames(viewer):
    viewer.open_sample(PLUGIN, "two-cameras")
    run("compare")
    assert compat.grid(viewer).enabled
    run("compare")
    assert not compat.grid(viewer).enabled
    viewer.layers.selection = {viewer.layers["sample · LR"]}
    assert any("Frame division" in text for text in menu_texts(viewer.window.layers_menu))
    run("divide")
    made = viewer.layers[-1]
    assert provenance_of(made).role == "difference"
    assert made.extent.world == pytest.approx(viewer.layers["sample · LR"].extent.world)


def test_fuse_opens_the_panel_on_the_selected_sequences(viewer):
    viewer.open_sample(PLUGIN, "two-cameras")
    viewer.layers.selection = {viewer.layers["sample · LR"], viewer.layers["sample · HR"]}
    run("fuse")
    dock = viewer.window._wrapped_dock_widgets[f"Fusion ({PLUGIN})"]
    panel = next(w for w in dock.findChildren(QWidget) if type(w).__name__ == "FusionPanel")
    assert [box.layer().name for box in (panel.data.lr, panel.data.hr)] == ["sample · LR", "sample · HR"]


def test_panels_become_tabs_of_one_place_the_newest_in_front(viewer, qtbot):
    docks = [viewer.window.add_plugin_dock_widget("napari-xfusion", name)[0] for name in COMMANDS]
    window = viewer.window._qt_window
    for i, dock in enumerate(docks):
        others = {*docks[:i], *docks[i + 1 :]}
        wait(qtbot, lambda dock=dock, others=others: set(window.tabifiedDockWidgets(dock)) == others)
    wait(qtbot, lambda: [dock.visibleRegion().isEmpty() for dock in docks[-2:]] == [True, False])
    bars = [bar for bar in window.findChildren(QTabBar) if bar.parent() is window and bar.isVisible()]
    assert [cut_titles(bar) for bar in bars] == [[]]
    assert [bars[0].tabText(k) for k in range(bars[0].count())] == TABS


def cut_titles(bar):
    """The titles of tabs that are elided, or behind the arrows at the end of a row that is too long."""
    cut = []
    for k in range(bar.count()):
        needed = bar.fontMetrics().horizontalAdvance(bar.tabText(k))
        place = bar.tabRect(k)
        if place.width() < needed or place.right() > bar.width():
            cut.append(f"{bar.tabText(k)}: {needed} px in {place.width()} at {place.x()}")
    return cut

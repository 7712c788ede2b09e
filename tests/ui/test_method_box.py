"""The list of methods in the Fusion panel follows the catalogue."""

from qtpy.QtWidgets import QWidget

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.ui.fusion.method_box import MethodBox
from tests.core.test_catalogue import toy

__all__ = ["toy"]


def test_a_method_added_to_the_catalogue_can_be_chosen(qtbot, toy):
    parent = QWidget()
    qtbot.addWidget(parent)
    box = MethodBox(parent)
    listed = [box.method.itemText(i) for i in range(box.method.count())]
    assert listed == list(METHODS)
    box.method.setCurrentText(toy.name)
    assert box.values()["method"] == "toy"
    assert box.values()["model"] is None

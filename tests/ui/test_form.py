"""A form for a typed value: rows, limits, changes, saved values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_xfusion.core.plan import Plan
from napari_xfusion.ui.fusion.method_box import Options
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.preferences import Device, Precision
from napari_xfusion.ui.shared.widgets import Section, form


@dataclass(frozen=True)
class Camera:
    step: Annotated[int, row("Step", "Frames per step.", 1, 9)] = 3
    noise: Annotated[bool, row("Noise", "Add noise.")] = True
    kind: Annotated[Literal["mean", "cubic"], row("Kind", "How.")] = "cubic"


@dataclass(frozen=True)
class Place:
    start: Annotated[float, row("Start", "First frame.", -1e6, 1e6)] = 0.0


@pytest.fixture
def box(qtbot):
    box = QWidget()
    qtbot.addWidget(box)
    return box


def test_a_form_holds_the_value_of_its_type(box):
    changes = []
    made = Form(Camera, form(box), lambda: changes.append(made.value()))
    assert made.value() == Camera()
    made["step"].value = 7
    made["kind"].value = "mean"
    assert changes == [Camera(7), Camera(7, kind="mean")]
    with pytest.raises(ValueError, match="allowed range"):
        made["step"].value = 10


def test_rows_have_labels_for_screen_readers_and_tooltips(box):
    layout = form(box)
    made = Form(Camera, layout, lambda: None)
    labels = [layout.labelForField(widget) for widget in made.natives]
    assert [label.text() for label in (labels[0], labels[2])] == ["Step", "Kind"]
    assert [label.buddy() for label in (labels[0], labels[2])] == [made.natives[0], made.natives[2]]
    assert made["noise"].native.text() == "Noise"
    assert [widget.toolTip() for widget in made.natives] == ["Frames per step.", "Add noise.", "How."]


@pytest.mark.parametrize(
    ("value", "text"),
    [(13.97125, "13.97125"), (1 / 3, "0.3333333333"), (9.5, "9.5"), (10.0, "10"), (0.0, "0"), (-0.5, "-0.5")],
)
def test_numbers_are_neither_rounded_nor_shown_with_zeros(box, value, text):
    made = Form(Place, form(box), lambda: None)
    made["start"].value = value
    assert made["start"].native.text() == text
    assert made.value().start == pytest.approx(value, abs=1e-10)
    made["start"].value = 1.0
    made["start"].native.setFocus()
    made["start"].native.selectAll()
    QTest.keyClicks(made["start"].native, text)
    assert made.value().start == float(text)


def test_invalid_saved_values_are_ignored(box):
    made = Form(Camera, form(box), lambda: None)
    made.restore({"step": 99, "kind": "none", "noise": False, "other": 1})
    assert made.value() == Camera(noise=False)
    made.restore({"step": "x"})
    assert made.value() == Camera(noise=False)


def test_the_options_are_those_of_a_plan():
    fields = Plan.model_fields
    assert [Plan(device=name).device for name in get_args(Device)] == list(get_args(Device))
    assert get_args(Precision) == get_args(fields["precision"].annotation)
    for name in ("device", "precision", "separation"):
        assert getattr(Options(), name) == fields[name].default


def test_a_section_hides_its_rows_from_the_eye_and_the_keyboard(box, qtbot):
    section = Section("More", box)
    made = Form(Camera, section.rows, lambda: None)
    layout = form(box)
    layout.addRow(section)
    box.show()
    assert not made["step"].native.isVisible()
    section.toggleButton().click()
    assert made["step"].native.isVisible()
    assert section.toggleButton().accessibleName() == "More"
    section.toggleButton().click()
    assert not made["step"].native.isVisible()

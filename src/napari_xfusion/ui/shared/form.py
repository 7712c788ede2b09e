"""Forms for typed values: one row per field of a frozen dataclass, with a widget made by magicgui.

Label, tooltip and range of a field are part of its annotation, for example
``seed: Annotated[int, row("Seed", "Random seed of the noise.", 0, 100)] = 0``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from magicgui.application import use_app
from magicgui.widgets import CheckBox, create_widget
from magicgui.widgets.bases import RangedWidget
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QWidget

from napari_xfusion.ui.shared.widgets import add_row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from magicgui.widgets.bases import ValueWidget

T = TypeVar("T", bound="DataclassInstance")
DECIMALS = 10
"""Of numbers: a step such as 13.97125 is not rounded."""


def row(label: str, tooltip: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """The options of a field in the terms of magicgui; ``low`` and ``high`` are the limits of a number."""
    return {"label": label, "tooltip": tooltip} | ({} if low is None else {"min": low, "max": high})


class NumberBox(QDoubleSpinBox):
    """A number box that keeps ``DECIMALS`` decimals and shows those that differ from zero."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(DECIMALS)

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """``value`` without zeros at its end."""
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class Number(RangedWidget[float]):
    """magicgui's number with a ``NumberBox``."""

    def __init__(self, **options: Any) -> None:
        base: Any = use_app().get_obj("FloatSpinBox")

        class Exact(base):  # the class of the Qt binding in use
            def __init__(self, **more: Any) -> None:
                super(base, self).__init__(NumberBox, **more)

        super().__init__(**options | {"widget_type": Exact})


class Form(Generic[T]):
    """The fields of ``kind`` as rows of ``layout``; calls ``changed`` after every change."""

    def __init__(self, kind: type[T], layout: QFormLayout, changed: Callable[[], object]) -> None:
        self._kind = kind
        self._widgets: dict[str, ValueWidget[Any]] = {}
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            options = {"widget_type": Number} if isinstance(field.default, float) else {}
            widget: Any = create_widget(
                field.default, annotation=hints[field.name], name=field.name, options=options
            )
            widget.changed.connect(lambda _: changed())
            label = "" if isinstance(widget, CheckBox) else widget.label  # a check box has its own
            add_row(layout, label, widget.native, widget.tooltip)
            self._widgets[field.name] = widget

    def __getitem__(self, name: str) -> Any:
        """The magicgui widget of a field, with ``value``, ``enabled`` and ``native``, the Qt widget."""
        return self._widgets[name]

    @property
    def natives(self) -> list[Any]:
        """The Qt widgets, in order."""
        return [widget.native for widget in self._widgets.values()]

    def value(self) -> T:
        """The value as set in the form."""
        return self._kind(**{name: widget.value for name, widget in self._widgets.items()})

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set saved ``values``; invalid ones are ignored."""
        for name in self._widgets.keys() & values.keys():
            with suppress(TypeError, ValueError):
                self._widgets[name].value = values[name]

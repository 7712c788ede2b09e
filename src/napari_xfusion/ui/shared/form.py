"""Forms for typed values: one row per field of a frozen dataclass, with a widget made by magicgui.

Label, tooltip and range of a field are part of its annotation, for example
``seed: Annotated[int, row("Seed", "Random seed of the noise.", 0, 100)] = 0``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from magicgui.widgets import CheckBox, create_widget
from qtpy.QtWidgets import QFormLayout

from napari_xfusion.ui.shared.widgets import add_row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from magicgui.widgets.bases import ValueWidget

T = TypeVar("T", bound="DataclassInstance")


def row(label: str, tooltip: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """The options of a field in the terms of magicgui; ``low`` and ``high`` are the limits of a number."""
    return {"label": label, "tooltip": tooltip} | ({} if low is None else {"min": low, "max": high})


class Form(Generic[T]):
    """The fields of ``kind`` as rows of ``layout``; calls ``changed`` after every change."""

    def __init__(self, kind: type[T], layout: QFormLayout, changed: Callable[[], object]) -> None:
        self._kind = kind
        self._widgets: dict[str, ValueWidget[Any]] = {}
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            widget: Any = create_widget(field.default, annotation=hints[field.name], name=field.name)
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

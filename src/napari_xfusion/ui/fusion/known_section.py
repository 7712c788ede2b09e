"""The fields for pixel sizes and frame rates that the files of a pair do not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from qtpy.QtWidgets import QWidget

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.types import Stack
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.widgets import Section

FROM_FILE = "from the file"
CAMERAS = ("lr", "hr")


def _pixel(camera: str) -> dict[str, Any]:
    tip = f"Side of a pixel of {camera} in the object, in micrometres, where the file does not hold it."
    return row(f"{camera} pixel", tip, 0, 1e6)


def _rate(camera: str) -> dict[str, Any]:
    tip = f"Frames per second of {camera}, where the file does not hold them. From both rates follows the HR step."
    return row(f"{camera} rate", tip, 0, 1e12)


@dataclass(frozen=True)
class Known:
    """What the user knows of LR and HR; 0 where the file is to say it."""

    lr_pixel: Annotated[float, _pixel("LR")] = 0.0
    hr_pixel: Annotated[float, _pixel("HR")] = 0.0
    lr_rate: Annotated[float, _rate("LR")] = 0.0
    hr_rate: Annotated[float, _rate("HR")] = 0.0

    @property
    def hr_step(self) -> float:
        """LR frames from HR frame to HR frame; 0 where a rate is missing."""
        return self.lr_rate / self.hr_rate if self.lr_rate and self.hr_rate else 0.0

    def of(self, camera: str, stack: Stack) -> Stack:
        """``stack`` with what its file does not hold; the same object where nothing changes."""
        stack = _AS_READ.get(stack, stack)
        pixel, rate = getattr(self, f"{camera}_pixel"), getattr(self, f"{camera}_rate")
        changes: dict[str, Any] = {}
        if pixel and stack.pixel_size is None:
            changes["pixel_size"] = pixel
        if rate and not stack.clock.known:
            changes["clock"] = Clock.regular(len(stack), 1 / rate)
        made = replace(stack, **changes) if changes else stack
        if made is not stack:
            _AS_READ[made] = stack
        return made


_AS_READ: WeakKeyDictionary[Stack, Stack] = WeakKeyDictionary()
"""The sequences as their files have them, of those that were given more."""


def as_read(stack: Stack) -> Stack:
    """The sequence as its file has it."""
    return _AS_READ.get(stack, stack)


class KnownSection(Section):
    """One row per camera and quantity; calls ``changed`` after every change."""

    def __init__(self, parent: QWidget, changed: Callable[[], object]) -> None:
        super().__init__("Pixel sizes and frame rates", parent)
        self._quiet = False
        self._changed = changed
        self.fields = Form(Known, self.rows, self._on_changed)
        for name in asdict(Known()):
            self.fields[name].native.setSpecialValueText(FROM_FILE)
            self.fields[name].native.setSuffix(" µm" if name.endswith("pixel") else " /s")

    def value(self) -> Known:
        """The entered values; those of fields that are off do not count."""
        entered = asdict(self.fields.value())
        return Known(**{name: x if self.fields[name].enabled else 0.0 for name, x in entered.items()})

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Show other values, without calling ``changed``."""
        self._quiet = True
        self.fields.restore(asdict(Known()) | dict(saved))
        self._quiet = False

    def offer(self, stacks: Sequence[Stack | None], able: Sequence[bool]) -> None:
        """Enable the fields of what the files of LR and HR do not hold, where it is ``able`` to be entered."""
        for camera, stack, can in zip(CAMERAS, stacks, able, strict=True):
            plain = None if stack is None or not can else as_read(stack)
            self.fields[f"{camera}_pixel"].enabled = plain is not None and plain.pixel_size is None
            self.fields[f"{camera}_rate"].enabled = plain is not None and not plain.clock.known

    def _on_changed(self) -> None:
        if not self._quiet:
            self._changed()

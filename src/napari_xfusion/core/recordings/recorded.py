"""Times and camera of a recording, as text in a file that it is converted to."""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.types import CameraFacts, Stack
from napari_xfusion.core.value import Value

KEY = "recording"
"""Of the text in a TIFF's description, in the attributes of an OME-Zarr, and of the NXnote in a NeXus file."""


class Recorded(Value):
    """When and by which camera frames were taken, which TIFF and Zarr have no fields for."""

    clock: Clock
    camera: CameraFacts = CameraFacts()
    corrected: str = ""
    """See ``Metadata.corrected``."""

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """What ``stack`` knows."""
        return cls(clock=stack.clock, camera=stack.metadata.camera, corrected=stack.metadata.corrected)

    @classmethod
    def read(cls, text: object) -> Self | None:
        """The value of ``text``, None where it is not one."""
        try:
            return cls.model_validate_json(text) if isinstance(text, str) else None
        except ValidationError:
            return None

    @property
    def text(self) -> str:
        """JSON in one line of ASCII."""
        plain = self.model_dump_json(exclude_defaults=True)
        return plain.encode("ascii", "backslashreplace").decode()

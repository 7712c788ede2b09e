"""The core's errors and warnings as the window says them: by the names of its fields."""

from __future__ import annotations

from napari_xfusion.errors import XFusionError, XFusionWarning, render

FIELDS = {
    "hr_step": "HR step",
    "hr_start": "HR start",
    "hr_times": "HR times",
    "frames": "Frames",
    "region": "Region",
    "separation": "Separation",
    "device": "Device",
    "precision": "Precision",
    "overwrite": "the Replace box",
    "method": "Method",
    "model": "Model",
    "std": "standard deviation",
    "grey": "grey values",
}
"""Names of the panel's fields; a setting without one keeps its plain name."""


def field(setting: str) -> str:
    """What the window calls a setting."""
    return FIELDS.get(setting, setting.replace("_", " "))


def in_window_words(said: BaseException | XFusionWarning) -> str:
    """The sentences of an error or a warning; of an unexpected error its kind, too."""
    if isinstance(said, XFusionError | XFusionWarning):
        return render(said, field)
    return f"{type(said).__name__}: {said}"

"""Errors and warnings of the core in sentences that name the fields of the panels."""

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
    "overwrite": "Overwrite",
    "method": "Method",
    "model": "Model",
    "std": "standard deviation",
    "grey": "grey values",
}
"""Labels of the settings in the panels; any other setting is called by its own name."""


def field(setting: str) -> str:
    """The label of a setting in the panels."""
    return FIELDS.get(setting, setting.replace("_", " "))


def in_window_words(problem: BaseException | XFusionWarning) -> str:
    """The sentences of an error or a warning; an unexpected error is preceded by its class."""
    if isinstance(problem, XFusionError | XFusionWarning):
        return render(problem, field)
    return f"{type(problem).__name__}: {problem}"

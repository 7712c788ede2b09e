"""Errors and warnings of the core in sentences that name the fields of the panels."""

from __future__ import annotations

import logging
from traceback import extract_tb
from typing import TYPE_CHECKING

from napari_xfusion.core.doctor import log_file, start_log
from napari_xfusion.core.plan import Plan
from napari_xfusion.errors import XFusionError, XFusionWarning, render

if TYPE_CHECKING:
    from napari.utils.notifications import Notification

FIELDS = {
    "hr_step": "HR step",
    "hr_start": "HR start",
    "hr_times": "HR times",
    "lr_time_offset": "LR offset",
    "hr_time_offset": "HR offset",
    "frames": "Frames",
    "region": "Region",
    "rig": "Rig file",
    "extent": "Extent",
    "points": "Way, clicked pairs",
    "way": "Way",
    "pixel_size_lr": "LR pixel",
    "pixel_size_hr": "HR pixel",
    "source": "Source",
    "exposure_ns": "Exposure",
    "separation": "Separation",
    "device": "Device",
    "precision": "Precision",
    "overwrite": "Overwrite",
    "method": "Method",
    "model": "Model",
    "std": "standard deviation",
    "grey": "grey values",
    "correct": "Advanced options",
    "keep_flicker": "Keep flicker",
    "hr_frames": "HR frames",
    "lr_normalise": "LR beam",
    "hr_normalise": "HR beam",
}
"""Labels of the settings in the panels; any other setting is called by its own name."""


def field(setting: str) -> str:
    """The label of a setting in the panels."""
    return FIELDS.get(setting, setting.replace("_", " "))


SETTINGS = (
    *("separation", "frames", "region", "hr_step", "hr_start", "lr_time_offset", "hr_time_offset", "extent"),
    *("keep_flicker", "hr_frames", "grey"),
)
"""Settings in which results of one method differ, and whose values are short."""


def settings_in_words(plan: Plan, count: int) -> list[str]:
    """The settings of a run of ``count`` LR frames that are not the default: ``Separation 2``, ``Frames 3:9``.

    Which method and model it is by is not among them.
    """
    default = Plan(
        frames=(0, count) if plan.frames == (0, count) else None
    )  # a record has them of all frames
    settings = ["with a rig file"] if plan.calibration is not None else []
    for name in SETTINGS:
        value = getattr(plan, name)
        if value != getattr(default, name):
            settings.append(field(name) if value is True else f"{field(name)} {_value_in_words(value)}")
    settings += [f"{flaw} corrected" for flaw in plan.correct if flaw not in default.correct]
    settings += [f"{flaw} not corrected" for flaw in default.correct if flaw not in plan.correct]
    return settings


def _value_in_words(value: object) -> str:
    """Numbers without needless zeros, frames as ``2:9``, a region as ``0:40,0:64``."""
    if type(value) is tuple:
        return ":".join(map(_value_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def in_window_words(problem: BaseException | XFusionWarning) -> str:
    """The sentences of an error or a warning; for an unexpected error, its class and where the log is."""
    if isinstance(problem, XFusionError | XFusionWarning):
        return render(problem, field)
    return f"Unexpected {type(problem).__name__}, see the log {log_file()}"


def start_window_log() -> None:
    """Log to a file, also the errors of this package that napari reports."""
    from napari.utils.notifications import notification_manager  # noqa: PLC0415 - a reader imports this module

    start_log()
    notification_manager.notification_ready.connect(_log_error)


def _log_error(notification: Notification) -> None:
    error = getattr(notification, "exception", None)
    if error is None or isinstance(error, XFusionError):
        return
    if any("napari_xfusion" in frame.filename for frame in extract_tb(error.__traceback__)):
        logging.getLogger("napari_xfusion").error("in the window", exc_info=error)

"""Errors and warnings of the core in terms of command-line options."""

from __future__ import annotations

from napari_xfusion.errors import XFusionError, XFusionWarning, render


def option(setting: str) -> str:
    """Return the option for a setting."""
    return f"--{setting.replace('_', '-')}"


def in_options(said: Exception | XFusionWarning) -> str:
    """Format an error or a warning in one line; for an unexpected error, include its class."""
    if isinstance(said, XFusionError | XFusionWarning):
        return render(said, option)
    return " ".join(f"unexpected {type(said).__name__}: {said}".split())


def as_facts(error: Exception) -> dict[str, str | None]:
    """An error as JSON: its kind and fields, and its sentences in one line."""
    facts: dict[str, str | None] = {"kind": type(error).__name__, "text": in_options(error)}
    if isinstance(error, XFusionError):
        fields = ("subject", "setting", "expected", "found", "problem", "hint")
        facts |= {name: getattr(error, name) for name in fields}
    return facts

"""Panel settings saved between sessions, in one JSON file of the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from napari_xfusion.core.files import replacing


def settings_file() -> Path:
    """The path of the settings file."""
    return Path(platformdirs.user_config_dir("napari-xfusion", appauthor=False)) / "window.json"


def load_settings(panel: str) -> dict[str, Any]:
    """The last saved settings of ``panel``; empty if there are none or they cannot be read."""
    saved = _read().get(panel)
    return saved if isinstance(saved, dict) else {}


def save_settings(panel: str, values: Mapping[str, Any]) -> None:
    """Save the JSON ``values`` for ``panel``; failures to write are ignored."""
    everything = _read() | {panel: dict(values)}
    with suppress(OSError):
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        with replacing(settings_file()) as part:
            part.write_text(json.dumps(everything, indent=1), encoding="utf-8")


def _read() -> dict[str, Any]:
    try:
        saved = json.loads(settings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}

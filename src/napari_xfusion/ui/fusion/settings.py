"""What the panels remember from one session to the next: one small JSON file of the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from napari_xfusion.core.files import replacing


def settings_file() -> Path:
    """Where the settings are kept."""
    return Path(platformdirs.user_config_dir("napari-xfusion", appauthor=False)) / "window.json"


def load_settings(panel: str) -> dict[str, Any]:
    """What ``panel`` saved last; empty where there is nothing, or nothing that can be read."""
    saved = _read().get(panel)
    return saved if isinstance(saved, dict) else {}


def save_settings(panel: str, values: Mapping[str, Any]) -> None:
    """Keep the JSON ``values`` for ``panel``. Where they cannot be kept, nothing is lost but the comfort."""
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

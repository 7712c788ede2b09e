"""The core's sentences as the window says them: by the names of its fields, not of options."""

from __future__ import annotations

import re

FIELDS = {
    "--hr-step": "HR step",
    "--hr-start": "HR start",
    "--hr-times": "HR times",
    "--frames": "Frames",
    "--region": "Region",
    "--separation": "Separation",
    "--device": "Device",
    "--precision": "Precision",
    "--overwrite": "the Replace box",
    "--method": "Method",
    "--model": "Model",
    "--grey": "Grey values",
}
_OPTION = re.compile(r"(--[a-z-]+)(?: (?:N|K|LIST or FILE)\b)?")


def in_window_words(text: str) -> str:
    """``text`` with every option of the command line under its name in the panel."""
    return _OPTION.sub(lambda found: FIELDS.get(found[1], found[1]), text)

"""Whether the files of a recording are still those that they were."""

from __future__ import annotations

import os
from pathlib import Path

from napari_xfusion.core.types import Stack

State = tuple[tuple[str, int, int, int], ...]
"""Name, bytes, time of the last change in nanoseconds and number of each file, sorted by name."""


def state_of(stack: Stack) -> State:
    """The state of the files of a recording, which are not read; empty where it comes from no file."""
    if stack.recording is None:
        return ()
    return tuple(entry for file in stack.files for entry in _entries(Path(file)))


def _entries(path: Path) -> State:
    """Of a file, or of all files in a folder; empty where there is none."""
    if not path.is_dir():
        return _entry(path)
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return tuple(sorted(entry for file in files for entry in _entry(file)))


def _entry(file: Path) -> State:
    try:
        found = file.stat()
    except OSError:
        return ()
    return ((str(file), found.st_size, found.st_mtime_ns, found.st_ino),)

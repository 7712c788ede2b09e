"""Files that are there complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from napari_xfusion.errors import OutputError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then put it in its place; raises OutputError where not."""
    beside = path.with_name(f".{path.name}.part{path.suffix}")  # what a kill leaves is overwritten
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk by RuntimeError
        raise OutputError(
            path, expected="room to write", found=str(error), do="make room, and run the same command again"
        ) from error
    finally:
        beside.unlink(missing_ok=True)

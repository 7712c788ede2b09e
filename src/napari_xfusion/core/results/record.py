"""The run record that stands beside every result: ``fused.tif.json`` for ``fused.tif``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from napari_xfusion.errors import InputError


@dataclass(frozen=True)
class RecordedTimes:
    """What a comparison needs of a record."""

    first: int
    """LR frame number of the result's first frame."""
    hr_times: tuple[float, ...]
    """Times of the HR frames that were given, in LR frame numbers."""


def read_times(result: str | PathLike[str]) -> RecordedTimes | None:
    """Times from the record beside ``result``, or None where there is none, or one of no run.

    Raises InputError when something stands there that is no record.
    """
    path = record_path(result)
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "plan" not in record:
            return None
        first = int(record["plan"]["frames"][0])
        times = tuple(float(t) for t in record["hr_times"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if first < 0 or not all(map(math.isfinite, times)):
        raise _damaged(path, "frame numbers or times that cannot be")
    return RecordedTimes(first, times)


def read_frames(result: str | PathLike[str]) -> list[dict[str, Any]]:
    """What the record beside ``result`` says of each frame, in the order of the sequence."""
    frames: list[dict[str, Any]] = read_record(result)["frames"]
    return frames


def read_record(result: str | PathLike[str]) -> dict[str, Any]:
    """The record beside ``result``; raises InputError where there is none."""
    path = record_path(result)
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = record["frames"], record["plan"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return record


def record_path(result: str | PathLike[str]) -> Path:
    """Where the record of ``result`` stands."""
    return Path(f"{result}.json")


def _damaged(path: Path, found: str) -> InputError:
    return InputError(
        path, expected="the record of a run", found=found, hint="remove it and give {hr_step} or {hr_times}"
    )

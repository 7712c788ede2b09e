"""Cells as tasks of worker processes, which import no more than they need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from napari_xfusion.core.types import Token
from napari_xfusion.errors import XFusionError
from napari_xfusion.lab.study.cells import Cell, StoppedError, compute


class Task(NamedTuple):
    """A cell, where it goes, and its identity."""

    cell: Cell
    path: Path
    identity: str


def work(task: Task, stop: Token, count_frame: Callable[[], None]) -> str | None:
    """Compute a task into its file, in a worker process; what prevents it, if anything."""
    try:
        compute(task.cell, task.path, task.identity, stop, count_frame)
    except StoppedError:
        return "stopped"
    except XFusionError as error:
        return str(error)
    return None

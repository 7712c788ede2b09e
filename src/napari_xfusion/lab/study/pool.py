"""Cells side by side on the cores of a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_xfusion.core.types import Token
from napari_xfusion.errors import XFusionError
from napari_xfusion.lab.study.cells import Cell, StoppedError, compute
from napari_xfusion.lab.workers import Signals, share


class Task(NamedTuple):
    """A cell, where it goes, and its identity."""

    cell: Cell
    path: Path
    identity: str


def run_tasks(
    tasks: Sequence[Task], jobs: int, stop: Token, frames_done: Callable[[int], None]
) -> dict[Task, str]:
    """Compute every task into its file by ``jobs`` processes of one thread each; what failed, and why.

    ``frames_done`` receives the number of frames done so far. When ``stop`` is set the cells at work are given up
    and those that are finished are kept.
    """
    problems: dict[Task, str | None] = {}
    hint = "rerun the same command with fewer {jobs} to resume"
    share(_work, tasks, jobs, stop, done=problems.__setitem__, count=frames_done, hint=hint)
    return {task: problem for task, problem in problems.items() if problem is not None}


def _work(task: Task, signals: Signals) -> str | None:
    """In a worker: compute a task; what stands in its way, if anything."""
    try:
        compute(task.cell, task.path, task.identity, signals, signals.count)
    except StoppedError:
        return "stopped"
    except XFusionError as error:
        return str(error)
    return None

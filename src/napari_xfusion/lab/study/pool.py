"""Cells side by side on the cores of a machine: processes that end with their parent, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from napari_xfusion.core.types import Token
from napari_xfusion.errors import OutputError, XFusionError
from napari_xfusion.lab.study.cells import Cell, StoppedError, compute

LOOK = 0.2
"""Seconds between two looks at how far the work is."""
_worker: dict[str, Any] = {}
"""In a worker: its ``stop`` and its ``frames``."""


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
    if not tasks:
        return {}
    context = multiprocessing.get_context("spawn")
    halt, frames = context.Event(), context.Value("q", 0)
    pool = ProcessPoolExecutor(jobs, context, _begin, (halt, frames))
    failed: dict[Task, str] = {}
    try:
        with _one_thread(), _interrupts_held():
            waiting: dict[Future[str | None], Task] = {pool.submit(_work, task): task for task in tasks}
        while waiting and not stop.is_set():
            for future in wait(waiting, LOOK, FIRST_COMPLETED).done:
                problem = future.result()
                task = waiting.pop(future)
                if problem is not None:
                    failed[task] = problem
            frames_done(frames.value)
    except BrokenProcessPool as error:
        raise OutputError(
            "a worker process",
            problem="it was killed, possibly because memory ran out",
            hint="rerun the same command with fewer {jobs} to resume",
        ) from error
    finally:
        halt.set()
        pool.shutdown(cancel_futures=True)
    return failed


def _work(task: Task) -> str | None:
    """In a worker: compute a task; what stands in its way, if anything."""
    try:
        compute(task.cell, task.path, task.identity, _worker["stop"], _count_frame)
    except StoppedError:
        return "stopped"
    except XFusionError as error:
        return str(error)
    return None


def _count_frame() -> None:
    frames = _worker["frames"]
    with frames.get_lock():
        frames.value += 1


def _begin(stop: Any, frames: Any) -> None:
    """In a worker, first of all. Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _worker.update(stop=stop, frames=frames)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker when its parent is gone: a killed one cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started here use one thread each: as many processes as cores share the machine."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started here never see Ctrl-C, not even while they import; it reaches the parent after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

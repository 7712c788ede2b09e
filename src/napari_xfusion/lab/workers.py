"""Processes that share tasks: one thread each, without Ctrl-C, and ended with their parent, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.context import SpawnContext
from typing import TypeVar

import cv2

from napari_xfusion.core.types import Token
from napari_xfusion.errors import OutputError

T = TypeVar("T")
R = TypeVar("R")
LOOK = 0.2
"""Seconds between two looks at how far the work is."""


class Signals:
    """What workers and their parent share: a stop token, and a count of what is done."""

    def __init__(self, context: SpawnContext) -> None:
        self._stop, self._done = context.Event(), context.Value("q", 0)

    def is_set(self) -> bool:
        """Whether the work is to stop."""
        return self._stop.is_set()

    def set(self) -> None:
        """Ask all workers to stop."""
        self._stop.set()

    @property
    def done(self) -> int:
        """The count of all workers together."""
        return int(self._done.value)

    def count(self) -> None:
        """Add one to the count."""
        with self._done.get_lock():
            self._done.value += 1


_SIGNALS: ContextVar[Signals] = ContextVar("signals")
"""In a worker. An event reaches a spawned process only while that starts, not with a task."""


def share(
    work: Callable[[T, Signals], R],
    tasks: Sequence[T],
    processes: int,
    stop: Token,
    *,
    done: Callable[[T, R], None],
    count: Callable[[int], None] = lambda _: None,
    hint: str = "rerun the same command to resume",
) -> None:
    """Run ``work(task, signals)`` for every task in so many ``processes``, and ``done(task, result)`` in this one.

    Work and tasks are pickled; a script that calls this needs the usual ``if __name__ == "__main__":``. ``count``
    receives the count of the signals several times a second. When ``stop`` is set, no further task begins and the
    signals stop those at work. Raises what ``work`` raises, and OutputError, with ``hint``, when a process was killed.
    """
    # Spawned, not forked: a fork of a process with threads (torch, OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    signals = Signals(context)
    pool = ProcessPoolExecutor(processes, context, _begin, (signals,))
    try:
        with _one_thread(), _interrupts_held():
            waiting = {pool.submit(_call, work, task): task for task in tasks}
        while waiting and not stop.is_set():
            for future in wait(waiting, LOOK, FIRST_COMPLETED).done:
                done(waiting.pop(future), future.result())
            count(signals.done)
    except BrokenProcessPool as error:
        problem = "it was killed, possibly because memory ran out"
        raise OutputError("a worker process", problem=problem, hint=hint) from error
    finally:
        signals.set()
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_worker() -> None:
    """In a process that was spawned, first of all: one thread, no Ctrl-C (the parent's), and an end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _begin(signals: Signals) -> None:
    start_worker()
    _SIGNALS.set(signals)


def _call(work: Callable[[T, Signals], R], task: T) -> R:
    return work(task, _SIGNALS.get())


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

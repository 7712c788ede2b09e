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
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

import cv2

from napari_xfusion.core.types import Token
from napari_xfusion.errors import OutputError

T = TypeVar("T")
R = TypeVar("R")
LOOK = 0.2
"""Seconds between two looks at how far the work is."""


_SIGNALS: ContextVar[tuple[Event, Synchronized[int]]] = ContextVar("signals")
"""In a worker: stop, and count. They reach a spawned process only while it starts, not with a task."""


def share(
    work: Callable[[T, Token, Callable[[], None]], R],
    tasks: Sequence[T],
    processes: int,
    stop: Token,
    *,
    done: Callable[[T, R], object],
    count: Callable[[int], None] = lambda _: None,
    hint: str = "rerun the same command to resume",
) -> None:
    """Run ``work(task, stop, count)`` for every task in so many ``processes``; ``done(task, result)`` is called here.

    Work and tasks are pickled; a script that calls this needs the usual ``if __name__ == "__main__":``. What
    workers counted goes to ``count`` several times a second. When ``stop`` is set, no further task begins and
    those at work are asked to stop. Raises what ``work`` raises, and OutputError, with ``hint``, when a
    process was killed.
    """
    if stop.is_set():
        return
    # Spawned, not forked: a fork of a process with threads (torch, OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    halt, counted = context.Event(), context.Value("q", 0)
    pool = ProcessPoolExecutor(processes, context, start_worker, (halt, counted))
    try:
        with _starting():
            waiting = {pool.submit(_call, work, task): task for task in tasks}
        while waiting and not stop.is_set():
            for future in wait(waiting, LOOK, FIRST_COMPLETED).done:
                done(waiting.pop(future), future.result())
            count(counted.value)
    except BrokenProcessPool as error:
        problem = "it was killed, possibly because memory ran out"
        raise OutputError("a worker process", problem=problem, hint=hint) from error
    finally:
        halt.set()
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_worker(*signals: Any) -> None:
    """In a process that was spawned, first of all: one thread, no Ctrl-C, and an end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if signals:
        _SIGNALS.set(signals)


def _call(work: Callable[[T, Token, Callable[[], None]], R], task: T) -> R:
    stop, counted = _SIGNALS.get()

    def count() -> None:
        with counted.get_lock():
            counted.value += 1

    return work(task, stop, count)


def _leave_with_parent() -> None:
    """End this worker when its parent is gone: a killed one cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _starting() -> Iterator[None]:
    """Processes started here use one thread each, as they share the cores, and never see Ctrl-C.

    Not even while they import; it reaches the parent after.
    """
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    before = {name: os.environ[name] for name in one if name in os.environ}
    os.environ.update(one)
    has_mask = hasattr(signal, "pthread_sigmask")  # not on Windows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_mask else set()
    try:
        yield
    finally:
        for name in one.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        if has_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

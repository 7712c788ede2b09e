"""What a closed window left behind: threads, running timers, top-level widgets."""

from __future__ import annotations

import gc
import threading
import time

TEMPORARY_THREADS = ("pydev", "TMonitor", "tqdm_monitor", "zarr_io", "asyncio")
"""Threads that libraries keep for the life of the process: debuggers, tqdm, zarr."""
PATIENCE = 300.0
"""Seconds that what ends by itself may take on a busy machine; only a leak ever takes that long."""


def left_behind(before: set[threading.Thread]) -> list[str]:
    """What is there beyond the threads of ``before``, once all has ended that ends by itself."""
    deadline = time.monotonic() + PATIENCE
    while (left := _left(before)) and time.monotonic() < deadline:
        for thread in threads() - before:
            thread.join(0.05)
    return left


def wait_for_thread(name: str) -> None:
    """Wait until no thread whose name begins so is at work."""
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"thread {thread.name} goes on"


def threads() -> set[threading.Thread]:
    """Threads at work, without dask's, which it ends at its next use, and strangers that only passed by."""
    import dask.threaded

    pools = [pool for each in dask.threaded.pools.values() for pool in each.values()]
    kept = {thread for pool in (dask.threaded.default_pool, *pools) if pool for thread in pool._threads}
    return {
        thread
        for thread in set(threading.enumerate()) - kept
        if not isinstance(thread, threading._DummyThread)
        and not any(name.startswith(TEMPORARY_THREADS) for name in (thread.name, type(thread).__name__))
    }


def _left(before: set[threading.Thread]) -> list[str]:
    from qtpy.QtCore import QThreadPool
    from qtpy.QtWidgets import QApplication

    QThreadPool.globalInstance().waitForDone(2000)
    application = QApplication.instance()
    for _ in range(3):  # deleteLater needs the event loop, and what it deletes may delete more
        application.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
        application.processEvents()
    gc.collect()
    return [
        *(f"thread {thread.name}" for thread in threads() - before),
        *(f"timer of {owner}" for owner in _timers()),
        *(f"window {widget}" for widget in application.topLevelWidgets() if widget.isVisible()),
    ]


def _timers() -> list[str]:
    """Timers that still run, by the object they belong to."""
    from qtpy.QtCore import QTimer

    running = []
    for thing in gc.get_objects():
        if issubclass(type(thing), QTimer):  # isinstance would ask the thing, and some answer by warning
            try:
                if thing.isActive() and not thing.isSingleShot():
                    running.append(repr(thing.parent() or thing))
            except RuntimeError:  # its C++ half is gone, and it with it
                continue
    return running

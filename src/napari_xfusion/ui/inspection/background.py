"""Small answers beside the window: a thread that makes frames for layers, several sequences at a time.

For long work, of which only the newest request counts, there is ``job``. Here each answer is a future: it
may be waited for a moment, and withdrawn when the slider has gone on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Qt, Signal

T = TypeVar("T")


class Background(QObject):
    """A thread that ends when its ``parent`` is destroyed, and at ``close``."""

    _back = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-xfusion")
        self._closed = closed = threading.Event()
        # What waits to be delivered when the panel goes is heard by nobody.
        self._back.connect(lambda call: closed.is_set() or call(), Qt.ConnectionType.QueuedConnection)
        pool = self._pool  # self is half gone when destroyed is heard
        parent.destroyed.connect(lambda: _end(pool, closed))

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do ``work`` in the thread, after what was submitted before; raises RuntimeError when closed."""
        return self._pool.submit(work)

    def ask(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> Future[T]:
        """Do ``work`` in the thread, then ``done`` or ``failed`` in the window's; neither when withdrawn."""
        future = self.submit(work)
        future.add_done_callback(lambda ended: self._answer(ended, done, failed))
        return future

    def _call_soon(self, function: Callable[[], Any]) -> None:
        """Call ``function`` in the window's thread, soon; not at all when the window is gone."""
        if not self._closed.is_set():
            try:
                self._back.emit(function)
            except RuntimeError:  # destroyed between the two lines
                self._closed.set()

    def close(self) -> None:
        """Withdraw what waits; what runs is heard no more."""
        _end(self._pool, self._closed)

    def _answer(
        self, ended: Future[T], done: Callable[[T], None], failed: Callable[[Exception], None]
    ) -> None:
        try:
            result = ended.result()
        except CancelledError:
            return
        except Exception as error:  # whatever it is, the panel tells it
            told = error
            self._call_soon(lambda: failed(told))
        else:
            self._call_soon(lambda: done(result))


def _end(pool: ThreadPoolExecutor, closed: threading.Event) -> None:
    closed.set()
    pool.shutdown(wait=False, cancel_futures=True)

"""Small answers beside the window: a thread that makes frames for layers, several sequences at a time.

For long work, of which only the newest request counts, there is ``job``. Here each answer is a future: it
may be waited for a moment, and withdrawn when the slider has gone on. As there, nothing crosses over by Qt
signals: the window fetches the answers when its timer ticks, and a closed window fetches none.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QObject, QTimer

from napari_xfusion.errors import XFusionError

log = logging.getLogger("napari_xfusion")
T = TypeVar("T")
EVERY = 5
"""Milliseconds between two looks for an answer, while there is one to come."""


class Background(QObject):
    """A thread that ends when its ``parent`` is destroyed."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = pool = ThreadPoolExecutor(1, thread_name_prefix="napari-xfusion")
        self._asked: deque[tuple[Future[Any], Callable[[Any], None], Callable[[Exception], None]]] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY)
        self._timer.timeout.connect(self._deliver)
        # self is half gone when destroyed is heard
        self.destroyed.connect(lambda: pool.shutdown(wait=False, cancel_futures=True))

    def ask(
        self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[Exception], None]
    ) -> Future[T]:
        """Do ``work`` in the thread, then ``done`` or ``failed`` in the window's; neither when withdrawn.

        Answers come in the order of the requests. Raises RuntimeError when the parent is destroyed.
        """
        future = self._pool.submit(work)
        self._asked.append((future, done, failed))
        self._timer.start()
        return future

    def _deliver(self) -> None:
        while self._asked and self._asked[0][0].done():
            future, done, failed = self._asked.popleft()
            try:
                result = future.result()
            except CancelledError:
                continue
            except Exception as error:  # whatever it is, the panel shows it
                if not isinstance(error, XFusionError):
                    log.exception("a layer of the window failed")
                failed(error)
            else:
                done(result)
        if not self._asked:
            self._timer.stop()

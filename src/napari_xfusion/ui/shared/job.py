"""Work beside the window: one thread, of which only the newest request counts.

A request is a function ``body(stop, tell)``. It looks at ``stop`` to end early, hands over what it has on
the way by ``tell``, and may raise: its end always arrives as an ``Outcome``. What a request told after a
newer one was asked for is dropped, so a stale answer never replaces a fresh one. Nothing crosses over by
Qt signals: the window fetches the news when its timer ticks, and a closed window fetches none.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from qtpy.QtCore import QObject, QTimer

from napari_xfusion.core.types import Progress, Token
from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.shared.words import in_window_words

Tell = Callable[[Any], None]
Body = Callable[[Token, Tell], Any]
PATIENCE = 2.0
"""Seconds that a closing window waits for the tile at work."""
EXIT_PATIENCE = 120.0
"""Seconds that Python waits for it when it ends: a thread still in OpenCV then would crash the process."""

log = logging.getLogger("napari_xfusion")


class StoppedError(Exception):
    """Ends a request that was asked to stop."""


def until(stop: Token) -> Progress:
    """What a function of the core reports its progress to, to be ended when ``stop`` is set."""

    def progress(_done: int, _total: int) -> None:
        if stop.is_set():
            raise StoppedError

    return progress


@dataclass(frozen=True)
class Outcome:
    """How a request ended."""

    value: Any = None
    """What its body returned."""
    error: BaseException | None = None
    cancelled: bool = False
    """Whether it was asked to stop; ``value`` is then what the body made of that."""

    def in_words(self) -> str:
        """The error in the user's words; '' where there is none."""
        return "" if self.error is None else in_window_words(self.error)


@dataclass(eq=False)
class _Request:
    body: Body
    generation: int
    stop: threading.Event


class Workbench:
    """The thread and its newest request; knows no Qt. It starts with the first request."""

    def __init__(self, name: str, at_end: Callable[[], None] = lambda: None) -> None:
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._at_end = at_end
        self._wake = threading.Condition()
        self._next: _Request | None = None
        self._current: _Request | None = None
        self._closed = False
        self._news: deque[tuple[int, Any]] = deque()
        self.generation = 0
        """Number of the newest request."""

    @property
    def busy(self) -> bool:
        """Whether the newest request has not ended, or its end was not fetched yet."""
        return self._current is not None

    def ask(self, body: Body) -> int:
        """Begin ``body`` as soon as the thread is free, in place of what was asked before; its generation."""
        with self._wake:
            if self._closed:
                raise RuntimeError("a closed workbench takes no requests")
            self.cancel()
            self.generation += 1
            self._news.clear()
            self._current = self._next = _Request(body, self.generation, threading.Event())
            self._wake.notify()
        if self._thread.ident is None:
            _STARTED.add(self)
            self._thread.start()
        return self.generation

    def cancel(self) -> None:
        """Ask the newest request to stop; its outcome still comes."""
        if self._current is not None:
            self._current.stop.set()

    def forget(self) -> None:
        """No answer to the newest request is wanted any more: it is stopped, and nothing of it comes."""
        with self._wake:
            self.cancel()
            self.generation += 1
            self._news.clear()
            self._current = self._next = None

    def news(self) -> list[Any]:
        """What the newest request told since the last call, in order; an Outcome is the last."""
        fetched = []
        while self._news:
            generation, item = self._news.popleft()
            if generation == self.generation:
                fetched.append(item)
                if isinstance(item, Outcome):
                    self._current = None
        return fetched

    def close(self, patience: float = PATIENCE) -> bool:
        """Stop what is at work, and wait for the thread; whether it has ended."""
        with self._wake:
            self._closed, self._next = True, None
            self.cancel()
            self._wake.notify()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            while (request := self._take()) is not None:
                self._answer(request, self._outcome(request))
        finally:
            self._at_end()

    def _take(self) -> _Request | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._next is not None)
            request, self._next = self._next, None
            return request

    def _outcome(self, request: _Request) -> Outcome:
        try:
            value = request.body(request.stop, lambda item: self._answer(request, item))
            return Outcome(value, cancelled=request.stop.is_set())
        except StoppedError:
            return Outcome(cancelled=True)
        except BaseException as error:  # a thread that dies would leave the window waiting
            if not isinstance(error, XFusionError):
                log.exception("a request of the window failed")
            return Outcome(error=error, cancelled=request.stop.is_set())

    def _answer(self, request: _Request, item: Any) -> None:
        with self._wake:
            if request.generation == self.generation and not self._closed:
                self._news.append((request.generation, item))


_STARTED: WeakSet[Workbench] = WeakSet()
"""Workbenches with a thread, which may outlive their window for as long as a tile takes."""


def _close_all() -> None:
    for bench in list(_STARTED):
        bench.close(EXIT_PATIENCE)


# As concurrent.futures does: atexit would be too late, for functions of torch take its parts away before.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]


class Worker(QObject):
    """A workbench of the window: ``on_news`` gets a list of news and ``ended`` the outcome, every ``every`` ms.

    Both are called in the window's thread. When its parent goes, the work is stopped and waited for.
    """

    def __init__(
        self,
        parent: QObject,
        name: str,
        *,
        on_news: Callable[[list[Any]], None] | None = None,
        ended: Callable[[Outcome], None],
        every: int,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(parent)
        self._on_news, self._ended = on_news, ended
        self._bench = bench = Workbench(name, at_end)
        self._timer = QTimer(self)
        self._timer.setInterval(every)
        self._timer.timeout.connect(self.deliver)
        self.destroyed.connect(lambda _: bench.close())

    @property
    def busy(self) -> bool:
        """Whether the newest request has not ended."""
        return self._bench.busy

    def ask(self, body: Body) -> None:
        """Do ``body`` in place of what was asked before, whose news are dropped."""
        self._bench.ask(body)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the newest request to stop; ``ended`` is still called."""
        self._bench.cancel()

    def forget(self) -> None:
        """No answer to the newest request is wanted any more; ``ended`` is not called."""
        self._bench.forget()
        self._timer.stop()

    def deliver(self) -> None:
        """Hand over what came in the meantime."""
        news = self._bench.news()
        outcome = news.pop() if news and isinstance(news[-1], Outcome) else None
        if news and self._on_news is not None:
            self._on_news(news)
        if outcome is not None:
            self._timer.stop()
            self._ended(outcome)

"""Films whose frames take time to make, as data of a layer: the window asks, and never waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import perf_counter
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_xfusion.core.types import Stack
from napari_xfusion.ui.background import Background

PATIENCE = 0.015
"""Seconds that the window waits for a frame: a quick one is there at once, without a blink."""


class LazyFilm:
    """A Stack as napari takes it, (T, y, x): frames are made in a background, when they are shown.

    In the window's thread a frame that is not there is blank (NaN), and ``arrived`` is called, in the same
    thread, when it is. Other threads wait for it. Only the frame that was asked for last is still wanted.
    """

    ndim = 3

    def __init__(
        self,
        stack: Stack,
        background: Background,
        arrived: Callable[[LazyFilm, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.stack = stack
        self.shape = stack.shape
        self.dtype = np.dtype(np.float32)
        self._background, self._arrived, self._failed = background, arrived, failed
        self._asked: tuple[int, Future[NDArray[Any]]] | None = None
        self._late: int | None = None
        """The frame that was shown blank because it took long."""
        self._quick = True
        """Whether the last frame came in time; if not, waiting for the next would only stop the window."""
        self._told = False
        self.awake = False
        """Set it when the layer is about to enter the viewer: napari asks for frame 0 before, which nobody sees."""

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """NumPy's basic indexing; a range of frames is read whole."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, SupportsIndex):
            return np.asarray(self.frame(range(len(self))[first])[tuple(rest)])
        frames = [self.frame(i) for i in range(*first.indices(len(self)))]
        return (np.stack(frames) if frames else np.empty((0, *self.shape[1:]), self.dtype))[:, *rest]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All frames, waiting for each: whoever asks for the whole film is about to save it."""
        return np.stack([self._make(i) for i in range(len(self))]).astype(dtype or self.dtype, copy=False)

    def frame(self, i: int) -> NDArray[Any]:
        """Frame ``i``, or blank in the window's thread when it takes long."""
        if threading.current_thread() is not threading.main_thread():
            return self._make(i)
        if not self.awake:
            return self._blank()
        if self._asked is None or self._asked[0] != i:
            self._ask(i)
        if self._asked is None:
            return self._make(i)
        try:
            return self._asked[1].result(timeout=PATIENCE if self._quick else 0)
        except TimeoutError:
            self._late, self._quick = i, False
        except Exception:  # noqa: S110 - told by _fail
            pass
        return self._blank()

    def forget(self) -> None:
        """Make the frame anew when it is shown next: what it is made from has changed."""
        self._asked = None

    def _ask(self, i: int) -> None:
        if self._asked is not None:
            self._asked[1].cancel()
        try:
            future = self._background.ask(lambda: self._timed(i), lambda _: self._arrive(i), self._fail)
        except RuntimeError:  # the panel is gone
            self._asked = None
        else:
            self._asked = i, future

    def _arrive(self, i: int) -> None:
        if self._late == i:
            self._late = None
            self._arrived(self, i)

    def _fail(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            self._failed(error)

    def _timed(self, i: int) -> NDArray[Any]:
        began = perf_counter()
        frame = self._make(i)
        self._quick = perf_counter() - began < PATIENCE
        return frame

    def _make(self, i: int) -> NDArray[Any]:
        return self.stack.frame(i).astype(self.dtype, copy=False)

    def _blank(self) -> NDArray[Any]:
        return np.full(self.shape[1:], np.nan, self.dtype)

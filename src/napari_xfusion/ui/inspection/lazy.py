"""Sequences whose frames take time to make, as data of a layer: the window asks, and never waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_xfusion.core.types import Stack
from napari_xfusion.ui.inspection.background import Background

PATIENCE = 0.015
"""Seconds that the window waits for a frame: a quick one is there at once, without a blink."""
Wanted = tuple[range, tuple[Any, ...]]
"""Frames, and the index of what is wanted of each."""


class LazySequence:
    """A Stack as napari takes it, (T, y, x): frames are made in a background, when they are shown.

    In the window's thread a frame that is not there is blank (NaN), and ``arrived`` is called, in the same
    thread, when it is. Other threads wait for it. Only the frame that was asked for last is still wanted.
    """

    ndim = 3

    def __init__(
        self,
        stack: Stack,
        background: Background,
        arrived: Callable[[LazySequence], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.stack = stack
        self.shape = stack.shape
        self.dtype = np.dtype(np.float32)
        self._background, self._arrived, self._failed = background, arrived, failed
        self._wanted: Wanted | None = None
        self._answer: Future[NDArray[Any]] | None = None
        """What is made of it, or has been."""
        self._late: Wanted | None = None
        """What was shown blank because it took long."""
        self._quick = True
        """Whether the last frame came in time; if not, waiting for the next would only stop the window."""
        self._told = False
        self.made_as: tuple[Any, ...] = ()
        """What it shows, by which its maker knows it again."""
        self.awake = False
        """To be set when the layer enters the viewer: napari asks for frame 0 before, which nobody sees."""

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """NumPy's basic indexing. A part of several frames, as 3-D wants it, comes when all are made."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        frame, part = range(len(self))[first], tuple(rest)
        frames = range(frame, frame + 1) if isinstance(frame, int) else frame
        # One frame is kept whole, so that all who look at parts of it share it.
        made = self._read(frames, ())[:, *part] if len(frames) == 1 else self._read(frames, part)
        return np.asarray(made[0]) if isinstance(frame, int) else made

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All frames, waiting for each: whoever asks for the whole sequence is about to save it."""
        return self._make(range(len(self)), ()).astype(dtype or self.dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself, which nobody can change: a duplicate of its layer shows the same sequence."""
        return self

    def forget(self) -> None:
        """Make the frame anew when it is shown next: what it is made from has changed."""
        self._wanted = self._answer = None

    def _read(self, frames: range, part: tuple[Any, ...]) -> NDArray[Any]:
        """``part`` of each of ``frames``, or blank in the window's thread when they take long."""
        if threading.current_thread() is not threading.main_thread():
            return self._make(frames, part)
        if not self.awake:
            return self._blank(frames, part)
        wanted = frames, part
        if self._wanted != wanted:
            self._ask(wanted)
        if self._answer is None:
            return self._make(frames, part)
        try:
            return self._answer.result(timeout=PATIENCE if self._quick else 0)
        except TimeoutError:
            self._late, self._quick = wanted, False
        except Exception:  # noqa: S110 - told by _fail
            pass
        return self._blank(frames, part)

    def _ask(self, wanted: Wanted) -> None:
        if self._answer is not None:
            self._answer.cancel()
        self._wanted = wanted
        try:
            self._answer = self._background.ask(
                lambda: self._timed(wanted), lambda _: self._arrive(wanted), self._fail
            )
        except RuntimeError:  # the panel is gone
            self.forget()

    def _arrive(self, wanted: Wanted) -> None:
        if self._late == wanted:
            self._late = None
            self._arrived(self)

    def _fail(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            self._failed(error)

    def _timed(self, wanted: Wanted) -> NDArray[Any]:
        began = perf_counter()
        made = self._make(*wanted, still=lambda: self._wanted == wanted)
        self._quick = perf_counter() - began < PATIENCE
        return made

    def _make(
        self, frames: range, part: tuple[Any, ...], still: Callable[[], bool] = lambda: True
    ) -> NDArray[Any]:
        """``part`` of each of ``frames``; ends with CancelledError when it is ``still`` wanted no more."""
        made = self._blank(frames, part)
        for k, i in enumerate(frames):
            if k and not still():
                raise CancelledError
            made[k] = self.stack.frame(i)[part]
        return made

    def _blank(self, frames: range, part: tuple[Any, ...]) -> NDArray[Any]:
        frame = np.broadcast_to(np.array(np.nan, self.dtype), self.shape[1:])[part]
        return np.full((len(frames), *frame.shape), np.nan, self.dtype)

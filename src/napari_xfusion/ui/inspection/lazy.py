"""Layer data whose frames are computed in the background, so that the window never waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_xfusion.core.types import Stack
from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.inspection.background import Background

PATIENCE = 0.015
"""Seconds that the window waits for a frame, so that fast frames appear without flicker."""
Wanted = tuple[range, tuple[Any, ...]]
"""Frames, and the index into each of them."""


class LazySequence:
    """A Stack as an array (T, y, x) for napari; frames are computed in a background when they are displayed.

    In the main thread a frame that is not available yet is blank (NaN); ``arrived`` is called in the main
    thread when it is available. Other threads wait for it. Only the last requested frame is computed.
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
        """The request in progress, or the last one."""
        self._late: Wanted | None = None
        """The request displayed as blank because it was not ready in time."""
        self._quick = True
        """Whether the last frame was ready in time; if not, the main thread does not wait for the next one."""
        self._reported = False
        self.made_as: tuple[Any, ...] = ()
        """Identifies the content, to find an existing layer of it."""
        self.awake = False
        """Set when the layer is added to the viewer; napari reads frame 0 before, which is not displayed."""

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """NumPy's basic indexing. Several frames, as for 3-D, are available when all are computed."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        frame, part = range(len(self))[first], tuple(rest)
        frames = range(frame, frame + 1) if isinstance(frame, int) else frame
        # A single frame is computed completely, so that all readers of its parts share it.
        made = self._read(frames, ())[:, *part] if len(frames) == 1 else self._read(frames, part)
        return np.asarray(made[0]) if isinstance(frame, int) else made

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Compute all frames, for example to save the sequence."""
        return self._make(range(len(self)), ()).astype(dtype or self.dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself, as it is immutable: a duplicated layer shows the same sequence."""
        return self

    def forget(self) -> None:
        """Recompute the frame when it is displayed next, because its input has changed."""
        self._wanted = self._answer = None

    def _read(self, frames: range, part: tuple[Any, ...]) -> NDArray[Any]:
        """``part`` of each of ``frames``, or blank in the main thread if they are not ready in time."""
        if threading.current_thread() is not threading.main_thread():
            return self._make(frames, part)
        if not self.awake:
            return self._blank(frames, part)
        wanted = frames, part
        if self._wanted != wanted:
            self._ask(wanted)
        if self._answer is None:  # the panel is closed, and with it what fused frames for it
            with suppress(XFusionError):
                return self._make(frames, part)
            return self._blank(frames, part)
        try:
            return self._answer.result(timeout=PATIENCE if self._quick else 0)
        except TimeoutError:
            self._late, self._quick = wanted, False
        except Exception:  # noqa: S110 - reported by _fail
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
        except RuntimeError:  # the panel is closed
            self.forget()

    def _arrive(self, wanted: Wanted) -> None:
        if self._late == wanted:
            self._late = None
            self._arrived(self)

    def _fail(self, error: Exception) -> None:
        if not self._reported:
            self._reported = True
            self._failed(error)

    def _timed(self, wanted: Wanted) -> NDArray[Any]:
        began = perf_counter()
        made = self._make(*wanted, is_wanted=lambda: self._wanted == wanted)
        self._quick = perf_counter() - began < PATIENCE
        return made

    def _make(
        self, frames: range, part: tuple[Any, ...], is_wanted: Callable[[], bool] = lambda: True
    ) -> NDArray[Any]:
        """``part`` of each of ``frames``; raises CancelledError as soon as ``is_wanted`` is false."""
        made = self._blank(frames, part)
        for k, i in enumerate(frames):
            if k and not is_wanted():
                raise CancelledError
            made[k] = self.stack.frame(i)[part]
        return made

    def _blank(self, frames: range, part: tuple[Any, ...]) -> NDArray[Any]:
        frame = np.broadcast_to(np.array(np.nan, self.dtype), self.shape[1:])[part]
        return np.full((len(frames), *frame.shape), np.nan, self.dtype)

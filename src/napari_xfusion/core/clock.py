"""When a camera took its frames."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from math import isfinite
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from napari_xfusion.core.value import Value

PICOSECONDS = 10**12
"""In a second."""
LONGEST = 2**62
"""Picoseconds of the longest recording with times, 53 days: times are 64-bit integers."""


class Clock(Value):
    """The time of every frame of one camera.

    Times are whole picoseconds from any origin: floating-point seconds since 1970 resolve 0.2 us only, and a
    nanosecond is a hundredth of a frame of the fastest cameras. A camera whose rate is unknown counts one second
    per frame (source ``none``). Frame numbers of the LR camera, in which users give HR times, are derived.
    """

    times_ps: Annotated[tuple[int, ...], Field(min_length=1)]
    """(T,) start of each frame, increasing."""
    source: Literal["none", "rate", "stamps", "frames"] = "none"
    """No time is known, a regular frame interval, a time stamp per frame, or frame numbers of the LR camera."""
    uncertainty_ps: Annotated[int, Field(ge=0)] | None = None
    """Standard deviation of the offset to the clock of the rig, where it is known."""

    @model_validator(mode="after")
    def _increase(self) -> Self:
        if any(b <= a for a, b in pairwise(self.times_ps)):
            raise ValueError("times must increase from frame to frame")
        if self.times_ps[-1] - self.times_ps[0] > LONGEST:
            raise ValueError("the recording is longer than times can be counted")
        return self

    @classmethod
    def regular(cls, count: int, interval: float | None = None) -> Self:
        """The clock of ``count`` frames at ``interval`` seconds from each other, the first at 0.

        Frame numbers only where ``interval`` is None, or cannot be an interval (below a picosecond, or so long
        that the recording takes more than 53 days).
        """
        step = 0.0 if interval is None or not isfinite(interval) else interval * PICOSECONDS
        known = step >= 1 and step * count < LONGEST
        step = step if known else float(PICOSECONDS)
        times = tuple(np.rint(step * np.arange(count)).astype(np.int64).tolist())
        return cls.model_construct(times_ps=times, source="rate" if known else "none", uncertainty_ps=None)

    def __len__(self) -> int:
        return len(self.times_ps)

    @property
    def known(self) -> bool:
        """Whether times are times, not frame numbers."""
        return self.source != "none"

    @property
    def interval(self) -> float | None:
        """Mean seconds from one frame to the next; None where it is unknown, or there is one frame."""
        if not self.known or len(self) < 2:
            return None
        return (self.times_ps[-1] - self.times_ps[0]) / (len(self) - 1) / PICOSECONDS

    @property
    def is_regular(self) -> bool:
        """Whether all intervals are the same to a thousandth."""
        steps = np.diff(self.since_start)
        return bool(len(steps) and np.allclose(steps, steps[0], rtol=1e-3, atol=0))

    @cached_property
    def since_start(self) -> NDArray[np.int64]:
        """(T,) picoseconds since the first frame."""
        times: NDArray[np.int64] = np.array([t - self.times_ps[0] for t in self.times_ps], np.int64)
        return times

    def seconds(self, frame: int) -> float | None:
        """Time of ``frame`` since the first one; None where times are not known."""
        return int(self.since_start[frame]) / PICOSECONDS if self.known else None

    def times_of(self, frames: Iterable[int]) -> tuple[int, ...]:
        """Picoseconds from the first frame to each of ``frames``; empty where times are not known."""
        return tuple(self.since_start[list(frames)].tolist()) if self.known else ()

    def at(self, frames: ArrayLike) -> Clock:
        """The clock of another camera that took its images at ``frames`` of this one.

        ``frames`` (N,) may lie between two frames, where time is linear; before the first and after the last the
        nearest interval continues.
        """
        numbers = np.asarray(frames, np.float64)
        left, step = self._interval_of(np.floor(numbers).astype(np.int64))
        part = np.rint((numbers - left) * step).astype(np.int64)
        times = tuple(self.times_ps[i] + int(p) for i, p in zip(left, part, strict=True))
        return Clock(times_ps=times, source="frames" if self.known else "none")

    def frames_of(self, other: Clock) -> NDArray[np.float64]:
        """The times of another camera as frame numbers of this one, (N,); the inverse of ``at``."""
        times = np.array([t - self.times_ps[0] for t in other.times_ps], np.int64)
        left, step = self._interval_of(np.searchsorted(self.since_start, times, side="right") - 1)
        numbers: NDArray[np.float64] = left + (times - self.since_start[left]) / step
        return numbers

    def select(self, frames: tuple[int, ...]) -> Clock:
        """The clock of these frames alone."""
        return self.model_copy(update={"times_ps": tuple(self.times_ps[i] for i in frames)})

    def _interval_of(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Left frame and length of the interval that begins at each of ``frames``, or of the nearest one."""
        if len(self) == 1:
            return np.zeros_like(frames), np.full_like(frames, PICOSECONDS)
        left = np.clip(frames, 0, len(self) - 2)
        return left, np.diff(self.since_start)[left]

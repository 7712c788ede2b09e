"""Time stamps of frames: which of them cannot be true, and the clock they give."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.clock import LONGEST, PICOSECONDS, Clock
from napari_xfusion.core.quantities import moment
from napari_xfusion.errors import XFusionWarning

_FAR = 1000
"""Median intervals by which a stamp that keeps the order may differ from its neighbours'."""
_WINDOW = 7
_LONG = 1.5
"""Median intervals from which an interval counts as a gap."""


def stamped(times: Sequence[int], fallback: Clock, where: object) -> tuple[Clock, tuple[XFusionWarning, ...]]:
    """The clock of (T,) stamps in picoseconds, and what is odd about them.

    Single stamps that cannot be true are interpolated between their neighbours. Where too many are, the clock is
    ``fallback``.
    """
    if len(times) < 2:
        return Clock(times_ps=tuple(times), source="stamps"), ()
    false = np.flatnonzero(_impossible(times))
    repaired = _interpolated(times, false) if 0 < len(false) <= max(1, len(times) // 100) else list(times)
    if any(b <= a for a, b in pairwise(repaired)) or repaired[-1] - repaired[0] > LONGEST:
        return fallback, (_refused(repaired, fallback, where),)
    clock = Clock(times_ps=tuple(repaired), source="stamps")
    warnings = [_repaired(false, where)] if len(false) else []
    return clock, (*warnings, *gaps(clock, where))


def gaps(clock: Clock, where: object) -> Iterator[XFusionWarning]:
    """A warning that counts the intervals much longer than the median and names the first of them."""
    steps = np.diff(clock.since_start)
    usual = int(np.median(steps)) if len(steps) else 0
    long = np.flatnonzero(steps > _LONG * usual)
    if len(long):
        first = int(long[0])
        text = (
            f"{len(long)} of {len(steps)} intervals are longer than {_LONG} times the median of {_moment(usual)}; "
            f"the first lasts {_moment(int(steps[first]))} from frame {first} at {_moment(clock.times_ps[first])}."
        )
        yield XFusionWarning("uneven-times", text, str(where))


def _moment(picoseconds: int) -> str:
    return moment(picoseconds / PICOSECONDS)


def _impossible(times: Sequence[int]) -> NDArray[np.bool_]:
    """Which stamps contradict their neighbours: far from them, or out of order."""
    usual = median(b - a for a, b in pairwise(times))
    if usual <= 0:
        return np.ones(len(times), dtype=bool)
    drift = np.array([t - times[0] for t in times], np.float64) - float(usual) * np.arange(len(times))
    far = np.abs(drift - scipy.ndimage.median_filter(drift, size=min(_WINDOW, len(times)), mode="mirror"))
    falls = np.array([b <= a for a, b in pairwise(times)])
    disordered = np.append(falls, False) | np.insert(falls, 0, False)
    found: NDArray[np.bool_] = (far > _FAR * usual) | (disordered & (far > usual / 2))
    return found


def _interpolated(times: Sequence[int], false: NDArray[np.int64]) -> list[int]:
    """The stamps with those of frames ``false`` on a line through the nearest others."""
    wrong = set(false.tolist())
    true = [i for i in range(len(times)) if i not in wrong]
    repaired = list(times)
    if len(true) < 2:
        return repaired
    for i in wrong:
        after = min(bisect_right(true, i), len(true) - 1)
        a, b = (true[max(after - 1, 0)], true[max(after, 1)])
        repaired[i] = times[a] + (times[b] - times[a]) * (i - a) // (b - a)
    return repaired


def _repaired(false: NDArray[np.int64], where: object) -> XFusionWarning:
    named = ", ".join(map(str, false[:5])) + (", ..." if len(false) > 5 else "")
    which = f"stamp of frame {named}" if len(false) == 1 else f"stamps of {len(false)} frames ({named})"
    text = f"The time {which} cannot be true; {'it was' if len(false) == 1 else 'they were'} interpolated."
    return XFusionWarning("unsure-times", text, str(where))


def _refused(times: Sequence[int], fallback: Clock, where: object) -> XFusionWarning:
    k = next((k for k, (a, b) in enumerate(pairwise(times)) if b <= a), None)
    if k is None:
        odd = f"span {_moment(times[-1] - times[0])}"
    else:
        since = [_moment(t - times[0]) for t in times[k : k + 2]]
        odd = f"do not increase: frame {k} is at {since[0]}, frame {k + 1} at {since[1]} since the first"
    instead = "the frame rate gives the times" if fallback.known else "times are unknown"
    text = f"Its time stamps {odd}; {instead}. Export it again from the original."
    return XFusionWarning("unsure-times", text, str(where))

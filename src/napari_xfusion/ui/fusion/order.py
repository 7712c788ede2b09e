"""Order of the frames in a run: the displayed one, then its neighbours, then the rest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class NearestFirst:
    """Frames by distance to the displayed one, which may change at any time and from any thread."""

    def __init__(self, displayed: int = 0) -> None:
        self._displayed = displayed

    def look_at(self, frame: int) -> None:
        """Put frames near ``frame`` first from now on."""
        self._displayed = frame

    def __call__(self, missing: Sequence[int]) -> Iterator[int]:
        """Yield each of ``missing`` once, the nearest at that time first; of two equally near the later one."""
        left = sorted(missing)
        while left:
            here = self._displayed
            after = bisect_left(left, here)
            before = after - 1
            if before < 0 or (after < len(left) and left[after] - here <= here - left[before]):
                yield left.pop(after)
            else:
                yield left.pop(before)

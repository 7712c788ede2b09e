"""Which frame next: the one on screen, then its neighbours, then the rest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class NearestFirst:
    """Frames by their distance to the one looked at, which may change at any time and from any thread."""

    def __init__(self, looked_at: int = 0) -> None:
        self._looked_at = looked_at

    def look_at(self, frame: int) -> None:
        """Frames near ``frame`` come first from now on."""
        self._looked_at = frame

    def __call__(self, missing: Sequence[int]) -> Iterator[int]:
        """Each of ``missing`` once, chosen when it is asked for; of two equally near the later one first."""
        left = sorted(missing)
        while left:
            here = self._looked_at
            after = bisect_left(left, here)
            before = after - 1
            if before < 0 or (after < len(left) and left[after] - here <= here - left[before]):
                yield left.pop(after)
            else:
                yield left.pop(before)

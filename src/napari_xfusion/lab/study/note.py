"""Warnings and failures of a study: the place, and a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A remark on one sequence, or on one condition and method of it."""

    sequence: str
    """Its name."""
    text: str
    condition: str = ""
    series: str = ""

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.sequence, self.condition, self.series) if part)
        return f"{place}: {self.text}"


def merged(notes: Iterable[Note]) -> list[Note]:
    """Reduce notes with the same text on one sequence to the first of them."""
    first: dict[tuple[str, str], Note] = {}
    for note in notes:
        first.setdefault((note.sequence, note.text), note)
    return list(first.values())

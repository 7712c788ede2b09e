"""How far a result can be trusted, in lines: each names a fact and says whether it is good or calls for attention.

What is not known is worded by who can say what would tell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from napari_xfusion.core.holdout.score import Score  # takes time to import

GOOD, LOOK, UNKNOWN = "✓ good", "! look", "? unknown"
MUCH_OWN = 0.3
"""Part of the detail by the method alone that calls for attention."""
ABOVE_NOISE, LEAST_OFF = 1.5, 0.002
"""Disagreement with LR that calls for attention: in its noise, and in addition to it, grey units."""
OFF_COVERAGE = 0.03
"""By which the coverage of intervals may miss what was asked for."""
About = Literal["error", "method", "pairing", "interval", "network", "sources", "lr", "warnings"]


class Line(NamedTuple):
    """A line of the summary."""

    mark: str
    """GOOD, LOOK or UNKNOWN."""
    text: str
    about: About


class Coverage(Protocol):
    """Calibrated intervals, or their record."""

    @property
    def coverage(self) -> float:
        """Share of the pixels of a new HR frame that are to lie in their interval."""

    @property
    def reached(self) -> float:
        """Mean coverage on an HR frame that was left out, by intervals from the others."""

    @property
    def frames(self) -> int:
        """HR frames that were left out; 0 where the intervals are those of simulated shots."""


def score_lines(score: Score, method: str) -> Iterator[Line]:
    """What a score that has judged ``method`` says of its error, of other methods, and of how the cameras pair."""
    mine, best = score.of(method), score.best
    text = f"{method} is expected to reach {mine.expected:.1f} dB on unseen frames; HR noise limits it to "
    yield Line(GOOD, f"{text}{score.ceiling:.1f} dB.", "error")
    if best.method != method and score.choice.clear:
        better = f"{best.method} is better here by {best.merit - mine.merit:.1f} dB."
        yield Line(LOOK, better, "method")
    else:
        yield Line(GOOD, "No other method that was scored is clearly better here.", "method")
    if score.offset is not None:
        text = f"The score is {score.offset.gain:.1f} dB better with {score.offset.text}."
        yield Line(LOOK, text, "pairing")
    else:
        yield Line(GOOD, "No other HR times and no other place of LR are better.", "pairing")


def interval_line(found: Coverage) -> Line:
    """Whether intervals contain as much of HR frames that were left out as they should."""
    if not found.frames:
        text = f"Intervals of {found.coverage:.0%} are those of simulated shots: there are too few HR frames."
        return Line(LOOK, text, "interval")
    off = abs(found.reached - found.coverage)
    text = f"Intervals of {found.coverage:.0%} contain {found.reached:.1%} of HR left out."
    return Line(GOOD if off <= OFF_COVERAGE else LOOK, text, "interval")


def network_line(*, familiar: bool) -> Line:
    """Whether the recording is one of the kind that the network was trained on."""
    if familiar:
        return Line(GOOD, "The recording looks like those that the network was trained on.", "network")
    return Line(LOOK, "The recording looks unlike those that the network was trained on.", "network")


def sources_line(own: float) -> Line:
    """How much of the fine detail is the method's own; ``own`` is that part, 0..1."""
    text = f"{own:.0%} of the fine detail is in no HR frame: the method's own."
    return Line(LOOK if own > MUCH_OWN else GOOD, text, "sources")


def lr_line(off: float, noise: float) -> Line:
    """Whether fused frames agree with LR: root mean square difference and LR noise, grey units."""
    text = f"Fused frames, binned, differ from LR by {off:.2%} of the grey scale; LR's noise is {noise:.2%}."
    return Line(LOOK if off > ABOVE_NOISE * noise + LEAST_OFF else GOOD, text, "lr")


def warnings_line(count: int) -> Line:
    """How many warnings the run gave."""
    text = f"{count or 'No'} warning{'' if count == 1 else 's'} of the run."
    return Line(LOOK if count else GOOD, text, "warnings")

"""How far the result can be trusted: the lines at the top of the section Judge; no widget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.networks.cards import model_of
from napari_xfusion.core.trust.summary import (
    GOOD,
    LOOK,
    UNKNOWN,
    About,
    Line,
    interval_line,
    network_line,
    score_lines,
    sources_line,
)
from napari_xfusion.errors import ModelError
from napari_xfusion.ui.shared.provenance import Provenance, provenance_of
from napari_xfusion.ui.shared.steps import State

if TYPE_CHECKING:
    from napari_xfusion.core.plan import Plan
    from napari_xfusion.ui.fusion.guide import Situation

STATES = {GOOD: State.DONE, LOOK: State.ATTENTION, UNKNOWN: State.PENDING}
"""By mark of a line."""
LINKS: dict[About, str] = {
    "error": "Score",
    "method": "Take it",
    "pairing": "Alignment",
    "network": "Check",
    "sources": "Compute",
    "interval": "Calibrate",
}
"""What a line that calls for attention, or is not known, leads to."""


class TrustLine(NamedTuple):
    """A line and what its link is called; '' without one."""

    line: Line
    link: str = ""

    @property
    def state(self) -> State:
        """Its mark."""
        return STATES[self.line.mark]


def trust_lines(now: Situation) -> Iterator[TrustLine]:
    """What is known, and not known, of the result that the settings of now make; nothing without a pair."""
    if now.request is None or not now.ready:
        return
    yield from _of_score(now)
    known = None if now.result is None else provenance_of(now.result)
    yield _of_intervals(known)
    if now.findings.familiar is not None:
        line = network_line(familiar=now.findings.familiar)
        yield TrustLine(line, "" if now.findings.familiar else LINKS["network"])
    yield _of_sources(known)


def _of_score(now: Situation) -> Iterator[TrustLine]:
    score, plan = now.score, None if now.request is None else now.request.plan
    if score is None or plan is None or now.scored is None:
        text = "How large the error is, is not known yet."
        yield TrustLine(Line(UNKNOWN, text, "error"), "" if now.scoring else LINKS["error"])
        return
    if plan.method not in {each.method for each in score.methods} or not same_weights(now.scored, plan):
        text = f"How large the error of {plan.method} is, is not known: it was not scored with this model."
        yield TrustLine(Line(UNKNOWN, text, "error"), LINKS["error"])
        return
    for line in score_lines(score, plan.method):
        yield TrustLine(line, LINKS[line.about] if line.mark == LOOK else "")


def same_weights(scored: Plan, plan: Plan) -> bool:
    """Whether a score by ``scored`` has judged the method of ``plan`` with the weights of ``plan``."""
    if not METHODS[plan.method].takes_weights:
        return True
    own = scored.model if scored.method == plan.method else None
    try:
        return model_of(plan) == model_of(plan.model_copy(update={"model": own}))
    except ModelError:
        return False


def _of_intervals(known: Provenance | None) -> TrustLine:
    written = None if known is None or known.record is None else known.record.interval
    found = written or (None if known is None else known.intervals)
    if found is not None:
        return TrustLine(interval_line(found))
    return _unknown("interval", "How certain the pixels are, is not known", known)


def _of_sources(known: Provenance | None) -> TrustLine:
    shares = None if known is None else known.shares
    if shares:
        return TrustLine(sources_line(float(np.mean([each.fine["method"] for each in shares.values()]))))
    return _unknown("sources", "Where the fine detail comes from is not known", known)


def _unknown(about: About, text: str, known: Provenance | None) -> TrustLine:
    """What only the result can tell; it can be computed once there is one."""
    if known is None:
        return TrustLine(Line(UNKNOWN, f"{text}: run the fusion first.", about))
    return TrustLine(Line(UNKNOWN, f"{text} yet.", about), LINKS[about])

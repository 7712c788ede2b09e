"""Single frames on request: the frame under the slider, for Preview and Live."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import FusedFrame, Region, Token
from napari_xfusion.ui.fusion.request import Request
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.layers import redraw

if TYPE_CHECKING:
    import napari

EVERY = 20
"""Milliseconds between two looks for an answer."""
MEANWHILE = "flow"
"""Shown until the network is loaded."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A frame that was asked for."""

    request: Request
    frame: int
    region: Region | None
    fused: FusedFrame
    """Its image (H, W) shows the region, in the HR camera's units."""
    asked: Region | None = None
    """The region as it was asked for."""


class OpenSequences:
    """The session of the last request, left open: what neighbouring frames share is computed once.

    Belongs to one thread.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._session: Session | None = None

    def frame(self, request: Request, frame: int, region: Region | None, stop: Token) -> Answer | None:
        """One frame of ``request``, None when stopped."""
        session = self._open(request)
        for fused in session.frames([frame], stop, region):
            shown = region or session.rig.region(request.plan)
            return Answer(request, frame, shown, fused, region)
        return None

    def close(self) -> None:
        """Free what is kept."""
        session, self._session, self._key = self._session, None, ()
        if session is not None:
            session.close()

    def _open(self, request: Request) -> Session:
        plan = request.whole_plan
        if self._session is None or request.frames_key != self._key:
            self.close()
            self._session = Session(plan, rig_of(plan, *request.sequences))
            self._key = request.frames_key
        return self._session


class Previews(QObject):
    """Shows the frame asked for last in a layer of one frame, which is nowhere but at its own time."""

    shown = Signal(str)
    """What was shown, or what went wrong, in words."""

    def __init__(self, viewer: napari.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self._last: Answer | None = None
        """The frame that was fused last, with the settings that were asked for."""
        sequences = OpenSequences()
        self._sequences = sequences
        self._worker = Worker(
            self,
            "fusion preview",
            on_news=self._on_news,
            ended=self._on_end,
            every=EVERY,
            at_end=sequences.close,
        )

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._worker.busy

    def ask(self, request: Request, frame: int, region: Region | None) -> None:
        """Fuse ``frame`` (its ``region`` only); what was asked before is no longer wanted."""
        self._worker.ask(preview(self._sequences, request, frame, region))

    def ready(self, request: Request) -> FusedFrame | None:
        """The frame that was fused last, if a run of ``request`` would fuse it again; None otherwise."""
        last = self._last
        if last is None or last.asked != request.plan.region or last.request.frames_key != request.frames_key:
            return None
        return last.fused

    def forget(self) -> None:
        """No answer is wanted any more."""
        self._worker.forget()

    def _on_news(self, answers: list[Answer]) -> None:
        self._show(answers[-1])
        self.shown.emit(f"frame {answers[-1].frame} by {MEANWHILE}, loading the network …")

    def _on_end(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.shown.emit(outcome.in_words())
        elif outcome.value is not None:
            self._last = outcome.value
            self._show(outcome.value)
            self.shown.emit(f"frame {outcome.value.frame}: {outcome.value.fused.seconds:.2f} s")

    def _show(self, answer: Answer) -> None:
        plan = answer.request.plan.model_copy(
            update={"frames": (answer.frame, answer.frame + 1), "region": answer.region}
        )
        shown = answer.request.layer(answer.fused.image[None], plan, detail=", preview")
        if self._layer in self._viewer.layers:
            redraw(self._layer, shown)
        else:
            self._layer = self._viewer.add_image(shown.data, **shown.options)


def preview(sequences: OpenSequences, request: Request, frame: int, region: Region | None) -> Body:
    """The work of one request, for the thread beside the window.

    The first network of a session takes a second or two to load: a method without weights is shown till then.
    """

    def body(stop: Token, tell: Tell) -> Answer | None:
        if METHODS[request.plan.method].takes_weights and "torch" not in sys.modules:
            plan = request.plan.model_copy(update={"method": MEANWHILE, "model": None})
            meanwhile = sequences.frame(replace(request, plan=plan), frame, region, stop)
            if meanwhile is not None:
                tell(meanwhile)
        return sequences.frame(request, frame, region, stop)

    return body

"""The section Judge: how far the result can be trusted, the score of all methods on this recording, and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_xfusion.core.types import Token
from napari_xfusion.ui.fusion.adapt_box import AdaptBox
from napari_xfusion.ui.fusion.export_box import ExportBox
from napari_xfusion.ui.fusion.trust_box import TrustBox
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.steps import Fact, Facts, StepSection
from napari_xfusion.ui.shared.widgets import Sentence, offer
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari

    from napari_xfusion.core.holdout.score import Choice, MethodScore, Score  # takes time to import
    from napari_xfusion.core.plan import Plan
    from napari_xfusion.core.rig import Rig
    from napari_xfusion.errors import XFusionWarning
    from napari_xfusion.ui.fusion.request import Request

SCORES = "Leave out HR frames, fuse them from the others by every method, and compare."
WORST = "Go to the HR frame that was predicted worst from the others: there the result is least reliable."
MEANING = (
    "PSNR in dB, higher is better. Left out: of HR frames that were left out, as made from the others, and its "
    "standard error.\nUnseen: expected between the HR frames of a run with all of them. SSIM: 1 is equal."
)


class JudgeBox(StepSection):
    """How good a result is, and where it goes."""

    scored = Signal()
    """A score has begun or ended."""
    frame_asked = Signal(int)
    """The user wants to see this LR frame."""
    inspect_asked = Signal()
    """The user wants the Inspect panel."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Judge", parent)
        self.found: Score | None = None
        """The score of the pair."""
        self.scored_by: Plan | None = None
        """What the score was made by, or is being made by."""
        self.failed = False
        """Whether the pair has no score, as the status says."""
        self._pair: tuple[object, ...] = ()
        self._request: Request | None = None
        self.inspect = QPushButton("Open the Inspect panel", self)
        self.score, self.cancel = QPushButton("Score on this recording", self), QPushButton("Cancel", self)
        self.worst = QPushButton("Worst frame", self)
        self.trust = TrustBox(self)
        self.table, self.status = Facts(self), Sentence(self)
        self.adapt = AdaptBox(self)
        self.export = ExportBox(viewer, self)
        self._worker = Worker(self, "fusion score", on_news=self._on_news, ended=self._on_ended, every=100)
        self.inspect.setToolTip("Look where the result is reliable: consistency, attention, other methods.")
        self.cancel.setToolTip("Stop scoring.")
        self.table.setToolTip(MEANING)
        line = QHBoxLayout()
        for button in (self.score, self.cancel):
            line.addWidget(button)
        self.worst.clicked.connect(lambda _: self._show_worst())
        for row in (
            self.trust,
            line,
            self.table,
            self.status,
            self.worst,
            self.inspect,
            self.adapt,
            self.export,
        ):
            self.rows.addRow(row)
        self.inspect.clicked.connect(lambda _: self.inspect_asked.emit())
        self.score.clicked.connect(lambda _: self._start())
        self.cancel.clicked.connect(lambda _: self._worker.cancel())
        self.show_request(None)
        self._show_table()

    @property
    def busy(self) -> bool:
        """Whether methods are being scored."""
        return self._worker.busy

    def show_request(self, request: Request | None, rig: Rig | None = None) -> None:
        """Judge the sequences of ``request``, paired by ``rig``; the score of another pair or pairing is forgotten."""
        self._request = request
        pair = self._pair if request is None else (*request.sequences, request.pairing)
        if self._pair != pair:
            self._pair, self.found, self.failed = pair, None, False
            self._worker.forget()
            self.adapt.forget()
            self.status.setText("")
            self._show_table()
        self.adapt.show_request(request, rig)
        self._offer()

    def _offer(self) -> None:
        offer(self.score, SCORES, "" if self._request is not None else "No pair is ready.", busy=self.busy)
        self.cancel.setEnabled(self.busy)
        offer(self.worst, WORST, "" if self.found is not None else "There is no score yet.", busy=self.busy)

    def _show_worst(self) -> None:
        """Ask for the LR frame next to the HR frame that the recommended method predicted worst."""
        if self.found is not None:
            self.frame_asked.emit(round(self.found.best.worst[0].time))

    def _start(self) -> None:
        if self._request is not None:
            self.scored_by = self._request.plan
            self._worker.ask(scoring(self._request))
            self.status.setText("Reading the sequences …")
            self._offer()
            self.scored.emit()

    def _on_news(self, news: list[tuple[int, int]]) -> None:
        done, total = news[-1]
        self.status.setText(f"{done} of {total} comparisons")

    def _on_ended(self, outcome: Outcome) -> None:
        self.found = outcome.value
        self.failed = outcome.error is not None
        notes = [] if self.found is None else list(map(in_window_words, score_notes(self.found)))
        self.status.setText(outcome.in_words() or "\n".join(notes) or ("" if self.found else "Stopped."))
        self._show_table()
        self._offer()
        self.scored.emit()

    def _show_table(self) -> None:
        methods = () if self.found is None else self.found.methods
        self.table.show_rows(map(_row, methods), ("left out", "unseen", "SSIM"))


def scoring(request: Request) -> Body:
    """Score the methods on the pair of ``request``, in the background."""

    def body(stop: Token, tell: Tell) -> Score | None:
        from napari_xfusion.core.holdout.score import score_methods  # noqa: PLC0415 - takes time to import

        return score_methods(
            request.whole_plan, *request.sequences, stop=stop, progress=lambda *count: tell(count)
        )

    return body


def score_notes(found: Score) -> list[XFusionWarning]:
    """The warnings that only the score has given; Check shows those about the recordings."""
    return [note for note in found.warnings if note.code.startswith("score-") or note.code == "few-left-out"]


def in_words(choice: Choice) -> str:
    """The recommended method and how much it is better than the next one."""
    if choice.margin is None or choice.runner_up is None:
        return f"best here: {choice.method}"
    if choice.margin < 0:
        return f"best here: {choice.method}, the fastest of those that are equal"
    above = f"best here: {choice.method}, {choice.margin:.2f} dB above {choice.runner_up}"
    return above if choice.clear else f"{above}, which is not certain"


def _row(each: MethodScore) -> Fact:
    error = "" if each.psnr_error is None else f"\u00a0±\u00a0{each.psnr_error:.1f}"
    unseen, ssim = ("–" if x is None else f"{x:.{n}f}" for x, n in ((each.unseen, 1), (each.ssim, 3)))
    return Fact(each.method, (f"{each.psnr:.1f}{error}", unseen, ssim))

"""Adapt the network to the selected pair: trained further on HR frames that are left out, and saved where better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.holdout.sample import require_adaptable
from napari_xfusion.core.networks.cards import SUFFIX
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.types import Token
from napari_xfusion.errors import InputError
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.saving import ask_and_save
from napari_xfusion.ui.shared.widgets import Sentence, offer
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    from napari_xfusion.core.rig import Rig
    from napari_xfusion.lab.adapt import Adapted  # loads torch
    from napari_xfusion.ui.fusion.request import Request

DOES = (
    f"Train {DEFAULT_METHOD} further on HR frames of this recording that are left out. The weights are saved, and "
    "selected under Fuse, where they are better on HR frames that were set aside. Takes minutes."
)
KINDS = f"Weights (*{SUFFIX})"


class AdaptBox(QWidget):
    """A button that adapts the network, its progress, and what it gained."""

    adapted = Signal(str)
    """The path of weights that are better on the pair."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.adapt, self.cancel = QPushButton("Adapt the network …", self), QPushButton("Cancel", self)
        self.status = Sentence(self)
        self._request: Request | None = None
        self._problem = ""
        self._gain: float | None = None
        self._worker = Worker(self, "adapting", on_news=self._on_news, ended=self._on_ended, every=100)
        self.cancel.setToolTip("Stop adapting. Nothing is saved.")
        line = QHBoxLayout()
        for button in (self.adapt, self.cancel):
            line.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(line)
        column.addWidget(self.status)
        self.adapt.clicked.connect(lambda _: self._ask())
        self.cancel.clicked.connect(lambda _: self._worker.cancel())
        self.show_request(None, None)

    @property
    def busy(self) -> bool:
        """Whether the network is being adapted."""
        return self._worker.busy

    def show_request(self, request: Request | None, rig: Rig | None) -> None:
        """Adapt to the sequences of ``request`` from now on, which ``rig`` pairs."""
        self._request = request
        self._problem = "No pair is ready." if request is None or rig is None else too_few(rig)
        self._offer()

    def forget(self) -> None:
        """Stop: another pair is selected."""
        self._worker.forget()
        self.status.setText("")

    def start(self, path: Path) -> None:
        """Adapt, and save to ``path``."""
        if self._request is not None:
            self._gain = None
            self._worker.ask(adapting(self._request, path))
            self.status.setText("Reading the sequences …")
            self._offer()

    def _ask(self) -> None:
        if self._request is not None:
            name = f"{self._request.title}-adapted{SUFFIX}"
            ask_and_save(self, "Save the adapted model", name, KINDS, self.start)

    def _offer(self) -> None:
        offer(self.adapt, DOES, self._problem, busy=self.busy)
        self.cancel.setEnabled(self.busy)

    def _on_news(self, news: list[tuple[str, int, int] | float]) -> None:
        counts = [each for each in news if isinstance(each, tuple)]
        self._gain = next((each for each in reversed(news) if isinstance(each, float)), self._gain)
        if counts:
            what, done, total = counts[-1]
            gain = "" if self._gain is None else f", {self._gain:+.2f} dB so far"
            self.status.setText(f"{done} of {total} {what}{gain}")

    def _on_ended(self, outcome: Outcome) -> None:
        found: Adapted | None = outcome.value
        self.status.setText(outcome.in_words() or _in_words(found))
        self._offer()
        if found is not None and found.model is not None:
            self.adapted.emit(found.model)


def too_few(rig: Rig) -> str:
    """What is missing to adapt a network to the recordings of ``rig``; '' where nothing is."""
    try:
        require_adaptable(rig)
    except InputError as error:
        return in_window_words(error)
    return ""


def starting_from(plan: Plan) -> Plan:
    """The plan of the network to start from: the selected one, or the default where another method is selected."""
    if plan.method == DEFAULT_METHOD:
        return plan
    return plan.model_copy(update={"method": DEFAULT_METHOD, "model": None})


def adapting(request: Request, path: Path) -> Body:
    """Adapt the network to the pair of ``request`` and save it to ``path``, in the background."""
    plan = starting_from(request.whole_plan)

    def body(stop: Token, tell: Tell) -> Adapted | None:
        from napari_xfusion.lab import adapt as lab  # noqa: PLC0415 - loads torch

        return lab.adapt(
            plan,
            *request.sequences,
            path,
            iterations=lab.ITERATIONS,
            overwrite=True,  # the dialog has asked
            stop=stop,
            progress=lambda *count: tell(count),
            gained=tell,
        )

    return body


def _in_words(found: Adapted | None) -> str:
    if found is None:
        return "Stopped; nothing was saved."
    if found.model is None:
        return found.text
    return found.text.replace(found.model, f"Saved {Path(found.model).name}, selected under Fuse")

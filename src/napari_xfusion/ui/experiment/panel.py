"""The Virtual experiment panel: from one sharp fast sequence what two cameras would have given, and how well
each method gets the sequence back (paper, D3 to D8)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.inspect.evaluate import Evaluation, Row, evaluate_frames, write_summaries
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.sequence import FusedSequence
from napari_xfusion.core.types import Stack, Token
from napari_xfusion.errors import XFusionError, XFusionWarning, writing
from napari_xfusion.lab.virtual.experiment import Binning, Experiment, simulate
from napari_xfusion.ui.inspection.sequences import model_of
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.layers import LayerData, layer_name, sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.saving import CSV, ask_and_save
from napari_xfusion.ui.shared.widgets import LayerCombo, Panel, Sentence, add_row, form, listen, tab_through
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer

NUMBERS = (("psnr", "PSNR", ".2f"), ("aad", "AAD", ".3f"), ("ssim", "SSIM", ".4f"))
"""Columns of the table: the metric's name, its title, its format."""


@dataclass(frozen=True)
class Settings:
    """What is asked of an experiment."""

    hr_step: int
    lr_psnr: float | None
    binning: Binning
    seed: int
    separation: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """What came of a request."""

    layers: tuple[LayerData, ...]
    notes: tuple[XFusionWarning, ...]
    """What was done to the sequence and the user should know."""


@dataclass(frozen=True)
class Compared:
    """One frame of one method."""

    method: str
    row: Row


class ExperimentPanel(Panel):
    """Simulates the two cameras on a sequence, adds LR, HR and truth as layers, and compares methods.

    Sequences are made frame by frame when they are looked at or fused; none is held in memory.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._worker = Worker(self, "virtual experiment", told=self._take, ended=self._end, every=100)
        self._rows: dict[str, list[Row]] = {}
        self._total = 0
        self._reason = ""
        self.movie = LayerCombo(viewer, is_sequence, none="choose a sequence", parent=self)
        self.hr_step = QSpinBox(self, minimum=1, maximum=100_000, value=10)
        self.separation = QSpinBox(self, minimum=1, maximum=100, value=1)
        self.noisy = QCheckBox("LR PSNR", self, checked=True)
        self.lr_psnr = QDoubleSpinBox(self, minimum=5, maximum=90, value=40, suffix=" dB", decimals=1)
        self.binning = QComboBox(self)
        self.seed = QSpinBox(self, maximum=2**31 - 1)
        self.methods = {method: QCheckBox(METHODS[method].title, self) for method in METHODS}
        self.make = QPushButton("Make sequences")
        self.run = QPushButton("Compare methods")
        self.cancel = QPushButton("Cancel", enabled=False, toolTip="Stop; numbers that are whole stay")
        self.save = QPushButton("Save CSV …", enabled=False, toolTip="The table, with medians and maxima")
        self.progress = QProgressBar(self, visible=False, toolTip="Frames that are fused and compared")
        self.table = QTableWidget(self)
        self.status = Sentence(self)
        self._lay_out()
        self._connect()
        self._guess()
        self.look_again()

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The comparisons that are whole, by method."""
        return {m: Evaluation(tuple(rows)) for m, rows in self._rows.items() if len(rows) == self._total}

    def settings(self) -> Settings:
        """What is set in the panel."""
        return Settings(
            hr_step=self.hr_step.value(),
            lr_psnr=self.lr_psnr.value() if self.noisy.isChecked() else None,
            binning=cast("Binning", self.binning.currentData()),
            seed=self.seed.value(),
            separation=self.separation.value(),
            methods=tuple(m for m, box in self.methods.items() if box.isChecked() and box.isEnabled()),
        )

    def write_csv(self, path: Path) -> None:
        """The table as a file; raises OutputError where it cannot be written."""
        with writing(path):
            write_summaries(path, self.evaluations)

    def look_again(self) -> None:
        """Turn buttons on and off, each with its reason."""
        no_sequence = self._problem()
        reason = no_sequence or ("" if self.settings().methods else "Choose a method first.")
        self._offer(
            self.make, no_sequence, "Add what both cameras would have given, and the truth, as layers"
        )
        self._offer(self.run, reason, "Fuse by every chosen method and compare each with the truth")
        self.lr_psnr.setEnabled(self.noisy.isChecked())
        if reason != self._reason and not self._worker.busy:  # else what the last run said stays
            self._reason = reason
            self.status.setText(reason)

    def _problem(self) -> str:
        movie = self.movie.layer()
        if movie is None:
            return "Choose a sharp, fast sequence first: every frame of it is the truth."
        if movie.data.shape[0] < 2:
            return "The sequence has one frame; an experiment needs two or more."
        try:
            stack_of(movie)  # reads no frame
        except XFusionError as error:
            return in_window_words(error)
        return ""

    def _offer(self, button: QPushButton, reason: str, does: str) -> None:
        button.setEnabled(not reason and not self._worker.busy)
        button.setToolTip(f"{does}\n\nNot now: {reason}" if reason else does)

    def _start(self, body: Body, busy: str) -> None:
        self._worker.ask(body)
        self.cancel.setEnabled(True)
        self.progress.setRange(0, 0)
        self.progress.show()
        self.status.setText(busy)
        self.look_again()

    def make_sequences(self) -> None:
        """Add LR, HR and truth as layers."""
        movie = stack_of(self.movie.layer())
        settings, title = self.settings(), self._title()
        self._start(lambda _stop, _tell: _sequences(movie, settings, title), "looking for the noise …")

    def compare(self) -> None:
        """Fuse by every chosen method and compare with the truth, frame by frame."""
        movie, settings = stack_of(self.movie.layer()), self.settings()
        self._rows = {method: [] for method in settings.methods}
        self._total = len(movie)
        self._fill_table()
        self._start(_comparing(movie, settings), "looking for the noise …")

    def _take(self, news: list[Any]) -> None:
        for item in news:
            if isinstance(item, Compared):
                self._rows[item.method].append(item.row)
            else:
                self.status.setText(item)
        done = sum(map(len, self._rows.values()))
        self.progress.setRange(0, self._total * max(len(self._rows), 1))
        self.progress.setValue(done)
        self._fill_table()

    def _end(self, outcome: Outcome) -> None:
        self.progress.hide()
        self.cancel.setEnabled(False)
        done = outcome.value if isinstance(outcome.value, Done) and not outcome.cancelled else None
        for made in done.layers if done is not None else ():
            self._viewer.add_image(made.data, **made.options)
        said = "stopped" if done is None else "\n".join(("done", *map(in_window_words, done.notes)))
        self.status.setText(outcome.in_words() or said)
        self._fill_table()
        self.look_again()

    def _fill_table(self) -> None:
        """Two rows per method: means over all and over unseen frames; dashes until a method is through."""
        whole = self.evaluations
        self.save.setEnabled(bool(whole))
        lines = [(method, kind) for method in self._rows for kind in ("all", "unseen")]
        self.table.setRowCount(len(lines))
        self.table.setVerticalHeaderLabels(
            [METHODS[method].title if kind == "all" else "    unseen" for method, kind in lines]
        )
        for line, (method, kind) in enumerate(lines):
            means = whole[method].summary()[kind] if method in whole else None
            for column, (name, _, digits) in enumerate(NUMBERS):
                value = None if means is None else means[name]["mean"]
                item = QTableWidgetItem("–" if value is None else f"{value:{digits}}")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(line, column, item)
        height = self.table.horizontalHeader().sizeHint().height() + self.table.verticalHeader().length()
        self.table.setFixedHeight(max(height + 4, 60))

    def _save(self) -> None:
        ask_and_save(self, "Numbers of all methods", "methods.csv", CSV, self.write_csv)

    def _title(self) -> str:
        layer = self.movie.layer()
        return f"{layer.name.split(' · ')[0]}, simulated" if layer is not None else ""

    def _guess(self) -> None:
        """A truth or a sequence that is no LR or HR is taken, where none is chosen yet."""
        if self.movie.layer() is not None:
            return
        for layer in self._viewer.layers:
            known = provenance_of(layer)
            if known is not None and known.role in ("truth", "sequence"):
                self.movie.choose(layer)

    def _connect(self) -> None:
        self.make.clicked.connect(self.make_sequences)
        self.run.clicked.connect(self.compare)
        self.cancel.clicked.connect(self._worker.cancel)
        self.save.clicked.connect(self._save)
        self.movie.chosen.connect(self.look_again)
        listen(self, self._viewer.layers.events.inserted, self._guess)
        for box in (self.noisy, *self.methods.values()):
            box.toggled.connect(lambda _: self.look_again())
        self.hr_step.valueChanged.connect(lambda _: self.look_again())

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        for part in (self._cameras(), self._choice(), self._results()):
            column.addWidget(part)
        column.addStretch()
        scroll = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll, stretch=1)
        whole.addWidget(self.progress)
        whole.addWidget(self.status)
        cameras = self.movie, self.hr_step, self.noisy, self.lr_psnr, self.binning, self.seed, self.make
        methods = *self.methods.values(), self.separation, self.run, self.cancel
        tab_through(*cameras, *methods, self.table, self.save)

    def _cameras(self) -> QGroupBox:
        group = QGroupBox("Cameras", self)
        rows = form(group)
        self.movie.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.binning.addItem("mean of 4 x 4 pixels", "mean")
        self.binning.addItem("bicubic reduction", "bicubic")
        for label, field, tip in (
            (
                "Sequence",
                self.movie,
                "A sharp, fast sequence: the truth, from which both cameras are made",
            ),
            ("HR step", self.hr_step, "The sharp camera sees every N-th frame, and the last one"),
            (
                self.noisy,
                self.lr_psnr,
                "Photon noise of the fast camera, as the PSNR of its sequence; off: none",
            ),
            ("LR pixels", self.binning, "How four times coarser pixels come from fine ones"),
            ("Seed", self.seed, "Of the noise: the same number, the same noise"),
        ):
            add_row(rows, label, field, tip)
        rows.addRow(self.make)
        return group

    def _choice(self) -> QGroupBox:
        group = QGroupBox("Methods", self)
        grid = QGridLayout(group)
        for k, (method, box) in enumerate(self.methods.items()):
            box.setChecked(METHODS[method].baseline)
            ready = not METHODS[method].takes_weights or model_of(method) is not None
            box.setEnabled(ready)
            box.setToolTip("" if ready else "No weights are available; import a model first.")
            if ready:
                box.setToolTip(f"Fuse by {METHODS[method].title} and compare with the truth")
            grid.addWidget(box, k // 2, k % 2)
        rows, buttons = QFormLayout(), QHBoxLayout()
        add_row(rows, "Separation", self.separation, "LR frames between the three that serve one result")
        grid.addLayout(rows, grid.rowCount(), 0, 1, 2)
        for button in (self.run, self.cancel):
            buttons.addWidget(button)
        grid.addLayout(buttons, grid.rowCount(), 0, 1, 2)
        return group

    def _results(self) -> QGroupBox:
        group = QGroupBox("Means against the truth", self)
        group.setToolTip("Only unseen frames, at whose time no HR frame was given, say how good a method is")
        column = QVBoxLayout(group)
        titles = [title for _, title, _ in NUMBERS]
        self.table.setCornerButtonEnabled(False)
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setToolTip(
            "PSNR (dB) and SSIM: higher is better; AAD (8-bit grey levels): lower. "
            "Unseen: frames at whose time no HR frame was given"
        )
        column.addWidget(self.table)
        column.addWidget(self.save)
        self._fill_table()
        return group


def _experiment(movie: Stack, settings: Settings) -> Experiment:
    return simulate(
        movie,
        settings.hr_step,
        lr_psnr=settings.lr_psnr,
        binning=settings.binning,
        seed=settings.seed,
    )


def _sequences(movie: Stack, settings: Settings, title: str) -> Done:
    """LR, HR and truth of an experiment as layers, the truth lowest."""
    made = _experiment(movie, settings)
    truth = sequence_layer(made.truth, role="truth", name=layer_name(title, "truth"))
    return Done((truth, *sequence_pair(made.lr, made.hr, title=title)), made.notes)


def _comparing(movie: Stack, settings: Settings) -> Body:
    """Every chosen method against the truth, frame by frame, for the thread beside the window."""

    def body(stop: Token, tell: Tell) -> Done | None:
        made = _experiment(movie, settings)
        for method in settings.methods:
            tell(f"{METHODS[method].title} …")
            name = model_of(method) if METHODS[method].takes_weights else None
            plan = make_plan(method=method, model=name, separation=settings.separation)
            sequence = FusedSequence(plan, made.lr, made.hr)
            for row in evaluate_frames(made.truth, sequence.images(), hr_times=made.hr_times):
                tell(Compared(method, row))
                if stop.is_set():
                    sequence.close()
                    return None
            sequence.close()
        return Done((), made.notes)

    return body

"""The Virtual experiment panel: LR and HR simulated from a fast, sharp sequence, and the methods compared with
that truth (paper, D3 to D8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.inspect.evaluate import Evaluation, Row, evaluate_frames, write_summaries
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.sequence import FusedSequence
from napari_xfusion.core.types import Stack, Token
from napari_xfusion.errors import XFusionError, XFusionWarning, writing
from napari_xfusion.lab.virtual.experiment import Binning, Experiment, simulate
from napari_xfusion.ui.inspection.sequences import model_of
from napari_xfusion.ui.shared.compare import is_recorded
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.layers import LayerData, layer_name, sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from napari_xfusion.ui.shared.saving import CSV, ask_and_save
from napari_xfusion.ui.shared.widgets import (
    LayerCombo,
    Panel,
    Sentence,
    add_row,
    form,
    listen,
    offer,
    scale_bar_in_2d,
    tab_through,
)
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer

NUMBERS = (("psnr", "PSNR", ".2f", max), ("aad", "AAD", ".3f", min), ("ssim", "SSIM", ".3f", max))
"""Columns of the table: the metric's name, its title, its format, and which value is best."""


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment."""

    hr_step: Annotated[int, row("HR step", "LR frames from one HR frame to the next.", 1, 100_000)] = 10
    noise: Annotated[bool, row("LR noise", "Add photon noise to LR.")] = True
    lr_psnr: Annotated[float, row("LR PSNR (dB)", "Noise level, as the PSNR of LR.", 5, 90)] = 40.0
    binning: Annotated[Binning, row("LR binning", "Mean of 4 x 4 pixels, or bicubic reduction.")] = "mean"
    seed: Annotated[int, row("Seed", "Random seed of the noise.", 0, 2**31 - 1)] = 0
    separation: Annotated[int, row("Separation", "LR frames between neighbouring input frames.", 1, 100)] = 1

    def simulate(self, truth: Stack) -> Experiment:
        """Simulate LR and HR of ``truth``."""
        lr_psnr = self.lr_psnr if self.noise else None
        return simulate(truth, self.hr_step, lr_psnr=lr_psnr, binning=self.binning, seed=self.seed)


@dataclass(frozen=True)
class Done:
    """The result of a request."""

    layers: tuple[LayerData, ...]
    notes: tuple[XFusionWarning, ...]
    """Warnings about changes of the sequence."""


class ExperimentPanel(Panel):
    """Simulate two cameras on a sequence, add LR, HR and truth as layers, and compare methods.

    Frames are computed when they are displayed or fused; no sequence is held in memory.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        scale_bar_in_2d(self, viewer)
        self._worker = Worker(self, "virtual experiment", on_news=self._take, ended=self._end, every=100)
        self._rows: dict[str, list[Row]] = {}
        self._total = 0
        self.sequence = LayerCombo(viewer, is_recorded, none="select a sequence", parent=self)
        self.methods = {method: QCheckBox(METHODS[method].title, self) for method in METHODS}
        self.make = QPushButton("Create sequences")
        self.run = QPushButton("Compare methods")
        self.cancel = QPushButton("Cancel", enabled=False, toolTip="Stop. Completed rows are kept.")
        self.save = QPushButton(
            "Save CSV …", enabled=False, toolTip="Save the table with medians and maxima."
        )
        self.progress = QProgressBar(self, visible=False, toolTip="Frames fused and compared")
        self.table = QTableWidget(self)
        self.status = Sentence(self)
        self._build()
        self._connect()
        self._guess()
        self.update_buttons()

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The completed comparisons by method."""
        return {m: Evaluation(tuple(rows)) for m, rows in self._rows.items() if len(rows) == self._total}

    @property
    def selected(self) -> tuple[str, ...]:
        """The selected methods."""
        return tuple(m for m, box in self.methods.items() if box.isChecked() and box.isEnabled())

    def write_csv(self, path: Path) -> None:
        """Write the table to a file; raises OutputError if it cannot be written."""
        with writing(path):
            write_summaries(path, self.evaluations)

    def update_buttons(self) -> None:
        """Enable or disable the buttons; tooltips show the reason."""
        no_sequence, busy = self._problem(), self._worker.busy
        reason = no_sequence or ("" if self.selected else "Select a method first.")
        offer(self.make, "Add the simulated LR and HR, and the truth, as layers.", no_sequence, busy=busy)
        offer(self.run, "Fuse by every selected method and compare with the truth.", reason, busy=busy)
        self.settings["lr_psnr"].enabled = self.settings["noise"].value
        if not busy:
            self.status.setText(reason)

    def _problem(self) -> str:
        layer = self.sequence.layer()
        if layer is None:
            return "Select a fast, sharp sequence first. Its frames are the truth."
        try:
            count, shown = len(stack_of(layer)), layer.data.shape[0]  # reads no frame
        except XFusionError as error:
            return in_window_words(error)
        if count != shown:
            return f"The layer shows {shown} frames of a recording of {count}. Select a sequence of distinct frames."
        return "" if count > 1 else "The sequence has one frame. An experiment needs two or more."

    def _start(self, body: Body, busy: str) -> None:
        self._worker.ask(body)
        self.cancel.setEnabled(True)
        self.progress.setRange(0, 0)
        self.progress.show()
        self.status.setText(busy)
        self.update_buttons()

    def make_sequences(self) -> None:
        """Add LR, HR and truth as layers."""
        truth, settings, title = stack_of(self.sequence.layer()), self.settings.value(), self._title()
        self._start(lambda _stop, _tell: _sequences(truth, settings, title), "Estimating the noise …")

    def compare(self) -> None:
        """Fuse by every selected method and compare with the truth, frame by frame."""
        truth, methods = stack_of(self.sequence.layer()), self.selected
        self._rows = {method: [] for method in methods}
        self._total = len(truth)
        self._fill_table()
        body = _comparing(truth, self.settings.value(), methods)
        self._start(body, "Estimating the noise …")

    def _take(self, news: list[Any]) -> None:
        for item in news:
            if isinstance(item, tuple):  # a method, and the numbers of one frame
                self._rows[item[0]].append(item[1])
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
        for layer in done.layers if done is not None else ():
            self._viewer.add_image(layer.data, **layer.options)
        status = "Stopped." if done is None else "\n".join(("Done.", *map(in_window_words, done.notes)))
        self._fill_table()
        self.update_buttons()
        self.status.setText(outcome.in_words() or status)

    def _fill_table(self) -> None:
        """Fill the table with means over unseen frames, then over all; dashes until a method is complete.

        Of the complete methods, the best value is bold.
        """
        complete = self.evaluations
        self.save.setEnabled(bool(complete))
        lines = [(method, kind) for kind in ("unseen", "all") for method in ("", *self._rows)]
        self.table.setRowCount(len(lines))
        self.table.setVerticalHeaderLabels(
            [METHODS[m].title if m else f"{kind} frames:" for m, kind in lines]
        )
        means = {method: each.summary() for method, each in complete.items()}
        for line, (method, kind) in enumerate(lines):
            for column, (name, _, digits, best) in enumerate(NUMBERS):
                value = means[method][kind][name]["mean"] if method in means else None
                missing = "–" if method else ""
                item = QTableWidgetItem(missing if value is None else f"{value:{digits}}")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                values = [each[kind][name]["mean"] for each in means.values()]
                font = item.font()
                font.setBold(value is not None and len(values) > 1 and value == best(filter(None, values)))
                item.setFont(font)
                self.table.setItem(line, column, item)
        height = self.table.horizontalHeader().sizeHint().height() + self.table.verticalHeader().length()
        self.table.setFixedHeight(max(height + 4, 60))

    def _save(self) -> None:
        ask_and_save(self, "Numbers of all methods", "methods.csv", CSV, self.write_csv)

    def _title(self) -> str:
        layer, step = self.sequence.layer(), self.settings.value().hr_step
        return f"{layer.name.split(' · ')[0]}, simulated, HR step {step}" if layer is not None else ""

    def _guess(self) -> None:
        """Select a truth, or a sequence that is neither LR nor HR, if none is selected."""
        if self.sequence.layer() is not None:
            return
        for layer in self._viewer.layers:
            known = provenance_of(layer)
            if known is not None and known.role in ("truth", "sequence"):
                self.sequence.choose(layer)

    def _connect(self) -> None:
        self.make.clicked.connect(self.make_sequences)
        self.run.clicked.connect(self.compare)
        self.cancel.clicked.connect(self._worker.cancel)
        self.save.clicked.connect(self._save)
        self.sequence.chosen.connect(self.update_buttons)
        listen(self, self._viewer.layers.events.inserted, self._guess)
        for box in self.methods.values():
            box.toggled.connect(lambda _: self.update_buttons())

    def _build(self) -> None:
        parts = self._settings_box(), self._methods_box(), self._results_box()
        self.lay_out(parts, self.progress, self.status)
        methods = *self.methods.values(), self.run, self.cancel
        tab_through(self.sequence, *self.settings.natives, self.make, *methods, self.table, self.save)

    def _settings_box(self) -> QGroupBox:
        group = QGroupBox("Settings", self)
        rows = form(group)
        tip = "A fast, sharp sequence: the truth, from which LR and HR are simulated."
        add_row(rows, "Sequence", self.sequence, tip)
        self.settings = Form(Settings, rows, self.update_buttons)
        rows.addRow(self.make)
        return group

    def _methods_box(self) -> QGroupBox:
        group = QGroupBox("Methods", self)
        grid = QGridLayout(group)
        for k, (method, box) in enumerate(self.methods.items()):
            box.setChecked(METHODS[method].baseline or method == DEFAULT_METHOD)
            ready = not METHODS[method].takes_weights or model_of(method) is not None
            why = "" if ready else "No weights are available. Import a model first."
            offer(box, f"Fuse by {METHODS[method].title} and compare with the truth.", why)
            grid.addWidget(box, k // 2, k % 2)
        buttons = QHBoxLayout()
        for button in (self.run, self.cancel):
            buttons.addWidget(button)
        grid.addLayout(buttons, grid.rowCount(), 0, 1, 2)
        return group

    def _results_box(self) -> QGroupBox:
        group = QGroupBox("Mean values against the truth", self)
        group.setToolTip(
            "Only unseen frames, at whose time no HR frame was given, show how good a method is."
        )
        column = QVBoxLayout(group)
        titles = [title for _, title, *_ in NUMBERS]
        self.table.setCornerButtonEnabled(False)
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setToolTip(
            "PSNR (dB) and SSIM: higher is better; AAD (8-bit grey levels): lower. "
            "Unseen: frames at whose time no HR frame was given."
        )
        column.addWidget(self.table)
        column.addWidget(self.save)
        self._fill_table()
        return group


def _sequences(truth: Stack, settings: Settings, title: str) -> Done:
    """LR, HR and truth of an experiment as layers, the truth lowest."""
    experiment = settings.simulate(truth)
    lowest = sequence_layer(experiment.truth, role="truth", name=layer_name(title, "truth"))
    return Done((lowest, *sequence_pair(experiment.lr, experiment.hr, title=title)), experiment.notes)


def _comparing(truth: Stack, settings: Settings, methods: Sequence[str]) -> Body:
    """Compare methods with the truth, frame by frame, in the background."""

    def body(stop: Token, tell: Tell) -> Done | None:
        experiment = settings.simulate(truth)
        for method in methods:
            tell(f"{METHODS[method].title} …")
            name = model_of(method) if METHODS[method].takes_weights else None
            plan = make_plan(method=method, model=name, separation=settings.separation)
            sequence = FusedSequence(plan, experiment.lr, experiment.hr)
            for each in evaluate_frames(experiment.truth, sequence.images(), hr_times=experiment.hr_times):
                tell((method, each))
                if stop.is_set():
                    sequence.close()
                    return None
            sequence.close()
        return Done((), experiment.notes)

    return body

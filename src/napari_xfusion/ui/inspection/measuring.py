"""Measurements over time along the line or in the region that is drawn on the canvas, for LR, HR, fused and truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_xfusion.core.holdout.left_out import judged
from napari_xfusion.core.holdout.measured import measured_interval
from napari_xfusion.core.inspect.measure import Interval, Measured, measure, write_csv
from napari_xfusion.core.inspect.places import (
    ALONG_A_LINE,
    IN_A_REGION,
    QUANTITIES,
    Area,
    Line,
    Measure,
    Quantity,
    Scale,
)
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.types import Stack, Token
from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.inspection.numbers import hr_times_of
from napari_xfusion.ui.inspection.plots import FramePlots, Kymographs
from napari_xfusion.ui.inspection.sequences import Sequences, interval_problem
from napari_xfusion.ui.shared.job import Outcome, Tell, Worker
from napari_xfusion.ui.shared.provenance import fused_in, in_unit, scale_of, stack_of
from napari_xfusion.ui.shared.widgets import Sentence, offer, prepare_fields
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Shapes

SHAPE = "measure"
"""The layer with the line or region."""
SETTLE = 60
"""Milliseconds from a change of the shape to the measurement: while it is dragged, only some places are measured."""
NAMES = {"lr": "LR", "hr": "HR", "fused": "fused", "truth": "truth"}
TIPS: dict[Quantity, str] = {
    "kymograph": "values along the line, one column per frame",
    "edge": "position of the edge along the line, from its first point",
    "width": "distance of the two edges along the line; along a line downwards, a depth",
    "mean": "mean grey value along the line or in the region",
    "area": "area of the region that is above or below the threshold",
}
LINES, REGIONS = ("line", "path"), ("rectangle", "polygon", "ellipse")


@dataclass(frozen=True, eq=False)
class Job:
    """One sequence to be measured."""

    name: str
    stack: Stack
    what: Measure
    scale: Scale
    numbers: NDArray[np.float64]
    """LR frame numbers of its frames."""
    interval: float | None
    """Seconds between LR frames."""
    available: Callable[[int], bool]
    limits: tuple[float, float]
    """Grey values that are black and white on the canvas."""

    def run(self, stop: Token) -> Measured:
        """Measure it; raises InputError."""
        return measure(
            self.stack,
            self.what,
            scale=self.scale,
            numbers=self.numbers.tolist(),
            interval=self.interval,
            available=self.available,
            stop=stop,
        )


class MeasureTab(QWidget):
    """Curves or kymographs of the selected sequences, which follow the shape and the settings."""

    changed = Signal()
    """There is something else to be saved, or to be cancelled."""

    def __init__(self, viewer: Viewer, sequences: Callable[[], Sequences], parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._sequences = viewer, sequences
        self.measured: dict[str, Measured] = {}
        self.interval: Interval | None = None
        self._jobs: list[Job] = []
        self.curves = FramePlots(viewer, (("edge", "Of every frame; drag the cursor to move the slider."),))
        self.kymographs = Kymographs(viewer)
        self.what = QComboBox()
        self.threshold = QLineEdit()
        self.side = QComboBox()
        self.turn = QComboBox()
        self.width_across = QSpinBox()
        self.find_interval = QPushButton("Interval")
        self.status = Sentence(self)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE)
        self._settle.timeout.connect(self.measure_now)
        self._worker = Worker(self, "measuring", on_news=self._take, ended=self._end, every=30)
        self._finding = Worker(self, "measuring left-out frames", ended=self._take_interval, every=100)
        self._lay_out()
        self._connect()

    @property
    def busy(self) -> bool:
        """Whether something is being measured."""
        return self._worker.busy or self.finding or self._settle.isActive()

    @property
    def finding(self) -> bool:
        """Whether the interval is being computed."""
        return self._finding.busy

    def ask(self) -> None:
        """Measure soon, if it is on screen."""
        self._settle.start()

    def cancel(self) -> None:
        """Stop the computation of the interval."""
        self._finding.cancel()

    def measure_now(self) -> None:
        """Measure the selected sequences at the shape, in place of what was asked before."""
        self._settle.stop()
        if not self.isVisible():
            return
        self._set_interval(None)
        self._finding.forget()
        try:
            self._jobs, reason = self._find_jobs()
        except XFusionError as error:
            self._jobs, reason = [], in_window_words(error)
        self.status.setText(reason)
        self._update()
        if not self._jobs:
            self._worker.forget()
            self.measured = {}
            self.draw()
            return
        self.measured = {name: each for name, each in self.measured.items() if name in self._names}
        jobs, sequences, threshold = self._jobs, self._sequences(), self._jobs[0].what.threshold

        def body(stop: Token, tell: Tell) -> list[XFusionError]:
            failed = []
            for job in jobs:
                if job.name == "LR" and threshold is not None:
                    job = _on_lr_scale(job, sequences)  # noqa: PLW2901 - the same sequence
                try:
                    made = job.run(stop)
                except XFusionError as error:  # the shape may lie outside of one of them
                    failed.append(error)
                    made = None
                if stop.is_set():
                    break
                tell((job.name, made))
            return failed

        self._worker.ask(body)

    def write_csv(self, path: Path) -> None:
        """Write the table; see ``core.inspect.measure.write_csv``."""
        half = {} if self.interval is None else {"fused": self.interval.half_width}
        write_csv(path, self.measured, half)

    @property
    def plots(self) -> FramePlots | Kymographs:
        """What is shown."""
        return self.curves if self.kymographs.isHidden() else self.kymographs

    @property
    def _names(self) -> set[str]:
        return {job.name for job in self._jobs}

    @property
    def _what(self) -> Quantity:
        what: Quantity = self.what.currentData()
        return what

    def _find_jobs(self) -> tuple[list[Job], str]:
        """The sequences to measure, or why there are none."""
        layer = shape_layer(self._viewer)
        found = None if layer is None else outline(layer)
        if found is None:
            return [], "Draw a line or a region."
        kind = found[0]
        if self._what not in (ALONG_A_LINE if kind == "line" else IN_A_REGION):
            needed = "a region" if self._what in IN_A_REGION else "a line"
            return [], f"Draw {needed} to measure {self._what}, or choose another quantity."
        jobs = [self._job(role, numbers, found) for role, numbers in numbers_of(self._sequences()).items()]
        return jobs, "" if jobs else "Select a sequence in the Inspect panel."

    def _job(self, role: str, numbers: NDArray[np.float64], found: tuple[str, NDArray[np.float64]]) -> Job:
        sequences, (kind, corners) = self._sequences(), found
        layer, name = getattr(sequences, role), NAMES[role]
        data = np.array([layer.world_to_data((0, *corner))[-2:] for corner in corners], dtype=float)
        points = [(float(y), float(x)) for y, x in data]
        scale = scale_of(layer)
        place: Line | Area
        if kind == "line":
            place = Line(start=points[0], stop=points[-1], width=self._across(scale, sequences))
        else:
            place = Area(corners=tuple(points))
        what = Measure(
            what=self._what,
            place=place,
            threshold=self._threshold(),
            side=self.side.currentData(),
            turn=self.turn.currentData(),
        )
        timed = sequences.lr or sequences.fused or layer
        available = fused_in(layer) if name == "fused" else lambda _frame: True
        first = int(numbers[0]) if len(numbers) else 0
        return Job(
            name,
            stack_of(layer),
            what,
            scale,
            numbers,
            in_unit(timed, 0, "s"),
            lambda i: available(first + i),
            (float(layer.contrast_limits[0]), float(layer.contrast_limits[1])),
        )

    def _across(self, scale: Scale, sequences: Sequences) -> float:
        """The width of the line, given in pixels of HR, in pixels of a sequence."""
        sharp = sequences.hr or sequences.fused or sequences.truth
        own = 1.0 if sharp is None else scale_of(sharp).x / scale.x
        return max(self.width_across.value() * own, 1.0)

    def _threshold(self) -> float | None:
        with suppress(ValueError):
            threshold = float(self.threshold.text().replace(",", "."))
            return threshold if np.isfinite(threshold) else None
        return None

    def _take(self, news: list[tuple[str, Measured | None]]) -> None:
        for name, made in news:
            self.measured.pop(name, None)
            if made is not None:
                self.measured[name] = made
        self.draw()

    def _end(self, outcome: Outcome) -> None:
        failed = outcome.value or []
        self.status.setText(outcome.in_words() or " ".join(map(in_window_words, failed[:1])))
        self.draw()

    def draw(self) -> None:
        """Draw what was measured, in the colours of the theme."""
        made = {name: self.measured[name] for name in NAMES.values() if name in self.measured}
        if not made or self._what == "kymograph":
            self._draw_kymographs({n: each for n, each in made.items() if each.positions is not None})
        if self._what != "kymograph":
            self._draw_curves({n: each for n, each in made.items() if each.positions is None})
        self.changed.emit()

    def _draw_curves(self, made: dict[str, Measured]) -> None:
        unit = next((each.unit for each in made.values()), "")
        said = {"um": "µm", "um2": "µm²", "pixel2": "pixel²"}.get(unit, unit) or "grey value"
        self.curves.set_quantity(0, f"{self._what} ({said})")
        self.curves.show_curves(0, [(name, (each.frames, each.values)) for name, each in made.items()])
        self._draw_band(made.get("fused"))

    def _draw_band(self, fused: Measured | None) -> None:
        plot = self.curves.plots[0]
        for old in [item for item in plot.items if isinstance(item, pg.FillBetweenItem)]:
            plot.removeItem(old)
        if fused is None or self.interval is None:
            return
        names = [item.name() for item in plot.listDataItems()]
        colour = plot.listDataItems()[names.index("fused")].opts["pen"].color()
        colour.setAlpha(60)
        known = np.isfinite(fused.values)
        low, high = (
            pg.PlotCurveItem(fused.frames[known], fused.values[known] + sign * self.interval.half_width)
            for sign in (-1, 1)
        )
        plot.addItem(pg.FillBetweenItem(low, high, brush=pg.mkBrush(colour)))

    def _draw_kymographs(self, made: dict[str, Measured]) -> None:
        limits = {job.name: job.limits for job in self._jobs}
        pictures = {
            name: (each.frames, each.positions, each.values, limits[name])
            for name, each in made.items()
            if each.positions is not None and name in limits
        }
        unit = next((each.unit for each in made.values()), "pixel").replace("um", "µm")
        self.kymographs.show_kymographs(pictures, unit)

    def ask_interval(self) -> None:
        """Compute the interval of the number in the fused sequence from HR frames that are left out."""
        job = next((each for each in self._jobs if each.name == "fused"), None)
        sequences = self._sequences()
        if job is None or sequences.made_by is None:
            return
        plan, stacks = judged(sequences.made_by), sequences.stacks()
        self.find_interval.setEnabled(False)
        self.status.setText("Measuring HR frames that are left out …")

        def body(stop: Token, _tell: Tell) -> Interval | None:
            return measured_interval(
                plan, rig_of(plan, *stacks), make_fuser(plan), job.what, scale=job.scale, stop=stop
            )

        self._finding.ask(body)
        self.changed.emit()

    def _take_interval(self, outcome: Outcome) -> None:
        self._set_interval(outcome.value if outcome.error is None else None)
        if self.interval is None:
            self.status.setText(outcome.in_words() or "No interval.")
        self._update()
        self.draw()

    def _set_interval(self, interval: Interval | None) -> None:
        self.interval = interval
        if interval is not None:
            self.status.setText(
                f"fused ± {interval.half_width:.3g}: a new HR frame lies inside with probability "
                f"{interval.coverage:.0%}, from {interval.frames} HR frames left out"
            )

    def _interval_problem(self) -> str:
        reason = interval_problem(self._sequences())
        if not reason and (self._what == "kymograph" or "fused" not in self._names):
            reason = "Measure an edge, a width, a mean or an area first."
        return reason

    def _update(self) -> None:
        """Show the settings of the quantity, and whether an interval can be computed."""
        what = self._what
        self.turn.setVisible(what == "edge")
        self.side.setVisible(what == "area")
        self.threshold.setVisible(what in ("edge", "width", "area"))
        self.width_across.setVisible(what in ALONG_A_LINE)
        self.kymographs.setVisible(what == "kymograph")
        self.curves.setVisible(what != "kymograph")
        does = "Compute the interval of the number in the fused sequence: HR frames are left out and fused again."
        offer(self.find_interval, does, self._interval_problem(), busy=self._finding.busy)

    def _connect(self) -> None:
        self.what.currentIndexChanged.connect(self.measure_now)
        for box in (self.side, self.turn):
            box.currentIndexChanged.connect(self.ask)
        self.threshold.editingFinished.connect(self.ask)
        self.width_across.valueChanged.connect(self.ask)
        self.find_interval.clicked.connect(self.ask_interval)
        self._update()

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Measure when the tab is shown."""
        super().showEvent(event)
        self.ask()

    def _lay_out(self) -> None:
        for what in QUANTITIES:
            self.what.addItem(what, what)
            self.what.setItemData(self.what.count() - 1, TIPS[what], 3)  # Qt.ToolTipRole
        self.what.setCurrentIndex(QUANTITIES.index("edge"))
        for box, items in (
            (self.side, (("above the threshold", "above"), ("below the threshold", "below"))),
            (self.turn, (("any edge", "any"), ("rising edge", "rising"), ("falling edge", "falling"))),
        ):
            for text, value in items:
                box.addItem(text, value)
        self.what.setToolTip("What is measured in every frame.")
        self.threshold.setToolTip(
            "Grey value of the edge or outline, on the scale of HR; auto is the steepest point, and for areas half way "
            "between dark and bright pixels."
        )
        self.side.setToolTip("What belongs to the area.")
        self.turn.setToolTip("Direction of the edge along the line.")
        self.width_across.setToolTip("HR pixels across the line that are averaged.")
        self.threshold.setMaximumWidth(90)
        self.threshold.setPlaceholderText("auto")
        self.width_across.setRange(1, 99)
        self.width_across.setSuffix(" px wide")
        row = QHBoxLayout()
        row.addWidget(QLabel("Measure"))
        for widget in (
            self.what,
            self.threshold,
            self.turn,
            self.side,
            self.width_across,
            self.find_interval,
        ):
            row.addWidget(widget)
        row.addWidget(self.status, stretch=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.addLayout(row)
        column.addWidget(self.curves, stretch=1)
        column.addWidget(self.kymographs, stretch=1)
        prepare_fields(self)


def shape_layer(viewer: Viewer) -> Shapes | None:
    """The layer with the line or region."""
    shapes = (layer for layer in viewer.layers if type(layer).__name__ == "Shapes")
    return next((layer for layer in shapes if layer.name == SHAPE), None)


def outline(layer: Shapes) -> tuple[str, NDArray[np.float64]] | None:
    """``line`` or ``region``, and its corners (N, 2) in the world: of the selected shape, else of the last one."""
    if not layer.data:
        return None
    k = max(layer.selected_data, default=len(layer.data) - 1)
    if k >= len(layer.data):
        return None
    corners = np.array([layer.data_to_world(corner)[-2:] for corner in layer.data[k]], dtype=float)
    kind = layer.shape_type[k]
    if kind == "ellipse":
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
        centre = corners.mean(axis=0)
        down, across = (corners[3] - corners[0]) / 2, (corners[1] - corners[0]) / 2
        corners = centre + np.sin(angles) * down + np.cos(angles) * across
    return ("line" if kind in LINES else "region"), corners


def numbers_of(sequences: Sequences) -> dict[str, NDArray[np.float64]]:
    """LR frame numbers of the frames of each selected sequence, by role."""
    found = {}
    for role in NAMES:
        layer = getattr(sequences, role)
        if layer is not None:
            count = len(stack_of(layer))
            found[role] = _hr_numbers(sequences, count) if role == "hr" else np.arange(count, dtype=float)
    if "fused" in found:
        found["fused"] += sequences.first
    return found


def _hr_numbers(sequences: Sequences, count: int) -> NDArray[np.float64]:
    """Of HR; spread over LR, as they are shown, where they are not known."""
    times = hr_times_of(sequences)
    if len(times) == count:
        return times
    last = count - 1 if sequences.lr is None else sequences.lr.data.shape[0] - 1
    return np.linspace(0, last, count)


def _on_lr_scale(job: Job, sequences: Sequences) -> Job:
    """The job with its threshold, which is on the grey scale of HR, on that of LR."""
    threshold = job.what.threshold
    with suppress(XFusionError, ValueError):
        rig = sequences.rig()
        if threshold is not None:
            grey = float(rig.hr.grey.to_grey(np.array(threshold, np.float64)))
            threshold = rig.fast.grey.zero + rig.fast.grey.span * grey
    what = job.what.model_copy(update={"threshold": threshold})
    return Job(**{**vars(job), "what": what})

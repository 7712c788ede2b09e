"""The results of a study by sequence, in the form that figures and statements need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.inspect.attention import NormalisedAttention, normalise
from napari_xfusion.core.inspect.evaluate import Evaluation, Row
from napari_xfusion.core.inspect.metrics import Metrics
from napari_xfusion.core.networks.cards import INPUTS
from napari_xfusion.lab.study.cells import Cell, ImageSequence
from napari_xfusion.lab.study.note import Note
from napari_xfusion.lab.study.plan import Condition, Setting, StudyPlan
from napari_xfusion.lab.study.table import ATTENTION, Table
from napari_xfusion.lab.study.times import Time

METRICS = {"psnr": "PSNR (dB)", "aad": "AAD (grey levels)", "ssim": "SSIM"}
"""Column, and its label in figures."""
SETTINGS: dict[Setting, str] = {
    "lr_psnr": "LR PSNR (dB)",
    "hr_step": "LR frames per HR frame",
    "separation": "separation (LR frames)",
}
"""Swept settings and the labels of their axes."""

TWO_CAMERAS = tuple(name for name, roles in INPUTS.items() if "hr-" in roles)
"""Networks with HR inputs, on which the paper's statements about EDVR-STF are tested."""


@dataclass(frozen=True, eq=False)
class SequenceResults:
    """The results of one sequence."""

    sequence: ImageSequence
    plan: StudyPlan
    table: Table
    """Rows without the cluster sweep."""
    clusters: Table
    """Rows of the cluster sweep, targets half way between their HR frames only."""
    times: Sequence[Time]
    notes: Sequence[Note]

    @cached_property
    def base(self) -> str:
        """Base of the plan, or the first completed condition where the sequence is too short for the base."""
        done = set(self.table["condition"].tolist())
        return next(name for name in (self.plan.base, *self.plan.conditions) if name in done)

    @property
    def condition(self) -> Condition:
        """The base condition."""
        return self.plan.conditions[self.base]

    @cached_property
    def series(self) -> list[str]:
        """Series with rows in the base condition, in the order of the plan."""
        done = set(self.table.where(condition=self.base)["series"].tolist())
        return [series.name for series in self.plan.series if series.name in done]

    def method(self, series: str) -> str:
        """Return the method of a series."""
        return next(s.method for s in self.plan.series if s.name == series)

    def values(self, series: str, metric: str = "psnr", condition: str | None = None) -> NDArray[np.float64]:
        """Return the finite numbers of the unseen frames, in the base condition unless another is given."""
        rows = self.table.where(series=series, condition=condition or self.base, seen=False)
        return rows.finite(metric)

    def median(self, series: str, metric: str = "psnr", condition: str | None = None) -> float:
        """Return the median of ``values``; NaN where there is none."""
        values = self.values(series, metric, condition)
        return float(np.median(values)) if values.size else float("nan")

    def summary(self, series: str) -> dict[str, Any]:
        """Return the summary of ``evaluate`` for a series in the base condition."""
        rows = self.table.where(series=series, condition=self.base)
        numbers = zip(*(rows[name].tolist() for name in ("frame", "seen", *Metrics._fields)), strict=True)
        return Evaluation(
            tuple(Row(frame, seen, Metrics(*metrics)) for frame, seen, *metrics in numbers)
        ).summary()

    def best(self, among: Sequence[str] | None = None) -> str | None:
        """Return the series with the highest median PSNR in the base condition; None where there is none."""
        names = self.series if among is None else among
        medians = [self.median(name) for name in names]
        known = [number for number, median in enumerate(medians) if np.isfinite(median)]
        return names[max(known, key=lambda k: medians[k])] if known else next(iter(names), None)

    def networks(self, *methods: str) -> list[str]:
        """Return the series of all networks, or of some of their methods."""
        return [
            series
            for series in self.series
            if METHODS[self.method(series)].takes_weights and (not methods or self.method(series) in methods)
        ]

    def sweep(self, setting: Setting) -> dict[str, str]:
        """Return axis label and name of the completed conditions of a sweep; empty where nothing was swept."""
        done = set(self.table["condition"].tolist())
        found = {
            self._label(setting, condition): name
            for name, condition in self.plan.sweep(setting).items()
            if name in done
        }
        return found if len(found) > 1 else {}

    def _label(self, setting: Setting, condition: Condition) -> str:
        if setting == "lr_psnr":
            return "none" if condition.lr_psnr is None else f"{condition.lr_psnr:g}"
        if setting == "separation":
            return str(condition.separation)
        step = condition.step_in(self.sequence.frames)
        return f"{step} (ends)" if condition.hr_step == "ends" else str(step)

    def cell(self, series: str) -> Cell:
        """Return the rows of a series in the base condition."""
        chosen = next(s for s in self.plan.series if s.name == series)
        return Cell(self.sequence, self.base, self.condition, chosen, self.plan)

    @cached_property
    def moments(self) -> list[int]:
        """Return i-10, i-9, i, i+9, i+10 of the paper: the HR interval nearest the middle of the sequence."""
        targets, step = self.cell(self.series[0]).targets, self.condition.step_in(self.sequence.frames)
        starts = [t for t in targets if t % step == 0 and t + step < targets.stop] or [targets.start]
        middle = (targets.start + targets.stop) / 2
        start = min(starts, key=lambda t: abs(t + step / 2 - middle))
        wanted = {start, start + 1, start + step // 2, start + step - 1, start + step}
        return sorted(t for t in wanted if t in targets)

    def attention(self, series: str) -> NormalisedAttention | None:
        """Return normalised scores of both HR inputs in the base condition; None for methods without attention."""
        rows = self.table.where(series=series, condition=self.base)
        back, ahead = rows[ATTENTION["hr-"]], rows[ATTENTION["hr+"]]
        hr_times = rows["frame"][rows["seen"].astype(bool)]
        if not (np.isfinite(back).any() and np.isfinite(ahead).any() and len(hr_times)):
            return None
        return normalise(rows["frame"].tolist(), back.tolist(), ahead.tolist(), hr_times.tolist())


@dataclass(frozen=True, eq=False)
class Results:
    """The results of a study."""

    table: Table
    plan: StudyPlan
    sequences: Sequence[ImageSequence]
    times: Sequence[Time]
    notes: Sequence[Note]
    command: str
    weights: dict[str, str] = field(default_factory=dict)
    """sha256 of each network's model file, by series."""

    def each(self) -> Iterator[SequenceResults]:
        """Iterate over sequences with rows in the main sweeps."""
        swept = np.isfinite(self.table["clusters"].astype(float))
        for sequence in self.sequences:
            of_sequence = self.table["movie"] == sequence.name
            main = self.table.chosen(of_sequence & ~swept)
            half_way = 2 * self.table["since_hr"] == self.table["hr_step"]
            # After the last full interval the next HR frame is nearer than the previous one.
            whole = self.table["frame"] + self.table["separation"] < sequence.frames
            clusters = self.table.chosen(of_sequence & swept & half_way & whole)
            times = [time for time in self.times if time.movie == sequence.name]
            notes = [note for note in self.notes if note.sequence == sequence.name]
            if len(main):
                yield SequenceResults(sequence, self.plan, main, clusters, times, notes)

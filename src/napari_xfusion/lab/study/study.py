"""A study from sequences to report: computes missing cells, then writes tables, figures and the page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_xfusion.core.files import PART, claim, make_folder
from napari_xfusion.core.recordings import find_recording, open_stack
from napari_xfusion.core.results.lock import OutputLock
from napari_xfusion.core.types import SCALE, Progress, Token
from napari_xfusion.errors import InputError, OutputError
from napari_xfusion.lab.study.cells import Cell, ImageSequence, StoppedError, weights_of
from napari_xfusion.lab.study.figures import draw_figures
from napari_xfusion.lab.study.note import Note, merged
from napari_xfusion.lab.study.pictures import take_pictures
from napari_xfusion.lab.study.plan import Condition, Preset, Series, StudyPlan, read_plan
from napari_xfusion.lab.study.plan import preset as make_preset
from napari_xfusion.lab.study.pool import Task, work
from napari_xfusion.lab.study.report import write_report
from napari_xfusion.lab.study.results import Results, SequenceResults
from napari_xfusion.lab.study.side_by_side import write_side_by_side
from napari_xfusion.lab.study.table import as_columns, join, notes_of, read_cell, write_table
from napari_xfusion.lab.study.times import Time, measure_time, read_time, write_times
from napari_xfusion.lab.workers import cores, share

PLAN = "plan.json"


@dataclass(frozen=True)
class Studied:
    """The outcome of a study."""

    folder: Path
    finished: bool
    """False when it was stopped; the same call resumes it."""
    cells: int
    """Number of completed cells (sequence, condition, method)."""
    total: int
    files: tuple[Path, ...] = ()
    """Tables, report and sequences."""
    notes: tuple[Note, ...] = ()
    """Failures and warnings."""


def run_study(
    movies: Sequence[Path | str],
    folder: Path | str,
    plan: StudyPlan,
    *,
    stop: Token,
    jobs: int | None = None,
    progress: Progress = lambda _done, _total: None,
    command: str = "",
) -> Studied:
    """Run ``plan`` on every sequence and write tables, figures and the report into ``folder``.

    Cells of an earlier call are reused. ``jobs`` processes (default: one for each core) share the
    work; a script that calls this needs the usual ``if __name__ == "__main__":``. ``progress`` counts
    fused frames; ``command`` is quoted in the report. Raises XFusionError for sequences that are none, models
    that are unavailable, and when no cell can be computed.
    """
    sequences, folder = open_sequences(movies), Path(folder)
    claim_folder(folder, plan)
    lock = OutputLock(folder / ".lock")
    lock.acquire(folder)
    try:
        (folder / "cells").mkdir(exist_ok=True)
        for part in folder.rglob(f".*.{PART}"):  # left by a run that was killed
            part.unlink(missing_ok=True)
        return _Study(sequences, folder, plan, stop, progress).run(jobs or cores(), command)
    finally:
        lock.release()


class _Study:
    """One run in a locked folder."""

    def __init__(
        self, sequences: list[ImageSequence], folder: Path, plan: StudyPlan, stop: Token, progress: Progress
    ) -> None:
        self.sequences, self.folder, self.plan, self.stop = sequences, folder, plan, stop
        self.weights = {series: weights_of(series) for series in plan.series}
        self.cells, self.notes = all_cells(sequences, plan)
        self.count = _Count(self.cells, plan, progress)
        self.tasks = [self._task(cell, "cells", "parquet") for cell in self.cells]

    def run(self, jobs: int, command: str) -> Studied:
        cells = self._computed(jobs)
        done = Studied(self.folder, False, len(cells), len(self.tasks), notes=tuple(self.notes))
        if self.stop.is_set():
            return done
        table = join(cells.values())
        files: tuple[Path, ...] = write_table(table, self.folder)
        try:
            times = self._times()
            write_times(times, self.folder / "times.csv")
            weights = {series.name: found for series, found in self.weights.items() if found is not None}
            results = Results(
                as_columns(table), self.plan, self.sequences, times, self.notes, command, weights
            )
            sequences = [self._sequence(sequence_results) for sequence_results in results.each()]
        except StoppedError:
            return done
        files += (self.folder / "times.csv", *sequences, *write_report(results, self.folder))
        return replace(done, finished=True, files=files)

    def _computed(self, jobs: int) -> dict[Task, Any]:
        """Compute missing cells; return all completed ones in the order of the plan."""
        found = {task: read_cell(task.path, task.identity) for task in self.tasks}
        missing = [task for task in self.tasks if found[task] is None]
        self.count.add(sum(len(task.cell.targets) for task in self.tasks if found[task] is not None))
        hint = "rerun the same command with fewer {jobs} to resume"
        problems: dict[Task, str | None] = {}
        share(work, missing, jobs, self.stop, done=problems.__setitem__, count=self.count.beside, hint=hint)
        found |= {task: read_cell(task.path, task.identity) for task in missing}
        cells = {task: cell for task, cell in found.items() if cell is not None}
        if not self.stop.is_set():
            self._told({task: why for task, why in problems.items() if why is not None}, len(cells))
            self.count.cells_done()
        for task, cell in cells.items():
            self.notes += [_note(task.cell, text) for text in notes_of(cell)]
        self.notes = merged(self.notes)
        return cells

    def _task(self, cell: Cell, kind: str, suffix: str) -> Task:
        identity = cell.identity(self.weights.get(cell.series))
        name = f"{cell.sequence.name}, {cell.condition_name}, {cell.series.name}, {identity[:12]}.{suffix}"
        return Task(cell, self.folder / kind / re.sub(r"[^\w ,.%-]", "_", name), identity)

    def _told(self, failed: dict[Task, str], done: int) -> None:
        """Record failures; raise InputError when no cell succeeded."""
        for task, why in failed.items():
            self.notes.append(_note(task.cell, f"could not be computed: {why}"))
        if not done:
            raise InputError(
                self.folder,
                expected="at least one condition that the sequences allow",
                found=str(self.notes[0]) if self.notes else "no condition",
                hint="choose a longer sequence, or edit the plan",
            )

    def _times(self) -> list[Time]:
        """Measure median times of all methods on all sequences, one after the other without parallel work."""
        times = []
        done = {
            (cell.sequence, cell.series): cell
            for cell in reversed(self.cells)
            if cell.series.clusters is None
        }
        for cell in reversed(done.values()) if self.plan.runs else ():
            task = self._task(cell, "times", "json")
            identity = hashlib.sha256(f"{task.identity} {self.plan.runs}".encode()).hexdigest()
            if read_time(task.path, identity) is None:
                task.path.parent.mkdir(exist_ok=True)
                measure_time(cell, task.path, identity, self.stop, self.count.beside)
            if self.stop.is_set():
                raise StoppedError
            self.count.add(self.plan.runs)
            time = read_time(task.path, identity)
            times += [] if time is None else [time]
        return times

    def _sequence(self, results: SequenceResults) -> Path:
        """Draw the figures of a sequence, and write its side-by-side movie."""
        place = self.folder / results.sequence.name
        place.mkdir(exist_ok=True)
        pictures = take_pictures(results, self.stop, self.count.one)
        draw_figures(results, pictures, place)
        return write_side_by_side(results, place, self.stop, self.count.one)


class _Count:
    """Counts done and remaining frames and reports them to ``progress``."""

    def __init__(self, cells: list[Cell], plan: StudyPlan, progress: Progress) -> None:
        sequences = {cell.sequence: len(cell.targets) for cell in cells}
        pictures = 10 * len(plan.series) * len(sequences) + sum(sequences.values())
        self._of_cells = sum(len(cell.targets) for cell in cells)
        self._all = self._of_cells + plan.runs * len(plan.series) * len(sequences) + pictures
        self._done, self._progress = 0, progress

    def add(self, frames: int) -> None:
        """Count more frames as done."""
        self._done = min(self._done + frames, self._all)
        self._progress(self._done, self._all)

    def one(self) -> None:
        """Count one frame as done."""
        self.add(1)

    def beside(self, frames: int) -> None:
        """Report so many done frames in addition to those counted."""
        self._progress(min(self._done + frames, self._all), self._all)

    def cells_done(self) -> None:
        """Count all cells as done."""
        self.add(self._of_cells - self._done)


def open_sequences(movies: Sequence[Path | str]) -> list[ImageSequence]:
    """Open and name the sequences of a study; raises InputError for other files."""
    sequences: list[ImageSequence] = []
    for movie in movies:
        recording, path = find_recording(movie), Path(movie)
        stack = recording.open()
        name = re.sub(r"[^\w.-]", "_", path.name.split(".")[0]) or "sequence"
        taken = {sequence.name for sequence in sequences}
        if name in taken:
            name = next(f"{name}-{k}" for k in range(2, len(movies) + 2) if f"{name}-{k}" not in taken)
        size = stack.shape[1] // SCALE * SCALE, stack.shape[2] // SCALE * SCALE
        sequences.append(ImageSequence(name, recording, stack.digest(), len(stack), size))
    return sequences


def claim_folder(folder: Path, plan: StudyPlan) -> None:
    """Prepare ``folder`` for the study ``plan``; raises OutputError when it contains other files."""
    make_folder(folder)
    path = folder / PLAN
    if not path.exists() and any(not each.name.startswith(".") for each in folder.iterdir()):
        raise OutputError(folder, problem="the folder holds other files", hint="choose another {output}")
    if claim(path, plan, "a study") != plan:
        raise OutputError(
            path,
            problem="the folder holds the study of another plan",
            hint=f"resume with {{plan}} {path}, or choose another folder",
        )


def settle_plan(
    movies: Sequence[Path | str],
    folder: Path,
    *,
    preset: Preset | None = None,
    plan: Path | None = None,
) -> StudyPlan:
    """Return the plan from a file, a preset for these sequences, or that of an interrupted study; default: quick."""
    if plan is None and preset is None and (folder / PLAN).is_file():
        plan = folder / PLAN
    if plan is not None:
        return read_plan(plan)
    return make_preset(preset or "quick", max(len(open_stack(movie)) for movie in movies))


def all_cells(sequences: Sequence[ImageSequence], plan: StudyPlan) -> tuple[list[Cell], list[Note]]:
    """Pair every sequence with every condition and method; note conditions that a sequence is too short for.

    Methods alternate, so that slow ones are spread evenly over the time.
    """
    wanted = [(name, condition, plan.series) for name, condition in plan.conditions.items()]
    for separation in plan.clusters.separations:
        # With HR at the same distance as LR: every 2s-th frame, and targets half way (paper, M7).
        condition = Condition(hr_step=2 * separation, separation=separation)
        swept = tuple(Series(method="bayesian-paper", clusters=f) for f in plan.clusters.fractions)
        wanted.append((f"clusters, separation {separation}", condition, swept))
    cells, notes = [], []
    for sequence in sequences:
        for name, condition, series in wanted:
            targets = Cell(sequence, name, condition, plan.series[0], plan).targets
            if sequence.frames < condition.shortest or not targets:
                text = f"{sequence.frames} frames are too few for condition {name}: it is skipped."
                notes.append(Note(sequence.name, text))
            else:
                cells += [Cell(sequence, name, condition, one, plan) for one in series]
    return cells, notes


def _note(cell: Cell, text: str) -> Note:
    """Make a note on a cell, with the file name instead of its path, because reports are read on other machines."""
    clusters = "" if cell.series.clusters is None else f" ({cell.series.clusters:g} clusters)"
    text = text.replace(str(cell.sequence.recording.path), cell.sequence.recording.path.name)
    return Note(cell.sequence.name, text, cell.condition_name, f"{cell.series.name}{clusters}")

"""One cell of a study: a sequence under one condition by one method, from virtual experiment to rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion._version import __version__
from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.inspect.evaluate import Row, evaluate
from napari_xfusion.core.methods.base import GroupFuser
from napari_xfusion.core.methods.bayesian_paper import PaperStream
from napari_xfusion.core.networks.cards import describe, model_of
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.results.spec import stored
from napari_xfusion.core.rig import Rig, make_rig, neighbours
from napari_xfusion.core.sequence import FusedSequence
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import FusedFrame, Role, Score, Stack, Token
from napari_xfusion.lab.study.plan import Condition, Series, StudyPlan
from napari_xfusion.lab.study.table import ATTENTION, write_cell
from napari_xfusion.lab.virtual.experiment import Experiment, simulate

FrameDone = Callable[[], None]
"""Called after every frame."""


@dataclass(frozen=True)
class ImageSequence:
    """A sequence of the study by its name in tables, unique among them."""

    name: str
    recording: Recording
    sha256: str
    frames: int
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Cell:
    """What is computed at one go and kept in one file."""

    sequence: ImageSequence
    condition_name: str
    condition: Condition
    series: Series
    plan: StudyPlan

    @property
    def targets(self) -> range:
        """LR frame numbers."""
        first, stop = self.plan.frames or (0, self.sequence.frames)
        return range(first, min(stop, self.sequence.frames))

    def identity(self, weights: str | None) -> str:
        """sha256 of all that the rows depend on; ``weights`` is that of the model."""
        series = self.series.model_dump(mode="json") | {"model": self.series.name, "weights": weights}
        asked = [
            __version__,
            self.sequence.name,
            self.sequence.sha256,
            self.condition_name,
            self.condition.model_dump(mode="json"),
            series,
            [self.targets.start, self.targets.stop, self.plan.seed, self.plan.device],
        ]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class StoppedError(Exception):
    """The study was asked to stop in the middle of a cell."""


def weights_of(series: Series) -> str | None:
    """sha256 of the model file of a series; None for methods without. Raises ModelError."""
    if not METHODS[series.method].takes_weights:
        return None
    return describe(model_of(Plan(method=series.method, model=series.model))).sha256


def set_up(cell: Cell) -> tuple[Experiment, Rig]:
    """The virtual experiment of a cell, and its two cameras."""
    experiment, plan = _simulated(cell)
    return experiment, make_rig(plan, experiment.lr, experiment.hr)


def fused(cell: Cell) -> tuple[Experiment, FusedSequence]:
    """The virtual experiment of a cell, and its fused sequence, made when it is read and to be closed."""
    experiment, plan = _simulated(cell)
    return experiment, FusedSequence(plan, experiment.lr, experiment.hr)


def _simulated(cell: Cell) -> tuple[Experiment, Plan]:
    movie, condition = cell.sequence.recording.open(), cell.condition
    experiment = simulate(
        movie, condition.step_in(len(movie)), lr_psnr=condition.lr_psnr, seed=cell.plan.seed
    )
    return experiment, cell.plan.plan_for(cell.series, condition, experiment.hr_times)


def session_of(cell: Cell, rig: Rig) -> Session:
    """The method of a cell at work on its rig."""
    fuser = None
    if cell.series.clusters is not None:
        fuser = GroupFuser(partial(PaperStream, fraction=cell.series.clusters))
    return Session(cell.plan.plan_for(cell.series, cell.condition, ()), rig, fuser)


def fused_sequence(
    rig: Rig, frames: Iterator[FusedFrame], count: int, keep: Callable[[Mapping[Role, Score]], None]
) -> Stack:
    """``frames`` as the sequence that ``fuse`` would write, in HR units and dtype, to be read once and in order.

    ``keep`` is given the attention scores of every frame.
    """
    dtype = np.dtype(rig.hr.dtype)

    def read(_: int) -> NDArray[Any]:
        frame = next(frames, None)
        if frame is None:
            raise StoppedError
        keep(frame.scores)
        return stored(frame.image, dtype)

    return Stack(
        shape=(count, *rig.hr.shape[1:]),
        dtype=dtype,
        read=read,
        digest=str,
        source="the fused sequence",
        clock=rig.fast.clock.select(tuple(range(count))),
    )


def compute(cell: Cell, path: Path, identity: str, stop: Token, done: FrameDone) -> None:
    """Compute a cell into the file ``path``; raises XFusionError, and StoppedError when asked to stop."""
    experiment, rig = set_up(cell)
    scores: list[Mapping[Role, Score]] = []
    with session_of(cell, rig) as session:
        result = fused_sequence(rig, session.frames(cell.targets, stop), len(cell.targets), scores.append)
        compared = evaluate(
            experiment.truth,
            result,
            hr_times=experiment.hr_times,
            first=cell.targets.start,
            progress=lambda _done, _total: done(),
        )
        notes = map(str, (*experiment.notes, *session.notes))
    same = _settings(cell, experiment)
    rows = [
        same | _frame_of(row, rig) | {ATTENTION[role]: score.raw for role, score in found.items()}
        for row, found in zip(compared.rows, scores, strict=True)
    ]
    write_cell(path, rows, identity, notes)


def _settings(cell: Cell, experiment: Experiment) -> dict[str, Any]:
    """The columns that are the same in all rows of a cell."""
    return {
        "movie": cell.sequence.name,
        "condition": cell.condition_name,
        "series": cell.series.name,
        "method": cell.series.method,
        "model": cell.series.model,
        "clusters": cell.series.clusters,
        "hr_step": cell.condition.step_in(cell.sequence.frames),
        "separation": cell.condition.separation,
        "lr_psnr": cell.condition.lr_psnr,
        "lr_psnr_reached": experiment.lr_psnr,
    }


def _frame_of(row: Row, rig: Rig) -> dict[str, Any]:
    before = round(rig.hr_times[neighbours(rig.hr_times, row.frame)[0]])
    frame = {"frame": row.frame, "seen": row.seen, "since_hr": row.frame - before}
    return frame | row.metrics._asdict()

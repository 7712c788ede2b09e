"""A report of all that is known about a result: one page that needs nothing else, and its metadata as RO-Crate."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.files import require_free, write_whole
from napari_xfusion.core.grey import sample_frames
from napari_xfusion.core.holdout.left_out import judged
from napari_xfusion.core.holdout.score import Score, score_rig
from napari_xfusion.core.inspect.consistency import consistency, residual
from napari_xfusion.core.networks.limits import knows_usual, unfamiliar
from napari_xfusion.core.run import check_outputs
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.trust.crate import crate_of, crate_path
from napari_xfusion.core.trust.page import Looked, render
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.trust.summary import (
    UNKNOWN,
    Line,
    interval_line,
    lr_line,
    network_line,
    score_lines,
    sources_line,
    warnings_line,
)
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.errors import InputError, ModelError

FRAMES = 24
"""Frames whose sources and agreement with LR are looked at, evenly spread."""
BUDGET = 20.0
"""Of the score, see ``score_methods``."""
COMPARED = ("interpolation", "flow")
"""Methods that are judged next to that of the result."""


class Report(NamedTuple):
    """What was written."""

    page: Path
    crate: Path
    summary: tuple[Line, ...]


def write_report(
    result: str | PathLike[str] | Result,
    page: str | PathLike[str],
    *,
    overwrite: bool = False,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Report | None:
    """Write a page (.html) about the fused sequence ``result``, and its metadata as RO-Crate next to the page.

    ``result`` is its path, or the result opened.

    Looks at FRAMES frames, and scores the method where there are enough HR frames. None when stopped; nothing is
    written then. Raises InputError without the record or the recordings, OutputError where the files cannot be written.
    """
    stop = stop or threading.Event()
    opened = result if isinstance(result, Result) else Result.open(result)
    place = Path(page)
    crate = crate_path(place)
    sources = [*opened.sequence.files, *(camera.source for camera in opened.record.rig.cameras.values())]
    check_outputs(sources, [place, crate])
    for path in (place, crate):
        require_free(path, overwrite=overwrite)
    looked = list(_look(opened, stop, progress))
    score = _score(opened, stop)
    if score is None or stop.is_set():
        return None
    summary = tuple(_summary(opened, looked, score))
    text = render(opened, looked, score, summary)
    write_whole(place, lambda part: part.write_text(text, encoding="utf-8"))
    facts = json.dumps(crate_of(opened, place), indent=1)
    write_whole(crate, lambda part: part.write_text(facts, encoding="utf-8"))
    return Report(place, crate, summary)


def _look(result: Result, stop: Token, progress: Progress) -> Iterator[Looked]:
    numbers = sample_frames(len(result.sequence), FRAMES)
    for done, number in enumerate(numbers):
        if stop.is_set():
            return
        progress(done, len(numbers))
        shares = result.part(result.sources_of(number))
        yield Looked(number, result.targets[number], shares, _off(result, number))
    progress(len(numbers), len(numbers))


def _off(result: Result, number: int) -> float:
    """Root mean square disagreement of a frame with LR, over what the result shows and both cameras see."""
    image = result.sources.placed(result.targets[number], result.sequence.frame(number), result.region)
    lr = result.reader.lr_frame(result.targets[number])
    off = consistency(image, lr, result.record.rig.grids.down)
    return residual(number, np.where(result.seen, off, np.float32(np.nan))).rms


def _score(result: Result, stop: Token) -> Score | str | None:
    """The score of the result's method and some others, or why there is none; None when stopped."""
    plan = judged(result.record.plan)
    wanted = {plan.method, *COMPARED}
    try:
        cameras = result.record.rig
        rig = rig_of(plan, cameras.fast.open(), cameras.hr.open())
        names = [name for name in METHODS if name in wanted]
        return score_rig(plan, rig, methods=names, budget=BUDGET, stop=stop)
    except InputError as error:
        return str(error)


def _network(result: Result) -> Iterator[Line]:
    """Whether the network was trained on recordings like these; nothing of other methods."""
    plan = result.record.plan
    try:
        if knows_usual(plan):
            yield network_line(familiar=not unfamiliar(plan, result.record.rig))
    except ModelError as error:
        text = f"Whether the network was trained on such recordings is not known: {error}"
        yield Line(UNKNOWN, text, "network")


def _summary(result: Result, looked: Sequence[Looked], score: Score | str) -> Iterator[Line]:
    record = result.record
    if isinstance(score, Score):
        yield from score_lines(score, record.plan.method)
    else:
        yield Line(UNKNOWN, f"How large the error is, is not known: {score}", "error")
    if record.interval is not None:
        yield interval_line(record.interval)
    else:
        yield Line(UNKNOWN, "No intervals were written with the result (fuse --interval).", "interval")
    yield from _network(result)
    yield sources_line(float(np.mean([each.shares.fine["method"] for each in looked])))
    yield lr_line(float(np.nanmean([each.off for each in looked])), record.rig.lr_noise)
    yield warnings_line(len(record.warnings))

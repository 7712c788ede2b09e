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
from napari_xfusion.core.run import check_outputs
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.trust.crate import crate_of
from napari_xfusion.core.trust.page import GOOD, LOOK, UNKNOWN, Line, Looked, render
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.errors import InputError

FRAMES = 24
"""Frames whose sources and agreement with LR are looked at, evenly spread."""
BUDGET = 20.0
"""Of the score, see ``score_methods``."""
COMPARED = ("interpolation", "flow")
"""Methods that are judged next to that of the result."""
MUCH_OWN = 0.3
"""Part of the detail by the method alone that calls for attention."""
ABOVE_NOISE, LEAST_OFF = 1.5, 0.002
"""Disagreement with LR that calls for attention: in its noise, and in addition to it, grey units."""
OFF_COVERAGE = 0.03
"""By which the coverage of intervals may miss what was asked for."""
CRATE = "-ro-crate-metadata.json"


class Report(NamedTuple):
    """What was written."""

    page: Path
    crate: Path
    summary: tuple[Line, ...]


def write_report(
    result: str | PathLike[str],
    page: str | PathLike[str],
    *,
    overwrite: bool = False,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Report | None:
    """Write a page (.html) about the fused sequence ``result``, and its metadata as RO-Crate next to the page.

    Looks at FRAMES frames, and scores the method where there are enough HR frames. None when stopped; nothing is
    written then. Raises InputError without the record or the recordings, OutputError where the files cannot be written.
    """
    stop = stop or threading.Event()
    opened, place = Result.open(result), Path(page)
    crate = place.with_name(place.stem + CRATE)
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


def _summary(result: Result, looked: Sequence[Looked], score: Score | str) -> Iterator[Line]:
    record, method = result.record, result.record.plan.method
    if isinstance(score, Score):
        mine, best = score.of(method), score.best
        told = (
            f"{method} is expected to reach {mine.expected:.1f} dB on unseen frames; HR noise limits it to "
        )
        told += f"{score.ceiling:.1f} dB."
        if best.method != method and score.choice.clear:
            yield Line(LOOK, f"{told} {best.method} is better by {best.expected - mine.expected:.1f} dB.")
        else:
            yield Line(GOOD, told)
        if score.offset is not None:
            yield Line(LOOK, f"The score is {score.offset.gain:.1f} dB better with {score.offset.text}.")
        else:
            yield Line(GOOD, "No other HR times and no other place of LR are better.")
    else:
        yield Line(UNKNOWN, f"How large the error is, is not known: {score}")
    if record.interval is None:
        yield Line(UNKNOWN, "No intervals were written with the result (fuse --interval).")
    else:
        off = abs(record.interval.reached - record.interval.coverage)
        text = f"Intervals of {record.interval.coverage:.0%} contain {record.interval.reached:.1%} of HR left out."
        yield Line(GOOD if off <= OFF_COVERAGE else LOOK, text)
    own = float(np.mean([each.shares.fine["method"] for each in looked]))
    yield Line(
        LOOK if own > MUCH_OWN else GOOD, f"{own:.0%} of the fine detail is in no HR frame: the method's own."
    )
    off, noise = float(np.nanmean([each.off for each in looked])), record.rig.lr_noise
    text = f"Fused frames, binned, differ from LR by {off:.2%} of the grey scale; LR's noise is {noise:.2%}."
    yield Line(LOOK if off > ABOVE_NOISE * noise + LEAST_OFF else GOOD, text)
    count = len(record.warnings)
    yield Line(LOOK if count else GOOD, f"{count or 'No'} warning{'' if count == 1 else 's'} of the run.")

"""The numbers of a fused sequence, frame by frame, for plots and tables: headless, in any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.inspect.attention import NormalisedAttention, normalise
from napari_xfusion.core.inspect.consistency import Residual, residual
from napari_xfusion.core.inspect.evaluate import Evaluation, Row, evaluate_frames
from napari_xfusion.core.results.record import ScoreRecord
from napari_xfusion.core.rig import FrameReader, find_hr_times
from napari_xfusion.core.sequence import FusedSequence, lr_consistency
from napari_xfusion.core.trust.sources import Shares, Sources
from napari_xfusion.core.types import Role, Stack
from napari_xfusion.errors import PairingError
from napari_xfusion.ui.inspection.sequences import Sequences
from napari_xfusion.ui.shared.provenance import fused_in, provenance_of, stack_of


@dataclass(frozen=True)
class FrameNumbers:
    """What is known of one fused frame; None where it cannot be known."""

    frame: int
    """LR frame number."""
    seen: bool
    """Whether an HR frame was given at its time."""
    residual: Residual | None = None
    lr_noise: float = 0.0
    """RMS in grey units of the noise of the LR frame, which is the residual of a perfect result; 0 if not known."""
    row: Row | None = None
    """Against the truth."""
    scores: Mapping[Role, float] | None = None
    """Raw attention scores by input."""
    shares: Shares | None = None
    """Of the sources of its detail."""


def frame_numbers(sequences: Sequences, sequence_of: Callable[[], FusedSequence]) -> Iterator[FrameNumbers]:
    """The numbers of the fused sequence, made as they are asked for; frames that are not fused yet are left out.

    Needs LR, HR and the fused sequence; with a truth, PSNR, AAD and SSIM too. ``sequence_of`` makes the fused sequence
    anew, where a network's scores were not recorded.
    """
    fused, first, rig = stack_of(sequences.fused), sequences.first, sequences.rig()
    times = rig.hr_times
    seen = {round(t) for t in times.tolist()}
    remainder = lr_consistency(sequences.fused_stack(), FrameReader(rig))
    sources = Sources(FrameReader(rig))
    shares = _shares_of(sequences, sources)
    scores = _scores_of(sequences, sequence_of)
    there = fused_in(sequences.fused)
    rows = None if sequences.truth is None else _rows(sequences, fused, times.tolist())
    for i in range(len(fused)):
        row = None if rows is None else next(rows)
        frame = first + i
        if there(frame):
            left = residual(frame, remainder.frame(frame))
            noise = float(np.sqrt(sources.sharp.variance(frame).mean(dtype=np.float64)))
            yield FrameNumbers(frame, frame in seen, left, noise, row, scores(frame), shares(frame))


def evaluation_of(numbers: Sequence[FrameNumbers]) -> Evaluation | None:
    """The comparison with the truth, as the core writes and sums it up; None without a truth."""
    rows = tuple(each.row for each in numbers if each.row is not None)
    return Evaluation(rows) if rows else None


def attention_of(numbers: Sequence[FrameNumbers], hr_times: Sequence[float]) -> NormalisedAttention | None:
    """Normalised backward and forward scores (paper, M10); None where no network looked at HR."""
    known = [each for each in numbers if each.scores and "hr-" in each.scores]
    if not known:
        return None
    backward, forward = ([each.scores[r] for each in known if each.scores] for r in ("hr-", "hr+"))
    return normalise([each.frame for each in known], backward, forward, hr_times)


def hr_times_of(sequences: Sequences) -> NDArray[np.float64]:
    """Times of the HR frames in LR frame numbers; none where they are not known."""
    with suppress(PairingError, ValueError):
        return find_hr_times(*sequences.stacks(), sequences.plan)
    return np.empty(0)


def _rows(sequences: Sequences, fused: Stack, times: list[float]) -> Iterator[Row]:
    truth, region = stack_of(sequences.truth), sequences.plan.region
    if region is not None:
        whole = truth
        cut = slice(region.top, region.bottom), slice(region.left, region.right)
        shape = len(truth), *region.shape
        truth = whole.derive(lambda t: whole.frame(t)[cut], shape, whole.dtype)
    return evaluate_frames(truth, fused, hr_times=times, first=sequences.first)


def _shares_of(sequences: Sequences, sources: Sources) -> Callable[[int], Shares]:
    """Shares of the sources of a frame, in the part of the image that is fused and that both cameras see."""
    fused, first, region = stack_of(sequences.fused), sequences.first, sequences.plan.region
    part = sources.seen & sources.within(region)
    return lambda frame: sources.of(frame, fused.frame(frame - first), region).part(part)


def _scores_of(
    sequences: Sequences, sequence_of: Callable[[], FusedSequence]
) -> Callable[[int], Mapping[Role, float] | None]:
    """Where scores come from: the run's record, else the network once more, else nowhere."""
    if sequences.method is None or not METHODS[sequences.method].takes_weights:
        return lambda _frame: None
    made = provenance_of(sequences.fused) if sequences.fused is not None else None
    recorded: dict[int, Mapping[str, ScoreRecord]] = {}
    if made is not None and made.record is not None:
        recorded = {each.frame: each.scores for each in made.record.frames}
    if recorded and all(recorded.values()):
        return lambda frame: {cast("Role", role): score.raw for role, score in recorded[frame].items()}
    sequence = sequence_of()
    return lambda frame: {role: score.raw for role, score in sequence.frame(frame).scores.items()}

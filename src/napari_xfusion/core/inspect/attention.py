"""Which HR frame a network used: attention scores along the sequence (paper, M9 and M10, Fig. 7).

A score is the spatial mean of the temporal attention of one input frame to the reference LR frame, before
the sigmoid; backward is that of the previous HR frame, forward that of the next.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.types import ROLES

Scores = NDArray[np.float64]
LEAST_UNIT = 0.1
"""Smallest score at an HR frame, as a share of the largest, by which scores may be divided."""

ATTENTION_COLUMNS = (
    "frame",
    "seen",
    *(f"{role} {kind}" for role in ROLES for kind in ("raw", "sigmoid")),
    "backward",
    "forward",
    "normalised",
)
"""Of the table that ``write_attention`` writes."""


@dataclass(frozen=True, eq=False)
class NormalisedAttention:
    """Attention normalised so that HR intervals can be compared; one entry per target, (T,) each."""

    frame: NDArray[np.int_]
    relative: NDArray[np.int_]
    """LR frames since the previous HR frame."""
    backward: Scores
    """1 at the HR frame's own time; NaN where that time was not fused."""
    forward: Scores
    of: Literal["score", "weight"]
    """The quantity that was divided: scores as in the paper, or weights, after the sigmoid."""


def normalise(
    frame: Sequence[int], backward: Sequence[float], forward: Sequence[float], hr_times: Sequence[float]
) -> NormalisedAttention:
    """Divide both directions by the backward score at the previous HR frame's own time (paper, M10).

    ``frame`` (T,) are the targets, ``backward`` and ``forward`` (T,) their raw scores, ``hr_times`` (N,)
    the times of the HR frames in LR frame numbers. Targets before the first HR frame are left out.

    The paper's scores are positive. Those of a network may also be negative or near zero, where ratios would
    invert the curves or have no scale; then weights 1 / (1 + exp(-score)) are divided.
    """
    frames = np.asarray(frame, dtype=int)
    starts = np.rint(np.asarray(hr_times, dtype=float)).astype(int)
    inside = frames >= starts[0]
    frames, back, ahead = frames[inside], np.asarray(backward)[inside], np.asarray(forward)[inside]
    start = starts[np.searchsorted(starts, frames, side="right") - 1]
    at_start = dict(zip(frames.tolist(), back.tolist(), strict=True))
    unit = np.array([at_start.get(s, np.nan) for s in start.tolist()], dtype=float)
    scores = np.concatenate([back, ahead])
    known = scores[np.isfinite(scores)]
    least = LEAST_UNIT * np.abs(known).max(initial=0)
    of: Literal["score", "weight"] = "weight" if (unit <= least).any() or (known < 0).any() else "score"
    if of == "weight":
        back, ahead, unit = scipy.special.expit(back), scipy.special.expit(ahead), scipy.special.expit(unit)
    return NormalisedAttention(frames, frames - start, back / unit, ahead / unit, of)


def histogram(relative: NDArray[np.int_], score: Scores, bins: int = 50) -> tuple[Scores, Scores, Scores]:
    """Return the 2-D histogram of the paper: counts (bins, R) of scores at each relative frame, and both edges.

    Scores run from the smallest to the largest finite one; NaN is left out.
    """
    known = np.isfinite(score)
    relative, score = relative[known], score[known]
    low, high = (float(score.min()), float(score.max())) if score.size else (0.0, 1.0)
    score_edges: Scores = np.linspace(low, high if high > low else low + 1, bins + 1, dtype=np.float64)
    frame_edges: Scores = np.arange(int(relative.max(initial=0)) + 2, dtype=np.float64) - 0.5
    counts, _, _ = np.histogram2d(score, relative, bins=(score_edges, frame_edges))
    return counts, score_edges, frame_edges


def write_attention(path: Path, frames: Sequence[Mapping[str, Any]], hr_times: Sequence[float]) -> None:
    """Return a CSV table with one row per target, from the ``frames`` of a run record.

    Columns: frame, seen, each role's raw and sigmoid score, normalised backward and forward attention
    (``normalise``) and the quantity that was divided; empty where a score does not exist.
    """
    first_hr = round(hr_times[0])
    hr_scores = [
        frame["scores"].get(role, {}).get("raw", np.nan) for role in ("hr-", "hr+") for frame in frames
    ]
    back, ahead = np.reshape(np.asarray(hr_scores, dtype=float), (2, -1))
    numbers = [int(frame["frame"]) for frame in frames]
    normal = normalise(numbers, back.tolist(), ahead.tolist(), hr_times)
    missing = sum(number < first_hr for number in numbers)
    padded = (np.concatenate([np.full(missing, np.nan), x]) for x in (normal.backward, normal.forward))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(ATTENTION_COLUMNS)
        for frame, backward, forward in zip(frames, *padded, strict=True):
            scores = [
                frame["scores"].get(role, {}).get(kind) for role in ROLES for kind in ("raw", "sigmoid")
            ]
            writer.writerow(
                [frame["frame"], int(frame["seen"]), *map(_text, (*scores, backward, forward)), normal.of]
            )


def _text(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.6g}"

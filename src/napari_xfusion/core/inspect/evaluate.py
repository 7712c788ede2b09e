"""Comparison of a fused sequence with the truth: PSNR, AAD and SSIM per frame and over all and unseen frames."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_xfusion.core.grey import fill_invalid, percentile_map
from napari_xfusion.core.inspect.metrics import Metrics, measure
from napari_xfusion.core.types import Progress, Stack
from napari_xfusion.errors import InputError

EVALUATION_COLUMNS = ("frame", "seen", *Metrics._fields)
"""Of the table that ``Evaluation.write_csv`` writes."""
SCALE_FRAMES = 256
"""Number of frames of the truth that are sampled for the grey scale; shorter sequences are read completely."""


class Row(NamedTuple):
    """One frame of the comparison."""

    frame: int
    seen: bool | None
    """Whether an HR frame was given at its time; None when unknown."""
    metrics: Metrics


@dataclass(frozen=True)
class Evaluation:
    """The numbers of a sequence."""

    rows: tuple[Row, ...]

    def summary(self) -> dict[str, Any]:
        """Return ``{"all": {"frames": N, "identical": N, "psnr": {"mean", "median", "max"}, ...}, "unseen": ...}``.

        Frames identical to the truth have no finite PSNR and are excluded from its statistics; ``identical``
        counts them. ``unseen`` is None when the HR times are unknown, and so is a statistic of no frame.
        """
        known = all(row.seen is not None for row in self.rows)
        unseen = [row.metrics for row in self.rows if not row.seen]
        return {
            "all": _summarise([row.metrics for row in self.rows]),
            "unseen": _summarise(unseen) if known else None,
        }

    def write_csv(self, path: Path) -> None:
        """Write one row per frame: frame, seen, psnr, aad, ssim, ssim_gaussian."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(EVALUATION_COLUMNS)
            for row in self.rows:
                seen = "" if row.seen is None else int(row.seen)
                writer.writerow([row.frame, seen, *(f"{value:.6g}" for value in row.metrics)])


def write_summaries(path: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Write one row per method for all and for unseen frames, with mean, median and maximum of each metric."""
    columns = [f"{name} {kind}" for name in Metrics._fields for kind in ("mean", "median", "max")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "frames", "count", "identical", *columns])
        for method, evaluation in evaluations.items():
            for kind, numbers in evaluation.summary().items():
                if numbers is not None:
                    values = [v for name in Metrics._fields for v in numbers[name].values()]
                    texts = ["" if value is None else f"{value:.6g}" for value in values]
                    writer.writerow([method, kind, numbers["frames"], numbers["identical"], *texts])


def evaluate(
    truth: Stack,
    result: Stack,
    *,
    hr_times: Sequence[float] | None = None,
    first: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> Evaluation:
    """Compare ``result`` (T, H, W) with ``truth``, all frames: PSNR in dB, AAD in grey levels, SSIM.

    ``progress`` counts frames; the grey scale, the other settings and the errors are those of
    ``evaluate_frames``.
    """
    rows = []
    for row in evaluate_frames(truth, result, hr_times=hr_times, first=first):
        rows.append(row)
        progress(len(rows), len(result))
    return Evaluation(tuple(rows))


def evaluate_frames(
    truth: Stack, result: Stack, *, hr_times: Sequence[float] | None = None, first: int = 0
) -> Iterator[Row]:
    """Compare ``result`` with ``truth``, frame by frame.

    Both are mapped to the grey scale of the truth (its 0.35 and 99.65 percentiles become 0 and 1, clipped).
    ``hr_times`` (LR frame numbers) separate seen from unseen frames; frame 0 of the result is frame
    ``first`` of the truth. Raises InputError at the call when the sequences do not fit.
    """
    if truth.shape[1:] != result.shape[1:] or first + len(result) > len(truth):
        raise InputError(
            result.source,
            expected=f"frames of {truth.shape[1:]} pixels, at most {len(truth) - first} of them, as in "
            f"{truth.source} from frame {first}",
            found=f"{len(result)} frames of {result.shape[1:]}",
            hint="compare sequences of the same size and length",
        )

    def rows() -> Iterator[Row]:
        scale, _ = percentile_map(truth, SCALE_FRAMES)
        seen = None if hr_times is None else {round(t) for t in hr_times}
        for i in range(len(result)):
            images = (fill_invalid(stack.frame(j))[0] for stack, j in ((truth, first + i), (result, i)))
            a, b = (np.clip(scale.to_grey(image), 0, 1) for image in images)
            yield Row(first + i, None if seen is None else first + i in seen, measure(a, b))

    return rows()


def _summarise(metrics: Sequence[Metrics]) -> dict[str, Any]:
    summary: dict[str, Any] = {"frames": len(metrics), "identical": sum(m.psnr == math.inf for m in metrics)}
    for name in Metrics._fields:
        values = np.array([value for m in metrics if math.isfinite(value := getattr(m, name))])
        if values.size:
            mean, median, highest = values.mean(), np.median(values), values.max()
            summary[name] = {"mean": float(mean), "median": float(median), "max": float(highest)}
        else:
            summary[name] = {"mean": None, "median": None, "max": None}
    return summary

"""Intervals for recordings with too few HR frames to leave some out: from simulated shots, for each method.

    OMP_NUM_THREADS=1 python benchmarks/simulated_intervals.py

The shots are those of ``benchmarks/score.py`` (three of each kind of scene), with three HR frames. Errors of unseen
frames are sorted into the groups of ``core.holdout.intervals``; the quantiles of a group, in standard deviations of the
HR noise, become src/napari_xfusion/core/holdout/simulated.json. What they cover is judged on each kind of scene with
quantiles from the other kinds: mean and standard deviation over the shots. Takes some minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import DEFAULT_METHOD, training_free
from napari_xfusion.core.holdout import intervals
from napari_xfusion.core.holdout.noise import noise_curve
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.lab.scenes import KINDS
from score import STEP, scene_shot

PLACE = Path(intervals.__file__).with_name("simulated.json")
HR_FRAMES, SHOTS, TARGETS, PIXELS = 3, 27, 10, 1200


class Errors(NamedTuple):
    """Of some pixels of a shot, over the HR noise, and their groups."""

    kind: str
    size: NDArray[np.float64]
    difficulty: NDArray[np.intp]
    change: NDArray[np.intp]


def errors_of(number: int, method: str) -> Errors:
    """Errors of unseen frames of shot ``number``."""
    shot, rng = scene_shot(number), np.random.default_rng(number)
    last = STEP * (HR_FRAMES - 1)
    plan = make_plan(hr_step=STEP, method=method, device="cpu")
    rig = rig_of(plan, shot.lr[: last + 1], shot.hr[:HR_FRAMES])
    targets = [t for t in np.linspace(1, last - 1, TARGETS).round().astype(int).tolist() if t % STEP]
    found = []
    with Session(plan, rig, make_fuser(plan)) as session:
        curve, units = noise_curve(session.reader), rig.hr.grey
        for frame in session.frames(targets, Event()):
            std = None if frame.std is None else frame.std / np.float32(units.span)
            image = units.to_grey(frame.image)
            fused = intervals._Fused(float(frame.index), image, std, None)
            fields = intervals._fields(session.reader, fused, curve)
            size = np.abs(units.to_grey(shot.seen[frame.index]) - image) / fields.noise
            some = rng.integers(0, size.size, PIXELS)
            found.append([each.ravel()[some] for each in (size, fields.difficulty, fields.change)])
    kind = list(KINDS)[number % len(KINDS)]
    return Errors(kind, *(np.concatenate(each) for each in zip(*found, strict=True)))


def widths(shots: list[Errors], coverage: float) -> NDArray[np.float64]:
    """Quantiles by group of all ``shots`` together."""
    size, difficulty, change = (np.concatenate([shot[i] for shot in shots]) for i in (1, 2, 3))
    return intervals._widths_of(size, difficulty, change, coverage)


def table_of(method: str) -> dict[str, Any]:
    """Quantiles for ``method``, and what they cover of other kinds of scenes."""
    shots = [errors_of(number, method) for number in range(SHOTS)]
    reached = []
    for level in intervals.LEVELS:
        shares = []
        for shot in shots:
            table = widths([each for each in shots if each.kind != shot.kind], level)
            shares.append(float(np.mean(shot.size <= table[shot.difficulty, shot.change])))
        reached.append((round(float(np.mean(shares)), 3), round(float(np.std(shares)), 3)))
        print(f"{method} {level}: {np.mean(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})", flush=True)
    return {
        "widths": [widths(shots, level).round(2).tolist() for level in intervals.LEVELS],
        "reached": [mean for mean, _ in reached],
        "scatter": [std for _, std in reached],
    }


def main() -> None:
    """Write the file."""
    cv2.setNumThreads(1)
    names = (*(each.name for each in training_free()), DEFAULT_METHOD)
    tables = {method: table_of(method) for method in names}
    PLACE.write_text(json.dumps(tables, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

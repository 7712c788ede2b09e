"""Whether source maps and intervals show a planted lie, and whether real detail is attributed to its HR frame.

    python benchmarks/sources.py [--trials 100] [--methods lite,flow]

Shots are those of ``benchmarks/score.py`` (all kinds of scenes in turn; HR 160x240, HR and LR noise). *Lie*: a spot or
a line (3 to 9 HR pixels across, of 5 to 30 % of the grey scale, bright or dark) is put into a fused image at an
unseen target. It is *shown* where the method alone has the largest share at its place and at least half of the lie is
in what is the method's own; it is *outside* where half of its pixels lie outside of the interval of 90 % about
the image without it. *Elsewhere* is the part of the other pixels for which the method alone has the largest
share. *Real*: the same is put into one HR frame next to the target, without what LR could see, and into the image as
if the method had taken it from there: attributed where that frame has the largest share of detail at its place.
"""

from __future__ import annotations

import argparse
import sys
from threading import Event

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout.intervals import Intervals, calibrate_intervals
from napari_xfusion.core.holdout.left_out import judged
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.trust.sources import FINE, METHOD, SourceMap, Sources
from score import STEP, Shot, scene_shot

SEED = 4


def lie(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """A spot or a line (H, W), peak 0.05 to 0.3, bright or dark, somewhere but the rim."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    cy, cx = (rng.uniform(16, side - 16) for side in shape)
    size, angle = rng.uniform(1.5, 4.5) / 2, rng.uniform(0, np.pi)
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
    length = size if rng.random() < 0.5 else rng.uniform(8, 14)
    peak = rng.choice([-1, 1]) * rng.uniform(0.05, 0.3)
    return (peak * np.exp(-((across / size) ** 2) / 2 - (along / length) ** 2 / 2)).astype(np.float32)


def shown(found: SourceMap, planted: NDArray[np.float32], before: SourceMap) -> tuple[bool, float]:
    """Whether the map shows the lie, and the part of the pixels elsewhere that are the method's own."""
    place = np.abs(planted) > np.abs(planted).max() / 2
    large = np.kron(found.main == METHOD, np.ones((4, 4), bool))
    own = float(np.sum(found.alone * planted) / np.sum(planted**2)) - float(
        np.sum(before.alone * planted) / np.sum(planted**2)
    )
    return bool(large[place].mean() >= 0.5 and own >= 0.5), float((before.main == METHOD).mean())


def trials(
    shot: Shot, method: str, count: int, rng: np.random.Generator
) -> list[tuple[bool, bool, float, float]]:
    """For each trial: shown, outside, elsewhere, part of the energy that is the method's own."""
    plan = make_plan(hr_step=STEP, method=method)
    rig = rig_of(plan, shot.lr, shot.hr)
    fuser = make_fuser(plan)
    intervals = calibrate_intervals(judged(plan), rig, fuser, budget=60)
    assert isinstance(intervals, Intervals)
    targets = rng.choice(shot.unseen(), count, replace=False).tolist()
    found = []
    with Session(plan, rig, fuser) as session:
        sources, span = Sources(session.reader), rig.hr.grey.span
        for frame in session.frames(targets, Event()):
            planted = lie(frame.image.shape, rng)
            half = intervals.half_widths(frame, session.reader, None) / span
            before = sources.of(frame.index, frame.image)
            after = sources.of(frame.index, frame.image + planted * span)
            place = np.abs(planted) > np.abs(planted).max() / 2
            outside = float(np.mean(np.abs(planted)[place] > half[place])) >= 0.5
            seen, elsewhere = shown(after, planted, before)
            found.append((seen, outside, elsewhere, before.part(sources.seen).fine["method"]))
    return found


def real(shot: Shot, count: int, rng: np.random.Generator) -> list[bool]:
    """Whether fine detail of one HR frame is attributed to it."""
    found = []
    plan: Plan = make_plan(hr_step=STEP, method="flow", correct=())
    for _ in range(count):
        k = int(rng.integers(1, len(shot.hr) - 1))
        t = STEP * k + int(rng.choice([-1, 1]) * rng.integers(1, 6))
        span = float(np.subtract(*np.percentile(shot.hr, (99.65, 0.35))))
        planted = lie(shot.hr.shape[1:], rng) * span
        h, w = shot.lr.shape[1:]
        low = planted.reshape(h, 4, w, 4).mean(axis=(1, 3))
        planted -= np.kron(low, np.ones((4, 4))).astype(np.float32)
        hr = shot.hr.copy()
        hr[k] += planted
        with Session(plan, rig_of(plan, shot.lr, shot.hr)) as session:
            (frame,) = session.frames([t], Event())
        sources = Sources(FrameReader(rig_of(plan, shot.lr, hr)))
        result = sources.of(t, frame.image + planted)
        place = np.abs(planted) > np.abs(planted).max() / 2
        fine = result.energy.repeat(4, axis=1).repeat(4, axis=2)[:, place].sum(axis=1)
        kind = "before" if STEP * k < t else "after"
        names = [source.name for source in FINE]
        own = sum(e for name, e in zip(names, fine, strict=True) if name.startswith(kind))
        other = max(e for name, e in zip(names, fine, strict=True) if not name.startswith(kind))
        found.append(bool(own > other))
        print(f"    {shot.name} {kind} {t - STEP * k} {fine / fine.sum()}", file=sys.stderr)
    return found


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--methods", default="lite,flow,interpolation")
    arguments = parser.parse_args()
    kinds, each = 9, -(-arguments.trials // 9)
    print("| method | shown | outside | either | elsewhere | method's own |\n|---|---|---|---|---|---|")
    for method in arguments.methods.split(","):
        rng, rows = np.random.default_rng(SEED), []
        for number in range(kinds):
            rows += trials(scene_shot(number), method, each, rng)
            some = np.array(rows[-each:], float)
            print(f"  {number} {some.mean(axis=0).round(3)}", file=sys.stderr, flush=True)
        seen, outside, elsewhere, own = np.array(rows, float).T
        either = np.maximum(seen, outside)
        print(
            f"| {method} | {seen.mean():.3f} | {outside.mean():.3f} | {either.mean():.3f} | {elsewhere.mean():.3f} |"
            f" {own.mean():.3f} |",
            flush=True,
        )
    rng = np.random.default_rng(SEED)
    found = [x for number in range(kinds) for x in real(scene_shot(number), -(-each // 2), rng)]
    print(f"\nreal detail attributed to its HR frame: {sum(found)} of {len(found)}")


if __name__ == "__main__":
    sys.exit(main())

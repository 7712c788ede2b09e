"""How well leaving out HR frames tells the error of unseen frames, and what calibrated intervals cover.

    python benchmarks/score.py --shots 7 [--movies MOVIE.tif ...] [--offsets 7] [--big]

Simulated shots of all kinds of scenes (HR 160x240 pixels, 121 LR frames, an HR frame every 20, LR noise of 32 to 42
dB, HR noise of 0.4 to 2 % of the grey scale), and movies as truth, with an HR frame every 20th frame, or more often
where there would be fewer than 7.

*Score.* ``left out`` is the mean PSNR of HR frames left out one at a time, ``expected`` what the score says of unseen
targets, ``true`` that of two of three unseen targets against the truth with the HR camera's noise. *Intervals* of 90 %:
coverage of the same frames, of all pixels, of those that move (0.01 of the grey scale against the nearer HR frame)
and of the others, and the mean half width against that of the oracle, which knows the quantiles of the true errors in
the same groups. *Offsets*: HR times stated 0.5 LR frames wrong, and LR shifted by 1 HR pixel; what the score finds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout import intervals as calibrated
from napari_xfusion.core.holdout.compare import decibels
from napari_xfusion.core.holdout.intervals import calibrate_intervals
from napari_xfusion.core.holdout.score import SCORED, Score, score_methods
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.rig import Rig
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.lab.scenes import KINDS, make_scene

HR, FRAMES, STEP, SEED = (160, 240), 121, 20, 91_000
MOVING = 0.01
"""Grey units by which a pixel differs from the nearer HR frame, blurred by 2 pixels, where something moves."""
INTERVALS = ("interpolation", "flow", "bayesian", "lite")
LATE, SHIFT = 0.5, 1
Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Shot:
    """Two recordings of an event, and the event."""

    name: str
    lr: Images
    seen: Images
    """(T, H, W): what the HR camera would have recorded at all times."""
    truth: Images
    """(T, H, W): the same without noise."""
    step: int

    @property
    def hr(self) -> Images:
        """What it did record."""
        return self.seen[:: self.step]

    def unseen(self) -> list[int]:
        """Two of three targets without an HR frame, inside the HR recording."""
        last = self.step * (len(self.hr) - 1)
        return [t for t in range(last) if t % self.step and t % 3]


def scene_shot(number: int, late: float = 0.0, shift: int = 0) -> Shot:
    """Shot ``number``; LR of scenes is ``late`` LR frames, and shifted by ``shift`` HR pixels down."""
    rng = np.random.default_rng([SEED, number])
    name, kind = list(KINDS.items())[number % len(KINDS)]
    scene = make_scene(kind, HR, rng).steady  # pairing takes flicker off
    truth = np.stack([scene.image(t - FRAMES / 2) for t in range(FRAMES)])
    source = truth if not late else np.stack([scene.image(t + late - FRAMES / 2) for t in range(FRAMES)])
    return _recorded(name, truth, np.roll(source, shift, axis=1), rng, STEP)


def _recorded(name: str, truth: Images, source: Images, rng: np.random.Generator, step: int) -> Shot:
    span = float(np.subtract(*np.percentile(truth[::10], (99.65, 0.35))))
    noise, lr_noise = rng.uniform(0.004, 0.02), 10 ** (-rng.uniform(32, 42) / 20)
    T, H, W = source.shape
    lr = source.reshape(T, H // 4, 4, W // 4, 4).mean(axis=(2, 4))
    lr = lr + span * lr_noise * rng.standard_normal(lr.shape)
    seen = truth + span * noise * rng.standard_normal(truth.shape, dtype=np.float32)
    return Shot(name, lr.astype(np.float32), seen.astype(np.float32), truth, step)


def movie_shot(path: Path) -> Shot:
    """A movie as truth, its own noise included; LR with noise."""
    stack = open_stack(path)
    count = min(len(stack), FRAMES)
    H, W = (side // 4 * 4 for side in stack.shape[1:])
    truth = np.stack([stack.frame(t)[:H, :W] for t in range(count)]).astype(np.float32)
    step = min(STEP, (count - 1) // 6)
    lr = truth.reshape(count, H // 4, 4, W // 4, 4).mean(axis=(2, 4))
    span = float(np.subtract(*np.percentile(truth[::10], (99.65, 0.35))))
    lr = lr + 0.005 * span * np.random.default_rng(SEED).standard_normal(lr.shape)
    return Shot(path.parent.name, lr.astype(np.float32), truth, truth, step)


def shots(arguments: argparse.Namespace) -> Iterator[Shot]:
    """All shots that are asked for."""
    yield from (scene_shot(number) for number in range(arguments.shots))
    yield from map(movie_shot, arguments.movies)


def true_psnr(shot: Shot, rig: Rig, method: str) -> float:
    """Mean PSNR of unseen targets against what the HR camera would have recorded."""
    plan, grey = make_plan(hr_step=shot.step, method=method), rig.hr.grey
    found = []
    with Session(plan, rig) as session:
        for frame in session.frames(shot.unseen(), Event()):
            a, b = (np.clip(grey.to_grey(x), 0, 1) for x in (shot.seen[frame.index], frame.image))
            found.append(decibels(float(np.mean((a - b) ** 2))))
    return float(np.mean(found))


def judge(shot: Shot) -> tuple[Score, dict[str, float]]:
    """The score of a shot, and the truth."""
    plan = make_plan(hr_step=shot.step)
    rig = rig_of(plan, shot.lr, shot.hr)
    score = score_methods(plan, shot.lr, shot.hr, budget=200)
    assert score is not None
    return score, {method: true_psnr(shot, rig, method) for method in SCORED}


def coverage(shot: Shot, method: str) -> tuple[float, ...]:
    """Stated coverage and its error; coverage of unseen targets: all, moving, static; width against the oracle's."""
    plan = make_plan(hr_step=shot.step, method=method)
    rig, fuser = rig_of(plan, shot.lr, shot.hr), make_fuser(plan)
    found = calibrate_intervals(plan, rig, fuser, budget=200)
    assert found is not None
    grey, parts, rng = rig.hr.grey, [], np.random.default_rng(0)
    with Session(plan, rig, fuser) as session:
        for frame in session.frames(shot.unseen(), Event()):
            half = found.half_widths(frame, session.reader, None)
            error = np.abs(shot.seen[frame.index] - frame.image) / grey.span
            group, noise = groups(found, frame, session.reader)
            fields = half / grey.span, error, group, noise, moving(shot, rig, frame.index)
            some = rng.integers(0, error.size, 8000)
            parts.append([field.ravel()[some] for field in fields])
    half, error, group, noise, moves = (np.concatenate(part) for part in zip(*parts, strict=True))
    oracle = np.zeros_like(half)
    for g in np.unique(group):
        same = group == g
        oracle[same] = np.quantile(error[same] / noise[same], found.coverage) * noise[same]
    inside = error <= half
    shares = [inside[which].mean() if which.sum() > 500 else np.nan for which in (moves, ~moves)]
    return found.reached, found.reached_error, inside.mean(), *shares, half.mean() / oracle.mean()


def groups(found: calibrated.Intervals, frame: Any, reader: Any) -> tuple[NDArray[np.intp], Images]:
    """The group of each pixel, and the HR noise there."""
    units = reader.rig.hr.grey
    std = None if frame.std is None else frame.std / np.float32(units.span)
    fused = calibrated._Fused(float(frame.index), units.to_grey(frame.image), std, None)
    fields = calibrated._fields(reader, fused, found.curve)
    return 100 * fields.difficulty + fields.change, fields.noise


def moving(shot: Shot, rig: Rig, target: int) -> NDArray[np.bool_]:
    """Where the truth differs from that at the nearer HR frame."""
    here, ends = shot.truth[target], neighbours(rig.hr_times, target)
    away = [np.abs(here - shot.truth[int(rig.hr_times[k])]) / rig.hr.grey.span for k in ends]
    return np.asarray(np.minimum(*(cv2.GaussianBlur(each, (0, 0), 2) for each in away)) > MOVING)


def score_tables(arguments: argparse.Namespace) -> None:
    """Print what the score says, and the truth."""
    print("| shot | ceiling | " + " | ".join(SCORED) + " | recommended | best |")
    print("|---|" + "---|" * (len(SCORED) + 3))
    errors: dict[str, list[float]] = {method: [] for method in SCORED}
    direct = {method: [] for method in SCORED}
    for shot in shots(arguments):
        score, truth = judge(shot)
        cells = []
        for method in SCORED:
            one = score.of(method)
            errors[method].append(one.expected - truth[method])
            direct[method].append(one.psnr - truth[method])
            cells.append(f"{one.psnr:.2f} / {one.expected:.2f} / {truth[method]:.2f}")
        best = max(truth, key=lambda name: truth[name])
        lost = truth[best] - truth[score.choice.method]
        print(
            f"| {shot.name} | {score.ceiling:.2f} | "
            + " | ".join(cells)
            + f" | {score.choice.method} | {best} ({lost:.2f}) |",
            flush=True,
        )
    print("\n| | " + " | ".join(SCORED) + " | all |\n|---|" + "---|" * (len(SCORED) + 1))
    for name, kind in (("left out", direct), ("expected", errors)):
        lists = [*kind.values(), [x for each in kind.values() for x in each]]
        cells = [f"{np.median(np.abs(each)):.2f} ({np.max(np.abs(each)):.2f})" for each in lists]
        print(f"| {name}: median and largest difference, dB | " + " | ".join(cells) + " |", flush=True)


def interval_tables(arguments: argparse.Namespace) -> None:
    """Print what the intervals cover."""
    print(
        "\n| shot | method | stated | all | moving | static | width / oracle's |\n|---|---|---|---|---|---|---|"
    )
    for shot in shots(arguments):
        for method in INTERVALS:
            reached, error, *shares, width = coverage(shot, method)
            cells = " | ".join("-" if np.isnan(share) else f"{share:.3f}" for share in shares)
            print(
                f"| {shot.name} | {method} | {reached:.3f} ± {error:.3f} | {cells} | {width:.2f} |",
                flush=True,
            )


def offset_table(count: int) -> None:
    """Print what the score finds of wrong HR times and shifted LR."""
    print("\n| shot | stated times wrong by | found | LR shifted by | found |\n|---|---|---|---|---|")
    for number in range(count):
        cells = []
        for late, shift in ((LATE, 0), (0.0, SHIFT)):
            shot = scene_shot(number, late, shift)
            plan = make_plan(hr_step=STEP, correct=("frames", "pixels"))
            score = score_methods(plan, shot.lr, shot.hr, budget=30, methods=["interpolation", "flow"])
            offset = None if score is None else score.offset
            cells.append(
                f"{late or shift} | {'-' if offset is None else f'{offset.text} ({offset.gain:.2f} dB)'}"
            )
        print(f"| {shot.name} | " + " | ".join(cells) + " |", flush=True)


def big_shot() -> None:
    """Print the time of the score of 450 LR frames of 100x256 pixels and 23 HR frames of 400x1024."""
    rng, (H, W) = np.random.default_rng(0), (400, 1024)
    ground = cv2.GaussianBlur(rng.standard_normal((H, W + 600)).astype(np.float32), (0, 0), 2)
    y, x = np.mgrid[:H, :W].astype(np.float32)

    def image(t: int) -> Images:
        edge = np.hypot(y - 200 - 30 * np.sin(t / 9), x - 200 - 1.3 * t) - 40 - 8 * np.sin(t / 5)
        return (0.5 + ground[:, 100 : 100 + W] - 0.3 * np.clip(0.5 - edge / 2, 0, 1)).astype(np.float32)

    lr = np.stack([image(t).reshape(H // 4, 4, W // 4, 4).mean(axis=(1, 3)) for t in range(450)])
    lr += 0.01 * rng.standard_normal(lr.shape, dtype=np.float32)
    hr = np.stack([image(t) + 0.015 * rng.standard_normal((H, W)) for t in range(0, 450, 20)]).astype(
        np.float32
    )
    began = perf_counter()
    score = score_methods(make_plan(hr_step=20), lr, hr)
    assert score is not None
    steps = [(step.count, step.frames) for step in score.best.steps]
    print(
        f"\n450 frames of 400x1024: {perf_counter() - began:.1f} s, frames left out {steps}, {score.choice}"
    )


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--movies", type=Path, nargs="*", default=[])
    parser.add_argument("--offsets", type=int, default=0)
    parser.add_argument("--big", action="store_true")
    arguments = parser.parse_args()
    if arguments.shots or arguments.movies:
        score_tables(arguments)
        interval_tables(arguments)
    offset_table(arguments.offsets)
    if arguments.big:
        big_shot()


if __name__ == "__main__":
    sys.exit(main())

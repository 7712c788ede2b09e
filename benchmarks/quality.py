"""PSNR, AAD and SSIM of every method and bundled model on sequences that no model was trained on.

    python benchmarks/quality.py scenes [--steps 20] [--lr-psnr 20] [--scenes 3] [--methods flow lite]
    python benchmarks/quality.py SEQUENCE... [--steps 4 10]            TIFF stacks, folders, movies
    python benchmarks/quality.py static SEQUENCE                       does the result of a static recording move?

`scenes` are new ones of each kind (256x256; seeds apart from those of training), recorded by a camera that
detects 6000 photons at the intensity of the free beam, with a read noise of 0.15 %. LR is the mean of 4x4
pixels of that sequence, with photon noise for the LR PSNR asked for. Figures are means over evenly spaced
targets without an HR frame of their own, on the scale of the sequence's 0.35 and 99.65 percentiles, against the
sequence itself (`noisy`) and, for scenes, against what the camera would have seen without its noise (`clean`).
Flicker of the beam is kept in the results, as it is in the truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_xfusion import Plan, fuse, open_stack, simulate
from napari_xfusion.core import degrade
from napari_xfusion.core.grey import Affine, fill_invalid, percentile_map
from napari_xfusion.core.inspect.metrics import Metrics, measure
from napari_xfusion.core.networks.cards import describe, list_models
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.types import Stack
from napari_xfusion.lab.scenes import KINDS, make_scene

ImageSequence = NDArray[np.float32]
SHAPE = (256, 256)
SEED = 20_000
"""Of the scenes: a generator takes it first, and training never uses it."""
PHOTONS, READ_NOISE = 6000.0, 0.0015
TRAINING_FREE = ("bicubic", "interpolation", "flow", "bayesian")


@dataclass(frozen=True, eq=False)
class Case:
    """A sequence to try the methods on."""

    name: str
    sequence: Stack
    clean: ImageSequence | None = None
    """(T, H, W): the sequence without its camera's noise."""


def scene_case(kind: str, index: int, frames: int) -> Case:
    """A new scene of a kind, recorded."""
    rng = np.random.default_rng([SEED, list(KINDS).index(kind), index])
    scene = make_scene(KINDS[kind], SHAPE, rng)
    clean = np.stack([scene.image(t - frames // 2) for t in range(frames)])
    light = rng.poisson(clean * PHOTONS) / PHOTONS
    sequence = (light + READ_NOISE * rng.standard_normal(clean.shape)).astype(np.float32)
    return Case(kind, as_stack(sequence, name=kind), clean)


def sequence_case(path: str, frames: int) -> Case:
    """The first frames of a sequence; large 8-bit movies, which were compressed, at half their size."""
    stack = open_stack(path)
    halve = stack.dtype == np.uint8 and min(stack.shape[1:]) >= 720
    half = tuple(side // 2 for side in stack.shape[1:])
    down = degrade.binning(stack.shape[1:], half, (2, 2))
    read = [fill_invalid(stack.frame(i))[0].astype(np.float32) for i in range(min(frames, len(stack)))]
    sequence = np.stack([down(frame) for frame in read] if halve else read)
    return Case(Path(path).stem if Path(path).stem != "stack" else Path(path).parent.name, as_stack(sequence))


def methods(only: Sequence[str] | None = None) -> dict[str, Plan]:
    """Every method without weights, and every model at hand; some of them where ``only`` names them."""
    plans = {name: Plan(method=name, keep_flicker=True) for name in TRAINING_FREE}
    for name, path in list_models().items():
        plans[name] = Plan(method=describe(path).card.variant, model=name, keep_flicker=True)
    return plans if only is None else {name: plans[name] for name in only}


def figures(
    case: Case, step: int, lr_psnr: float | None, count: int, only: Sequence[str] | None
) -> dict[str, dict[str, Metrics]]:
    """Mean figures by truth and method."""
    experiment = simulate(case.sequence, step, lr_psnr=lr_psnr)
    grey, _ = percentile_map(experiment.truth, len(case.sequence))
    unseen = [t for t in range(len(case.sequence)) if t not in experiment.hr_times]
    targets = [unseen[i] for i in np.unique(np.linspace(0, len(unseen) - 1, count).round().astype(int))]
    truths = {"noisy": [experiment.truth.frame(t) for t in targets]}
    if case.clean is not None:
        truths["clean"] = [case.clean[t] for t in targets]
    found: dict[str, dict[str, Metrics]] = {truth: {} for truth in truths}
    for name, plan in methods(only).items():
        images = [frame.image for frame in fuse(plan, experiment.lr, experiment.hr, targets=targets)]
        for truth, frames in truths.items():
            found[truth][name] = _mean([_measured(grey, t, i) for t, i in zip(frames, images, strict=True)])
    return found


def _measured(grey: Affine, truth: ImageSequence, image: ImageSequence) -> Metrics:
    a, b = (np.clip(grey.to_grey(x), 0, 1) for x in (truth, image))
    return measure(a, b)


def _mean(metrics: list[Metrics]) -> Metrics:
    return Metrics(*np.mean(metrics, axis=0).tolist())


def static(case: Case, step: int) -> dict[str, tuple[float, float]]:
    """Temporal standard deviation of each result and of the sequence itself at the same frames, grey units."""
    experiment = simulate(case.sequence, step)
    grey, _ = percentile_map(experiment.truth, len(case.sequence))
    targets = range(len(case.sequence))
    own = (
        np.stack([grey.to_grey(case.sequence.frame(t)) for t in experiment.hr_times])
        .std(axis=0, ddof=1)
        .mean()
    )
    spread = {}
    for name, plan in methods().items():
        frames = fuse(plan, experiment.lr, experiment.hr, targets=targets)
        result = np.stack([grey.to_grey(frame.image) for frame in frames])
        spread[name] = float(result.std(axis=0, ddof=1).mean()), float(own)
    return spread


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sequences", nargs="+")
    parser.add_argument("--steps", nargs="+", type=int, default=[20])
    parser.add_argument("--lr-psnr", type=float)
    parser.add_argument("--targets", type=int, default=7)
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=41)
    parser.add_argument("--methods", nargs="+", help="names of methods and models; default: all")
    asked = parser.parse_args()
    if asked.sequences[0] == "static":
        for name, (spread, own) in static(
            sequence_case(asked.sequences[1], asked.frames), asked.steps[0]
        ).items():
            _write(f"| {name} | {spread:.5f} | HR frames {own:.5f} |")
        return
    for step in asked.steps:
        rows: dict[str, list[tuple[str, dict[str, Metrics]]]] = {}
        for case in _cases(asked.sequences, max(asked.frames, step + 1), asked.scenes):
            for truth, found in figures(case, step, asked.lr_psnr, asked.targets, asked.methods).items():
                rows.setdefault(truth, []).append((case.name, found))
        for truth, cases in rows.items():
            noise = "" if asked.lr_psnr is None else f", LR PSNR {asked.lr_psnr:g} dB"
            _write(f"\nHR every {step} frames{noise}, {truth} truth: PSNR dB / AAD / SSIM\n")
            _table(cases)


def _cases(sequences: list[str], frames: int, scenes: int) -> Iterator[Case]:
    for sequence in sequences:
        if sequence == "scenes":
            for kind in KINDS:
                yield from (scene_case(kind, index, frames) for index in range(scenes))
        else:
            yield sequence_case(sequence, frames)


def _table(cases: list[tuple[str, dict[str, Metrics]]]) -> None:
    names = list(cases[0][1])
    _write(f"| sequence | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    kinds = list(dict.fromkeys(name for name, _ in cases))
    means = []
    for kind in kinds:
        of = {n: _mean([found[n] for name, found in cases if name == kind]) for n in names}
        means.append(of)
        _write(f"| {kind} | {' | '.join(_text(of[n]) for n in names)} |")
    if len(kinds) > 1:
        _write(f"| mean | {' | '.join(_text(_mean([m[n] for m in means])) for n in names)} |")


def _text(metrics: Metrics) -> str:
    return f"{metrics.psnr:.2f} / {metrics.aad:.2f} / {metrics.ssim:.3f}"


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""What pairing finds of a shift, a turn and a delay between the cameras, and what correcting them gives.

    python benchmarks/misfit.py --shots 100            measure; a second call resumes
    python benchmarks/misfit.py --table                print the table only

Random simulated shots of all kinds of scenes (128x192 pixels, 61 frames, one HR frame every 8, seeds that no training
uses) with LR as the mean of 4x4 pixels at an LR PSNR of 40 dB. Each shot is paired undisturbed, with LR shifted by
0.25 to 3 LR pixels in any direction, with LR turned by 0.2 to 2 degrees, and with HR times off by 0.5 to 5 LR frames,
early or late; sizes are log-uniform. A finding is right when its sign is right and its size within 20 %. Figures are
mean PSNR in dB over unseen targets, as recorded, corrected (``--correct auto,shift,turn,time``) and of the same
recordings without the misfit, on the grey scale of the truth, without 12 HR pixels at the border. Results are kept in a
JSON file by shot. About 30 seconds per shot on a busy core, 10 without ``--methods``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from napari_xfusion import simulate
from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.files import write_whole
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.plan import FLAWS, MISFITS, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.core.rig.misfit import Misfit, Placement
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import Stack
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances
from napari_xfusion.lab.virtual.experiment import Experiment

METHODS = (DEFAULT_METHOD, "flow", "bayesian", "interpolation")
SHAPE, FRAMES, STEP, MARGIN = (128, 192), 61, 8, 12
TARGETS = (20, 29, 37)
SEED = 41_000
"""Of the simulated shots: a generator takes it first, and training never uses it."""
PHOTONS, READ_NOISE, WHITE = 6000.0, 0.0015, 2600.0
"""Photons of a pixel in the full beam, read noise as a share of it, counts of it."""
LR_PSNR = 40.0
RIGHT = 0.2
"""Relative error of a size that is right."""
ROWS = ("shift", "turn", "time")

Cell = dict[str, Any]


def scene(shot: int) -> Stack:
    """Return a new scene, recorded by a 12-bit camera (T, H, W)."""
    rng = np.random.default_rng([SEED, shot])
    kind = list(KINDS)[shot % len(KINDS)]
    drawn = make_scene(KINDS[kind], SHAPE, rng)
    clean = np.stack([drawn.image(t - FRAMES // 2) for t in range(FRAMES)])
    light = rng.poisson(clean * PHOTONS) / PHOTONS + READ_NOISE * rng.standard_normal(clean.shape)
    return as_stack(np.clip(np.rint(light * WHITE), 0, 4095).astype(np.uint16), name=kind)


def draw(row: str, rng: np.random.Generator) -> Disturbances:
    """Return a random misfit of one kind."""
    low, high = {"shift": (0.25, 3.0), "turn": (0.2, 2.0), "time": (0.5, 5.0)}[row]
    size = math.exp(rng.uniform(math.log(low), math.log(high)))
    angle, sign = rng.uniform(0, 2 * math.pi), rng.choice([-1.0, 1.0])
    made = {
        "shift": {"lr_shift": (size * math.cos(angle), size * math.sin(angle))},
        "turn": {"lr_turn": float(sign * size)},
        "time": {"hr_late": float(sign * size)},
    }
    return Disturbances.model_validate(made[row])


def measure(shot: int, methods: Sequence[str]) -> dict[str, Cell]:
    """Return what was found of each kind of misfit, and the PSNR by method."""
    sequence, rng = scene(shot), np.random.default_rng([SEED, shot, 1])
    plain = simulate(sequence, STEP, lr_psnr=LR_PSNR, seed=shot)
    clean = _rig(plain, plain.hr_times, FLAWS)
    cells: dict[str, Cell] = {"none": {"warnings": [warning.code for warning in clean.warnings]}}
    undisturbed = _psnr(plain, clean, methods)
    for row in ROWS:
        made = simulate(sequence, STEP, lr_psnr=LR_PSNR, seed=shot, disturbances=draw(row, rng))
        times = made.hr.metadata.hr_times or ()
        rig = _rig(made, times, (*FLAWS, *MISFITS))
        found = _found(rig, times)
        cells[row] = {
            "kind": sequence.source,
            "made": made.disturbances.model_dump(include={"lr_shift", "lr_turn", "hr_late"}),
            "found": found.placement._asdict() | {"late": found.late},
            "right": _is_right(row, made.disturbances, found),
            "warnings": [warning.code for warning in rig.warnings],
            "recorded": _psnr(made, _rig(made, times, FLAWS), methods) if methods else {},
            "corrected": _psnr(made, rig, methods),
            "undisturbed": undisturbed,
        }
        if row == "time" and methods:  # an HR frame whose stated time is outside LR is missing
            cells[row]["undisturbed"] = _psnr(made, _rig(made, made.hr_times, FLAWS), methods)
    return cells


def _rig(made: Experiment, times: Sequence[float], correct: Sequence[str]) -> Rig:
    lr, hr = (np.stack([stack.frame(i) for i in range(len(stack))]) for stack in (made.lr, made.hr))
    plan = make_plan(hr_times=tuple(times), correct=tuple(correct))
    return make_rig(plan, as_stack(lr, name="LR"), as_stack(hr, name="HR"))


def _found(rig: Rig, stated: Sequence[float]) -> Misfit:
    """Return the misfit that a rig takes into account."""
    source = rig.grids.mapping.then(rig.fast.mapping.inverse)
    late = np.median(np.subtract(stated, rig.fast.clock.frames_of(rig.hr.clock)))
    return Misfit(Placement.of(source, rig.grids.lr_shape), float(late))


def _is_right(row: str, made: Disturbances, found: Misfit) -> bool:
    """Whether a misfit was found with its sign, and its size to 20 %."""
    wanted, seen = {
        "shift": (made.lr_shift[::-1], found.placement[:2]),
        "turn": ((made.lr_turn,), (math.degrees(found.placement.turn),)),
        "time": ((made.hr_late,), (found.late,)),
    }[row]
    return math.dist(wanted, seen) <= RIGHT * math.hypot(*wanted)


def _psnr(made: Experiment, rig: Rig, methods: Sequence[str]) -> dict[str, float]:
    """Return the mean PSNR by method."""
    grey, _ = percentile_map(made.truth, len(made.truth))
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    truth = [np.clip(grey.to_grey(made.truth.frame(t)), 0, 1)[inner] for t in TARGETS]
    means = {}
    for method in methods:
        with Session(make_plan(method=method, dtype="float32"), rig) as session:
            fused = [frame.image for frame in session.frames(TARGETS, Event())]
        images = [np.clip(grey.to_grey(image), 0, 1)[inner] for image in fused]
        means[method] = float(np.mean([psnr(t, i) for t, i in zip(truth, images, strict=True)]))
    return means


def table(results: dict[str, dict[str, Cell]]) -> str:
    """Return a Markdown table."""
    shots = list(results.values())
    methods = list(shots[0]["shift"]["recorded"])
    lines = [
        f"| misfit, {len(shots)} shots | found right | " + " | ".join(methods) + " |",
        f"|{'---|' * (2 + len(methods))}",
    ]
    for row in ROWS:
        cells = [shot[row] for shot in shots]
        right = sum(cell["right"] for cell in cells)
        figures = [
            " → ".join(f"{np.mean([c[k][m] for c in cells]):.2f}" for k in ("recorded", "corrected"))
            + f" ({np.mean([c['undisturbed'][m] for c in cells]):.2f})"
            for m in methods
        ]
        lines.append(f"| {row} | {right} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shots", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--json", type=Path, nargs="+", default=[Path("misfit.json")], metavar="FILE")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    results: dict[str, dict[str, Cell]] = {}
    for path in asked.json:
        results |= json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for shot in () if asked.table else range(asked.first, asked.first + asked.shots):
        if str(shot) not in results:
            results[str(shot)] = measure(shot, asked.methods)
            text = json.dumps(results, indent=1) + "\n"
            write_whole(asked.json[0], lambda part, text=text: part.write_text(text, encoding="utf-8"))
            sys.stderr.write(f"shot {shot}\n")
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()

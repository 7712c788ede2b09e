"""What pairing finds of a shift, a turn and a delay between the cameras, and what correcting them gives.

    python benchmarks/misfit.py --shots 100            measure; a second call resumes
    python benchmarks/misfit.py --table                print the table only

Random simulated shots of all kinds of scenes (128x192 pixels, 61 frames, one HR frame every 8, seeds that no training
uses). LR is the mean of 4x4 pixels of the clean film at an LR PSNR of 40 dB, HR is the film with noise of its own, as
of two cameras; both see more of the scene at their borders when LR is misplaced. Each shot is paired undisturbed, with
LR shifted by 0.25 to 3 LR pixels in any direction, turned by 0.2 to 2 degrees, and enlarged or reduced by 0.5 to 5 %,
with HR times off by 0.5 to 5 LR frames, early or late, and shifted with times that are off; sizes are log-uniform. A
finding is right when its sign is right and its size within 20 %. How well each can be known at all follows from the
clean film: the standard error that noise of LR leaves (Cramer and Rao), by how the picture changes, other than in
brightness, with each misfit at the HR times. Shots in which it is above 10 % of the size are counted apart. Figures are
mean PSNR in dB over unseen targets, as recorded, corrected (``--correct auto,shift,turn,scale,time``) and of the same
recordings without the misfit, on the grey scale of the truth, without 12 HR pixels at the border. Results are kept in a
JSON file by shot. About 40 seconds per shot on a busy core, 15 without ``--methods``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

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
from napari_xfusion.errors import PairingError
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.disturbances import UNDISTURBED, Disturbances

METHODS = (DEFAULT_METHOD, "flow", "bayesian", "interpolation")
SHAPE, FRAMES, STEP, MARGIN = (128, 192), 61, 8, 12
TARGETS = (20, 29, 37)
SEED = 52_000
"""Of the simulated shots: a generator takes it first, and training never uses it."""
PHOTONS, READ_NOISE, WHITE = 6000.0, 0.0015, 2600.0
"""Photons of a pixel in the full beam, read noise as a share of it, counts of it."""
LR_PSNR = 40.0
RIGHT = 0.2
"""Relative error of a size that is right."""
ROWS = ("shift", "turn", "scale", "time", "shift and time")
BORDER = 16
"""HR pixels around the field of both cameras that the scene has."""
KNOWN = 0.1
"""Standard error by noise alone, as a share of a size, that is small enough to ask for it."""

Cell = dict[str, Any]


class Films(NamedTuple):
    """One event, of the field and BORDER around it."""

    clean: Stack
    noisy: Stack
    """As a 12-bit camera with sharp pixels records it."""

    @property
    def kind(self) -> str:
        """Return the kind of scene."""
        return self.clean.source


def films(shot: int) -> Films:
    """Return a new scene (T, H, W)."""
    rng = np.random.default_rng([SEED, shot])
    kind = list(KINDS)[shot % len(KINDS)]
    drawn = make_scene(KINDS[kind], (SHAPE[0] + 2 * BORDER, SHAPE[1] + 2 * BORDER), rng)
    clean = np.stack([drawn.image(t - FRAMES // 2) for t in range(FRAMES)])
    light = rng.poisson(clean * PHOTONS) / PHOTONS + READ_NOISE * rng.standard_normal(clean.shape)
    counts = np.clip(np.rint(light * WHITE), 0, 4095).astype(np.uint16)
    return Films(as_stack((clean * WHITE).astype(np.float32), name=kind), as_stack(counts, name=kind))


def draw(row: str, rng: np.random.Generator) -> Disturbances:
    """Return a random misfit of one kind."""

    def size(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    def signed(low: float, high: float) -> float:
        return size(low, high) * float(rng.choice([-1.0, 1.0]))

    length, angle = size(0.25, 3.0), rng.uniform(0, 2 * math.pi)
    shift = {"lr_shift": (length * math.cos(angle), length * math.sin(angle))}
    time = {"hr_late": signed(0.5, 5.0)}
    made = {
        "shift": shift,
        "turn": {"lr_turn": signed(0.2, 2.0)},
        "scale": {"lr_larger": signed(0.005, 0.05)},
        "time": time,
        "shift and time": shift | time,
    }
    return Disturbances.model_validate(made[row])


class Cameras(NamedTuple):
    """What two cameras record, and the truth."""

    lr: Stack
    hr: Stack
    truth: Stack
    disturbances: Disturbances
    times: tuple[float, ...]
    """Of HR, as stated."""
    known: tuple[float, ...]
    """Of HR, as they are."""


def record(of: Films, shot: int, disturbances: Disturbances = UNDISTURBED) -> Cameras:
    """Return the recordings of both cameras, each with its own noise."""
    fast, sharp = (simulate(film, STEP, lr_psnr=LR_PSNR, seed=shot, disturbances=disturbances) for film in of)
    times = sharp.hr.metadata.hr_times or sharp.hr_times
    known = tuple(map(float, sharp.hr_times))
    return Cameras(
        _inner(fast.lr, BORDER // 4), _inner(sharp.hr), _inner(sharp.truth), disturbances, tuple(times), known
    )


def _inner(stack: Stack, border: int = BORDER) -> Stack:
    frames = [stack.frame(i)[border:-border, border:-border] for i in range(len(stack))]
    return as_stack(np.stack(frames), name=stack.source)


def errors_by_noise(of: Films) -> dict[str, float]:
    """Return the standard errors that noise of LR leaves of a shift, a turn, a scale and a delay.

    In LR pixels, degrees, as a share and in LR frames.
    """
    clean = _inner(of.clean)
    h, w = SHAPE[0] // 4, SHAPE[1] // 4
    frames = [clean.frame(i).reshape(h, 4, w, 4).mean(axis=(1, 3), dtype=np.float64) for i in range(FRAMES)]
    y, x = np.mgrid[:h, :w] - np.reshape([(h - 1) / 2, (w - 1) / 2], (2, 1, 1))
    information, of_time = np.full((4, 4), 0.0), 0.0
    for i in range(STEP, FRAMES - 1, STEP):
        down, right = np.gradient(frames[i])
        changes = [
            down,
            right,
            down * x - right * y,
            down * y + right * x,
            (frames[i + 1] - frames[i - 1]) / 2,
        ]
        brightness, _ = np.linalg.qr(np.stack([np.ones(h * w), frames[i].ravel()], axis=1))
        flat = np.stack([change.ravel() for change in changes])
        flat -= flat @ brightness @ brightness.T
        information += flat[:4] @ flat[:4].T
        of_time += float(flat[4] @ flat[4])
    noise = 10 ** (-LR_PSNR / 20) * percentile_map(of.clean, FRAMES)[0].span
    variance = noise**2 * np.diag(np.linalg.pinv(information))
    return {
        "shift": math.sqrt(variance[0] + variance[1]),
        "turn": math.degrees(math.sqrt(variance[2])),
        "scale": math.sqrt(variance[3]),
        "time": noise / math.sqrt(max(of_time, 1e-30)),
    }


def measure(shot: int, methods: Sequence[str]) -> dict[str, Cell]:
    """Return what was found of each kind of misfit, and the PSNR by method."""
    of, rng = films(shot), np.random.default_rng([SEED, shot, 1])
    plain = record(of, shot)
    clean = _rig(plain, plain.known, FLAWS)
    cells: dict[str, Cell] = {"none": {"warnings": [warning.code for warning in clean.warnings]}}
    undisturbed = _psnr(plain, clean, methods)
    errors = errors_by_noise(of)
    for row in ROWS:
        made = record(of, shot, draw(row, rng))
        sizes = {
            "shift": math.hypot(*made.disturbances.lr_shift),
            "turn": abs(made.disturbances.lr_turn),
            "scale": abs(made.disturbances.lr_larger),
            "time": abs(made.disturbances.hr_late),
        }
        known = all(errors[name] <= KNOWN * size for name, size in sizes.items() if size)
        cell: Cell = {"kind": of.kind, "made": _sizes(made.disturbances), "known": known}
        cells[row] = cell
        try:
            rig = _rig(made, made.times, (*FLAWS, *MISFITS))
        except PairingError as reason:
            cell |= {"right": False, "refused": str(reason)}
            continue
        found = _found(rig, made.times)
        cell |= {
            "found": found.placement._asdict() | {"late": found.late},
            "right": _is_right(made.disturbances, found),
            "warnings": [warning.code for warning in rig.warnings],
            "recorded": _psnr(made, _rig(made, made.times, FLAWS), methods) if methods else {},
            "corrected": _psnr(made, rig, methods),
            "undisturbed": undisturbed,
        }
        if sizes["time"] and methods:  # an HR frame whose stated time is outside LR is missing
            late = record(of, shot, Disturbances(hr_late=made.disturbances.hr_late))
            cell["undisturbed"] = _psnr(late, _rig(late, late.known, FLAWS), methods)
    return cells


def _sizes(made: Disturbances) -> dict[str, Any]:
    return made.model_dump(include={"lr_shift", "lr_turn", "lr_larger", "hr_late"})


def _rig(made: Cameras, times: Sequence[float], correct: Sequence[str]) -> Rig:
    return make_rig(make_plan(hr_times=tuple(times), correct=tuple(correct)), made.lr, made.hr)


def _found(rig: Rig, stated: Sequence[float]) -> Misfit:
    """Return the misfit that a rig takes into account."""
    source = rig.grids.mapping.then(rig.fast.mapping.inverse)
    late = np.median(np.subtract(stated, rig.fast.clock.frames_of(rig.hr.clock)))
    return Misfit(Placement.of(source, rig.grids.lr_shape), float(late))


def _is_right(made: Disturbances, found: Misfit) -> bool:
    """Whether all that was made was found with its sign, and its size to 20 %."""
    right, down = made.lr_shift
    pairs = (
        ((down, right), found.placement[:2]),
        ((made.lr_turn,), (math.degrees(found.placement.turn),)),
        ((made.lr_larger,), (found.placement.larger,)),
        ((made.hr_late,), (found.late,)),
    )
    return all(
        math.dist(wanted, seen) <= RIGHT * math.hypot(*wanted) for wanted, seen in pairs if any(wanted)
    )


def _psnr(made: Cameras, rig: Rig, methods: Sequence[str]) -> dict[str, float]:
    """Return the mean PSNR by method."""
    return {method: mean_psnr(made.truth, rig, method, {t: t for t in TARGETS}) for method in methods}


def mean_psnr(truth: Stack, rig: Rig, method: str, shown: dict[int, int]) -> float:
    """Mean PSNR of targets, ``shown`` naming the frame of the truth that each shows; without the border."""
    grey, _ = percentile_map(truth, len(truth))
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    with Session(make_plan(method=method, dtype="float32"), rig) as session:
        pairs = [(truth.frame(shown[f.index]), f.image) for f in session.frames(shown, Event())]
    return float(np.mean([psnr(*(np.clip(grey.to_grey(x), 0, 1)[inner] for x in pair)) for pair in pairs]))


def table(results: dict[str, dict[str, Cell]]) -> str:
    """Return a Markdown table."""
    shots = list(results.values())
    methods = list(next(cell for shot in shots for cell in shot.values() if "recorded" in cell)["recorded"])
    lines = [
        f"| misfit, {len(shots)} shots | found right | where it can be known | " + " | ".join(methods) + " |",
        f"|{'---|' * (3 + len(methods))}",
    ]
    for row in ROWS:
        cells = [shot[row] for shot in shots]
        known = [cell["right"] for cell in cells if cell["known"]]
        whole = [cell for cell in cells if "refused" not in cell]
        figures = [
            " → ".join(f"{np.mean([c[k][m] for c in whole]):.2f}" for k in ("recorded", "corrected"))
            + f" ({np.mean([c['undisturbed'][m] for c in whole]):.2f})"
            for m in methods
        ]
        right = f"{sum(cell['right'] for cell in cells)} | {sum(known)} of {len(known)}"
        lines.append(f"| {row} | {right} | {' | '.join(figures)} |")
    wrong = sum(bool({"misplaced", "delayed"} & set(shot["none"]["warnings"])) for shot in shots)
    return "\n".join(lines) + f"\n\nUndisturbed and reported: {wrong} of {len(shots)}.\n"


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

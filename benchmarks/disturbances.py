"""PSNR of every method on pairs with one disturbance each: what a fault of a rig costs.

    python benchmarks/disturbances.py --correct none                  all rows; a second call resumes
    python benchmarks/disturbances.py --correct auto --only flicker   the rows whose name contains a word
    python benchmarks/disturbances.py --shape 400 1024 --json large.json       simulated shots of another size
    python benchmarks/disturbances.py --table                         print the table only

Two simulated shots (128x192 pixels, seeds that no training uses, 12-bit camera with 6000 photons per pixel) with
one HR frame every 10, and the tensile sequence with one every 4 where ../shared/data/tensile exists. LR is the mean of
4x4 pixels at an LR PSNR of 40 dB. Figures are mean PSNR in dB over unseen targets, or over the targets that a row
names, on the grey scale of the undisturbed sequence, which is the truth. The beam of all sequences flickers by about
1 % itself, and nothing tells that from flicker of a camera. So rows of flicker are of the same sequences with a
steady beam: scenes drawn so, tensile divided by the open beam next to the bar. The scale of brightness is unknown
there: results are compared after one gain for all of them together. Where one camera sees less of the field, they are
compared in LR pixels that both see completely. Results are kept in a JSON file, by what is corrected, row, shot and
method; the table joins them by arrows. A pair that is refused has no figure. About 12 minutes on two free cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion import fuse, open_stack, simulate
from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.files import write_whole
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.plan import FLAWS, Flaw, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.types import SCALE, Stack
from napari_xfusion.errors import XFusionError
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances
from napari_xfusion.lab.virtual.faulty import outside_ellipse

ROOT = Path(__file__).parents[1]
TENSILE = ROOT.parent / "shared" / "data" / "tensile" / "stack.tif"
METHODS = (DEFAULT_METHOD, "flow", "interpolation", "bayesian")
SHAPE, FRAMES = (128, 192), 31
SEED = 40_000
"""Of the simulated shots: a generator takes it first, and training never uses it."""
PHOTONS, READ_NOISE, WHITE = 6000.0, 0.0015, 2600.0
"""Photons of a pixel in the full beam, read noise as a share of it, counts of it."""
LR_PSNR = 40.0
OPEN_BEAM = 32
"""Columns of tensile, at its left, in which there is nothing but the beam."""

Cells = dict[str, dict[str, dict[str, float | None]]]
"""PSNR by row, shot and method; None where the pair was refused."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A sharp, fast sequence, and how the two cameras record it."""

    name: str
    sequence: Stack
    steady: Stack
    """The same in a beam that does not flicker."""
    step: int
    targets: tuple[int, ...]
    """Unseen ones that lie between HR frames in every row."""


@dataclass(frozen=True)
class Row:
    """A disturbance, and the targets to compare where they are not those of the shot."""

    disturbances: Disturbances
    targets: tuple[int, ...] | None = None
    steady: bool = False
    """Whether the beam itself does not flicker: as with nothing but the disturbance."""
    inside: bool = False
    """Whether results are compared inside the round field only, in complete LR pixels."""


def _row(
    targets: tuple[int, ...] | None = None, *, steady: bool = False, inside: bool = False, **disturbances: Any
) -> Row:
    return Row(Disturbances.model_validate(disturbances), targets, steady, inside)


def _rows() -> dict[str, Row]:
    percent = {f"{share} %": share / 100 for share in (2, 5, 10, 20)}
    apart = {
        f"flicker, cameras apart, {x}": _row(lr={"flicker": s}, hr={"flicker": s}, steady=True)
        for x, s in percent.items()
    }
    shifts = {f"LR shifted by {d:g} LR px": _row(lr_shift=(d, 0.0)) for d in (0.25, 0.5, 1, 2)}
    turns = {f"LR turned by {d:g} degrees": _row(lr_turn=d) for d in (0.2, 1, 2)}
    late = {f"HR times late by {d:g} LR frames": _row(hr_late=d) for d in (0.5, 1, 2, 5)}
    return {
        "undisturbed": _row(),
        "undisturbed, steady beam": _row(steady=True),
        "undisturbed, inside the round field": _row(inside=True),
        "undisturbed, at LR frame 7": _row((7,)),
        **apart,
        "flicker of the beam, 10 %": _row(beam_flicker=0.1, steady=True),
        "LR drifts by 30 %": _row(lr={"drift": 0.3}),
        "LR tilted by 20 %": _row(lr={"tilt": 0.2}),
        "5 dead LR pixels": _row(lr={"dead": 5}),
        "20 dead LR pixels": _row(lr={"dead": 20}),
        "20 dead HR pixels": _row(hr={"dead": 20}),
        "200 dead HR pixels": _row(hr={"dead": 200}),
        "5 hot LR pixels": _row(lr={"hot": 5}),
        "50 hot HR pixels": _row(hr={"hot": 50}),
        "zingers 0.2 % in LR": _row(lr={"zingers": 0.002}),
        "zingers 0.2 % in HR": _row(hr={"zingers": 0.002}),
        "fixed pattern 5 % in LR": _row(lr={"pattern": 0.05}),
        "fixed pattern 5 % in HR": _row(hr={"pattern": 0.05}),
        "fixed pattern 5 % in both": _row(lr={"pattern": 0.05}, hr={"pattern": 0.05}),
        "stripes per frame 5 % in LR": _row(lr={"stripes": 0.05}),
        "LR gamma 0.5": _row(lr={"gamma": 0.5}),
        "LR gamma 2.2": _row(lr={"gamma": 2.2}),
        **shifts,
        **turns,
        **late,
        "LR frame 5 dropped": _row(lr={"dropped": (5,)}),
        "LR frame 7 stuck, at that frame": _row((7,), lr={"stuck": (7,)}),
        "LR frame 7 black, at that frame": _row((7,), lr={"black": (7,)}),
        "LR frame 7 black, other frames": _row(lr={"black": (7,)}),
        "HR frame 1 black": _row(hr={"black": (1,)}),
        "HR frame 1 repeats frame 0": _row(hr={"stuck": (1,)}),
        "pco time stamps in both": _row(lr={"stamp": True}, hr={"stamp": True}),
        "round field of HR": _row(inside=True, hr={"round_field": True}),
        "round field of LR": _row(inside=True, lr={"round_field": True}),
        "HR exposure of 9 LR frames": _row(hr_exposure=9),
        "3 LR frames with closed shutter, at frames 1 and 2": _row((1, 2), lr={"closed": 3}),
    }


ROWS = _rows()


def shots(shape: tuple[int, int] = SHAPE) -> list[Shot]:
    """Return the shots that are available, simulated ones of ``shape`` (H, W)."""
    unseen, size = (6, 8, 13, 15, 17, 19), "" if shape == SHAPE else f", {shape[0]}x{shape[1]}"
    found = [
        Shot(k + size, scene(k, shape), scene(k, shape, steady=True), 10, unseen)
        for k in ("powder", "stirring")
    ]
    if shape == SHAPE and TENSILE.exists():
        tensile = open_stack(TENSILE)
        found.append(Shot("tensile", tensile, _normalised(tensile), 4, (5, 6, 7, 9, 10)))
    return found


def _normalised(sequence: Stack) -> Stack:
    frames = _frames(sequence).astype(np.float64)
    beam = frames[:, :, :OPEN_BEAM].mean(axis=(1, 2), keepdims=True)
    return as_stack(np.rint(frames * beam.mean() / beam).astype(np.uint16), name=sequence.source)


def scene(kind: str, shape: tuple[int, int] = SHAPE, *, steady: bool = False) -> Stack:
    """Return a new scene of a kind, recorded by a 12-bit camera (T, H, W)."""
    rng = np.random.default_rng([SEED, list(KINDS).index(kind)])
    drawn = make_scene(KINDS[kind], shape, rng)
    if steady:
        drawn = drawn.steady
    clean = np.stack([drawn.image(t - FRAMES // 2) for t in range(FRAMES)])
    light = rng.poisson(clean * PHOTONS) / PHOTONS + READ_NOISE * rng.standard_normal(clean.shape)
    return as_stack(np.clip(np.rint(light * WHITE), 0, 4095).astype(np.uint16), name=kind)


def measure(shot: Shot, row: Row, methods: list[str], correct: tuple[Flaw, ...]) -> dict[str, float | None]:
    """Return the mean PSNR by method."""
    sequence = shot.steady if row.steady else shot.sequence
    made = simulate(sequence, shot.step, lr_psnr=LR_PSNR, disturbances=row.disturbances)
    lr, hr = (as_stack(_frames(stack), name=stack.source) for stack in (made.lr, made.hr))
    targets = row.targets or shot.targets
    grey, _ = percentile_map(sequence, len(sequence))
    light = np.stack([made.truth.frame(t) for t in targets]).astype(np.float64)
    truth = np.clip(grey.to_grey(light), 0, 1)
    seen = _inside(truth.shape[1:]) if row.inside else np.ones(truth.shape[1:], bool)
    found: dict[str, float | None] = {}
    for method in methods:
        plan = make_plan(method=method, hr_times=made.hr.metadata.hr_times, dtype="float32", correct=correct)
        try:
            images = [frame.image for frame in fuse(plan, lr, hr, targets=targets)]
        except XFusionError:
            found[method] = None
            continue
        results = np.stack(images).astype(np.float64)
        if row.steady:
            results *= np.vdot(results, light) / np.vdot(results, results)
        pairs = zip(truth[:, seen], np.clip(grey.to_grey(results), 0, 1)[:, seen], strict=True)
        found[method] = float(np.mean([psnr(*pair) for pair in pairs]))
    return found


def _inside(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The HR pixels (H, W) of the LR pixels that lie in the round field of both cameras completely."""
    h, w = (side // SCALE for side in shape)
    blocks = ~outside_ellipse(shape).reshape(h, SCALE, w, SCALE)
    return np.kron(blocks.all(axis=(1, 3)) & ~outside_ellipse((h, w)), np.ones((SCALE, SCALE), bool))


def _frames(stack: Stack) -> NDArray[Any]:
    return np.stack([stack.frame(i) for i in range(len(stack))])


def run(path: Path, label: str, words: list[str], methods: list[str], shape: tuple[int, int]) -> None:
    """Measure what the file does not contain under ``label`` yet; every row is saved when it is measured."""
    results: dict[str, Cells] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    cells = results.setdefault(label, {})
    correct: tuple[Flaw, ...] = FLAWS if label == "auto" else ()
    wanted = [name for name in ROWS if not words or any(word in name for word in words)]
    for shot in shots(shape):
        for name in wanted:
            there = cells.setdefault(name, {}).setdefault(shot.name, {})
            missing = [method for method in methods if method not in there]
            if missing:
                there |= measure(shot, ROWS[name], missing, correct)
                text = json.dumps(results, indent=1) + "\n"
                write_whole(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))
                sys.stderr.write(f"{shot.name}, {name}: {', '.join(map(_number, there.values()))}\n")


def table(results: dict[str, Cells]) -> str:
    """Return one Markdown table for each shot."""
    first = {name: shot for cells in results.values() for name, shot in cells.items()}
    lines: list[str] = []
    for shot in dict.fromkeys(shot for by_shot in first.values() for shot in by_shot):
        there = [c[n].get(shot, {}) for c in results.values() for n in c]
        methods = list(dict.fromkeys(method for by_method in there for method in by_method))
        lines += ["", f"| {shot} | {' | '.join(methods)} |", f"|{'---|' * (len(methods) + 1)}"]
        for name in filter(first.__contains__, ROWS):
            of = [[c.get(name, {}).get(shot, {}).get(m, "") for c in results.values()] for m in methods]
            lines.append(f"| {name} | {' | '.join(' → '.join(map(_number, x)) for x in of)} |")
    return "\n".join(lines[1:]) + "\n"


def _number(value: float | str | None) -> str:
    return "refused" if value is None else value if isinstance(value, str) else f"{value:.2f}"


def main() -> None:
    """Measure, then print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--correct", choices=["none", "auto"], default="auto")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="rows that contain this")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--shape", type=int, nargs=2, default=SHAPE, metavar=("H", "W"))
    parser.add_argument("--json", type=Path, default=Path("disturbances.json"), metavar="FILE")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    if not asked.table:
        height, width = asked.shape
        run(asked.json, asked.correct, asked.only, asked.methods, (height, width))
    sys.stdout.write(table(json.loads(asked.json.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()

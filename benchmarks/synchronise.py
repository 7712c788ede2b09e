"""How well the clock between two cameras is found from what both recordings show.

    python benchmarks/synchronise.py --pairs 50      measure; a second call resumes
    python benchmarks/synchronise.py --table         print the table only

Random pairs of all kinds of scenes (HR 128x128 pixels, seeds that no training uses), LR binned by 2 or 4 with 90 to
256 frames, exposed for a tenth of a frame to a whole one. HR has 6 to 60 frames, one every 2 to 32 LR frames, whole or
not, exposed for nothing to 6 LR frames. HR frame 0 is up to 1.5 HR intervals before LR, and the last one up to 1.5
after it. LR has a PSNR of 20, 30 or 40 dB, a gain of 0.3 to 3, an offset and a shading of 5 % of its own. The motion is
that of training, or two or four times slower; in some pairs little or nothing moves, and a refusal is right. Static
pairs show one moment of a scene without flicker. In periodic ones the scene swings, 8 to 60 LR frames a period. Errors
are in LR frames. About 2 seconds a pair on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.files import write_whole
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.synchronise import synchronise
from napari_xfusion.core.rig.timing import times_by_clock
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import ClockError
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.scenes.scene import LONGEST, Scene

SHAPE = (128, 128)
SEED = 52_000
"""Of the pairs: a generator takes it first, and training never uses it."""
INTERVAL = 1e-6
"""Seconds from one LR frame to the next."""
WRONG = 0.5
"""LR frames; a larger error that is not refused is a wrong answer."""

Motion = Literal["moving", "static", "periodic"]
MOTIONS: tuple[Motion, ...] = ("moving", "static", "periodic")
Cell = dict[str, Any]


@dataclass(frozen=True)
class VirtualPair:
    """Two cameras in front of one scene; times and exposures in LR frames."""

    scene: Scene
    pace: float
    """Scene frames per LR frame; 0 is a static pair."""
    swing: tuple[float, float] | None
    """Period in LR frames and amplitude in scene frames of motion that repeats."""
    frames: int
    start: float
    """Centre of the exposure of HR frame 0; centres of LR exposures are whole numbers."""
    step: float
    count: int
    hr_exposure: float
    lr_exposure: float
    scale: int
    psnr: float
    gain: float
    offset: float
    shading: float

    @classmethod
    def draw(cls, scene: Scene, rng: np.random.Generator, motion: Motion) -> VirtualPair:
        """Return a random pair of cameras."""
        pace = float(rng.choice([1.0, 0.5, 0.25]))
        frames = int(min(rng.integers(90, 118) / pace, 256))
        step = math.exp(rng.uniform(math.log(2), math.log(frames / 8)))
        step = float(round(step)) if rng.random() < 0.5 else step
        count = int(rng.integers(6, max(7, min(60, int(frames / step) + 1))))
        late = max(frames - 1 - (count - 1) * step, 0) + 1.5 * step
        return cls(
            scene=scene if motion == "moving" else scene.steady,
            pace=0.0 if motion == "static" else pace,
            swing=(rng.uniform(8, 60), rng.uniform(2, 20)) if motion == "periodic" else None,
            frames=frames,
            start=float(rng.uniform(-1.5 * step, late)),
            step=step,
            count=count,
            hr_exposure=float(rng.uniform(0, 1) ** 2 * min(step, 6)) if rng.random() < 0.8 else 0.0,
            lr_exposure=float(rng.uniform(0.1, 1)),
            scale=int(rng.choice([2, 4, 4, 4])),
            psnr=float(rng.choice([20, 30, 40])),
            gain=math.exp(rng.uniform(math.log(0.3), math.log(3))),
            offset=float(rng.uniform(-0.3, 0.3)),
            shading=float(rng.uniform(0, 6)),
        )

    def exposed(self, time: float, exposure: float) -> Image:
        """Return the image (H, W) of an exposure about ``time``."""
        parts = max(4, math.ceil(4 * exposure)) if exposure and self.pace else 1
        moments = time + exposure * ((np.arange(parts) + 0.5) / parts - 0.5)
        places = np.clip((moments - self.frames / 2) * self.pace, -LONGEST, LONGEST)
        if self.swing is not None:
            places = self.swing[1] * np.sin(2 * np.pi * moments / self.swing[0])
        mean: Image = np.mean([self.scene.image(float(t)) for t in places], axis=0)
        return mean

    def cameras(self, rng: np.random.Generator) -> tuple[Stack, Stack]:
        """Return LR and HR."""
        size = SHAPE[1] // self.scale, SHAPE[0] // self.scale
        times = self.start + self.step * np.arange(self.count)
        hr = self._frames(times, self.hr_exposure)
        lr = np.stack(
            [
                cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                for image in self._frames(np.arange(self.frames), self.lr_exposure)
            ]
        )
        low, high = np.percentile(hr, (0.35, 99.65))
        y, x = np.mgrid[: size[1], : size[0]]
        shading = 1 + 0.05 * np.sin(x / 9 + self.shading) * np.cos(y / 11)
        noise = (high - low) * 10 ** (-self.psnr / 20)
        lr = shading * (self.gain * (lr + noise * rng.standard_normal(lr.shape)) + self.offset)
        hr = hr + 0.01 * (high - low) * rng.standard_normal(hr.shape)
        stacks = as_stack(lr.astype(np.float32), name="LR"), as_stack(hr.astype(np.float32), name="HR")
        clocks = Clock.regular(self.frames, INTERVAL), Clock.regular(self.count, INTERVAL * self.step)
        fast, sharp = (replace(s, clock=c) for s, c in zip(stacks, clocks, strict=True))
        return fast, sharp

    def _frames(self, times: NDArray[Any], exposure: float) -> Image:
        if not self.pace:
            return np.repeat(self.exposed(0, 0)[None], len(times), axis=0)
        return np.stack([self.exposed(float(t), exposure) for t in times])


def measure(number: int, motion: Motion) -> Cell:
    """Return what is found of one pair."""
    rng = np.random.default_rng([SEED, number, MOTIONS.index(motion)])
    kind = list(KINDS)[number % len(KINDS)]
    pair = VirtualPair.draw(make_scene(KINDS[kind], SHAPE, rng), rng, motion)
    lr, hr = pair.cameras(rng)
    facts = {"kind": kind, "motion": motion, "step": pair.step, "psnr": pair.psnr, "pace": pair.pace}
    try:
        fit = synchronise(lr, hr, exposure_ns=pair.hr_exposure * INTERVAL * 1e9)
    except ClockError as refused:
        return facts | {"refused": refused.reason}
    error = float(times_by_clock(lr, hr, fit)[0]) - pair.start
    return facts | {
        "error": error,
        "sigma": fit.uncertainty_ns / (INTERVAL * 1e9),
        "source": fit.source,
        "rate": fit.rate,
    }


def table(results: dict[str, Cell]) -> str:
    """Return a Markdown table."""
    lines = [
        "| pairs | answered | refused: static, ambiguous, uncertain, few | error: median | 90 % | largest "
        f"| within 1, 2 sigma | wrong by {WRONG} |",
        f"|{'---|' * 8}",
    ]
    for motion in MOTIONS:
        cells = [cell for cell in results.values() if cell["motion"] == motion]
        why = Counter(cell["refused"] for cell in cells if "refused" in cell)
        named = ", ".join(str(why[reason]) for reason in ("static", "ambiguous", "uncertain", "few"))
        found = [cell for cell in cells if "error" in cell]
        figures = ["-"] * 4
        if found:
            errors, sigmas = np.abs([c["error"] for c in found]), np.array([c["sigma"] for c in found])
            figures = [f"{x:.3f}" for x in (np.median(errors), np.percentile(errors, 90), errors.max())]
            figures.append(" ".join(f"{100 * np.mean(errors <= n * sigmas):.0f} %" for n in (1, 2)))
        wrong = sum(abs(cell["error"]) > WRONG for cell in found)
        lines.append(f"| {len(cells)} {motion} | {len(found)} | {named} | {' | '.join(figures)} | {wrong} |")
    return "\n".join(lines) + "\n"


def _write(part: Path, text: str) -> None:
    part.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--others", type=int, default=20, help="static and periodic pairs, of each")
    parser.add_argument("--json", type=Path, default=Path("synchronise.json"), metavar="FILE")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    results = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json.exists() else {}
    wanted = [
        (n, motion) for motion in MOTIONS for n in range(asked.pairs if motion == "moving" else asked.others)
    ]
    for number, motion in () if asked.table else wanted:
        name = f"{motion} {number}"
        if name not in results:
            results[name] = measure(number, motion)
            text = json.dumps(results, indent=1) + "\n"
            write_whole(asked.json, partial(_write, text=text))
            sys.stderr.write(f"{name} {results[name]}\n")
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()

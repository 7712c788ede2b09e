"""What fusion through a rig file gives, against a pair whose frames show the same field.

    python benchmarks/rig.py --shots 6            one table for each scale

Simulated shots of all kinds of scenes (HR 160x240 pixels, 33 LR frames, an HR frame every 8 that begins 0.37 LR
frames after one of LR; LR noise of 35 dB, HR noise of 0.4 % of the grey scale). *plain* is LR as the mean over HR
pixels of the same corner and field, paired by the sizes of the frames. *rig* is LR mirrored, turned by 2 degrees and
shifted by 3.3 and 5.7 HR pixels, fused through its rig file; then the same with a rig file that is wrong by so many
HR pixels (a shift in a direction of its own), and with LR that is blurred by so many of its pixels: *measured* as
pairing does it, and *ignored*. Figures are mean PSNR in dB of three targets between HR frames, on the grey scale of
the truth, over the pixels that all of these see. About 40 seconds per shot on a busy core.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration, CameraFacts
from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import Rig, make_rig
from napari_xfusion.core.session import Session
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.optics import View

HR, MARGIN, FRAMES, STEP, START = (160, 240), 24, 33, 8, 0.37
TARGETS = (4, 12, 20)
LR_PSNR, HR_NOISE = 35.0, 0.004
TURN, SHIFT = 2.0, (3.3, -5.7)
ERRORS, BLURS = (0.1, 0.3, 0.5), (0.2, 0.4, 0.7)
SEED = 43_000
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """A scene before it is recorded, with more around than HR shows."""

    lr: Images
    hr: Images
    times: tuple[float, ...]
    low: float
    span: float
    number: int

    @classmethod
    def draw(cls, number: int) -> Shot:
        """Return shot ``number``."""
        rng = np.random.default_rng([SEED, number])
        kind = list(KINDS.values())[number % len(KINDS)]
        scene = make_scene(kind, (HR[0] + 2 * MARGIN, HR[1] + 2 * MARGIN), rng)
        times = tuple(START + STEP * k for k in range(FRAMES // STEP))
        lr, hr = (np.stack([scene.image(t - FRAMES / 2) for t in ts]) for ts in (range(FRAMES), times))
        low, high = np.percentile(inner(lr), (0.35, 99.65))
        return cls(lr, hr, times, float(low), float(high - low), number)

    def record(self, mapping: Mapping, shape: tuple[int, int], blur: float = 0.0) -> tuple[Images, Images]:
        """Return LR and HR."""
        view = View.of(mapping, shape, self.lr.shape[1:], corner=(MARGIN, MARGIN), blur=blur)
        rng = np.random.default_rng([SEED, self.number, 1])
        lr, hr = np.stack([view(image) for image in self.lr]), inner(self.hr)
        lr = lr + self.span * 10 ** (-LR_PSNR / 20) * rng.standard_normal(lr.shape)
        hr = hr + self.span * HR_NOISE * rng.standard_normal(hr.shape)
        return lr.astype(np.float32), hr.astype(np.float32)

    def unit(self, image: Images) -> Images:
        """Return an image on the grey scale of the truth."""
        return np.clip((image - self.low) / self.span, 0, 1)


def inner(images: Images) -> Images:
    """Return the part that HR shows."""
    return images[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def placed(shape: tuple[int, int], scale: float) -> Mapping:
    """Return the mapping of LR frames (h, w)."""
    angle, middle = math.radians(TURN), (np.array(HR) - 1) / 2
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos, -sin], [-sin, -cos]])  # mirrored left to right
    shift = middle + np.array(SHIFT) - linear @ (np.array(shape) - 1) / 2
    return Mapping(linear=linear.tolist(), shift=shift.tolist())


def calibration(mapping: Mapping, shape: tuple[int, int]) -> Calibration:
    """Return a rig file."""
    cameras = {"lr": CameraFacts(source="LR", shape=shape), "hr": CameraFacts(source="HR", shape=HR)}
    return Calibration.model_validate({**cameras, "mapping": mapping, "way": "manual"})


def seen(*mappings: Mapping, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) well inside HR's field and LR's."""
    pixels = np.stack(np.meshgrid(*map(np.arange, HR), indexing="ij"), axis=-1)
    inside = ((pixels >= 8) & (pixels < np.array(HR) - 8)).all(axis=-1)
    for mapping in mappings:
        lr = mapping.from_output(pixels)
        inside = inside & ((lr >= 2) & (lr <= np.array(shape) - 3)).all(axis=-1)
    found: NDArray[np.bool_] = inside
    return found


def without_blur(rig: Rig) -> Rig:
    """Return the rig as if LR were as sharp as its pixels are."""
    fast = rig.fast.model_copy(update={"blur": (0.0, 0.0)})
    return rig.replaced(fast=fast)


def measure(shot: Shot, scale: float, method: str) -> dict[str, float]:
    """Return the PSNR of each row of the table."""
    shape = (round(HR[0] / scale), round(HR[1] / scale))
    plain, true = Mapping.scaled((HR[0] / shape[0], HR[1] / shape[1])), placed(shape, scale)
    mask, truth = seen(plain, true, shape=shape), inner(shot.lr)

    def fused(pair: tuple[Images, Images], mapping: Mapping | None, *, box: bool = False) -> float:
        settings: dict[str, Any] = {} if mapping is None else {"calibration": calibration(mapping, shape)}
        plan = make_plan(method=method, hr_times=shot.times, extent="hr", dtype="float32", **settings)
        rig = make_rig(
            plan, *(as_stack(each, name=name) for each, name in zip(pair, ("LR", "HR"), strict=True))
        )
        with Session(plan, without_blur(rig) if box else rig) as session:
            frames = list(session.frames(TARGETS, Event()))
        return float(
            np.mean([psnr(shot.unit(truth[f.index])[mask], shot.unit(f.image)[mask]) for f in frames])
        )

    pair = shot.record(true, shape)
    rows = {"plain": fused(shot.record(plain, shape), None), "rig": fused(pair, true)}
    angle = np.random.default_rng([SEED, shot.number, 2]).uniform(0, 2 * math.pi)
    for error in ERRORS:
        off = error * np.array([math.sin(angle), math.cos(angle)])
        wrong = true.model_copy(update={"shift": tuple(np.add(true.shift, off).tolist())})
        rows[f"rig wrong by {error}"] = fused(pair, wrong)
    for blur in BLURS:
        blurred = shot.record(true, shape, blur)
        rows[f"blur {blur}, measured"] = fused(blurred, true)
        rows[f"blur {blur}, ignored"] = fused(blurred, true, box=True)
    return rows


def main() -> None:
    """Measure, and print a table for each scale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shots", type=int, default=6)
    parser.add_argument("--scales", type=float, nargs="+", default=[2.92, 3.5])
    parser.add_argument("--methods", nargs="+", default=[DEFAULT_METHOD, "flow"])
    asked = parser.parse_args()
    shots = [Shot.draw(number) for number in range(asked.shots)]
    for scale in asked.scales:
        found = {m: [measure(shot, scale, m) for shot in shots] for m in asked.methods}
        lines = [
            f"| scale {scale}, {asked.shots} shots | {' | '.join(found)} |",
            f"|{'---|' * (1 + len(found))}",
        ]
        for row in next(iter(found.values()))[0]:
            means = (f"{np.mean([cell[row] for cell in cells]):.2f}" for cells in found.values())
            lines.append(f"| {row} | {' | '.join(means)} |")
        sys.stdout.write("\n".join(lines) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

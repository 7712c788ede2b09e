"""Two cameras of which nothing is known: calibrate, synchronise and fuse, against the same pair known exactly.

    OMP_NUM_THREADS=1 python benchmarks/end_to_end.py --rigs 50 --output rigs.jsonl

Random rigs: HR 256x384 pixels, scale 2.5 to 5, turn up to 5 degrees, mirror, shift, every other one with radial
distortion up to 0.5 %; LR noise 30 to 40 dB, HR noise 0.4 to 1 % of the grey scale, LR blurred by 0.2 to 0.6 of its
pixels; HR frames every 5 to 9 LR frames from a time that is not stated. *found*: the mapping from a grid that both
cameras recorded, the clock from what moves in the shot, the blur as pairing measures it; *known*: the rig file has the
true ones. Per rig a line of JSON with errors of mapping (HR pixels RMS) and clock (LR frames) and PSNR of three targets
between HR frames, in dB; rigs whose line is in the output are not repeated. Then a table. About 20 seconds per rig.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import MARGIN, copper_grid
from napari_xfusion.core.calibration import Calibration, CameraFacts
from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.core.rig.calibrate import calibrate
from napari_xfusion.core.rig.synchronise import synchronise, with_clock
from napari_xfusion.core.rig.timing import times_by_clock
from napari_xfusion.core.session import Session
from napari_xfusion.errors import XFusionError
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.optics import View

HR, AROUND, FRAMES = (256, 384), 32, 57
SEED = 53_000
BAR = 0.3
"""dB."""
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Rig:
    """A random rig with what its cameras recorded."""

    mapping: Mapping
    shape: tuple[int, int]
    blur: float
    times: tuple[float, ...]
    target: tuple[Images, Images]
    shot: tuple[Images, Images]
    truth: Images
    low: float
    span: float

    @classmethod
    def draw(cls, number: int, *, noise: bool = True) -> Rig:
        """Return rig ``number``; its shot without ``noise`` where that is not wanted."""
        rng = np.random.default_rng([SEED, number])
        mapping, shape = random_mapping(rng, number % 2 == 1)
        blur, step, start = rng.uniform(0.2, 0.6), rng.uniform(5, 9), rng.uniform(0, 5)
        lr_noise, hr_noise = 10 ** -(rng.uniform(30, 40) / 20), rng.uniform(0.004, 0.01)
        times = tuple(np.arange(start, FRAMES - 1, step).tolist())
        sharp = copper_grid(rng, HR)
        sharp = sharp.reshape(sharp.shape[0] // 2, 2, -1, 2).mean((1, 3))
        corner = (round(MARGIN * HR[0]), round(MARGIN * HR[1]))
        target = (
            View.of(mapping, shape, sharp.shape, corner=corner, blur=blur)(sharp)[None],
            sharp[corner[0] : corner[0] + HR[0], corner[1] : corner[1] + HR[1]][None],
        )
        kind = list(KINDS.values())[number % len(KINDS)]
        around = HR[0] + 2 * AROUND, HR[1] + 2 * AROUND
        scene = make_scene(kind, around, rng).steady  # pairing takes flicker off
        view = View.of(mapping, shape, around, corner=(AROUND,) * 2, blur=blur)
        sequence = [scene.image(t - FRAMES / 2) for t in range(FRAMES)]
        truth = np.stack([image[AROUND:-AROUND, AROUND:-AROUND] for image in sequence])
        low, high = np.percentile(truth[::8], (0.35, 99.65)).tolist()
        shot = (
            np.stack([view(image) for image in sequence]),
            np.stack([scene.image(t - FRAMES / 2)[AROUND:-AROUND, AROUND:-AROUND] for t in times]),
        )
        noisy = [
            tuple(
                (x + span * noise * rng.standard_normal(x.shape)).astype(np.float32)
                for x, noise in zip(pair, (lr_noise, hr_noise), strict=True)
            )
            for pair, span in ((target, 1.0), (shot, (high - low) * noise))
        ]
        return cls(mapping, shape, blur, times, *noisy, truth, low, high - low)

    def stacks(self, pair: tuple[Images, Images]) -> list[Any]:
        """Return both recordings."""
        return [as_stack(images, name=name) for images, name in zip(pair, ("LR", "HR"), strict=True)]

    @property
    def known(self) -> Calibration:
        """The rig file that a person would have who knows everything."""
        cameras = {"lr": CameraFacts(source="LR", shape=self.shape), "hr": CameraFacts(source="HR", shape=HR)}
        reach = math.ceil(4 * self.blur * max(self.mapping.scale))
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (self.blur * self.mapping.scale[0])) ** 2)
        kernel = (np.outer(line, line) / line.sum() ** 2).tolist()
        return Calibration.model_validate(
            {**cameras, "mapping": self.mapping, "blur": kernel, "way": "manual"}
        )

    def targets(self) -> tuple[int, ...]:
        """Return three LR frames in the middle between HR frames."""
        middles = np.rint((np.array(self.times[1:]) + self.times[:-1]) / 2).astype(int)
        return tuple(sorted({int(middles[i]) for i in (0, len(middles) // 2, -1)}))

    def fused(self, calibration: Calibration, method: str, times: tuple[float, ...] | None) -> float:
        """Return the mean PSNR of the targets, dB, over pixels well inside both fields."""
        given = {} if times is None else {"hr_times": times}
        plan = make_plan(method=method, extent="hr", dtype="float32", calibration=calibration, **given)
        with Session(plan, make_rig(plan, *self.stacks(self.shot))) as session:
            frames = list(session.frames(self.targets(), Event()))
        mask = self.seen
        return float(
            np.mean([psnr(self.unit(self.truth[f.index])[mask], self.unit(f.image)[mask]) for f in frames])
        )

    def unit(self, image: Images) -> Images:
        """Return an image on the grey scale of the truth."""
        return np.clip((image - self.low) / self.span, 0, 1)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The pixels (H, W) well inside both fields."""
        pixels = np.stack(np.meshgrid(*map(np.arange, HR), indexing="ij"), axis=-1)
        lr = self.mapping.from_output(pixels)
        inside = ((pixels >= 8) & (pixels < np.array(HR) - 8)).all(axis=-1)
        return np.asarray(inside & ((lr >= 2) & (lr <= np.array(self.shape) - 3)).all(axis=-1))

    def off(self, found: Mapping) -> float:
        """Return the error of a mapping over the common field, HR pixels RMS."""
        pixels = np.stack(np.indices(self.shape), axis=-1).reshape(-1, 2)
        at = self.mapping.to_output(pixels)
        inside = ((at > -0.5) & (at < np.array(HR) - 0.5)).all(axis=1)
        return float(np.sqrt(((found.to_output(pixels) - at)[inside] ** 2).sum(axis=1).mean()))


def random_mapping(rng: np.random.Generator, distorted: bool) -> tuple[Mapping, tuple[int, int]]:
    """Return a mapping and the size (h, w) of LR, whose field is about 0.9 of HR's."""
    scale, turn, mirror = rng.uniform(2.5, 5), math.radians(rng.uniform(-5, 5)), rng.choice([-1, 1])
    shape = tuple(round(0.92 * n / scale) for n in HR)
    c, s = math.cos(turn), math.sin(turn)
    linear = scale * np.array([[c, -s], [s, c]]) @ np.diag([1, mirror])
    middle = (np.array(HR) - 1) / 2
    shift = middle + rng.uniform(-0.05, 0.05, 2) * HR - linear @ ((np.array(shape) - 1) / 2)
    radial = (rng.uniform(-0.005, 0.005) if distorted else 0.0, 0.0)
    centre = (middle + rng.uniform(-0.1, 0.1, 2) * HR).tolist()
    fields = {"linear": linear.tolist(), "shift": shift.tolist(), "radial": radial, "centre": centre}
    return Mapping(**fields, reach=math.hypot(*HR) / 2), shape


def measure(number: int, method: str) -> dict[str, Any]:
    """Return the line of a rig."""
    rig = Rig.draw(number)
    line: dict[str, Any] = {
        "rig": number,
        "kind": list(KINDS)[number % len(KINDS)],
        "scale": rig.mapping.scale[0],
        "method": method,
    }
    lr, hr = rig.stacks(rig.shot)
    step = (rig.times[-1] - rig.times[0]) / (len(rig.times) - 1)
    try:
        found = calibrate(*rig.stacks(rig.target)).calibration
        line["mapping"] = rig.off(found.mapping)
        clock = synchronise(lr, hr, found, hr_step=step)
        line["clock"] = float(times_by_clock(lr, hr, clock)[0] - rig.times[0])
        times = None
        found = with_clock(lr, hr, found, clock)
    except XFusionError as error:
        line["refused"] = str(error)
        if "mapping" not in line:
            return line
        times = rig.times  # only the geometry is compared
    line["found"] = rig.fused(found, method, times)
    line["known"] = rig.fused(rig.known, method, rig.times)
    return line


def table(lines: list[dict[str, Any]]) -> str:
    """Return what was found, in words and numbers."""
    complete = [line for line in lines if "clock" in line]
    geometry = [line for line in lines if "found" in line and "clock" not in line]
    rows = [
        f"{len(lines)} rigs, {len(lines) - len(complete)} refused ({len(geometry)} of them by the clock alone)"
    ]
    for name, part in (("all", complete), ("clock known", geometry)):
        if not part:
            continue
        worse = np.array([line["known"] - line["found"] for line in part])
        errors = [np.abs([line.get(key, 0.0) for line in part]) for key in ("mapping", "clock")]
        rows.append(
            f"| {name} | {len(part)} | {np.median(errors[0]):.3f}, {errors[0].max():.3f} | {np.median(errors[1]):.3f},"
            f" {errors[1].max():.3f} | {np.median(worse):.2f} | {np.percentile(worse, 90):.2f} | {worse.max():.2f} |"
            f" {(worse <= BAR).sum()} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measure the rigs that are not in the output, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rigs", type=int, default=50)
    parser.add_argument("--method", default=DEFAULT_METHOD)
    parser.add_argument("--output", type=Path, default=Path("rigs.jsonl"))
    asked = parser.parse_args()
    lines = (
        [json.loads(line) for line in asked.output.read_text().splitlines()] if asked.output.exists() else []
    )
    done = {(line["rig"], line["method"]) for line in lines}
    for number in range(asked.rigs):
        if (number, asked.method) in done:
            continue
        lines.append(measure(number, asked.method))
        with asked.output.open("a", encoding="utf-8") as output:
            output.write(json.dumps(lines[-1]) + "\n")
    shown = [line for line in lines if line["method"] == asked.method and line["rig"] < asked.rigs]
    sys.stdout.write(table(shown) + "\n")


if __name__ == "__main__":
    main()

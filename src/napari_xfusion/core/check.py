"""What two stacks are, how they pair and what a run would take, without computing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_xfusion.core.calibration import CameraFigures
from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.networks.cards import LiteSizes, describe, model_of
from napari_xfusion.core.networks.limits import plan_warnings, unfamiliar
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.quantities import byte_count, duration
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.results import open_sink
from napari_xfusion.core.rig import Rig, make_rig, seen_targets
from napari_xfusion.core.rig.figures import measure_figures
from napari_xfusion.core.rig.synchronise import delay_warning
from napari_xfusion.core.run import Files, check_places
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import XFusionError, XFusionWarning

TORCH_MB = 350
"""What a network's library takes."""
GOOD_CORRELATION = 0.9
"""Of LR with binned HR; where it is lower, HR times may be off by many frames."""
BASE_MB = 80
"""What the program itself takes."""


@dataclass(frozen=True)
class Check:
    """The findings; ``problem`` is what keeps a run from starting, None where nothing does."""

    found: dict[str, dict[str, Any]]
    """For ``lr`` and ``hr``: source, frames, size, dtype, frame_interval_s, pixel_size_um; None where not opened. And
    corrected_by, the flats and darks."""
    pairing: dict[str, Any] = field(default_factory=dict)
    estimate: dict[str, Any] = field(default_factory=dict)
    notes: tuple[XFusionWarning, ...] = ()
    problem: XFusionError | None = None
    rig: Rig | None = None
    """The cameras as paired; None where they do not pair, or something else keeps a run from starting."""

    def facts(self) -> Iterator[str]:
        """The findings in words, a line each, without warnings and problem."""
        yield from (f"{name:8} {words}" for name, words in (*self._recordings(), *self.pair_facts()))

    def _recordings(self) -> Iterator[tuple[str, str]]:
        for name, sequence in self.found.items():
            if sequence["frames"] is None:
                yield name.upper(), f"{sequence['source']}: not opened"
                continue
            interval, pixel = sequence["frame_interval_s"], sequence["pixel_size_um"]
            frames = f"{sequence['frames']} frame{'s' if sequence['frames'] != 1 else ''}"
            size = f"{frames} of {sequence['size'][0]}x{sequence['size'][1]} {sequence['dtype']}"
            time = "frame interval unknown" if interval is None else f"{interval:g} s per frame"
            length = "pixel size unknown" if pixel is None else f"{pixel:g} um per pixel"
            by = ", ".join(Path(x).name for x in sequence["corrected_by"])
            corrected = f", corrected by {by}" if by else ""
            yield name.upper(), f"{sequence['source']}: {size}, {time}, {length}{corrected}"

    def pair_facts(self) -> Iterator[tuple[str, str]]:
        """Name and words of each finding about the pair, and what a run takes; none without a pair."""
        if self.pairing:
            p, e = self.pairing, self.estimate
            times = ", ".join(f"{t:g}" for t in p["hr_times"][:4]) + (
                ", ..." if len(p["hr_times"]) > 4 else ""
            )
            yield "scale", f"{p['scale'][0]:g} x {p['scale'][1]:g} HR pixels per LR pixel"
            if p["rig"] is not None:
                yield "field", _field(p["rig"])
            yield "time", f"HR at LR frames {times}; at most {p['longest_gap']:g} LR frames apart"
            yield "targets", f"{p['targets']} frames, {p['unseen']} of them unseen"
            if p["rig"] is not None:
                yield "blur", _blur(p["rig"]["blur"])
            noise = f"LR noise {p['lr_noise']:.4f} of full scale"
            yield "grey", f"{p['grey']}: correlation {p['correlation']:.3f}, {noise}"
            memory, output = byte_count(1e6 * e["memory_mb"]), byte_count(1e6 * e["output_mb"])
            took = f"about {duration(e['seconds'])} on two cores"
            yield from CameraFigures.model_validate(p["figures"]).facts().items()
            yield "expect", f"{e['method']}: {took}, {memory} of memory, {output} of output"


def check(
    plan: Plan,
    lr: object,
    hr: object,
    *,
    output: Path | str | None = None,
    std: Path | str | None = None,
    interval: Path | str | None = None,
    attention: Path | str | None = None,
    overwrite: bool = False,
) -> Check:
    """Look at two recordings as ``fuse_files`` would; reads a few frames, computes and writes none.

    Warnings and errors are those with which the run would begin, in the same words; and those of a recording that looks
    unusual to the plan's network, and of HR times that are off by
    many frames, for which all frames are read where LR and HR agree poorly. ``output``, ``std``, ``interval`` and
    ``attention`` are looked at where they are given. What only the run can know is not found: pixels to fill in in
    frames that are not sampled, memory that runs out, results of other settings. ``lr`` and ``hr`` are paths, arrays
    or Stacks.
    """
    opened = {"lr": _opened(lr, "LR"), "hr": _opened(hr, "HR")}
    stacks = [each for each in opened.values() if isinstance(each, Stack)]
    found = {name: _sequence(each) for name, each in opened.items()}
    try:
        for each in opened.values():
            if isinstance(each, XFusionError):
                raise each
        lr, hr = stacks
        rig = make_rig(plan, lr, hr)
        notes = (
            *rig.warnings,
            *_delays(plan, lr, hr, rig),
            *plan_warnings(plan, rig),
            *unfamiliar(plan, rig),
        )
        check_places(plan, rig, Files(output, std, interval, attention), overwrite=overwrite)
        targets, (height, width) = len(plan.targets(len(rig))), rig.frame_shape(plan)
        for path, itemsize in ((output, _itemsize(plan, rig)), (std, 4), (interval, 4)):
            if path is not None:
                open_sink(path, overwrite).check(targets, height * width * itemsize)
        return Check(found, _pairing(plan, rig), _estimate(plan, rig), notes, rig=rig)
    except XFusionError as error:
        said = tuple(
            warning for stack in stacks for warning in stack.metadata.warnings
        )  # they may be the reason
        return Check(found, notes=said, problem=error)


def _delays(plan: Plan, lr: Stack, hr: Stack, rig: Rig) -> Iterator[XFusionWarning]:
    """Where LR and HR agree poorly and pairing found no delay: HR times that are off by many frames."""
    known = {"delayed", "retimed"} & {warning.code for warning in rig.warnings}
    if rig.correlation < GOOD_CORRELATION and not known:
        found = delay_warning(lr, hr, plan)
        if found is not None:
            yield found


def _opened(source: object, name: str) -> Stack | XFusionError:
    try:
        return as_stack(source, name=name)
    except XFusionError as error:
        return error


def _sequence(sequence: Stack | XFusionError) -> dict[str, Any]:
    if isinstance(sequence, XFusionError):
        names = ("frames", "size", "dtype", "frame_interval_s", "pixel_size_um")
        return {"source": sequence.subject, **dict.fromkeys(names), "corrected_by": []}
    dataset = sequence.metadata.dataset
    return {
        "source": f"{sequence.source}::{dataset}" if dataset else sequence.source,
        "frames": len(sequence),
        "size": list(sequence.shape[1:]),
        "dtype": str(sequence.dtype),
        "frame_interval_s": sequence.clock.interval,
        "pixel_size_um": sequence.pixel_size,
        "corrected_by": [path for path, _ in sequence.metadata.fields],
    }


def _pairing(plan: Plan, rig: Rig) -> dict[str, Any]:
    targets = plan.targets(len(rig))
    seen = seen_targets(rig.hr_times, len(rig))[targets.start : targets.stop]
    return {
        "scale": list(rig.grids.scale if plan.calibration is None else plan.calibration.mapping.scale),
        "rig": None if plan.calibration is None else _fields(plan, rig),
        "hr_times": rig.hr_times.tolist(),
        "separation": plan.separation,
        "targets": len(targets),
        "unseen": int((~seen).sum()),
        "longest_gap": float(np.diff(rig.hr_times).max()),
        "grey": plan.grey,
        "correlation": round(rig.correlation, 4),
        "lr_noise": rig.lr_noise,
        "figures": measure_figures(rig).model_dump(mode="json"),
    }


def _fields(plan: Plan, rig: Rig) -> dict[str, Any]:
    """What share of its field each camera has in common with the other one, and what results show."""
    align, region = rig.alignment, rig.region(plan)
    return {
        "lr_shows_of_hr": round(1 - float(align.unseen(None).mean()), 4),
        "hr_shows_of_lr": round(1 - float(align.blind.mean()), 4),
        "region": None if region is None else str(region),
        "blur": list(rig.fast.blur),
    }


def _field(rig: dict[str, Any]) -> str:
    results = "complete HR frames" if rig["region"] is None else f"HR pixels {rig['region']}"
    shares = f"LR shows {rig['lr_shows_of_hr']:.1%} of HR, HR shows {rig['hr_shows_of_lr']:.1%} of LR"
    return f"{shares}; results show {results}"


def _blur(blur: list[float]) -> str:
    if not any(blur):
        return "LR is no more blurred than its pixels make it"
    return f"LR is blurred by {blur[0]:.2f} (down) and {blur[1]:.2f} (across) LR pixels, standard deviation"


def _estimate(plan: Plan, rig: Rig) -> dict[str, Any]:
    targets, (height, width) = len(plan.targets(len(rig))), rig.frame_shape(plan)
    itemsize = _itemsize(plan, rig)
    seconds, images, base = _cost(plan)
    pixels = height * width
    return {
        "method": plan.method,
        "seconds": round(targets * pixels / 1e6 * seconds, 1),
        "memory_mb": round(base + images * pixels * 4 / 1e6),
        "output_mb": round(targets * pixels * itemsize / 1e6, 1),
    }


def _itemsize(plan: Plan, rig: Rig) -> int:
    """Bytes of a pixel of the output."""
    return np.dtype(rig.hr.dtype).itemsize if plan.dtype == "hr" else 4


def _cost(plan: Plan) -> tuple[float, float, int]:
    """Seconds per megapixel on two cores, images at the peak, and megabytes besides.

    Raises ModelError where the plan's weights are unavailable.
    """
    method = METHODS[plan.method]
    if not method.takes_weights:
        return method.seconds, method.images, BASE_MB
    model = describe(model_of(plan))
    millions = model.parameters / 1e6
    base = round(BASE_MB + TORCH_MB + 4 * millions)
    if isinstance(model.card.sizes, LiteSizes):
        return method.seconds, method.images, base
    return method.seconds * millions, method.images * model.card.sizes.channels, base

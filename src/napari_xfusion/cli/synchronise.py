"""The command that fits the clock of HR on that of LR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_xfusion.cli.options import (
    HrStep,
    ImageSequence,
    Json,
    OverwriteOption,
    load_rig,
    require_rig_output,
)
from napari_xfusion.cli.terminal import Progress, report
from napari_xfusion.cli.words import option

if TYPE_CHECKING:
    from napari_xfusion.core.calibration import ClockFit
    from napari_xfusion.core.types import Stack

RigOption = Annotated[
    Path | None,
    typer.Option("--rig", help="rig file that says where LR lies on HR", metavar="FILE", show_default=False),
]
SourceOption = Annotated[
    Literal["auto", "stamps", "trigger", "content", "brightness"],
    typer.Option(
        help="what tells the time; stamps and trigger state that both cameras count from one origin"
    ),
]
ExposureOption = Annotated[
    float | None,
    typer.Option(
        "--exposure-ns",
        help="exposure of an HR frame, where the recording does not hold it",
        metavar="NS",
        show_default=False,
    ),
]
LrDelay = Annotated[float, typer.Option("--lr-time-offset", help="added to LR stamps", metavar="NS")]
HrDelay = Annotated[float, typer.Option("--hr-time-offset", help="added to HR stamps", metavar="NS")]


def synchronise(
    lr: ImageSequence,
    hr: ImageSequence,
    rig: RigOption = None,
    source: SourceOption = "auto",
    hr_step: HrStep = None,
    exposure_ns: ExposureOption = None,
    lr_time_offset: LrDelay = 0,
    hr_time_offset: HrDelay = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="rig file to write with the clock in it")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Fit the clock of HR on that of LR: offset with error bar, and drift.

    From time stamps where both cameras have one time base, else from what both recordings show. A clock that the
    recordings do not tell is refused.
    """
    from napari_xfusion.core.files import require_apart
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.rig.synchronise import synchronise as fit_clock
    from napari_xfusion.core.rig.synchronise import with_clock

    calibration = load_rig(rig)
    stacks = open_stack(lr), open_stack(hr)
    if output is not None:
        require_apart([file for stack in stacks for file in stack.files], [output])
        require_rig_output(output, rig, overwrite=overwrite)
    with Progress("frames") as progress:
        fit = fit_clock(
            *stacks,
            calibration,
            source=source,
            hr_step=hr_step,
            exposure_ns=exposure_ns,
            lr_time_offset=lr_time_offset,
            hr_time_offset=hr_time_offset,
            progress=progress,
        )
    facts = _facts(*stacks, fit)
    if output is not None:
        with_clock(*stacks, calibration, fit).save(output)
    report(
        as_json, facts | {"output": output and str(output)}, _text(facts, output), saved=output is not None
    )


def _facts(lr: Stack, hr: Stack, fit: ClockFit) -> dict[str, Any]:
    """The clock as JSON; nanoseconds are None where the interval of LR is unknown."""
    from napari_xfusion.core.rig.timing import times_by_clock

    times = times_by_clock(lr, hr, fit)
    known = lr.clock.known or hr.clock.known
    nanoseconds = fit.model_dump(include=set(_NANOSECONDS))
    inside = int(((times >= -0.5) & (times <= len(lr) - 0.5)).sum())
    return {
        **(nanoseconds if known else dict.fromkeys(nanoseconds)),
        "offset_frames": fit.offset_ns / fit.lr_interval_ns,
        "uncertainty_frames": fit.uncertainty_ns / fit.lr_interval_ns,
        "rate": fit.rate,
        "source": fit.source,
        "hr_start": float(times[0]),
        "hr_step": float((times[-1] - times[0]) / max(len(times) - 1, 1)),
        "hr_frames": len(times),
        "hr_frames_inside": inside,
    }


_NANOSECONDS = ("offset_ns", "uncertainty_ns", "lr_interval_ns", "hr_interval_ns", "exposure_ns")


def _text(facts: dict[str, Any], output: Path | None) -> str:
    """The facts in words, a line each."""
    frames = f"{facts['offset_frames']:.3f} LR frames, standard deviation {facts['uncertainty_frames']:.3f}"
    known = facts["offset_ns"] is not None
    time = (
        f"{facts['offset_ns']:.1f} ns, standard deviation {facts['uncertainty_ns']:.1f} ns; " if known else ""
    )
    drift = f"{(facts['rate'] - 1) * 1e6:+.1f} ppm" if facts["rate"] != 1 else "none found"
    lines = [
        f"offset   {time}{frames}",
        f"drift    {drift} (HR clock against LR clock)",
        f"source   {facts['source']}",
    ]
    inside, count = facts["hr_frames_inside"], facts["hr_frames"]
    if inside == count:
        options = (f"{option(name)} {facts[name]:.6g}" for name in ("hr_start", "hr_step"))
        lines.append(f"fuse     {' '.join(options)}")
    else:
        lines.append(
            f"fuse     {inside} of {count} HR frames were taken during LR: give fuse the rig file, "
            "which omits the others"
        )
    return "\n".join([*lines, *([f"saved    {output}"] if output else [])])

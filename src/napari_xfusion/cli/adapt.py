"""The command that adapts the default network to a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_xfusion.cli.options import (
    BeamOption,
    CorrectOption,
    DarkOption,
    FlatOption,
    GreyOption,
    HrStart,
    HrStep,
    HrTimeOffset,
    HrTimes,
    ImageSequence,
    Json,
    LrTimeOffset,
    ModelOption,
    OverwriteOption,
    RigOption,
    Separation,
    load_rig,
    parse_correct,
    parse_plan,
    with_fields,
)
from napari_xfusion.cli.terminal import report, stop_on_signal, tell
from napari_xfusion.cli.train import Bars
from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.plan import parse_times


def adapt(
    lr: ImageSequence,
    hr: ImageSequence,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="model file, .safetensors; written only where it is better")
    ],
    model: ModelOption = None,
    iterations: Annotated[int, typer.Option(help="of training", min=4)] = 160,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    lr_time_offset: LrTimeOffset = 0,
    hr_time_offset: HrTimeOffset = 0,
    separation: Separation = 1,
    rig: RigOption = None,
    grey: GreyOption = "match",
    correct: CorrectOption = "auto",
    lr_flat: FlatOption = None,
    lr_dark: DarkOption = None,
    lr_normalise: BeamOption = None,
    hr_flat: FlatOption = None,
    hr_dark: DarkOption = None,
    hr_normalise: BeamOption = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Train the default network further on HR frames that are left out of these recordings.

    Some of them are set aside for judging. The model is written only where it is better on these; give it to fuse by
    --model. Takes minutes.
    """
    from napari_xfusion.lab.adapt import adapt as run_adapt

    plan = parse_plan(
        method=DEFAULT_METHOD,
        model=model,
        hr_step=hr_step,
        hr_start=hr_start,
        hr_times=parse_times(hr_times),
        lr_time_offset=lr_time_offset,
        hr_time_offset=hr_time_offset,
        separation=separation,
        calibration=load_rig(rig),
        grey=grey,
        correct=parse_correct(correct),
    )
    with Bars() as bars, stop_on_signal(bars) as stop:
        found = run_adapt(
            plan,
            with_fields(lr, lr_flat, lr_dark, lr_normalise, "--lr-normalise"),
            with_fields(hr, hr_flat, hr_dark, hr_normalise, "--hr-normalise"),
            output,
            iterations=iterations,
            overwrite=overwrite,
            stop=stop,
            progress=bars,
        )
    if found is None:
        tell("stopped; nothing was written")
        raise typer.Exit(130)
    report(as_json, found.model_dump(mode="json"), found.text, saved=found.model is not None)

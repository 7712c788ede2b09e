"""The command that judges every method on the recording itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from napari_xfusion.cli.options import (
    BeamOption,
    CorrectOption,
    DarkOption,
    DeviceOption,
    ExtentOption,
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
    PrecisionOption,
    RegionOption,
    RigOption,
    Separation,
    TileOption,
    load_rig,
    parse_correct,
    parse_methods,
    parse_plan,
    parse_region,
    parse_tile,
    with_fields,
)
from napari_xfusion.cli.terminal import Progress, report, say_notes, stop_on_signal, tell
from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.plan import parse_times

if TYPE_CHECKING:
    from napari_xfusion.core.holdout.score import Choice, MethodScore, Score
    from napari_xfusion.core.plan import Plan

MethodsOption = Annotated[
    str | None,
    typer.Option(
        help="methods to judge, separated by commas; default: those without weights, and lite",
        metavar="LIST",
        show_default=False,
    ),
]
BudgetOption = Annotated[
    float,
    typer.Option(
        help="planned time on two cores; decides how many HR frames are left out", metavar="SECONDS", min=0
    ),
]


def score(
    lr: ImageSequence,
    hr: ImageSequence,
    methods: MethodsOption = None,
    budget: BudgetOption = 30,
    model: ModelOption = None,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    lr_time_offset: LrTimeOffset = 0,
    hr_time_offset: HrTimeOffset = 0,
    separation: Separation = 1,
    region: RegionOption = None,
    rig: RigOption = None,
    extent: ExtentOption = "overlap",
    grey: GreyOption = "match",
    correct: CorrectOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    tile: TileOption = "auto",
    lr_flat: FlatOption = None,
    lr_dark: DarkOption = None,
    lr_normalise: BeamOption = None,
    hr_flat: FlatOption = None,
    hr_dark: DarkOption = None,
    hr_normalise: BeamOption = None,
    as_json: Json = False,
) -> None:
    """Judge every method on these recordings: HR frames are left out, fused from the others and compared.

    Takes the options of fuse that decide how the recordings pair. Reports PSNR, AAD and SSIM, the expected
    PSNR of unseen frames, the recommended method, where and when it is worst, and HR times or a shift that would be
    better.
    """
    names = parse_methods(methods)
    plan = parse_plan(
        method=_network_of(names, model),
        model=model,
        hr_step=hr_step,
        hr_start=hr_start,
        hr_times=parse_times(hr_times),
        lr_time_offset=lr_time_offset,
        hr_time_offset=hr_time_offset,
        separation=separation,
        region=parse_region(region),
        calibration=load_rig(rig),
        extent=extent,
        grey=grey,
        correct=parse_correct(correct),
        device=device,
        precision=precision,
        tile=parse_tile(tile),
    )
    found = _judged(
        plan,
        with_fields(lr, lr_flat, lr_dark, lr_normalise, "--lr-normalise"),
        with_fields(hr, hr_flat, hr_dark, hr_normalise, "--hr-normalise"),
        names,
        budget,
    )
    say_notes(found.warnings)
    report(as_json, found.model_dump(mode="json", by_alias=True), "\n".join(_lines(found)))


def choose_method(plan: Plan, lr: object, hr: object, *, std: bool, attention: bool) -> Score:
    """The score of the default methods that give what is wanted; its choice is reported on stderr."""
    from napari_xfusion.core.holdout.sample import BUDGET
    from napari_xfusion.core.holdout.score import SCORED

    if plan.model is not None:
        raise typer.BadParameter("--method best takes no --model")
    wanted = {name for name, given in (("std", std), ("attention", attention)) if given}
    names = [name for name in SCORED if wanted <= METHODS[name].gives]
    found = _judged(plan, lr, hr, names if wanted else None, BUDGET)
    say_notes(note for note in found.warnings if note.code.startswith("score-"))
    tell(f"method {_in_words(found.choice)}")
    return found


def _judged(plan: Plan, lr: object, hr: object, names: list[str] | None, budget: float) -> Score:
    """The score; exits with 130 when it was stopped."""
    from napari_xfusion.core.holdout.score import score_methods

    with Progress("comparisons") as progress, stop_on_signal(progress) as stop:
        found = score_methods(plan, lr, hr, methods=names, budget=budget, stop=stop, progress=progress)
    if found is None:
        tell("stopped")
        raise typer.Exit(130)
    return found


def _network_of(names: list[str] | None, model: str | None) -> str:
    """The method that ``model`` is for."""
    if model is None:
        return DEFAULT_METHOD
    networks = [name for name in names or [DEFAULT_METHOD] if METHODS[name].takes_weights]
    if len(networks) != 1:
        raise typer.BadParameter("--model needs one network in --methods")
    return networks[0]


def _lines(found: Score) -> Iterator[str]:
    """The score in words, a line each."""
    steps = found.best.steps
    counts = ", ".join(f"{step.frames} frames in gaps of {step.gap:g}" for step in steps)
    yield f"HR       {found.hr_frames} frames, {found.gap:g} LR frames apart; left out: {counts}"
    yield f"ceiling  {found.ceiling:.2f} dB, the noise of the HR frames that results are compared with"
    yield ""
    yield from _table(found)
    yield ""
    yield f"{'':9}left out: PSNR (dB) of HR frames left out alone, two or three in a row"
    yield f"{'':9}the gap was two, three or four times that of a run"
    yield f"{'':9}expected: of the unseen frames of a run with all HR frames"
    yield f"best     {_in_words(found.choice)}"
    yield f"worst    {'; '.join(_worst(found.best))}"
    yield f"where    root mean square error of {found.choice.method}, % of the grey scale, by place in the picture"
    yield from (f"{'':9}{' '.join(f'{100 * value:5.1f}' for value in row)}" for row in found.best.error_map)
    yield from (f"skipped  {name}: {reason}" for name, reason in found.skipped)


def _table(found: Score) -> Iterator[str]:
    """A line per method."""
    runs = [step.count for step in found.best.steps]
    heads = "".join(f"{'left out' if run == 1 else run:>10}" for run in runs)
    yield f"{'':16}{heads}{'+-':>7}{'expected':>10}{'AAD':>8}{'SSIM':>8}"
    for each in found.methods:
        psnr = "".join(f"{step.psnr:>10.2f}" for step in each.steps)
        error, unseen, ssim = (
            _number(value, digits)
            for value, digits in ((each.psnr_error, 2), (each.unseen, 2), (each.ssim, 4))
        )
        yield f"{each.method:16}{psnr}{error:>7}{unseen:>10}{each.aad:>8.3f}{ssim:>8}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _worst(best: MethodScore) -> Iterator[str]:
    return (f"HR frame {each.frame} (LR {each.time:g}) {each.psnr:.2f} dB" for each in best.worst)


def _in_words(choice: Choice) -> str:
    """The recommended method and its margin."""
    if choice.margin is None or choice.runner_up is None:
        return choice.method
    error = "" if choice.margin_error is None else f", standard error {choice.margin_error:.2f}"
    size = (
        f"{abs(choice.margin):.2f} dB {'above' if choice.margin >= 0 else 'below'} {choice.runner_up}{error}"
    )
    if choice.clear:
        return f"{choice.method}: {size}"
    return (
        f"{choice.method}: the fastest of equal ones, {size}"
        if choice.margin < 0
        else f"{choice.method}: {size}, uncertain"
    )

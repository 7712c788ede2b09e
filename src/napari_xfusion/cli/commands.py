"""The commands. Each imports its modules when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_xfusion._version import __version__
from napari_xfusion.cli.adapt import adapt
from napari_xfusion.cli.batch import batch
from napari_xfusion.cli.cluster import DaskOption, SlurmOption, WorkersOption, shared_by
from napari_xfusion.cli.disturb import takes_disturbances
from napari_xfusion.cli.measure import measure
from napari_xfusion.cli.options import (
    AttentionOption,
    BeamOption,
    Command,
    CorrectOption,
    CoverageOption,
    DarkOption,
    DeviceOption,
    DtypeOption,
    ExtentOption,
    FlatOption,
    Frames,
    GreyOption,
    HrFramesOption,
    HrStart,
    HrStep,
    HrTimeOffset,
    HrTimes,
    ImageSequence,
    IntervalOption,
    Json,
    KeepFlickerOption,
    LrTimeOffset,
    MethodOrBestOption,
    ModelOption,
    OptionalSequence,
    OverwriteOption,
    PrecisionOption,
    RegionOption,
    RigOption,
    Separation,
    StdOption,
    TileOption,
    check_settings_files,
    load_rig,
    parse_correct,
    parse_frames,
    parse_plan,
    parse_region,
    parse_tile,
    with_fields,
)
from napari_xfusion.cli.recordings import convert
from napari_xfusion.cli.recordings import info as recording_info
from napari_xfusion.cli.report import report as write_report
from napari_xfusion.cli.rig import calibrate, rig
from napari_xfusion.cli.score import choose_method, score
from napari_xfusion.cli.sources import sources
from napari_xfusion.cli.synchronise import synchronise
from napari_xfusion.cli.terminal import (
    Progress,
    command_line,
    metrics_table,
    report,
    say_notes,
    short,
    stop_on_signal,
    tell,
)
from napari_xfusion.cli.train import train
from napari_xfusion.cli.words import in_options, option
from napari_xfusion.core.catalogue import BEST, DEFAULT_METHOD
from napari_xfusion.core.plan import parse_times
from napari_xfusion.errors import InputError, writing
from napari_xfusion.lab.virtual.disturbances import Disturbances

if TYPE_CHECKING:
    from napari_xfusion.core.results.outcome import Outcome
    from napari_xfusion.core.types import Stack

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fuse a fast coarse (LR) and a slow sharp (HR) sequence into one that is fast and sharp. "
    "Add --debug to any command for the full traceback of an error.",
)


models = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The networks' weights.")
app.add_typer(models, name="models")


@models.command("list")
def list_all(as_json: Json = False) -> None:
    """List the available models: bundled ones, and those in your own folder."""
    from napari_xfusion.core.networks.cards import list_models, models_folder

    found = {name: str(path) for name, path in list_models().items()}
    lines = [f"{name:24} {path}" for name, path in found.items()] or ["no model available"]
    report(as_json, found, "\n".join([*lines, f"your own go into {models_folder()}"]))


@models.command()
def info(
    model: Annotated[str, typer.Argument(help="name or file", show_default=False)], as_json: Json = False
) -> None:
    """Describe a model: network, sizes, checksum, origin, training."""
    from napari_xfusion.core.networks.cards import describe, find_model

    found = describe(find_model(model))
    facts = {
        "file": str(found.path),
        "parameters": found.parameters,
        "tensors": found.tensors,
        "bytes": found.size,
        "sha256": found.sha256,
        **found.card.model_dump(mode="json"),
    }
    report(as_json, facts, "\n".join(f"{name:12} {short(value)}" for name, value in facts.items()))


@models.command("import")
def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="a .pth file of the research code", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help=".safetensors")],
    as_json: Json = False,
) -> None:
    """Convert a checkpoint of the paper's research code to a model file; no code in it is run."""
    from napari_xfusion.core.networks.weights import import_upstream

    card = import_upstream(checkpoint, output)
    facts = {"file": str(output), **card.model_dump(mode="json")}
    report(as_json, facts, f"{output}: {card.variant}, {short(card.sizes.model_dump())}", saved=True)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="show the version")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def fuse(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help=".tif, .ome.tif, .zarr or .nxs")],
    lr: OptionalSequence = None,
    hr: OptionalSequence = None,
    method: MethodOrBestOption = DEFAULT_METHOD,
    model: ModelOption = None,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    lr_time_offset: LrTimeOffset = 0,
    hr_time_offset: HrTimeOffset = 0,
    separation: Separation = 1,
    frames: Frames = None,
    region: RegionOption = None,
    rig: RigOption = None,
    extent: ExtentOption = "overlap",
    grey: GreyOption = "match",
    correct: CorrectOption = "auto",
    keep_flicker: KeepFlickerOption = False,
    hr_frames: HrFramesOption = "fuse",
    dtype: DtypeOption = "hr",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    tile: TileOption = "auto",
    std: StdOption = None,
    interval: IntervalOption = None,
    coverage: CoverageOption = 0.9,
    attention: AttentionOption = None,
    lr_flat: FlatOption = None,
    lr_dark: DarkOption = None,
    lr_normalise: BeamOption = None,
    hr_flat: FlatOption = None,
    hr_dark: DarkOption = None,
    hr_normalise: BeamOption = None,
    overwrite: OverwriteOption = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="repeat the run of this result or record; give LR and HR only if their paths changed",
            metavar="RECORD",
        ),
    ] = None,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    slurm: SlurmOption = None,
    as_json: Json = False,
) -> None:
    """Fuse two sequences into one. Run the same command again to resume after an interruption."""
    from napari_xfusion.core.run import fuse_files

    if record is not None:
        shared = {"workers": workers, "dask": dask, "slurm": slurm}
        _repeat(ctx, record, output, lr, hr, shared=shared, overwrite=overwrite, as_json=as_json)
        return
    if lr is None or hr is None:
        raise typer.BadParameter("LR and HR are missing: give both recordings, or --from RECORD")
    plan = parse_plan(
        method=DEFAULT_METHOD if method == BEST else method,
        model=model,
        hr_step=hr_step,
        hr_start=hr_start,
        hr_times=parse_times(hr_times),
        lr_time_offset=lr_time_offset,
        hr_time_offset=hr_time_offset,
        separation=separation,
        frames=parse_frames(frames),
        region=parse_region(region),
        calibration=load_rig(rig),
        extent=extent,
        grey=grey,
        correct=parse_correct(correct),
        keep_flicker=keep_flicker,
        hr_frames=hr_frames,
        dtype=dtype,
        device=device,
        precision=precision,
        tile=parse_tile(tile),
    )
    check_settings_files(hr_times, rig, (output, std, interval, attention))
    recordings = (
        with_fields(lr, lr_flat, lr_dark, lr_normalise, "--lr-normalise"),
        with_fields(hr, hr_flat, hr_dark, hr_normalise, "--hr-normalise"),
    )
    judged = None
    if method == BEST:
        judged = choose_method(plan, *recordings, std=std is not None, attention=attention is not None)
        plan = plan.model_copy(update={"method": judged.choice.method})
    with (
        Progress("frames") as progress,
        stop_on_signal(progress) as stop,
        shared_by(workers, dask, slurm, say=progress.say) as others,
    ):
        outcome = fuse_files(
            plan,
            *recordings,
            output,
            std=std,
            interval=interval,
            coverage=coverage,
            attention=attention,
            score=judged,
            overwrite=overwrite,
            workers=others,
            stop=stop,
            progress=progress,
        )
    _report_outcome(outcome, plan.method, as_json)


def _repeat(
    ctx: typer.Context,
    record: Path,
    output: Path,
    lr: Path | None,
    hr: Path | None,
    *,
    shared: dict[str, Any],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Repeat the run of a record; other settings in addition to it are wrong usage."""
    from napari_xfusion.core.results.record import RunRecord

    allowed = {"record", "output", "lr", "hr", "overwrite", "as_json", *shared}
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params if name not in allowed}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise typer.BadParameter(
            f"--from repeats a run with its recorded settings: omit {', '.join(map(option, given))}"
        )
    made = RunRecord.load(record)
    with (
        Progress("frames") as progress,
        stop_on_signal(progress) as stop,
        shared_by(**shared, say=progress.say) as others,
    ):
        outcome = made.run(
            output, lr=lr, hr=hr, overwrite=overwrite, workers=others, stop=stop, progress=progress
        )
    _report_outcome(outcome, made.plan.method, as_json)


def _report_outcome(outcome: Outcome, method: str, as_json: bool) -> None:
    """Report the outcome of a run: one line or one JSON object on stdout, warnings on stderr."""
    facts = {
        "output": str(outcome.output),
        "record": f"{outcome.output}.json",
        "method": method,
        "frames": outcome.frames,
        "total": outcome.total,
        "resumed": outcome.resumed,
        "finished": outcome.finished,
        "seconds": round(outcome.seconds, 3),
        "coverage": outcome.reached and [round(number, 4) for number in outcome.reached],
        "notes": list(map(in_options, outcome.notes)),
    }
    say_notes(outcome.notes)
    if outcome.reached is not None:
        share, error = outcome.reached
        tell(
            f"the intervals contain {share:.1%} (standard error {error:.1%}) of the pixels of HR frames left out"
        )
    if not outcome.finished:
        text = f"stopped: {outcome.frames} of {outcome.total} frames are saved"
        tell(f"{text}; rerun the same command to resume")
    elif outcome.frames == outcome.resumed:
        text = f"nothing to do: {outcome.output} is complete, computed with the same settings from the same sequences"
    else:
        before = f", {outcome.resumed} of them by an earlier run" if outcome.resumed else ""
        text = f"{outcome.output}: {outcome.total} frames by {method}{before}, {outcome.seconds:.1f} s"
    report(as_json, facts, text, saved=True)
    if not outcome.finished:
        raise typer.Exit(130)


@app.command()
def check(
    lr: ImageSequence,
    hr: ImageSequence,
    method: MethodOrBestOption = DEFAULT_METHOD,
    model: ModelOption = None,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    lr_time_offset: LrTimeOffset = 0,
    hr_time_offset: HrTimeOffset = 0,
    separation: Separation = 1,
    frames: Frames = None,
    region: RegionOption = None,
    rig: RigOption = None,
    extent: ExtentOption = "overlap",
    grey: GreyOption = "match",
    correct: CorrectOption = "auto",
    keep_flicker: KeepFlickerOption = False,
    hr_frames: HrFramesOption = "fuse",
    dtype: DtypeOption = "hr",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    tile: TileOption = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="as of fuse; nothing is written")
    ] = None,
    std: StdOption = None,
    interval: IntervalOption = None,
    coverage: CoverageOption = 0.9,  # noqa: ARG001 - an option of fuse, which changes nothing here
    attention: AttentionOption = None,
    lr_flat: FlatOption = None,
    lr_dark: DarkOption = None,
    lr_normalise: BeamOption = None,
    hr_flat: FlatOption = None,
    hr_dark: DarkOption = None,
    hr_normalise: BeamOption = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Report the properties of both sequences, how they pair, problems, and the time and memory of a run.

    Takes the options of fuse, and gives the warnings and errors with which that would begin.
    """
    from napari_xfusion.core.check import check as check_sequences

    plan = parse_plan(
        method=DEFAULT_METHOD if method == BEST else method,
        model=model,
        hr_step=hr_step,
        hr_start=hr_start,
        hr_times=parse_times(hr_times),
        lr_time_offset=lr_time_offset,
        hr_time_offset=hr_time_offset,
        separation=separation,
        frames=parse_frames(frames),
        region=parse_region(region),
        calibration=load_rig(rig),
        extent=extent,
        grey=grey,
        correct=parse_correct(correct),
        keep_flicker=keep_flicker,
        hr_frames=hr_frames,
        dtype=dtype,
        device=device,
        precision=precision,
        tile=parse_tile(tile),
    )
    check_settings_files(hr_times, rig, (output, std, interval, attention))
    found = check_sequences(
        plan,
        with_fields(lr, lr_flat, lr_dark, lr_normalise, "--lr-normalise"),
        with_fields(hr, hr_flat, hr_dark, hr_normalise, "--hr-normalise"),
        output=output,
        std=std,
        interval=interval,
        attention=attention,
        overwrite=overwrite,
    )
    if method == BEST:
        tell(f"note: fuse will choose the method by a score; time and memory are those of {DEFAULT_METHOD}")
    notes = [in_options(note) for note in found.notes]
    problem = None if found.problem is None else in_options(found.problem)
    lines = [*found.facts(), *(f"note     {note}" for note in notes)]
    lines.append(f"wrong    {problem}" if problem else "OK       ready to run")
    facts = {
        **{"found": found.found, "pairing": found.pairing, "estimate": found.estimate},
        **{"notes": notes, "problem": problem, "ok": problem is None},
    }
    report(as_json, facts, "\n".join(lines))
    if problem is not None:
        tell(problem)
        raise typer.Exit(1)


@app.command()
@takes_disturbances
def simulate(
    movie: ImageSequence,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for lr.tif, hr.tif, truth.tif")],
    hr_step: Annotated[
        int | None,
        typer.Option(help="one HR frame every N frames", metavar="N", min=1, show_default=False),
    ] = None,
    rig: Annotated[
        Path | None,
        typer.Option(
            help="rig file: LR and the clock as calibrated; HR is the middle of the sequence",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    hr_last: Annotated[bool, typer.Option(help="also record an HR frame at the last frame")] = True,
    lr_psnr: Annotated[
        float | None, typer.Option(help="add noise so that LR has this PSNR", metavar="DB")
    ] = None,
    b0: Annotated[
        float | None, typer.Option(help="add the noise of B0 photons at grey value 1", metavar="B0")
    ] = None,
    binning: Annotated[Literal["mean", "bicubic"], typer.Option(help="how LR comes from HR")] = "mean",
    seed: Annotated[int, typer.Option(help="of the noise and the disturbances", min=0)] = 0,
    as_json: Json = False,
    *,
    disturbances: Disturbances,
) -> None:
    """Simulate two cameras from one sharp, fast sequence: write lr.tif, hr.tif and truth.tif.

    Options of disturbances begin with the camera: --lr-flicker 0.05 changes LR only. In them, white is the 99.65
    percentile of the sequence, 0 is no light, and frames are numbered from 0.
    """
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.lab.virtual.experiment import simulate as simulate_sequence
    from napari_xfusion.lab.virtual.write import write_experiment

    experiment = simulate_sequence(
        open_stack(movie),
        hr_step,
        hr_last=hr_last,
        lr_psnr=lr_psnr,
        b0=b0,
        binning=binning,
        seed=seed,
        disturbances=disturbances,
        calibration=load_rig(rig),
    )
    with Progress("frames") as progress:
        facts = write_experiment(experiment, output, progress=progress)
    say_notes(experiment.notes)
    noise = "" if experiment.lr_psnr is None else f", LR PSNR {experiment.lr_psnr:.2f} dB"
    text = (
        f"{output}: {len(experiment.lr)} LR frames of {experiment.lr.shape[1]}x{experiment.lr.shape[2]}, "
        f"{len(experiment.hr)} HR frames of {experiment.hr.shape[1]}x{experiment.hr.shape[2]}{noise}"
    )
    report(as_json, facts, text, saved=True)


@app.command()
def evaluate(
    truth: ImageSequence,
    result: ImageSequence,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    csv: Annotated[Path | None, typer.Option(help="one row per frame")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace any file with --csv")] = False,
    as_json: Json = False,
) -> None:
    """Compare a result with the truth: PSNR, AAD and SSIM of all frames, and of the unseen ones."""
    from napari_xfusion.core.files import replacing, require_table
    from napari_xfusion.core.inspect.evaluate import EVALUATION_COLUMNS
    from napari_xfusion.core.inspect.evaluate import evaluate as compare
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.results.record import read_times
    from napari_xfusion.core.run import check_outputs

    sequences = open_stack(truth), open_stack(result)
    if csv is not None:
        check_outputs([file for stack in sequences for file in stack.files], [csv])
        require_table(csv, EVALUATION_COLUMNS[:3], overwrite=overwrite)
    recorded = read_times(result)
    if recorded is None and len(sequences[1]) < len(sequences[0]):
        _note_first(sequences[1])
    plan = parse_plan(hr_step=hr_step, hr_start=hr_start, hr_times=parse_times(hr_times))
    times = plan.hr_times
    if plan.hr_step is not None:
        times = plan.regular_times(len(sequences[0]))
    elif times is None and recorded is not None:
        times = recorded.hr_times
    with Progress("frames") as progress:
        numbers = compare(
            *sequences, hr_times=times, first=recorded.first if recorded else 0, progress=progress
        )
    summary = numbers.summary()
    if summary["unseen"] is None:
        tell(
            "note: HR times are unknown, so unseen frames are not listed separately; give --hr-step or --hr-times"
        )
    if csv is not None:
        with writing(csv, hint="choose another file name"), replacing(csv) as part:
            numbers.write_csv(part)
    report(as_json, summary, metrics_table(summary), saved=csv is not None)


def _note_first(result: Stack) -> None:
    """Note with what frames of a shorter sequence without a record are compared; refuse an HR recording."""
    times = result.metadata.hr_times
    if times is not None and len(times) == len(result):
        raise InputError(
            result.source,
            problem="this is an HR recording, whose frames are not those of the truth in turn",
            hint="give a fused sequence",
        )
    tell("note: the result has no record; its frame 0 is compared with frame 0 of the truth")


@app.command()
def study(
    movies: Annotated[
        list[Path], typer.Argument(help="sharp, fast sequences, which serve as truth", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for tables, figures, report")],
    preset: Annotated[
        Literal["quick", "full"] | None, typer.Option(help="set of experiments; default: quick")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="the experiments from a file, such as an edited plan.json")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="number of processes; default: one per core", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Repeat the paper's experiments on your sequences: simulate two cameras and compare all methods.

    Run the same command again to resume after an interruption.
    """
    try:
        from napari_xfusion.lab.study import run_study, settle_plan
    except ModuleNotFoundError as error:
        raise InputError(
            "napari-xfusion study",
            problem=f"the package {error.name} of the extra study is missing",
            hint="run pip install 'napari-xfusion[study]'",
        ) from None

    if preset is not None and plan is not None:
        raise typer.BadParameter("give --preset or --plan, not both")
    settled = settle_plan(movies, output, preset=preset, plan=plan)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        done = run_study(
            movies, output, settled, stop=stop, jobs=jobs, progress=progress, command=command_line()
        )
    say_notes(map(str, done.notes))
    facts = {
        "output": str(done.folder),
        "finished": done.finished,
        "cells": done.cells,
        "total": done.total,
        "files": [str(path) for path in done.files],
        "notes": list(map(str, done.notes)),
    }
    text = f"{done.folder / 'report.html'}: {done.cells} of {done.total} cells; tables and figures in the same folder"
    if not done.finished:
        text = f"{done.folder}: {done.cells} of {done.total} cells are saved"
        tell("stopped; rerun the same command to resume")
    report(as_json, facts, text, saved=True)
    if not done.finished:
        raise typer.Exit(130)


app.command()(adapt)
app.command()(train)
app.command("info")(recording_info)
app.command()(convert)
app.command()(batch)
app.command()(calibrate)
app.add_typer(rig, name="rig")
app.command()(synchronise)
app.command()(score)
app.command()(measure)
app.command()(sources)
app.command("report")(write_report)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the results")] = Path("demo"),
    gui: Annotated[bool, typer.Option("--gui", help="then show them in napari")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files that no demo wrote")] = False,
) -> None:
    """Fuse the sample by every method; write the fused sequence, a picture and a table."""
    from napari_xfusion.lab.demo import run_demo

    with Progress("methods") as progress:
        made = run_demo(output, overwrite=overwrite, progress=progress)
    files = [str(path.resolve()) for path in made.files]
    report(False, {}, "\n".join([made.table, *files]), saved=True)
    if gui:
        from napari_xfusion.ui.plugin.show import show_demo

        show_demo(made.files[0])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Report versions, memory, device, display and OpenGL of this machine, and missing parts."""
    from napari_xfusion.core.doctor import examine

    facts = examine()
    said = [*facts["problems"], *facts["advice"]]
    lines = [
        f"{name:15} {short(value)}" for name, value in facts.items() if name not in ("problems", "advice")
    ]
    report(as_json, facts, "\n".join([*lines, *(said or ["all is well"])]))
    if facts["problems"]:
        raise typer.Exit(1)


for registered in (*app.registered_commands, *models.registered_commands, *rig.registered_commands):
    registered.cls = Command

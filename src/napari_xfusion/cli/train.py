"""The train command."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal, Self

import typer
from tqdm import tqdm

from napari_xfusion.cli.options import DeviceOption, Json
from napari_xfusion.cli.terminal import Progress, optional, report, stop_on_signal
from napari_xfusion.cli.words import in_options
from napari_xfusion.errors import InputError

if TYPE_CHECKING:  # takes seconds, and --help does not need it
    from napari_xfusion.lab.train.plan import TrainPlan


def train(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="scenes (simulated; also one kind, scenes:powder), sequences, or folders of sequences",
            show_default="scenes",
        ),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="folder for the model, its checkpoint and tables")
    ],
    variant: Annotated[Literal["lite", "edvr-stf", "edvr"], typer.Option(help="which network")] = "lite",
    channels: Annotated[int | None, typer.Option(min=1, help="32, or as --init; paper: 128")] = None,
    extract: Annotated[
        int | None, typer.Option(min=1, help="residual blocks before alignment; default: 5")
    ] = None,
    reconstruct: Annotated[
        int | None, typer.Option(min=1, help="residual blocks after fusion; default: 5, paper: 40")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(min=1, help="groups of deformable channels; default: 2, paper: 8")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="number of samples, generated once and reused")] = 8000,
    held_out: Annotated[int, typer.Option(min=1, help="number of validation samples")] = 128,
    pool: Annotated[
        Path | None, typer.Option(help="folder of the samples; several trainings can share it")
    ] = None,
    halve: Annotated[bool, typer.Option("--halve", help="halve the frame size of sequences")] = False,
    crop: Annotated[int, typer.Option(min=32, help="HR pixels, a multiple of 16; paper: 256")] = 128,
    iterations: Annotated[int, typer.Option(min=1, help="the paper's: 300000")] = 20_000,
    batch: Annotated[int, typer.Option(min=1, help="samples per iteration")] = 16,
    rate: Annotated[float, typer.Option(help="initial learning rate")] = 1e-4,
    init: Annotated[
        str | None, typer.Option(help="weights to start from: name or file of the same sizes")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed of weights, samples and noise")] = 0,
    half: Annotated[bool, typer.Option("--half", help="store the model in 16-bit floats")] = False,
    device: DeviceOption = "auto",
    minutes: Annotated[float, typer.Option(min=0, help="stop after this time; run again to resume")] = float(
        "inf"
    ),
    as_json: Json = False,
) -> None:
    """Train a network on simulated scenes or on your own sharp sequences. Run the same command again to resume.

    Several GPUs: torchrun --nproc-per-node 4 -m napari_xfusion train ...
    """
    from napari_xfusion.lab.train.loop import train as run_training
    from napari_xfusion.lab.train.plan import sizes_from

    plan = parse_train_plan(
        variant=variant,
        sizes=sizes_from(
            variant, init, channels=channels, extract=extract, reconstruct=reconstruct, groups=groups
        ),
        data=tuple(data or ["scenes"]),
        halve=halve,
        samples=samples,
        held_out=held_out,
        crop=crop,
        iterations=iterations,
        batch=batch,
        rate=rate,
        init=init,
        seed=seed,
        half=half,
    )
    with Bars() as bars, stop_on_signal(bars) as stop:
        found = run_training(
            plan, output, pool=pool, device=device, minutes=minutes, stop=stop, progress=bars, tell=bars.tell
        )
    facts = {
        "model": str(found.model),
        "iterations": found.iterations,
        "total": found.total,
        "resumed": found.resumed,
        "finished": found.finished,
        "psnr": {"network": found.figures, **found.compared} if found.figures else None,
    }
    text = f"{found.model}: {found.iterations} of {found.total} iterations"
    report(
        as_json, facts, text if found.finished else f"{text}; rerun the same command to resume", saved=True
    )
    if not found.finished and stop.is_set():
        raise typer.Exit(130)


def parse_train_plan(**settings: object) -> TrainPlan:
    """Make a plan from settings by name; invalid ones are wrong usage."""
    from napari_xfusion.lab.train.plan import make_train_plan

    try:
        return make_train_plan(**settings)
    except InputError as error:
        raise typer.BadParameter(in_options(error)) from None


class Bars:
    """Progress bars for samples and iterations, one after the other."""

    def __init__(self) -> None:
        self._unit, self._bar = "", Progress("")

    @property
    def begun(self) -> bool:
        """See ``Progress.begun``."""
        return self._bar.begun

    def __call__(self, unit: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` samples or iterations."""
        if unit != self._unit:
            self._bar.__exit__()
            self._unit, self._bar = unit, Progress(unit)
        self._bar(done, total)

    def tell(self, line: str) -> None:
        """Print a line on stderr above the bar."""
        with optional(sys.stderr):
            tqdm.write(f"napari-xfusion: {line}", file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__()

"""The command that measures along a line or in a region, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_xfusion.cli.options import CoverageOption, Json, OverwriteOption, parse_region
from napari_xfusion.cli.terminal import Progress, report, stop_on_signal, tell
from napari_xfusion.core.inspect.places import ALONG_A_LINE, IN_A_REGION, Area, Line, Measure, Quantity, Scale
from napari_xfusion.core.recordings.readers import readable

if TYPE_CHECKING:
    from napari_xfusion.core.inspect.measure import Interval, Measured
    from napari_xfusion.core.types import Stack, Token

SequencesArgument = Annotated[list[Path], typer.Argument(help=readable(), show_default=False)]
LineOption = Annotated[
    str | None,
    typer.Option(
        help="from row Y0, column X0 to row Y1, column X1 of the first sequence",
        metavar="Y0,X0,Y1,X1",
        show_default=False,
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        help="rows A to B-1, columns C to D-1 of the first sequence", metavar="A:B,C:D", show_default=False
    ),
]
PolygonOption = Annotated[
    str | None,
    typer.Option(
        help="row and column of each corner, in the first sequence", metavar="Y,X,Y,X,...", show_default=False
    ),
]
WhatOption = Annotated[
    Quantity,
    typer.Option(help=f"along a line: {', '.join(ALONG_A_LINE)}; in a region: {', '.join(IN_A_REGION)}"),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        help="grey value of an edge or an outline; default: the steepest point; of areas half way between dark and "
        "bright pixels",
        show_default=False,
    ),
]


def measure(
    sequences: SequencesArgument,
    what: WhatOption,
    line: LineOption = None,
    region: RegionOption = None,
    polygon: PolygonOption = None,
    threshold: ThresholdOption = None,
    side: Annotated[Literal["above", "below"], typer.Option(help="of the threshold, for an area")] = "above",
    edge: Annotated[
        Literal["any", "rising", "falling"], typer.Option(help="direction of the edge along the line")
    ] = "any",
    line_width: Annotated[
        float, typer.Option(help="pixels across the line to average", metavar="PIXELS", min=1)
    ] = 1.0,
    smooth: Annotated[
        float,
        typer.Option(
            help="standard deviation of the Gaussian filter along the line for edges", metavar="PIXELS", min=0
        ),
    ] = 1.0,
    interval: Annotated[
        bool,
        typer.Option(
            "--interval",
            help="also the interval of the number, for sequences of fuse: HR frames are left out",
        ),
    ] = False,
    coverage: CoverageOption = 0.9,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="table (csv), one row per sequence and frame")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Measure a quantity in every frame of one or more sequences of the same field of view, such as LR, HR and fused.

    A depth is the width along a line that is drawn downwards. Further sequences may have other pixels: the place is
    scaled by the frame sizes. Lengths are in um where a sequence knows the size of its pixels, else in pixels of the
    first sequence.
    """
    from napari_xfusion.core.files import replacing, require_table
    from napari_xfusion.core.inspect.measure import COLUMNS, write_csv
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.run import check_outputs
    from napari_xfusion.errors import writing

    place = _place(line, region, polygon, line_width)
    wanted = Measure(what=what, place=place, threshold=threshold, side=side, turn=edge, smooth=smooth)
    if not wanted.fits:
        raise typer.BadParameter(
            f"--what {what} needs {'--region or --polygon' if what in IN_A_REGION else '--line'}"
        )
    stacks = [open_stack(path) for path in sequences]
    if output is not None:
        check_outputs([file for stack in stacks for file in stack.files], [output])
        require_table(output, COLUMNS, overwrite=overwrite)
    names = _names(sequences)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        measured = dict(zip(names, _measured(sequences, stacks, wanted, stop, progress), strict=True))
        intervals = (
            _intervals(dict(zip(names, sequences, strict=True)), stacks, wanted, coverage, stop)
            if interval
            else {}
        )
        if stop.is_set():
            tell("stopped")
            raise typer.Exit(130)
    if output is not None:
        half_widths = {name: each.half_width for name, each in intervals.items()}
        with writing(output, hint="choose another file name"), replacing(output) as part:
            write_csv(part, measured, half_widths)
    facts = {name: _facts(each, intervals.get(name)) for name, each in measured.items()}
    report(as_json, facts, "\n".join(_lines(facts, output)), saved=output is not None)


def _place(line: str | None, region: str | None, polygon: str | None, width: float) -> Line | Area:
    """The one place that was given; others are wrong usage."""
    if sum(each is not None for each in (line, region, polygon)) != 1:
        raise typer.BadParameter("give one of --line, --region and --polygon")
    if line is not None:
        numbers = _numbers(line, "--line", "Y0,X0,Y1,X1", lambda count: count == 4)
        return Line(start=(numbers[0], numbers[1]), stop=(numbers[2], numbers[3]), width=width)
    if polygon is not None:
        numbers = _numbers(
            polygon,
            "--polygon",
            "rows and columns of at least three corners",
            lambda n: n >= 6 and n % 2 == 0,
        )
        return Area(corners=tuple(zip(numbers[::2], numbers[1::2], strict=True)))
    found = parse_region(region)
    if found is None or not found.holds_pixels:
        raise typer.BadParameter(f"--region: expected rows and columns with pixels in them, found {region}")
    return Area.of_region(found)


def _numbers(text: str, name: str, expected: str, right: Any) -> list[float]:
    """Finite numbers separated by commas, as many as are ``right``."""
    from math import isfinite

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not right(len(numbers)) or not all(map(isfinite, numbers)):
        raise typer.BadParameter(f"{name}: expected {expected}, found {text}")
    return numbers


def _names(paths: list[Path]) -> list[str]:
    """File names; paths where two are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, paths))


def _measured(
    paths: list[Path], stacks: list[Stack], wanted: Measure, stop: Token, progress: Progress
) -> Iterator[Measured]:
    """The quantity of every sequence."""
    from napari_xfusion.core.inspect.measure import measure as measure_sequence

    total, done = sum(map(len, stacks)), 0
    numbers = [_frame_numbers(path, stack) for path, stack in zip(paths, stacks, strict=True)]
    own = (stack.clock.interval for stack, each in zip(stacks, numbers, strict=True) if each[1])
    interval = next(filter(None, own), None)
    for stack, (frames, _) in zip(stacks, numbers, strict=True):
        placed = wanted.model_copy(update={"place": _scaled(wanted.place, stacks[0], stack)})
        yield measure_sequence(
            stack,
            placed,
            scale=_scale(stacks, stack),
            numbers=frames,
            interval=interval,
            stop=stop,
            progress=_counted(progress, done, total),
        )
        done += len(stack)


def _counted(progress: Progress, before: int, total: int) -> Callable[[int, int], None]:
    """Counts the frames of one of several sequences."""
    return lambda done, _: progress(before + done, total)


def _frame_numbers(path: Path, stack: Stack) -> tuple[list[float], bool]:
    """LR frame numbers of a sequence's frames, and whether its frames are LR's in turn."""
    from napari_xfusion.core.results.record import read_times

    times = stack.metadata.hr_times
    if times is not None and len(times) == len(stack):
        return list(times), False
    recorded = read_times(path)
    first = 0 if recorded is None else recorded.first
    return [float(first + i) for i in range(len(stack))], True


def _scaled(place: Line | Area, of: Stack, to: Stack) -> Line | Area:
    """``place`` in pixels of another sequence with the same field of view."""
    y, x = (b / a for a, b in zip(of.shape[1:], to.shape[1:], strict=True))

    def point(p: tuple[float, float]) -> tuple[float, float]:
        return (p[0] + 0.5) * y - 0.5, (p[1] + 0.5) * x - 0.5

    if isinstance(place, Area):
        return Area(corners=tuple(map(point, place.corners)))
    return Line(start=point(place.start), stop=point(place.stop), width=max(place.width * (y * x) ** 0.5, 1))


def _scale(stacks: list[Stack], of: Stack) -> Scale:
    """Size of a pixel of a sequence, from the first one that knows it; else in pixels of the first sequence."""
    known = next((stack for stack in stacks if stack.pixel_size is not None), stacks[0])
    size, (y, x) = Scale.of(known), (a / b for a, b in zip(known.shape[1:], of.shape[1:], strict=True))
    return Scale(size.y * y, size.x * x, size.unit)


def _intervals(
    paths: Mapping[str, Path], stacks: list[Stack], wanted: Measure, coverage: float, stop: Token
) -> dict[str, Interval]:
    """The intervals of the sequences that ``fuse`` made, by name."""
    from napari_xfusion.core.holdout.left_out import judged
    from napari_xfusion.core.holdout.measured import measured_interval
    from napari_xfusion.core.methods import make_fuser
    from napari_xfusion.core.results.record import RunRecord, read_times
    from napari_xfusion.core.session import rig_of

    found = {}
    for (name, path), stack in zip(paths.items(), stacks, strict=True):
        if read_times(path) is None or stop.is_set():
            continue
        record = RunRecord.load(path)
        plan = judged(record.plan)
        rig = rig_of(plan, record.rig.fast.open(), record.rig.hr.open())
        place = _scaled(wanted.place, stacks[0], stack)
        what = wanted.model_copy(update={"place": place})
        made = measured_interval(
            plan, rig, make_fuser(plan), what, scale=_scale(stacks, stack), coverage=coverage, stop=stop
        )
        if made is not None:
            found[name] = made
    if not found and not stop.is_set():
        tell(
            "note: no interval: none of the sequences has a record of fuse next to it, or nothing was measured"
        )
    return found


def _facts(measured: Measured, interval: Interval | None) -> dict[str, Any]:
    """A summary as JSON; of a kymograph its size only."""
    import numpy as np

    values = measured.values
    facts: dict[str, Any] = {"what": measured.what, "unit": measured.unit, "frames": len(values)}
    if measured.positions is not None:
        return facts | {"positions": len(measured.positions), "length": float(measured.positions[-1])}
    known = values[np.isfinite(values)]
    numbers = {"min": known.min(), "mean": known.mean(), "max": known.max()} if len(known) else {}
    return {
        **facts,
        "measured": len(known),
        "threshold": measured.threshold,
        **{name: float(value) for name, value in numbers.items()},
        "interval": None if interval is None else interval._asdict(),
    }


def _lines(facts: dict[str, dict[str, Any]], output: Path | None) -> Iterator[str]:
    """A line per sequence."""
    for name, each in facts.items():
        unit = f" {each['unit']}" if each["unit"] else ""
        if "positions" in each:
            yield f"{name:20} {each['frames']} frames, {each['positions']} positions over {each['length']:.6g}{unit}"
            continue
        yield f"{name:20} {each['measured']} of {each['frames']} frames{_range(each, unit)}"
        if each["interval"] is not None:
            half = each["interval"]
            yield (
                f"{'':20} +- {half['half_width']:.4g}{unit} with probability {half['coverage']:.0%}, "
                f"from {half['frames']} HR frames left out"
            )
    if output is not None:
        yield f"saved {output}"


def _range(each: dict[str, Any], unit: str) -> str:
    if "mean" not in each:
        return ""
    threshold = "" if each["threshold"] is None else f", threshold {each['threshold']:.5g}"
    return f": {each['what']} {each['min']:.5g} to {each['max']:.5g}{unit}, mean {each['mean']:.5g}{unit}{threshold}"

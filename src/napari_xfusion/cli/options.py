"""Arguments that several commands share, and the parsers of their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from napari_xfusion.cli.words import in_options
from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.catalogue import BEST, METHODS
from napari_xfusion.core.files import foreign, require_apart
from napari_xfusion.core.plan import FLAWS, MISFITS, GreyRule, Plan, make_plan
from napari_xfusion.core.recordings import Fields, Raw
from napari_xfusion.core.recordings.readers import readable
from napari_xfusion.core.types import Region
from napari_xfusion.errors import PairingError

ImageSequence = Annotated[Path, typer.Argument(help=readable(), show_default=False)]
OptionalSequence = Annotated[Path | None, typer.Argument(help=readable(), show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]
HrStep = Annotated[
    float | None, typer.Option(help="one HR frame every N LR frames", metavar="N", show_default=False)
]
HrStart = Annotated[float, typer.Option(help="LR frame of the first HR frame", metavar="K")]
HrTimes = Annotated[
    str | None,
    typer.Option(
        help="LR frame numbers of the HR frames, not seconds: 0,10,20 or a file",
        metavar="LIST|FILE",
        show_default=False,
    ),
]
LrTimeOffset = Annotated[
    float,
    typer.Option(
        help="added to LR frame times: half the exposure, where they are its start, or a delay", metavar="NS"
    ),
]
HrTimeOffset = Annotated[float, typer.Option(help="added to HR frame times", metavar="NS")]
Frames = Annotated[str | None, typer.Option(help="targets A to B-1 only", metavar="A:B", show_default=False)]
RegionOption = Annotated[
    str | None,
    typer.Option(
        help="HR pixels only: rows A to B-1, columns C to D-1", metavar="A:B,C:D", show_default=False
    ),
]
RigOption = Annotated[
    Path | None,
    typer.Option(
        "--rig",
        help="rig file of calibrate: where LR lies on HR, and when HR frames were taken",
        metavar="FILE",
        show_default=False,
    ),
]
ExtentOption = Annotated[
    Literal["overlap", "hr"],
    typer.Option(help="with --rig: the HR pixels that LR sees, or complete HR frames"),
]
Separation = Annotated[
    int, typer.Option(help="distance of the three LR input frames, in LR frames", metavar="S")
]
GreyOption = Annotated[
    GreyRule,
    typer.Option(
        help="one grey scale: match LR to binned HR, percentiles of each recording, or none: values from 0 to 1"
    ),
]
CorrectOption = Annotated[
    str,
    typer.Option(
        help=f"what is corrected where it is significant: none, or some of auto, {', '.join(FLAWS)}, "
        f"{', '.join(MISFITS)}; auto is all but the last {len(MISFITS)}",
        metavar="auto|none|LIST",
    ),
]
KeepFlickerOption = Annotated[
    bool,
    typer.Option("--keep-flicker", help="results have the brightness of each LR frame where it flickers"),
]
HrFramesOption = Annotated[
    Literal["fuse", "keep"],
    typer.Option(
        help="results at the times of HR frames: fused, with less noise, or those HR frames as recorded"
    ),
]
DtypeOption = Annotated[Literal["hr", "float32"], typer.Option(help="of the result")]
DeviceOption = Annotated[
    str, typer.Option(help="where networks run; cuda:1 is the second GPU", metavar="auto|cpu|cuda|cuda:N|mps")
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="for networks")
]
TileOption = Annotated[str, typer.Option(help="LR pixels per tile, for networks", metavar="auto|N")]
StdOption = Annotated[Path | None, typer.Option(help="also write the standard deviation")]
IntervalOption = Annotated[
    Path | None,
    typer.Option(
        help="also write half widths of intervals for a new HR frame, calibrated on this recording",
        show_default=False,
    ),
]
CoverageOption = Annotated[
    float,
    typer.Option(help="share of a new HR frame's pixels in their interval", min=0.5, max=0.99),
]
AttentionOption = Annotated[
    Path | None, typer.Option(help="also write attention scores, for networks", metavar="CSV")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
MovedLr = Annotated[
    Path | None, typer.Option("--lr", help="the LR recording, where it was moved", show_default=False)
]
MovedHr = Annotated[
    Path | None, typer.Option("--hr", help="the HR recording, where it was moved", show_default=False)
]
ModelOption = Annotated[str | None, typer.Option(help="a network's weights: name or file")]
FlatOption = Annotated[
    list[str] | None,
    typer.Option(
        help="flat (open beam) of this camera: a recording, or own: from the same HDF5 file; twice: before and after",
        metavar="FILE",
        show_default=False,
    ),
]
DarkOption = Annotated[
    list[str] | None,
    typer.Option(help="dark of this camera: a recording, or own", metavar="FILE", show_default=False),
]
BeamOption = Annotated[
    str | None,
    typer.Option(
        help="divide each frame of this camera by its mean, or by that of a region of open beam",
        metavar="mean|A:B,C:D",
        show_default=False,
    ),
]
if TYPE_CHECKING:
    MethodName = str
    MethodOrBest = str
else:  # names are only known at run time
    MethodName = Literal[tuple(METHODS)]
    MethodOrBest = Literal[(*METHODS, BEST)]
MethodOption = Annotated[MethodName, typer.Option(help="how to fuse")]
MethodOrBestOption = Annotated[
    MethodOrBest, typer.Option(help="how to fuse; best: what score recommends for these recordings")
]


class Command(TyperCommand):
    """A command that refuses an option given twice: of two outputs, the first would silently be ignored."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``TyperCommand``; raises BadParameter."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        given: list[Any] = [*order]
        for param in given:
            single = param.param_type_name == "option" and not (
                param.multiple or param.is_flag or param.count
            )
            if single and (times := given.count(param)) > 1:
                raise typer.BadParameter(f"{'/'.join(param.opts)} is given {times} times. Give it once.", ctx)
        return super().parse_args(ctx, args)


def parse_plan(**settings: object) -> Plan:
    """Make a plan from settings by name; invalid ones are wrong usage."""
    try:
        return make_plan(**settings)
    except PairingError as error:
        raise typer.BadParameter(in_options(error)) from None


def load_rig(path: Path | None) -> Calibration | None:
    """The calibration in a rig file; raises InputError."""
    return None if path is None else Calibration.load(path)


def require_rig_output(output: Path, rig: Path | None, *, overwrite: bool) -> None:
    """Raise OutputExistsError where another file than the rig file itself has the name of the output."""
    updated = rig is not None and output.exists() and output.samefile(rig)
    if output.exists() and not overwrite and not updated:
        raise foreign(output, "this is not the rig file that was given")


def check_settings_files(hr_times: str | None, rig: Path | None, outputs: Iterable[Path | None]) -> None:
    """Raise OutputError where an output would replace the file of HR times or the rig file."""
    files = [*([] if hr_times is None else [hr_times.strip()]), *([] if rig is None else [str(rig)])]
    if files:
        require_apart(files, [path for path in outputs if path is not None])


def with_fields(
    path: Path, flats: list[str] | None, darks: list[str] | None, beam: str | None, name: str
) -> Path | Raw:
    """A recording with its flats and darks; its path alone where there are none."""
    region = beam if beam in (None, "mean") else parse_region(beam, name)
    fields = Fields(tuple(flats or ()), tuple(darks or ()), region)
    return Raw(path, fields) if fields else path


def parse_methods(text: str | None) -> list[str] | None:
    """Parse names of methods separated by commas; None where none are given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METHODS:
            raise typer.BadParameter(f"--methods: expected names among {', '.join(METHODS)}, found {name}")
    return names


def parse_frames(text: str | None) -> tuple[int, int] | None:
    """Parse ``A:B``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        raise typer.BadParameter(f"--frames: expected A:B such as 10:20, found {text}")
    return int(match[1]), int(match[2])


def parse_region(text: str | None, name: str = "--region") -> Region | None:
    """Parse ``A:B,C:D`` as a rectangle; ``name`` is that of the option."""
    if text is None:
        return None
    try:
        return Region.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}") from None


def parse_tile(text: str) -> int | None:
    """Parse a number of LR pixels; None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"--tile: expected auto or a number of LR pixels, found {text}")
    return int(text)


def parse_correct(text: str) -> tuple[str, ...]:
    """Parse names of flaws separated by commas, ``auto`` among them for those that are corrected by default."""
    if text == "none":
        return ()
    names = (name.strip() for name in text.split(","))
    return tuple(flaw for name in names for flaw in (FLAWS if name == "auto" else (name,)))

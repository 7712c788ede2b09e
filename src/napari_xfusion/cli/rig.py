"""Commands about the geometry of two cameras and the rig file that contains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_xfusion.cli.options import (
    DarkOption,
    FlatOption,
    HrStart,
    HrStep,
    HrTimes,
    ImageSequence,
    Json,
    OverwriteOption,
    load_rig,
    parse_plan,
    require_rig_output,
    with_fields,
)
from napari_xfusion.cli.terminal import report, say_notes
from napari_xfusion.errors import InputError

if TYPE_CHECKING:  # takes seconds, and --help does not need it
    from napari_xfusion.core.calibration import Calibration, CameraFacts
    from napari_xfusion.core.rig.calibrate import Calibrated

rig = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The rig file of two cameras.")
RigFile = Annotated[Path, typer.Argument(help="rig file, .json", show_default=False)]
PixelSize = typer.Option(
    help="side of a pixel in the plane of the sample; default: as the file says", metavar="UM", min=1e-6
)


def calibrate(
    lr: ImageSequence,
    hr: ImageSequence,
    output: Annotated[Path, typer.Option("--output", "-o", help="rig file, .json")],
    way: Annotated[
        Literal["auto", "grid", "content"],
        typer.Option(help="from a grid or dots that both show, or from what both recordings show"),
    ] = "auto",
    points: Annotated[
        Path | None,
        typer.Option(
            help="from point pairs instead: lr_row, lr_col, hr_row, hr_col in pixels",
            metavar="CSV",
            show_default=False,
        ),
    ] = None,
    pixel_size_lr: Annotated[float | None, PixelSize] = None,
    pixel_size_hr: Annotated[float | None, PixelSize] = None,
    model: Annotated[
        Literal["auto", "similarity", "affine", "radial", "thin-plate"],
        typer.Option(help="of the geometry; auto: the simplest that explains the points"),
    ] = "auto",
    near: Annotated[
        Path | None,
        typer.Option(
            help="rough rig file: seek only near the mapping in it, where the content would fit elsewhere, too",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="also write a checkerboard of both and the residuals", metavar="PNG"),
    ] = None,
    lr_flat: FlatOption = None,
    lr_dark: DarkOption = None,
    hr_flat: FlatOption = None,
    hr_dark: DarkOption = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Find where the pixels of LR lie on those of HR, from a target, point pairs or the recordings; write a rig file.

    Where the answer is not certain, the reason is reported and nothing is written. The clock and the blur in a rig file
    of the same cameras remain, unless it is to be replaced.
    """
    from napari_xfusion.core.calibration_picture import write_picture
    from napari_xfusion.core.files import require_apart
    from napari_xfusion.core.recordings import as_stack
    from napari_xfusion.core.rig.calibrate import calibrate as calibrate_cameras
    from napari_xfusion.core.rig.points import read_points

    stacks = (
        as_stack(with_fields(lr, lr_flat, lr_dark, None, "")),
        as_stack(with_fields(hr, hr_flat, hr_dark, None, "")),
    )
    sources = [
        *(file for stack in stacks for file in stack.files),
        *([] if points is None else [str(points)]),
    ]
    require_apart(sources, [path for path in (output, picture) if path is not None])
    _require_free(picture, overwrite=overwrite)
    earlier = None if overwrite or not output.exists() else _earlier(output)
    pairs = None if points is None else read_points(points)
    rough = load_rig(near)
    made = calibrate_cameras(
        *stacks,
        way=way,
        points=pairs,
        pixel_size_lr=pixel_size_lr,
        pixel_size_hr=pixel_size_hr,
        model=model,
        near=None if rough is None else rough.mapping,
    )
    calibration = made.calibration if earlier is None else _updated(output, earlier, made.calibration)
    calibration.save(output)
    if picture is not None:
        write_picture(made, picture)
    notes = _notes(made, output, earlier)
    say_notes(notes)
    facts = {"output": str(output), "model": made.fit.model, "notes": notes, **_facts(calibration)}
    report(as_json, facts, f"{output}: model {made.fit.model}\n{_lines(calibration)}", saved=True)


@rig.command("show")
def show(file: RigFile, as_json: Json = False) -> None:
    """Report what a rig file contains: both cameras, geometry with its residuals, clock and blur."""
    from napari_xfusion.core.calibration import Calibration

    found = Calibration.load(file)
    report(as_json, {"file": str(file), **_facts(found)}, f"{file}\n{_lines(found)}")


@rig.command("measure")
def measure(
    lr: ImageSequence,
    hr: ImageSequence,
    file: Annotated[Path, typer.Option("--rig", help="rig file of the cameras", metavar="FILE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="rig file to write, which may be the same")],
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    hr_times: HrTimes = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Measure the cameras on a pair: LR's blur, noise and fixed pattern, and how the grey values belong together.

    HR times are those of the rig file's clock, unless they are given.
    """
    from napari_xfusion.core.files import require_apart
    from napari_xfusion.core.plan import parse_times
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.rig.figures import with_figures

    plan = parse_plan(
        method="flow",
        hr_step=hr_step,
        hr_start=hr_start,
        hr_times=parse_times(hr_times),
        calibration=load_rig(file),
    )
    stacks = open_stack(lr), open_stack(hr)
    require_apart([path for stack in stacks for path in stack.files], [output])
    require_rig_output(output, file, overwrite=overwrite)
    found = with_figures(*stacks, plan)
    found.save(output)
    report(as_json, {"output": str(output), **_facts(found)}, f"{output}\n{_lines(found)}", saved=True)


def _require_free(picture: Path | None, *, overwrite: bool) -> None:
    """Raise OutputExistsError where a file of other origin has the name of the picture."""
    from napari_xfusion.core.files import foreign

    if overwrite or picture is None or not picture.exists():
        return
    if picture.read_bytes()[:8] != b"\x89PNG\r\n\x1a\n":
        raise foreign(picture, "this is not a picture of a calibration")


def _earlier(output: Path) -> Calibration:
    """The rig file that is there; raises OutputExistsError where it is something else."""
    from napari_xfusion.core.calibration import Calibration
    from napari_xfusion.core.files import foreign

    try:
        return Calibration.load(output)
    except InputError as error:
        raise foreign(output, "this is not a rig file") from error


def _updated(output: Path, earlier: Calibration, made: Calibration) -> Calibration:
    """``made`` with what holds of the rig file that it replaces; raises OutputExistsError where that is of others."""
    from napari_xfusion.core.files import foreign

    if not made.is_of_cameras_of(earlier):
        raise foreign(output, "this is the rig file of other cameras or sensor regions")
    return made.with_rest_of(earlier)


def _notes(made: Calibrated, output: Path, earlier: Calibration | None) -> list[str]:
    numbers = ", ".join(str(number + 1) for number in made.dropped)
    notes = [f"pairs {numbers} contradict the others and were left out"] if numbers else []
    left = (
        []
        if earlier is None
        else [name for name in ("clock", "blur", "figures") if getattr(earlier, name) is not None]
    )
    if left:
        notes.append(f"the {' and the '.join(left)} in {output} remain; --overwrite drops them")
    return notes


def _facts(found: Calibration) -> dict[str, Any]:
    """The calibration as JSON, with what follows from its mapping."""
    return {
        **found.model_dump(mode="json", by_alias=True),
        "scale": list(found.mapping.scale),
        "turn": found.turn,
        "mirrored": found.is_mirrored,
        "overlap": found.overlap,
    }


def _lines(found: Calibration) -> str:
    """One line per fact that is known."""
    mapping, residuals, clock = found.mapping, found.residuals, found.clock
    facts = {
        "LR": _camera(found.lr),
        "HR": _camera(found.hr),
        "scale": f"{mapping.scale[0]:.4f} down, {mapping.scale[1]:.4f} across, HR pixels per LR pixel",
        "turn": f"{found.turn:.3f} degrees, {'mirrored' if found.is_mirrored else 'not mirrored'}",
        "common field": f"{found.overlap:.0%} of HR",
    }
    if mapping.is_radial:
        k1, k2 = (100 * k for k in mapping.radial)
        facts["radial terms"] = f"{k1:.3f} %, {k2:.3f} % at half the diagonal of HR from the centre"
    if mapping.warp is not None:
        largest = max(
            abs(x) for rows in (mapping.warp.down, mapping.warp.across) for row in rows for x in row
        )
        facts["warp"] = f"displacements of up to {largest:.2f} HR pixels, thin-plate"
    if residuals:
        facts["residuals"] = (
            f"{residuals.rms:.3f} HR pixels RMS, {residuals.largest:.3f} at most, {residuals.left_out:.3f} RMS when"
            f" left out, of {residuals.count} points"
        )
    if clock:
        facts["clock"] = (
            f"HR frame 0 is {clock.offset_ns:.0f} ns after LR frame 0, +- {clock.uncertainty_ns:.0f} ns, rate"
            f" {clock.rate:.9f}, by {clock.source}"
        )
    if found.blur:
        from napari_xfusion.core.rig.blur import blur_of

        down, across = blur_of(found.blur, mapping)
        facts["blur"] = f"{down:.2f} down, {across:.2f} across, LR pixels, standard deviation"
    facts |= found.figures.facts() if found.figures else {}
    facts["made"] = f"{found.made} from {found.way} by version {found.software}"
    return "\n".join(f"{name:15} {value}" for name, value in facts.items())


def _camera(facts: CameraFacts) -> str:
    said = [facts.source, f"{facts.shape[0]}x{facts.shape[1]} pixels"]
    said += [f"{facts.pixel_size:g} um"] if facts.pixel_size else []
    return ", ".join([*said, *filter(None, (facts.camera, facts.serial))])

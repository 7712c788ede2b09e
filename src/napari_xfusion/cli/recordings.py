"""Commands about single recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_xfusion.cli.options import ImageSequence, Json, OverwriteOption, parse_frames
from napari_xfusion.cli.terminal import Progress, report, say_notes, short, stop_on_signal, tell
from napari_xfusion.cli.words import as_facts, in_options, option
from napari_xfusion.core.recordings.readers import readable
from napari_xfusion.errors import XFusionError

Files = Annotated[list[Path], typer.Argument(help=readable(), show_default=False)]


def info(files: Files, as_json: Json = False) -> None:
    """Report what recordings say of themselves: frames, camera, exposure, times of the frames, and what is odd.

    JSON is one object, or a list of them for several files.
    """
    found = [_facts(path) for path in files]
    facts = [each for each, _ in found]
    report(as_json, facts if len(facts) > 1 else facts[0], "\n\n".join(text for _, text in found if text))
    if not all(text for _, text in found):
        raise typer.Exit(1)


def _facts(path: Path) -> tuple[dict[str, Any], str]:
    """The facts of a recording as JSON and as lines; the error and no lines where it cannot be opened."""
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.recordings.facts import facts_of, more_of

    try:
        stack = open_stack(path)
    except XFusionError as error:
        tell(f"error: {in_options(error)}")
        return {"ok": False, "error": as_facts(error)}, ""
    facts = facts_of(stack, option)
    return facts, "\n".join([str(path), *_lines(facts, more_of(stack))])


def _lines(facts: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """One line per fact that is known, and one per warning."""
    single = {name: value for name, value in facts.items() if name not in ("times", "warnings")}
    times = {name.replace("_", " "): value for name, value in facts["times"].items() if name != "source"}
    named = {**single, "times": facts["times"]["source"], **times, **more}
    return [
        *(f"{name:20} {short(value)}" for name, value in named.items() if value is not None),
        *(f"{'warning':20} {warning}" for warning in facts["warnings"]),
    ]


def convert(
    recording: ImageSequence,
    output: Annotated[Path, typer.Option("--output", "-o", help=".tif, .ome.tif, .zarr or .nxs")],
    frames: Annotated[
        str | None, typer.Option(help="frames A to B-1 only", metavar="A:B", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Convert a recording; values, frame times and camera stay as they are.

    Run the same command again to resume after an interruption.
    """
    from napari_xfusion.core.results.convert import convert as convert_recording

    chosen = parse_frames(frames)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        done = convert_recording(
            recording, output, frames=chosen, overwrite=overwrite, stop=stop, progress=progress
        )
    say_notes(done.notes)
    facts = {
        "output": str(done.output),
        "record": f"{done.output}.json",
        "frames": done.frames,
        "total": done.total,
        "finished": done.finished,
        "seconds": round(done.seconds, 3),
        "notes": list(map(in_options, done.notes)),
    }
    text = f"{done.output}: {done.total} frames, {done.seconds:.1f} s"
    if not done.finished:
        text = f"stopped: {done.frames} of {done.total} frames are saved"
        tell(f"{text}; rerun the same command to resume")
    report(as_json, facts, text, saved=True)
    if not done.finished:
        raise typer.Exit(130)

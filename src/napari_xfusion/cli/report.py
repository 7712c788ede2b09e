"""The command that writes a report about a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_xfusion.cli.options import Json, MovedHr, MovedLr, OverwriteOption
from napari_xfusion.cli.terminal import Progress, stop_on_signal, tell
from napari_xfusion.cli.terminal import report as say


def report(
    result: Annotated[Path, typer.Argument(help="a fused sequence with its record", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="page, .html")] = Path("report.html"),
    lr: MovedLr = None,
    hr: MovedHr = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Write one page about a result: recordings, pairing, score, where its detail comes from, worst frames, warnings.

    With the metadata as RO-Crate next to it. The recordings are read again at the paths in the record, or
    where you say that they are now.
    """
    from napari_xfusion.core.trust.report import write_report
    from napari_xfusion.core.trust.result import Result

    opened = Result.open(result, lr=lr, hr=hr)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        found = write_report(opened, output, overwrite=overwrite, stop=stop, progress=progress)
    if found is None:
        tell("stopped; nothing was written")
        raise typer.Exit(130)
    lines = [f"{line.mark:10}{line.text}" for line in found.summary]
    facts = {
        "page": str(found.page),
        "crate": str(found.crate),
        "summary": [line._asdict() for line in found.summary],
    }
    say(as_json, facts, "\n".join([*lines, str(found.page)]), saved=True)

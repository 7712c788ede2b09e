"""The command that says where the detail of a result comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_xfusion.cli.options import Json, MovedHr, MovedLr, OverwriteOption
from napari_xfusion.cli.terminal import Progress, report, stop_on_signal, tell
from napari_xfusion.errors import writing

if TYPE_CHECKING:
    from napari_xfusion.core.trust.sources import Shares


def sources(
    result: Annotated[Path, typer.Argument(help="a fused sequence with its record", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="shares of each frame, .csv", show_default=False)
    ] = None,
    alone: Annotated[
        Path | None,
        typer.Option(
            help="what is the method's own, signed, float32 in the units of the result", show_default=False
        ),
    ] = None,
    main: Annotated[
        Path | None, typer.Option("--map", help="number of each pixel's main source", show_default=False)
    ] = None,
    lr: MovedLr = None,
    hr: MovedHr = None,
    overwrite: OverwriteOption = False,
    as_json: Json = False,
) -> None:
    """Say where the detail of a result comes from: LR, which HR frame, or the method alone.

    The recordings are read again at the paths in the record of the result, which is not changed, or where you say that
    they are now.
    """
    import numpy as np

    from napari_xfusion.core.files import replacing, require_table
    from napari_xfusion.core.results.record import LayerRecord, SequenceRecord
    from napari_xfusion.core.results.save import save_stack
    from napari_xfusion.core.run import check_outputs
    from napari_xfusion.core.trust.result import Result
    from napari_xfusion.core.trust.sources import FINE, LR

    opened = Result.open(result, lr=lr, hr=hr)
    cameras = opened.record.rig.cameras.values()
    written = [path for path in (output, alone, main) if path is not None]
    check_outputs([*opened.sequence.files, *(camera.source for camera in cameras)], written)
    columns = ["frame", LR.name, *(source.name for source in FINE)]
    if output is not None:
        require_table(output, columns, overwrite=overwrite)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        found = dict(opened.shares(stop, progress))
        for path, sequence in ((alone, opened.alone), (main, opened.main)):
            if path is not None and not stop.is_set():
                layer = LayerRecord(name=sequence.source, role="sequence", made_from=(opened.path,))
                record = SequenceRecord(layer=layer, frames=opened.record.frames)
                save_stack(sequence, path, record, overwrite=overwrite, stop=stop, progress=progress)
        if stop.is_set():
            tell("stopped")
            raise typer.Exit(130)
    if output is not None:
        with writing(output, hint="choose another file name"), replacing(output) as part:
            part.write_text("\n".join(_rows(columns, found)) + "\n", encoding="utf-8")
    means = {
        source.name: float(np.mean([row.fine[source.name] for row in found.values()])) for source in FINE
    }
    area = float(np.mean([row.lr for row in found.values()]))
    worst = max(found, key=lambda frame: found[frame].fine["method"])
    lines = [f"{area:.1%} of the picture shows nothing finer than LR; of the detail in the rest:"]
    lines += [f"{source.title:24}{means[source.name]:>7.1%}" for source in FINE]
    lines.append(f"most by the method alone: frame {worst}, {found[worst].fine['method']:.1%}")
    rows = [{"frame": frame, LR.name: row.lr, **row.fine} for frame, row in found.items()]
    facts = {"means": {LR.name: area, **means}, "frames": rows}
    report(as_json, facts, "\n".join(lines), saved=bool(written))


def _rows(columns: list[str], found: dict[int, Shares]) -> Iterator[str]:
    yield ",".join(columns)
    for frame, row in found.items():
        yield ",".join([str(frame), *(f"{value:.5f}" for value in (row.lr, *row.fine.values()))])

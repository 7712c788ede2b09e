"""The command that fuses many shots."""

from __future__ import annotations

import csv
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_xfusion.cli.cluster import DaskOption, SlurmOption, WorkersOption, shared_by
from napari_xfusion.cli.options import (
    CorrectOption,
    DeviceOption,
    DtypeOption,
    ExtentOption,
    HrFramesOption,
    HrStart,
    HrStep,
    Json,
    MethodOrBestOption,
    ModelOption,
    OverwriteOption,
    RigOption,
    Separation,
    load_rig,
    parse_correct,
    parse_frames,
    parse_plan,
    parse_region,
)
from napari_xfusion.cli.terminal import Progress, report, stop_on_signal, tell
from napari_xfusion.cli.words import as_facts, in_options
from napari_xfusion.core.catalogue import BEST, DEFAULT_METHOD
from napari_xfusion.core.plan import parse_times
from napari_xfusion.errors import InputError

if TYPE_CHECKING:
    from napari_xfusion.core.batch import Shot, ShotResult

OWN: dict[str, Callable[[str], object]] = {
    "method": str,
    "model": str,
    "hr_step": str,
    "hr_start": str,
    "hr_times": parse_times,
    "separation": str,
    "frames": parse_frames,
    "region": parse_region,
    "rig": lambda text: load_rig(Path(text)),
}
"""Columns of a CSV file of shots in addition to name, lr and hr, and how their text is read."""


def batch(
    shots: Annotated[
        str,
        typer.Argument(
            help="folder with pairs of recordings, CSV with the columns lr and hr, or pattern of LR recordings",
            show_default=False,
        ),
    ],
    hr: Annotated[
        str | None,
        typer.Argument(help="pattern of the HR recordings, such as 'hr/*.tif'", show_default=False),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder of the results", metavar="DIR")],
    yes: Annotated[bool, typer.Option("--yes", help="fuse; without it, the pairs are listed only")] = False,
    method: MethodOrBestOption = DEFAULT_METHOD,
    model: ModelOption = None,
    hr_step: HrStep = None,
    hr_start: HrStart = 0,
    separation: Separation = 1,
    rig: RigOption = None,
    fit_clock: Annotated[
        bool,
        typer.Option("--fit-clock", help="fit the offset between the clocks for each shot, see synchronise"),
    ] = False,
    score: Annotated[
        bool, typer.Option("--score", help="judge each shot's method, see score, for the table")
    ] = False,
    extent: ExtentOption = "overlap",
    correct: CorrectOption = "auto",
    hr_frames: HrFramesOption = "fuse",
    dtype: DtypeOption = "hr",
    device: DeviceOption = "auto",
    ending: Annotated[
        Literal[".tif", ".ome.tif", ".zarr", ".nxs"], typer.Option("--format", help="of the results")
    ] = ".tif",
    overwrite: OverwriteOption = False,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    slurm: SlurmOption = None,
    as_json: Json = False,
) -> None:
    """Fuse many shots, one after the other, into a folder with a table and a page of them all.

    Pairs are found by their names, where these differ in lr and hr only, and listed first. A shot that fails does not
    stop the others. Run the same command again to resume after an interruption.
    """
    from napari_xfusion.core.batch import PAGE, TABLE, fuse_shots, require_names

    found, alone = _shots(shots, hr)
    require_names(found)
    settings = {
        "method": method,
        "model": model,
        "hr_step": hr_step,
        "hr_start": hr_start,
        "separation": separation,
        "calibration": load_rig(rig),
        "extent": extent,
        "correct": parse_correct(correct),
        "hr_frames": hr_frames,
        "dtype": dtype,
        "device": device,
    }
    if method == BEST and model is not None:
        raise typer.BadParameter("--method best takes no --model")
    parse_plan(**{**settings, "method": DEFAULT_METHOD if method == BEST else method})
    for path in alone:
        tell(f"note: {path} has no partner and is left out")
    if not yes:
        pairs = [{"shot": shot.name, "lr": str(shot.lr), "hr": str(shot.hr)} for shot in found]
        lines = [f"{shot.name}: {shot.lr} with {shot.hr}" for shot in found]
        count = f"{len(found)} shots" if len(found) > 1 else "1 shot"
        report(as_json, {"shots": pairs}, "\n".join([*lines, f"{count}. To fuse, add --yes."]))
        return
    results: list[ShotResult] = []
    with (
        Progress("shots") as progress,
        stop_on_signal(progress) as stop,
        shared_by(workers, dask, slurm, say=progress.say) as others,
    ):
        progress(0, len(found))
        for result in fuse_shots(
            found,
            settings,
            output,
            ending=ending,
            fit_clock=fit_clock,
            score=score,
            overwrite=overwrite,
            workers=others,
            stop=stop,
        ):
            results.append(result)
            progress.say(_line(result))
            progress(len(results), len(found))
    _report(results, len(found), output / TABLE, output / PAGE, as_json=as_json)


def _report(results: list[ShotResult], total: int, table: Path, page: Path, *, as_json: bool) -> None:
    fused = sum(result.status == "fused" for result in results)
    failed = [result for result in results if result.status == "failed"]
    facts = {
        "shots": [{**result.row(), "error": result.error and as_facts(result.error)} for result in results],
        "total": total,
        "fused": fused,
        "failed": len(failed),
        "table": str(table),
        "page": str(page),
    }
    report(
        as_json,
        facts,
        f"{fused} of {total} shots are fused, {len(failed)} failed: {table}, {page}",
        saved=True,
    )
    if fused + len(failed) < total:
        tell("stopped; rerun the same command to resume")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _line(result: ShotResult) -> str:
    if result.error is not None:
        return f"{result.shot.name}: failed: {in_options(result.error)}"
    before = " by an earlier run" if result.resumed == result.frames else f", {result.seconds:.1f} s"
    warned = f", {len(result.warnings)} warnings" if result.warnings else ""
    return f"{result.shot.name}: {result.status}, {result.frames} frames{before}{warned}"


def _shots(shots: str, hr: str | None) -> tuple[list[Shot], list[Path]]:
    """The shots that the arguments name, and recordings without a partner."""
    from napari_xfusion.core.batch import find_shots, pair_shots

    if hr is not None:
        return pair_shots(_matching(shots), _matching(hr)), []
    path = Path(shots)
    if path.is_dir():
        return find_shots(path)
    return _read_shots(path), []


def _matching(pattern: str) -> list[Path]:
    return [Path(path) for path in glob(pattern, recursive=True)]  # noqa: PTH207 - takes absolute patterns, too


def _read_shots(path: Path) -> list[Shot]:
    """The shots that a CSV file lists; paths in it are relative to its folder. Raises InputError."""
    from napari_xfusion.core.batch import Shot

    def refuse(found: str, hint: str = "correct the table") -> InputError:
        columns = "a table of shots (CSV) with the columns lr and hr, and name or settings: " + ", ".join(OWN)
        return InputError(path, expected=columns, found=found, hint=hint)

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise refuse(getattr(error, "strerror", None) or str(error), "give a folder or a CSV file") from error
    if not rows or not {"lr", "hr"} <= rows[0].keys():
        raise refuse(f"the columns {', '.join(map(str, rows[0]))}" if rows else "no row")
    unknown = [name for name in rows[0] if name not in (None, "name", "lr", "hr", *OWN)]
    if unknown:
        raise refuse(f"the columns {', '.join(unknown)}")
    made = []
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or not row["lr"].strip() or not row["hr"].strip():
            raise refuse(f"line {number} with other columns than the first")
        lr, hr = (path.parent / row[name].strip() for name in ("lr", "hr"))
        made.append(Shot((row.get("name") or "").strip() or lr.stem, lr, hr, _settings(row, path.parent)))
    return made


def _settings(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a plan in the columns of a row that are not empty."""
    given = {name: row[name].strip() for name in OWN if (row.get(name) or "").strip()}
    if "rig" in given:
        given["rig"] = str(folder / given["rig"])
    read = {name: OWN[name](text) for name, text in given.items()}
    if "rig" in read:
        read["calibration"] = read.pop("rig")
    return read

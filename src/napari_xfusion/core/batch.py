"""Many shots one after another: pairs found by their names, each fused into its own file, and one table of them all."""

from __future__ import annotations

import csv
import html
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from napari_xfusion.core.catalogue import BEST, DEFAULT_METHOD
from napari_xfusion.core.files import make_folder, require_table, write_whole
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.readers import file_endings
from napari_xfusion.core.rig.synchronise import synchronise, with_clock
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.core.work import Workers
from napari_xfusion.errors import ClusterError, InputError, XFusionError, XFusionWarning

if TYPE_CHECKING:
    from napari_xfusion.core.holdout.score import Score

ROLES = {
    "lr": "lr",
    "low": "lr",
    "fast": "lr",
    "coarse": "lr",
    "hr": "hr",
    "high": "hr",
    "slow": "hr",
    "sharp": "hr",
}
"""Words in the names of recordings that say which camera they are of; "low" and "high" are of resolution."""
DEPTH = 3
"""Folders below the one that is searched, itself included."""
TABLE, PAGE, THUMBNAILS = "batch.csv", "batch.html", "thumbnails"
TYPED = "batch.parquet"
"""The same table with types, where pyarrow is installed."""
COLUMNS = (
    "shot",
    "status",
    "frames",
    "seconds",
    "method",
    "score_db",
    "warnings",
    "error",
    "lr",
    "hr",
    "output",
)
THUMBNAIL = 240
"""Longest side of the picture of a shot, pixels."""
_ROLE = re.compile(rf"(?<![a-z])({'|'.join(ROLES)})(?![a-z])", re.IGNORECASE)

Status = Literal["waiting", "fused", "stopped", "failed"]


@dataclass(frozen=True)
class Shot:
    """The two recordings of one event."""

    name: str
    """Of its result, without ending; unique in a batch."""
    lr: Path
    hr: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those of a plan that are this shot's own."""


@dataclass(frozen=True)
class ShotResult:
    """What became of a shot."""

    shot: Shot
    output: Path
    method: str
    status: Status = "waiting"
    frames: int = 0
    """Number of saved frames."""
    resumed: int = 0
    """Number of them that an earlier run had computed."""
    seconds: float = 0.0
    score: float | None = None
    """Expected PSNR of the unseen targets in dB, where it was asked for; None where it cannot be known."""
    warnings: tuple[XFusionWarning, ...] = ()
    error: XFusionError | None = None
    """Why it failed."""

    def row(self) -> dict[str, object]:
        """The shot's line of the table, by COLUMNS."""
        return {
            "shot": self.shot.name,
            "status": self.status,
            "frames": self.frames,
            "seconds": round(self.seconds, 1),
            "method": self.method,
            "score_db": None if self.score is None else round(self.score, 2),
            "warnings": " ".join(dict.fromkeys(warning.code for warning in self.warnings)),
            "error": "" if self.error is None else str(self.error),
            "lr": str(self.shot.lr),
            "hr": str(self.shot.hr),
            "output": str(self.output),
        }


def find_shots(folder: Path) -> tuple[list[Shot], list[Path]]:
    """Pairs of recordings in ``folder`` and below it, by their names; and recordings without a partner.

    Names, or those of folders below, contain one of ROLES as a word, and are the same without it: ``007_lr.tif`` with
    ``007_hr.tif``, ``lr/007.cine`` with ``hr/007.cine``, ``007/fast.mraw`` with ``007/slow.tif``. Raises InputError
    where there is no such pair, or one name has several recordings of a camera.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for path in _recordings(folder):
        within = path.relative_to(folder).with_suffix("").as_posix()
        roles = list(_ROLE.finditer(within))
        if roles:
            last = roles[-1]
            name = re.sub(r"[^\w.-]+|_+", "_", within[: last.start()] + within[last.end() :]).strip("_-.")
            cameras = found.setdefault(name or folder.resolve().name, {})
            cameras.setdefault(ROLES[last[0].lower()], []).append(path)
    for cameras in found.values():
        for several in cameras.values():
            if len(several) > 1:
                raise InputError(
                    folder,
                    expected="one recording of each camera for a shot",
                    found=", ".join(path.name for path in several),
                    hint="list the pairs in a CSV file with the columns lr and hr",
                )
    shots = [
        Shot(name, cameras["lr"][0], cameras["hr"][0])
        for name, cameras in sorted(found.items())
        if len(cameras) == 2
    ]
    alone = [path for cameras in found.values() if len(cameras) == 1 for [path] in cameras.values()]
    if not shots:
        raise InputError(
            folder,
            expected="pairs of recordings whose names differ in lr and hr only",
            found=f"{len(alone)} recordings with lr or hr in their names, and no pair",
            hint="rename them, or list the pairs in a CSV file with the columns lr and hr",
        )
    return shots, sorted(alone)


def pair_shots(lr: Sequence[Path], hr: Sequence[Path]) -> list[Shot]:
    """Pair recordings in the order of their names; raises InputError unless there are as many of both."""
    if not lr or len(lr) != len(hr):
        raise InputError(
            "the two patterns",
            expected="as many LR as HR recordings",
            found=f"{len(lr)} and {len(hr)}",
            hint="list the pairs in a CSV file with the columns lr and hr",
        )
    return [Shot(low.stem, low, high) for low, high in zip(sorted(lr), sorted(hr), strict=True)]


def require_names(shots: Sequence[Shot]) -> None:
    """Raise InputError where two shots have one name, or one has none that a file can have."""
    seen: set[str] = set()
    for shot in shots:
        if (
            not re.fullmatch(r"[\w.-]+", shot.name)
            or shot.name.casefold() in seen
            or shot.name.startswith(".")
        ):
            raise InputError(
                shot.name,
                expected="a name for each shot of its own, of letters, digits, _, - and .",
                found=f"it for {shot.lr} and {shot.hr}",
                hint="give names in a CSV file with the columns name, lr and hr",
            )
        seen.add(shot.name.casefold())


def fuse_shots(
    shots: Sequence[Shot],
    settings: Mapping[str, Any],
    folder: Path,
    *,
    ending: str = ".tif",
    fit_clock: bool = False,
    score: bool = False,
    overwrite: bool = False,
    workers: Workers | None = None,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[ShotResult]:
    """Fuse each shot into ``folder``/NAME``ending``; after each, write the table, its picture and the page.

    ``settings`` are those of a plan by name; a shot's own replace them. With ``fit_clock``, the offset between the
    clocks is fitted for each shot (`synchronise`). The method ``best`` is the one that the score of a shot recommends;
    with ``score``, the methods that are given are judged, too. ``workers`` as of ``fuse_files``: shots are fused one
    after the other, each by all workers. A shot that fails does not stop the others; shots that are
    complete are left alone, so the same call resumes. ``progress`` counts frames of the current shot. Raises
    XFusionError where ``folder`` cannot be used, and ClusterError where the workers were lost.
    """
    require_names(shots)
    make_folder(folder)
    require_table(folder / TABLE, COLUMNS[:3], overwrite=overwrite)
    method = str(settings.get("method", Plan().method))
    earlier = {} if overwrite else _earlier(folder)
    results = [
        ShotResult(shot, folder / f"{shot.name}{ending}", str(shot.settings.get("method", method)))
        for shot in shots
    ]
    stop = stop or threading.Event()
    for number, waiting in enumerate(results):
        if stop.is_set():
            break
        try:
            plan, known = _plan_of(waiting, settings, earlier, fit_clock=fit_clock)
            judged = None
            if known is None and (score or waiting.method == BEST):
                judged, known = _judged(plan, waiting, stop)
                if stop.is_set():
                    break
            if judged is not None:
                plan = plan.model_copy(update={"method": judged.choice.method})
            waiting = replace(waiting, method=plan.method, score=known)  # noqa: PLW2901
            outcome = fuse_files(
                plan,
                waiting.shot.lr,
                waiting.shot.hr,
                waiting.output,
                score=judged,
                overwrite=overwrite,
                workers=workers,
                stop=stop,
                progress=progress,
            )
            result = replace(
                waiting,
                status="fused" if outcome.finished else "stopped",
                frames=outcome.frames,
                resumed=outcome.resumed,
                seconds=outcome.seconds,
                warnings=outcome.notes,
            )
        except ClusterError:
            raise
        except XFusionError as error:
            result = replace(waiting, status="failed", error=error)
        results[number] = result
        if result.status == "fused":
            _write_thumbnail(result, folder)
        _write_table(results, folder)
        _write_page(results, folder)
        yield result


def _recordings(folder: Path) -> Iterator[Path]:
    """Files and OME-Zarrs that can be recordings, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if len(below.parts) > DEPTH or any(part.startswith(".") for part in below.parts):
            continue
        inside = any(parent.suffix.lower() == ".zarr" for parent in below.parents)
        if not inside and path.suffix.lower() in (".zarr", *file_endings()):
            yield path


def _plan_of(
    waiting: ShotResult,
    settings: Mapping[str, Any],
    earlier: Mapping[str, Mapping[str, str]],
    *,
    fit_clock: bool,
) -> tuple[Plan, float | None]:
    """The plan of a shot, for ``best`` by the default method; and the score by which an earlier run has fused it."""
    shot, own = waiting.shot, {**settings, **waiting.shot.settings}
    row = earlier.get(shot.name, {})
    known = float(row["score_db"]) if row.get("score_db") and waiting.output.exists() else None
    if own.get("method") == BEST:
        own["method"] = row["method"] if known is not None else DEFAULT_METHOD
    plan = make_plan(**own)
    if not fit_clock:
        return plan, known
    stacks = open_stack(shot.lr), open_stack(shot.hr)
    fit = synchronise(
        *stacks,
        plan.calibration,
        hr_step=plan.hr_step,
        lr_time_offset=plan.lr_time_offset,
        hr_time_offset=plan.hr_time_offset,
    )
    rest = {"hr_step": None, "hr_start": 0.0, "lr_time_offset": 0.0, "hr_time_offset": 0.0}
    return make_plan(**{**own, **rest, "calibration": with_clock(*stacks, plan.calibration, fit)}), known


def _judged(plan: Plan, waiting: ShotResult, stop: Token) -> tuple[Score | None, float | None]:
    """The score that chooses the method, None where it is given; and the expected PSNR of the method."""
    from napari_xfusion.core.holdout.score import score_methods  # noqa: PLC0415 - takes time to import

    best = waiting.method == BEST
    try:
        found = score_methods(
            plan, waiting.shot.lr, waiting.shot.hr, methods=None if best else [plan.method], stop=stop
        )
    except InputError:
        if best:
            raise
        return None, None  # too few HR frames to judge by
    if found is None:
        return None, None
    expected = found.of(found.choice.method if best else plan.method).unseen
    return found if best else None, expected


def _earlier(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the shots that an earlier run has fused."""
    table = folder / TABLE
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["shot"]: row for row in csv.DictReader(file) if row["status"] == "fused"}


def _write_table(results: Sequence[ShotResult], folder: Path) -> None:
    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(result.row() for result in results)

    write_whole(folder / TABLE, write)
    if find_spec("pyarrow") is not None:
        from pyarrow import Table, parquet  # noqa: PLC0415 - an extra

        typed = Table.from_pylist([result.row() for result in results])
        write_whole(folder / TYPED, lambda part: parquet.write_table(typed, part))


def _write_thumbnail(result: ShotResult, folder: Path) -> None:
    """The middle frame of a result as an 8-bit PNG, from its darkest to its brightest percent."""
    target = folder / THUMBNAILS / f"{result.shot.name}.png"
    if result.resumed == result.frames and target.exists():
        return
    stack = open_stack(result.output)
    image = np.nan_to_num(stack.frame(len(stack) // 2).astype(np.float32))
    low, high = np.percentile(image, (1, 99))
    levels = np.clip((image - low) / max(high - low, 1e-12), 0, 1) * 255
    share = min(1.0, THUMBNAIL / max(levels.shape))
    size = tuple(max(1, round(side * share)) for side in levels.shape[::-1])
    small = cv2.resize(levels.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    write_whole(target, lambda part: part.write_bytes(cv2.imencode(".png", small)[1].tobytes()))


def _write_page(results: Sequence[ShotResult], folder: Path) -> None:
    """A page with a line and a picture for each shot."""
    counts = {
        status: sum(r.status == status for r in results)
        for status in ("fused", "failed", "stopped", "waiting")
    }
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    rows = "\n".join(map(_page_row, results))
    text = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fused shots</title>
<style>body {{font: 14px sans-serif; margin: 2em}} td, th {{padding: 4px 12px; text-align: left; vertical-align: top}}
tr.failed {{background: #fbe3df}} tr.stopped, tr.waiting {{color: #666}}</style>
<h1>Fused shots</h1><p>{len(results)} shots: {summary}. The same as a table: <a href="{TABLE}">{TABLE}</a>.</p>
<table><tr><th>shot<th>middle frame<th>status<th>frames<th>seconds<th>method<th>score, dB<th>warnings and errors</tr>
{rows}
</table></html>
"""
    write_whole(folder / PAGE, lambda part: part.write_text(text, encoding="utf-8"))


def _page_row(result: ShotResult) -> str:
    name = html.escape(result.shot.name)
    picture = f'<img src="{THUMBNAILS}/{name}.png" loading="lazy" alt="">' if result.status == "fused" else ""
    said = [] if result.error is None else [str(result.error)]
    remarks = "<br>".join(html.escape(text) for text in (*said, *map(str, result.warnings)))
    facts = (
        name,
        picture,
        result.status,
        str(result.frames),
        f"{result.seconds:.1f}",
        result.method,
        "" if result.score is None else f"{result.score:.1f}",
        remarks,
    )
    return f'<tr class="{result.status}">' + "".join(f"<td>{fact}" for fact in facts) + "</tr>"

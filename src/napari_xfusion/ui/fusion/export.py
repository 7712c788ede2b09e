"""What leaves the window: sequences, side-by-side movies, the view, numbers, and the command that repeats a run.

Functions on layers; those that take long look at a ``stop`` and may run in another thread than the window's.
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.inspect.evaluate import Evaluation, evaluate
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.quantities import moment
from napari_xfusion.core.recordings import Fields, Raw, Recording
from napari_xfusion.core.results.record import AnyRecord, FrameRecord, RunRecord, record_path
from napari_xfusion.core.results.save import save_stack
from napari_xfusion.core.results.sheet import labelled, sheet, with_scale_bar
from napari_xfusion.core.trust.crate import crate_path
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.types import Progress, Reopenable, Token
from napari_xfusion.errors import InputError, OutputExistsError, writing
from napari_xfusion.ui.shared.compare import FUSED
from napari_xfusion.ui.shared.provenance import (
    in_unit,
    pixels_of,
    provenance_of,
    scale_of,
    sequence_record,
    stack_of,
)

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_xfusion.core.trust.report import Report

GAP = 4
"""Pixels between a movie's pictures."""


def save_sequence(
    layer: Image, path: Path, *, stop: Token | None = None, progress: Progress = lambda _done, _total: None
) -> bool:
    """Write the sequence of a layer with its record, replacing what is there; see ``core.results.save``."""
    return save_stack(
        stack_of(layer), path, sequence_record(layer), overwrite=True, stop=stop, progress=progress
    )


def result_of(layer: Image) -> Result:
    """The result of a completed run, for a report; raises TypeError for another layer."""
    record, sequence = sequence_record(layer), stack_of(layer)
    if not isinstance(record, RunRecord):
        raise TypeError(f"{layer.name} has no record of a run")  # the button is disabled then
    saved = sequence.recording is not None and record_path(sequence.source).is_file()
    return Result(sequence.source if saved else layer.name, record, sequence, saved)


def report(layer: Image, page: Path, *, stop: Token, progress: Progress) -> Report | None:
    """Write a report about the result of a layer, replacing the one that is there; see ``core.trust.report``."""
    from napari_xfusion.core.trust.report import write_report  # noqa: PLC0415 - takes time to import

    crate = crate_path(page)
    if crate.exists() and not page.exists():  # the dialog has asked for the page only
        raise OutputExistsError(crate, problem="this file exists", hint="choose another name for the report")
    return write_report(result_of(layer), page, overwrite=page.exists(), stop=stop, progress=progress)


def frames_missing(layer: Image) -> int:
    """How many frames of a sequence that a run has not finished are not there yet."""
    return sum(not each.done for each in sequence_record(layer).frames)


@dataclass(frozen=True, eq=False)
class Pane:
    """A layer as it looks, to be drawn at any time of the sequence, in any thread."""

    name: str
    data: Any
    """(T, y, x), or (y, x)."""
    start: float
    step: float
    """Time of the first entry, and from one to the next, in ``unit``."""
    unit: str | None
    """``s`` for every unit of time, else the name of the layer's; None of a picture, which has no time."""
    limits: tuple[float, float]
    gamma: float
    colormap: Any
    pixel: float | None = None
    """Width of a pixel in micrometres, where it is known."""

    def picture(self, time: float) -> NDArray[np.uint8]:
        """The picture of the nearest frame at ``time``, (H, W, 3); black before the sequence and after it."""
        frame = self.data
        if frame.ndim == 3:
            number = round((time - self.start) / self.step)
            if not 0 <= number < len(frame):
                return np.zeros((*frame.shape[1:], 3), np.uint8)
            frame = frame[number]
        if isinstance(frame, da.Array):  # else dask would keep threads for this one
            frame = frame.compute(scheduler="synchronous")
        low, high = self.limits
        shade = np.clip((np.asarray(frame, np.float32) - low) / (high - low), 0, 1) ** self.gamma
        colours: NDArray[np.uint8] = (self.colormap.map(shade)[..., :3] * 255).astype(np.uint8)
        return colours.reshape(*frame.shape, 3)


def pane(layer: Image) -> Pane:
    """A layer as it looks now; raises InputError for one that is no sequence of grey frames."""
    stack_of(layer)
    start, step, unit, scale = 0.0, 1.0, None, scale_of(layer)
    if layer.ndim == 3:
        step, seconds = float(layer.scale[0]), in_unit(layer, 0, "s")
        factor, unit = (1.0, str(layer.units[0])) if seconds is None else (seconds / step, "s")
        start, step = float(layer.translate[0]) * factor, step * factor
    return Pane(
        layer.name,
        pixels_of(layer),
        start,
        step,
        unit,
        tuple(layer.contrast_limits),
        float(layer.gamma),
        layer.colormap,
        scale.x if scale.unit == "um" else None,
    )


def side_by_side(
    panes: Sequence[Pane],
    *,
    scale_bar: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[NDArray[np.uint8]]:
    """The panes beside each other at every time of the longest one, (H, W, 3), names and time above.

    All get the height of the tallest, and with ``scale_bar`` a bar where the size of their pixels is known. Raises
    InputError where their times have different units.
    """
    units = {p.unit for p in panes if p.unit is not None}
    if len(units) > 1:
        raise InputError(
            "movie",
            expected="sequences whose times have one unit",
            found=" and ".join(sorted(units)),
            hint="select sequences of one experiment, or set the units of the layers",
        )
    clock = max(panes, key=lambda p: len(p.data) if p.data.ndim == 3 else 1)
    count = len(clock.data) if clock.data.ndim == 3 else 1
    height = max(p.data.shape[-2] for p in panes)
    for i in range(count):
        time = clock.start + i * clock.step
        row = [labelled(_enlarged(p, time, height, scale_bar), p.name) for p in panes]
        said = f"frame {i}" + (f", {moment(time)}" if clock.unit == "s" else "")
        yield labelled(sheet(row, len(row), (0, GAP)), said)
        progress(i + 1, count)


def save_numbers(layer: Image, path: Path, truth: Image | None = None) -> None:
    """Write a CSV with a row for each frame of a result: what its run recorded, and the metrics by ``truth``.

    Columns: frame, seen, seconds; psnr, aad, ssim, ssim_gaussian; and each input's attention score, raw and
    sigmoid. Those that are not known are left out. Raises InputError where nothing is known.
    """
    record = sequence_record(layer)
    recorded = record.frames if isinstance(record, RunRecord) else ()
    evaluation = None if truth is None else _against(truth, layer, record)
    if not recorded and evaluation is None:
        raise InputError(
            f"layer {layer.name}",
            problem="it is not the result of a completed run, and no truth layer is open",
            hint="complete the run first",
        )
    rows: dict[int, dict[str, Any]] = {entry.frame: _flat(entry) for entry in recorded}
    for row in evaluation.rows if evaluation else ():
        metrics = {name: f"{value:.6g}" for name, value in row.metrics._asdict().items()}
        rows[row.frame] = rows.get(row.frame, {"frame": row.frame}) | metrics
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    with writing(path), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows.values())


def comparable(truth: Image, layer: Image) -> bool:
    """Whether frame k of a layer is of the time of frame k of its run, or of the truth if it is of no run.

    HR and what shows HR have frames at other times; differences and standard deviations are no images.
    """
    if layer is truth or layer.data.shape[-2:] != truth.data.shape[-2:]:
        return False
    known = provenance_of(layer)
    if known is None or known.role == "sequence":
        return bool(layer.data.shape[0] == truth.data.shape[0])
    return known.role in FUSED


def has_numbers(layer: Image) -> bool:
    """Whether a finished run has recorded something of each frame."""
    return isinstance(sequence_record(layer), RunRecord)


def made_from(layer: Image, layers: Iterable[Image]) -> tuple[Plan, tuple[Raw, Raw]] | None:
    """The plan of a sequence that a run made, and where LR and HR are, with the flats and darks that
    they were fused by; None of other sequences.

    Those of the layers it was made from where both are among ``layers``, else those of its run record, which a result
    that was opened again has as well.
    """
    known = provenance_of(layer)
    if known is None or known.plan is None or known.role not in ("fused", "baseline"):
        return None
    there = known.origins_among(layers)
    if len(there) == 2 and None not in there:
        lr, hr = (
            _raw(origin.recording or stack_of(layer).recording, stack_of(layer).source)
            for origin, layer in zip(known.origins, there, strict=True)
            if layer is not None
        )
        return known.plan, (lr, hr)
    record = sequence_record(layer)
    if not isinstance(record, RunRecord):
        return None
    lr, hr = (_raw(camera.recording, camera.source) for camera in (record.rig.fast, record.rig.hr))
    return record.plan, (lr, hr)


RIG_FILE = "rig.json"
"""Stands for the rig file in a command, as a plan keeps its content only."""


def command_line(plan: Plan, sources: tuple[Raw, Raw], output: str) -> str:
    """The command that makes what ``plan`` makes of the LR and HR recordings at ``sources``, for a POSIX shell.

    A rig file is called RIG_FILE. Raises InputError where one of them is no file.
    """
    files = [_file_at(str(source.path)) for source in sources]
    words = ["napari-xfusion", "fuse", *files, "-o", output]
    for camera, source in zip(("lr", "hr"), sources, strict=True):
        words += _field_options(camera, source.fields)
    given = plan.model_dump(exclude_defaults=True, exclude={"calibration"})
    if plan.calibration is not None:
        words += ["--rig", RIG_FILE]
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, _as_argument(name, value)]
    return shlex.join(words)


def _as_argument(name: str, value: Any) -> str:
    if name == "hr_times":
        return ",".join(repr(float(time)) for time in value)
    if name == "correct":
        return ",".join(value) or "none"
    if name == "frames":
        return f"{value[0]}:{value[1]}"
    if name == "region":
        return f"{value[0]}:{value[1]},{value[2]}:{value[3]}"
    return str(value)


def _field_options(camera: str, fields: Fields) -> list[str]:
    """Flats, darks and normalisation of a camera as options."""
    flats = [word for path in fields.flats for word in (f"--{camera}-flat", path)]
    darks = [word for path in fields.darks for word in (f"--{camera}-dark", path)]
    return [*flats, *darks, *([f"--{camera}-normalise", str(fields.beam)] if fields.beam else [])]


def _raw(recording: Reopenable | None, name: str) -> Raw:
    """Where a recording is, with the paths inside its file, its flats and darks; ``name`` of data in memory."""
    if not isinstance(recording, Recording):
        return Raw(name if recording is None else str(recording.path), Fields())
    return Raw(recording.place, recording.options.fields)


def _file_at(source: str) -> str:
    name, separator, inside = source.partition("::")
    if Path(name).exists():
        return f"{Path(name).resolve()}{separator}{inside}"
    if Path(name).is_absolute():
        raise InputError(
            name, problem="this recording does not exist", hint="restore it, or open it as a layer"
        )
    raise InputError(
        f"layer {name}", problem="the data are in memory only", hint="save the layer and open it again"
    )


def _against(truth: Image, layer: Image, record: AnyRecord) -> Evaluation:
    """The result compared with the truth, from the frame of the truth that its first frame belongs to."""
    first = next((entry.frame for entry in record.frames), 0)
    times = record.hr_times if isinstance(record, RunRecord) else None
    return evaluate(stack_of(truth), stack_of(layer), hr_times=times, first=first)


def _flat(entry: FrameRecord) -> dict[str, Any]:
    """A frame's notes as one row: scores by input."""
    flat = {"frame": entry.frame} | entry.notes()
    for role, score in flat.pop("scores", {}).items():
        flat |= {f"{role} {kind}": value for kind, value in score.items()}
    return flat


def _enlarged(pane: Pane, time: float, height: int, scale_bar: bool) -> NDArray[np.uint8]:
    """The picture of ``pane`` at ``height``, by repeated pixels: what a camera saw is not smoothed."""
    picture = pane.picture(time)
    rows = np.arange(height) * picture.shape[0] // height
    width = round(picture.shape[1] * height / picture.shape[0])
    columns = np.arange(width) * picture.shape[1] // width
    enlarged: NDArray[np.uint8] = picture[rows[:, None], columns]
    if scale_bar and pane.pixel is not None:
        return with_scale_bar(enlarged, pane.pixel * picture.shape[1] / width)
    return enlarged

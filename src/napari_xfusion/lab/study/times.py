"""Wall time of every method: one frame from its window, again and again (paper, E9)."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.rig import seen_targets
from napari_xfusion.core.rig.timing import Times
from napari_xfusion.core.types import Token
from napari_xfusion.lab.study.cells import Cell, session_of, set_up

LONGEST = 60.0
"""Seconds after which a method has been measured often enough, if three times at least."""
FEWEST = 3


@dataclass(frozen=True)
class Time:
    """Seconds that a method takes for one frame."""

    movie: str
    series: str
    height: int
    width: int
    """HR pixels."""
    runs: int
    median: float
    lower: float
    """First quartile."""
    upper: float
    """Third quartile."""
    machine: str
    """What it was measured on."""


def measure_time(cell: Cell, path: Path, identity: str, stop: Token, done: Callable[[int], None]) -> None:
    """Measure the method of ``cell`` on its middle unseen frame and keep the result in the file ``path``.

    The session is closed after every run, so that nothing is cached from the run before. The first one, which
    reads the sequences, does not count. ``done`` receives the number of runs. When ``stop`` is set nothing is
    kept.
    """
    _, rig = set_up(cell)
    target = middle_unseen(cell.targets, rig.hr_times)
    session, seconds = session_of(cell, rig), list[float]()
    began = perf_counter()
    while len(seconds) <= cell.plan.runs and not stop.is_set():
        with session:
            seconds += [frame.seconds for frame in islice(session.frames([target], stop), 1)]
        done(len(seconds) - 1)
        if len(seconds) > FEWEST and perf_counter() - began > LONGEST:
            break
    if stop.is_set():
        return
    lower, median, upper = np.percentile(seconds[1:], (25, 50, 75)).tolist()
    time = Time(
        movie=cell.sequence.name,
        series=cell.series.name,
        height=cell.sequence.size[0],
        width=cell.sequence.size[1],
        runs=len(seconds) - 1,
        median=median,
        lower=lower,
        upper=upper,
        machine=machine(session.fuser.settings["device"]),
    )
    content = json.dumps({"identity": identity, **asdict(time)})
    write_whole(path, lambda part: part.write_text(content, encoding="utf-8"))


def middle_unseen(targets: Sequence[int], hr_times: Times) -> int:
    """The middle target without an HR frame of its own, which some methods would hand back as it is."""
    seen = seen_targets(hr_times, max(*targets, int(np.rint(hr_times[-1]))) + 1)
    unseen = [target for target in targets if not seen[target]] or targets
    return unseen[len(unseen) // 2]


def read_time(path: Path, identity: str) -> Time | None:
    """What ``measure_time`` kept, or None where that is missing, damaged or of another run."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Time(**values) if values.pop("identity") == identity else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_times(times: Sequence[Time], path: Path) -> None:
    """A CSV with one row per sequence and method."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(Time.__dataclass_fields__)
    for time in times:
        writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in asdict(time).values())
    write_whole(path, lambda part: part.write_text(table.getvalue(), encoding="utf-8"))


def machine(device: str) -> str:
    """The processor or GPU that a method ran on, in words."""
    if device == "cuda":
        import torch  # noqa: PLC0415 - takes seconds, and only networks run on a GPU

        return torch.cuda.get_device_name()
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    """Its name, where the system tells more than the kind of machine."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

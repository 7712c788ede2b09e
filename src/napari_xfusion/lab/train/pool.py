"""A pool of clean samples on disk: drawn once by several processes, used again and again.

Two cores draw about a hundred samples a second, less than a training uses. Turns and noise are made
afresh at every use, so the same clean sample never looks the same. Sample i depends on the seed and on i
alone. The file is a NumPy array of records; a record's last numbers, its times, are zero until it is drawn.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_xfusion.core.files import claim
from napari_xfusion.core.recordings.source import told
from napari_xfusion.core.types import SCALE, Progress, Token
from napari_xfusion.errors import InputError, writing
from napari_xfusion.lab.scenes import Clean
from napari_xfusion.lab.scenes.sample import RANGE
from napari_xfusion.lab.train.clips import Part, Source, open_sources
from napari_xfusion.lab.workers import share

CHUNK = 32
"""Samples that a process draws at a time."""
STEP = (RANGE[1] - RANGE[0]) / 65535
"""Grey value of one step of the pool's 16-bit numbers."""
FILE, PLAN = "samples.npy", "pool.json"


class PoolPlan(BaseModel):
    """What is in a pool; saved beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[str, ...]
    """See `open_sources`."""
    count: Annotated[int, Field(ge=1)]
    crop: Annotated[int, Field(ge=16, multiple_of=16)]
    """Side of HR frames in pixels."""
    part: Part = "training"
    seed: Annotated[int, Field(ge=0)] = 0
    halve: bool = False
    further: Annotated[int, Field(ge=0)] = 0
    """HR frames beyond the previous and the next one."""

    @property
    def record(self) -> np.dtype[Any]:
        """One sample; grey values as steps from the lowest."""
        h, H = self.crop // SCALE, self.crop
        shapes = {"lr": (5 + self.further, h, h), "hr": (2 + self.further, H, H), "truth": (H, H)}
        images = [(name, "<u2", shape) for name, shape in shapes.items()]
        return np.dtype([*images, ("recorded", "u1"), ("times", "<f4", (5 + self.further,))])

    def draw(self, i: int) -> Clean:
        """Sample ``i``."""
        source = sources_of(self)[self.source_of(i)]
        rng = np.random.default_rng([self.part == "held-out", self.seed, i])
        return source.draw(rng, self.crop, self.part, self.further)

    def source_of(self, i: int) -> int:
        """Which source sample ``i`` comes from."""
        return i % len(sources_of(self))


@cache
def sources_of(plan: PoolPlan) -> tuple[Source, ...]:
    """The sources of a plan, opened once in each process."""
    return open_sources(plan.data, halve=plan.halve)


class Pool:
    """The drawn samples of ``plan`` in ``folder``, for reading from any thread."""

    def __init__(self, plan: PoolPlan, folder: Path) -> None:
        self.plan = plan
        with told(folder / FILE, "a pool of samples"):
            self._records: NDArray[Any] = np.load(folder / FILE, mmap_mode="r")
            fits = self._records.dtype == plan.record and self._records.shape == (plan.count,)
        if not fits:
            raise _other(folder, "samples of other sizes")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, i: int) -> Clean:
        """Sample ``i``, as it was drawn but for rounding to 16 bits."""
        record = self._records[i]
        lr, hr, truth = (
            record[name] * np.float32(STEP) + np.float32(RANGE[0]) for name in ("lr", "hr", "truth")
        )
        return Clean(lr, hr, truth, np.array(record["times"]), bool(record["recorded"]))

    def missing(self) -> list[int]:
        """Samples that are still to be drawn."""
        return np.flatnonzero(self._records["times"][:, 4] == 0).tolist()


def fill_pool(
    plan: PoolPlan, folder: Path, *, processes: int, stop: Token, progress: Progress = lambda *_: None
) -> Pool | None:
    """The pool of ``plan`` in ``folder``, made or completed; None when stopped before.

    Raises InputError where another pool is there, OutputError where there is no room or a process was killed.
    """
    _prepare(plan, folder)
    pool = Pool(plan, folder)
    missing = pool.missing()
    chunks = [missing[k : k + CHUNK] for k in range(0, len(missing), CHUNK)]
    counted = plan.count - len(missing)
    if missing:
        progress(counted, plan.count)

    def count(_: list[int], drawn: int) -> None:
        nonlocal counted
        counted += drawn
        progress(counted, plan.count)

    draw, processes = partial(_draw_chunk, plan, folder), min(processes, len(chunks))
    if processes > 1:
        share(draw, chunks, processes, stop, done=count)
    else:
        for chunk in chunks:
            if not stop.is_set():
                count(chunk, draw(chunk))
    return None if stop.is_set() or pool.missing() else pool


def _draw_chunk(plan: PoolPlan, folder: Path, chunk: list[int], *_: object) -> int:
    """Draw samples into the file; returns how many."""
    path, size = folder / FILE, plan.record.itemsize
    start = path.stat().st_size - plan.count * size
    with path.open("r+b", buffering=0) as file:
        for i in chunk:
            file.seek(start + i * size)
            file.write(_record(plan, plan.draw(i)))
    return len(chunk)


def _record(plan: PoolPlan, clean: Clean) -> bytes:
    record = np.zeros((), plan.record)
    for name in ("lr", "hr", "truth"):
        record[name] = np.round((getattr(clean, name) - RANGE[0]) / STEP)
    record["recorded"], record["times"] = clean.recorded, clean.times
    return record.tobytes()


def _prepare(plan: PoolPlan, folder: Path) -> None:
    """An empty pool where there is none; raises InputError where there is one of another plan."""
    if not (folder / PLAN).exists() and (folder / FILE).exists() and not _begun(folder / FILE, plan):
        raise _other(folder, "a file of other origin")
    with writing(folder, expected="room for the samples", hint="choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / PLAN).exists():  # the plan comes last: without it the samples do not count
            np.lib.format.open_memmap(folder / FILE, "w+", plan.record, (plan.count,)).flush()
    if claim(folder / PLAN, plan, "samples") != plan:
        raise _other(folder, "samples drawn by another plan")


def _begun(path: Path, plan: PoolPlan) -> bool:
    """Whether a kill left ``path`` before its plan was saved."""
    try:
        return bool(np.load(path, mmap_mode="r").dtype == plan.record)
    except (OSError, ValueError):
        return False


def _other(folder: Path, found: str) -> InputError:
    return InputError(
        folder,
        expected="the samples of this training",
        found=found,
        hint="give the same data, crop, samples and seed as before, or another folder",
    )

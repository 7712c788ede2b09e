"""Training samples drawn by many processes while a GPU trains: each process fills a ring of its own.

A ring is a memory-mapped NumPy file of records; its process overwrites the oldest record. The reader takes
any complete record but the oldest few, which may be about to be overwritten, so it needs no lock.
Sample n of process k depends on the seed, k, n and the largest distance of the HR frames at that moment.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import SCALE
from napari_xfusion.lab.scenes import KINDS, Sample, draw_clean, expose
from napari_xfusion.lab.scenes.sample import RANGE
from napari_xfusion.lab.workers import start_worker

LEVELS = 65535
LOW, HIGH = RANGE
"""Grey values of a record's lowest and highest number."""
MARGIN = 4
"""Oldest records that are not read."""


@dataclass(frozen=True)
class Curriculum:
    """How far apart, in LR frames, the two HR frames of a sample may be."""

    first: float
    last: float
    seconds: float
    """From the first to the last, evenly on a logarithmic scale."""

    def longest(self, elapsed: float, rng: np.random.Generator) -> int:
        """A distance for one sample: from 2 to the largest of that moment, evenly on a logarithmic scale.

        Evenly on a linear scale nearly all HR frames would be far away, and a network would not learn to
        use them.
        """
        share = min(1.0, elapsed / max(self.seconds, 1e-9))
        limit = self.first * (self.last / self.first) ** share
        return round(math.exp(rng.uniform(math.log(2), math.log(limit))))


def record(crop: int) -> np.dtype[Any]:
    """One sample, with noise; grey values as steps from LOW."""
    h = crop // SCALE
    return np.dtype(
        [("lr", "<u2", (3, h, h)), ("hr", "<u2", (2, crop, crop)), ("truth", "<u2", (crop, crop))]
    )


def draw(kind: int, rng: np.random.Generator, crop: int, longest: int) -> Sample:
    """A sample of one of the kinds of scenes."""
    clean = draw_clean(list(KINDS.values())[kind % len(KINDS)], rng, crop, longest=longest)
    return expose(clean, rng)


@dataclass(frozen=True)
class Drawing:
    """What the rings hold."""

    crop: int
    """Side of HR frames in pixels."""
    capacity: int
    """Records of one ring."""
    seed: int
    curriculum: Curriculum


def fill(folder: Path, k: int, drawing: Drawing) -> None:
    """Draw samples into ring ``k`` until the process is ended."""
    crop, capacity = drawing.crop, drawing.capacity
    start_worker()
    rows = np.lib.format.open_memmap(folder / f"ring-{k}.npy", "w+", record(crop), (capacity,))
    counts = np.load(folder / "counts.npy", mmap_mode="r+")
    began, parent = time.monotonic(), os.getppid()
    n = 0
    while os.getppid() == parent:
        rng = np.random.default_rng([drawing.seed, k, n])
        sample = draw(k + n, rng, crop, drawing.curriculum.longest(time.monotonic() - began, rng))
        for name in ("lr", "hr", "truth"):
            steps = (np.clip(getattr(sample, name), LOW, HIGH) - LOW) * (LEVELS / (HIGH - LOW))
            rows[n % capacity][name] = np.round(steps)
        n += 1
        counts[k] = n


class Rings:
    """The rings of ``processes``, which draw until ``close``."""

    def __init__(self, folder: Path, processes: int, drawing: Drawing) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rings = folder, {}
        np.save(folder / "counts.npy", np.zeros(processes, np.int64))
        self._counts = np.load(folder / "counts.npy", mmap_mode="r")
        self._capacity = drawing.capacity
        context = multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        for k in range(processes):
            task = context.Process(target=fill, args=(folder, k, drawing), daemon=True)
            task.start()
            self._processes.append(task)

    @property
    def drawn(self) -> int:
        """Samples so far."""
        return int(self._counts.sum())

    def wait_for(self, samples: int) -> None:
        """Until so many are drawn by every process; raises RuntimeError where a process has ended."""
        while self._counts.min() < samples:
            if any(process.exitcode is not None for process in self._processes):
                raise RuntimeError("a process that draws samples has ended")
            time.sleep(0.05)

    def batch(self, rng: np.random.Generator, size: int) -> dict[str, NDArray[np.uint16]]:
        """Samples at random, by name: lr (B, 3, h, w), hr (B, 2, H, W), truth (B, 1, H, W)."""
        counts = self._counts.copy()
        rows = []
        for k in rng.integers(len(counts), size=size).tolist():
            newest, held = int(counts[k]), min(int(counts[k]), self._capacity - MARGIN)
            rows.append(self._ring(k)[(newest - 1 - int(rng.integers(held))) % self._capacity])
        stacked = {name: np.stack([row[name] for row in rows]) for name in ("lr", "hr", "truth")}
        return stacked | {"truth": stacked["truth"][:, None]}

    def _ring(self, k: int) -> NDArray[Any]:
        if k not in self._rings:
            self._rings[k] = np.load(self._folder / f"ring-{k}.npy", mmap_mode="r")
        return self._rings[k]

    def close(self) -> None:
        """End the processes and remove the files."""
        for process in self._processes:
            process.kill()
            process.join()
        for path in [self._folder / "counts.npy", *self._folder.glob("ring-*.npy")]:
            path.unlink(missing_ok=True)

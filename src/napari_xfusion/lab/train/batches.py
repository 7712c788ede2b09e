"""Batches from a pool, prepared in threads ahead of their use; batch k depends only on the seed and on k."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_xfusion.lab.scenes import Sample, expose
from napari_xfusion.lab.train.pool import Pool
from napari_xfusion.lab.train.task import Arrays, Task

Batch = dict[str, Tensor]
TRUTH = "truth"
T = TypeVar("T")


@dataclass(frozen=True)
class Batches:
    """Random batches: samples of the pool with new rotations and noise."""

    pool: Pool
    task: Task
    seed: int
    size: int
    share: slice
    """The samples of a batch that belong to this process."""

    def __call__(self, k: int) -> Batch:
        """Return batch ``k`` on the CPU: the inputs that the task prepared, and the ``truth`` (B, 1, H, W)."""
        drawn = np.random.default_rng([self.seed, k]).integers(len(self.pool), size=self.size)
        numbers = list(enumerate(drawn.tolist()))[self.share]
        samples = [expose(self.pool[i], np.random.default_rng([self.seed, k, j])) for j, i in numbers]
        return collate(samples, self.task)


def collate(samples: Iterable[Sample], task: Task) -> Batch:
    """Stack samples to one batch."""
    rows: list[Arrays] = [{**task.prepare(s), TRUTH: s.truth[None]} for s in samples]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


def ahead(make: Callable[[int], T], numbers: Iterable[int], threads: int) -> Iterator[T]:
    """Iterate over ``make(k)`` for every k in order, some of them computed ahead of their use."""
    waiting: deque[Future[T]] = deque()
    workers = ThreadPoolExecutor(threads)
    try:
        for k in numbers:
            waiting.append(workers.submit(make, k))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)

"""Validation: samples that are not used for training, and the quality of their fusion."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.networks.familiar import traits_of
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import Image
from napari_xfusion.lab.scenes import Sample, expose
from napari_xfusion.lab.train.batches import TRUTH, Batch, collate
from napari_xfusion.lab.train.pool import Pool, sources_of
from napari_xfusion.lab.train.task import Task, as_rig

COMPARED = ("bicubic", "interpolation", "flow")
"""Methods without weights with which a network is compared."""
USUAL = (0.5, 99.5)
"""Percentiles of the samples between which a recording is no unusual one."""
ALL, CLEAN = "all", "without LR noise"
Figures = dict[str, float]
"""Mean PSNR in dB of each group of samples: each source, all, and all without LR noise."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out samples, prepared for a network, and the quality of other methods on them."""

    groups: Mapping[str, list[int]]
    """Samples of each group."""
    batches: list[Batch]
    compared: Mapping[str, Figures]
    """Figures of each method without weights."""
    task: Task
    noise: float
    """Largest standard deviation of the LR noise of a sample."""
    traits: Mapping[str, tuple[float, float]]
    """What the samples look like, but for the most unusual ones; see ``networks.familiar``."""

    @torch.inference_mode()
    def measure(self, network: nn.Module, device: torch.device) -> Figures:
        """Return the figures of the network against the clean truth."""
        values: list[float] = []
        for batch in self.batches:
            there = {name: tensor.to(device) for name, tensor in batch.items()}
            image = self.task.predict(network, there).float().cpu().numpy()
            values += [_psnr(t[0], i[0]) for t, i in zip(batch[TRUTH].numpy(), image, strict=True)]
        return _means(self.groups, values)


def open_held_out(pool: Pool, task: Task, batch: int) -> HeldOut:
    """Return the samples of ``pool``, always with the same noise."""
    samples = [expose(pool[i], np.random.default_rng([1, i])) for i in range(len(pool))]
    names = [source.name for source in sources_of(pool.plan)]
    groups: dict[str, list[int]] = {name: [] for name in names}
    for i in range(len(pool)):
        groups[names[pool.plan.source_of(i)]].append(i)
    groups[ALL] = list(range(len(pool)))
    groups[CLEAN] = [i for i, sample in enumerate(samples) if np.isinf(sample.b0)]
    return HeldOut(
        groups,
        [collate(samples[k : k + batch], task) for k in range(0, len(samples), batch)],
        {method: _means(groups, list(_fuse(samples, method))) for method in COMPARED},
        task,
        max(as_rig(sample)[0].rig.lr_noise for sample in samples),
        _traits(samples),
    )


def _traits(samples: list[Sample]) -> dict[str, tuple[float, float]]:
    found = [traits_of(reader, [target]) for reader, target in map(as_rig, samples)]
    spans = {name: np.percentile([each[name] for each in found], USUAL) for name in found[0]}
    return {name: (float(low), float(high)) for name, (low, high) in spans.items()}


def _means(groups: Mapping[str, list[int]], values: list[float]) -> Figures:
    """Return the mean of each group that has samples."""
    return {name: float(np.mean([values[i] for i in group])) for name, group in groups.items() if group}


def _fuse(samples: list[Sample], method: str) -> Iterator[float]:
    """Return the PSNR of each sample fused by a method without weights."""
    stop = threading.Event()
    for sample in samples:
        reader, target = as_rig(sample)
        with Session(Plan(method=method), reader.rig) as session:
            for frame in session.frames([target], stop):
                yield _psnr(sample.truth, frame.image)


def _psnr(truth: Image, image: Image) -> float:
    """Return the PSNR in dB of two images clipped to [0, 1]."""
    return psnr(np.clip(truth, 0, 1), np.clip(image, 0, 1))

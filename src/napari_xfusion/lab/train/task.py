"""What a variant is fed in training, and how it is called: the only place that tells variants apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_xfusion.core.grey import Affine
from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.networks.cards import Variant
from napari_xfusion.core.networks.lite import Inputs
from napari_xfusion.core.networks.lite_feed import prepare
from napari_xfusion.core.networks.network import Output
from napari_xfusion.core.networks.tiles import Grid
from napari_xfusion.core.rig import Camera, Clock, FrameReader, Grids, Rig, fit_mapping
from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.lab.scenes import Sample

Arrays = dict[str, NDArray[np.float32]]

EPSILON = 1e-3
"""Grey values below which differences count less."""
LIKELIHOOD = 0.02
"""Weight of the fit of expected errors in the loss of networks that give them."""


class Task(Protocol):
    """One variant's side of training."""

    def prepare(self, sample: Sample) -> Arrays:
        """The network's inputs from one sample, by name, always of the same shapes; called in threads."""
        ...

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The network's answer (B, C, H, W) to what was prepared for B samples; the image is its first channel."""
        ...

    def loss(self, image: Tensor, truth: Tensor) -> Tensor:
        """How far the answer (B, C, H, W) is from the truth (B, 1, H, W); one number."""
        ...


@dataclass(frozen=True)
class PaperTask:
    """EDVR and EDVR-STF take the frames as they are, clipped to [0, 1]."""

    hr: bool
    """Whether HR frames are among the inputs."""

    def prepare(self, sample: Sample) -> Arrays:
        """See ``Task.prepare``."""
        frames = {"lr": np.clip(sample.lr[:, None], 0, 1)}
        return frames | {"hr": np.clip(sample.hr[:, None], 0, 1)} if self.hr else frames

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """See ``Task.predict``."""
        image: Tensor = network(**{name: batch[name] for name in ("lr", "hr") if name in batch}).image
        return image

    def loss(self, image: Tensor, truth: Tensor) -> Tensor:
        """See ``Task.loss``."""
        return charbonnier(image, truth.clamp(0, 1))


@dataclass(frozen=True)
class LiteTask:
    """The lite network refines the result of the method ``flow``."""

    def prepare(self, sample: Sample) -> Arrays:
        """See ``Task.prepare``."""
        reader, target = as_rig(sample)
        group = reader.group(target, sample.separation)
        prepared = prepare(group, FlowStream(reader), Grid.of(reader.rig.grids))
        return {name: np.asarray(value, np.float32) for name, value in prepared._asdict().items()}

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """See ``Task.predict``."""
        output: Output = network(Inputs(**{name: batch[name] for name in Inputs._fields}))
        return torch.cat([output.image, cast("Tensor", output.std)], 1)

    def loss(self, image: Tensor, truth: Tensor) -> Tensor:
        """See ``Task.loss``; the error that is expected is fitted to the one that is made."""
        fused, std = image.chunk(2, 1)
        return log_error(fused, truth) + LIKELIHOOD * unlikelihood((fused - truth).detach(), std)


TASKS: dict[Variant, Task] = {
    "edvr-stf": PaperTask(hr=True),
    "edvr": PaperTask(hr=False),
    "lite": LiteTask(),
}


def charbonnier(image: Tensor, truth: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + EPSILON^2): the absolute difference, smooth at zero (Charbonnier et al. 1994)."""
    return torch.sqrt((image - truth) ** 2 + EPSILON**2).mean()


def log_error(image: Tensor, truth: Tensor) -> Tensor:
    """Mean over samples of a tenth of the log of the mean square error: PSNR, up to a factor.

    A sample without LR noise counts as much as a noisy one, which has a hundred times the error.
    """
    error = ((image - truth) ** 2).flatten(1).mean(1)
    return torch.log(error + EPSILON**2).mean() / 10


def unlikelihood(error: Tensor, std: Tensor) -> Tensor:
    """Mean negative log likelihood of errors of this scale, up to a constant.

    Of Student's t distribution with three degrees of freedom: a few errors far beyond what was expected do not
    outweigh all others, as they would with a normal distribution.
    """
    return (std.log() + 2 * torch.log1p(error**2 / (3 * std**2))).mean()


def as_rig(sample: Sample) -> tuple[FrameReader, int]:
    """A sample as the rig it would be cut from, and its target: for methods that take frame groups.

    The sequences hold no frames but those of the sample.
    """
    times = np.concatenate([sample.times, sample.far_times])
    times = (times - times.min()).astype(int)
    lr = dict(zip(times.tolist(), (*sample.lr, *sample.hr_lr, *sample.far_lr), strict=True))
    frames = dict(zip(times[3:].tolist(), (*sample.hr, *sample.far), strict=True))
    hr = {time: frames[time] for time in sorted(frames)}
    mapping = fit_mapping(sample.lr.shape[1:], sample.truth.shape)
    down = Grids(sample.lr.shape[1:], sample.truth.shape, mapping).down
    noise = spread(sample.hr_lr - np.stack([down(frame) for frame in sample.hr]))
    fast = _stack("lr", int(times.max()) + 1, lr)
    sharp = _stack("hr", len(hr), dict(enumerate(hr.values())))
    grey, clock = Affine(0.0, 1.0), fast.clock.at(list(hr))
    rig = Rig(
        fast=Camera.of(fast, grey, clock=fast.clock, mapping=mapping, noise=noise),
        sharp=(Camera.of(sharp, grey, clock=clock),),
        correlation=1.0,
    )
    return FrameReader(rig), int(times[1])


def _stack(name: str, count: int, frames: Mapping[int, Image]) -> Stack:
    shape = next(iter(frames.values())).shape

    def read(i: int) -> NDArray[Any]:
        return frames[i]

    return Stack(
        shape=(count, *shape),
        dtype=np.dtype(np.float32),
        read=read,
        digest=lambda: "",
        source=name,
        clock=Clock.regular(count),
    )

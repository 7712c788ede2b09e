"""What a training carries from one iteration to the next, in and out of its checkpoint.

There is no state of random generators in it: batch k, its noise and the learning rate follow from the plan.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from napari_xfusion.core.model.build import initialise
from napari_xfusion.core.model.cards import find_model, method_of
from napari_xfusion.core.model.weights import AnyNetwork, build, load_model
from napari_xfusion.core.train.files import write_whole
from napari_xfusion.core.train.plan import TrainPlan
from napari_xfusion.errors import InputError

BETAS = (0.9, 0.99)
"""Of Adam, as EDVR was trained."""
DECAY = 0.999
"""Of the moving average of the weights."""


class State:
    """A network in training, the average of its weights, Adam, and how far it is."""

    def __init__(self, plan: TrainPlan, device: torch.device) -> None:
        network = build(plan.variant, plan.sizes)
        if plan.init is None:
            initialise(network, torch.Generator().manual_seed(plan.seed))
        else:
            network.load_state_dict(
                load_model(find_model(plan.init), method_of(plan.variant)).network.state_dict()
            )
        self.network = network.to(device)
        if device.type == "cuda":  # on a CPU gradients take a tenth longer with it
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
        self.average = AveragedModel(self.network, multi_avg_fn=_follow)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=plan.rate, betas=BETAS)
        self.iteration = 0
        """Iterations that are done."""

    @property
    def averaged(self) -> AnyNetwork:
        """The network with averaged weights: the one to keep."""
        return cast("AnyNetwork", self.average.module)

    def save(self, path: Path) -> None:
        """Write the checkpoint, complete or not at all."""
        content = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "iteration": self.iteration,
        }
        write_whole(path, lambda beside: torch.save(content, beside))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises InputError where it is none of this network."""
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            for name in ("network", "average", "optimizer"):
                getattr(self, name).load_state_dict(content[name])
            self.iteration = int(content["iteration"])
        except (
            OSError,
            RuntimeError,
            pickle.UnpicklingError,
            KeyError,
            ValueError,
            TypeError,
            EOFError,
        ) as error:
            raise InputError(
                path,
                expected="the checkpoint of this training",
                found=f"{type(error).__name__}: {str(error)[:200]}",
                do="remove it to begin again",
            ) from error


def _follow(averaged: Sequence[Tensor], current: Sequence[Tensor], seen: Tensor | int) -> None:
    """Move the averaged weights towards the current ones: quickly at first, when all of them are poor."""
    decay = min(DECAY, (1 + int(seen)) / (10 + int(seen)))
    torch._foreach_lerp_(list(averaged), list(current), 1 - decay)

"""What a training carries from one iteration to the next, in and out of its checkpoint.

There is no state of random generators in it: batch k, its noise and the learning rate follow from the plan.
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.networks.build import initialise
from napari_xfusion.core.networks.cards import find_model
from napari_xfusion.core.networks.weights import AnyNetwork, build, load_model
from napari_xfusion.errors import InputError, ModelError
from napari_xfusion.lab.train.plan import TrainPlan

BETAS = (0.9, 0.99)
"""Of Adam, as EDVR was trained."""
DECAY = 0.999
"""Of the moving average of the weights."""


PARTS = ("network", "average", "optimizer")


class State:
    """A network in training, the moving average of its weights, Adam, and how far it is."""

    def __init__(self, plan: TrainPlan, device: torch.device) -> None:
        self.network = _begin(plan).to(device)
        if device.type == "cuda":  # on a CPU gradients take a tenth longer with it
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        """The network to keep."""
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=plan.rate, betas=BETAS)
        self.iteration = 0
        """Iterations that are done."""

    def advance(self) -> None:
        """Count an iteration whose step is taken; the average follows, quickly while all weights are poor."""
        self.iteration += 1
        decay = decay_after(self.iteration)
        with torch.no_grad():
            for averaged, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
                averaged.lerp_(current, 1 - decay)

    def save(self, path: Path) -> None:
        """Write the checkpoint, complete or not at all."""
        content = {name: getattr(self, name).state_dict() for name in PARTS}
        write_whole(path, partial(_save, content | {"iteration": self.iteration}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises InputError where it is none of this network."""
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            for name in PARTS:
                getattr(self, name).load_state_dict(content[name])
            self.iteration = int(content["iteration"])
        except Exception as error:  # arbitrary bytes make the unpickler raise nearly anything
            raise InputError(
                path,
                expected="the checkpoint of this training",
                found=f"{type(error).__name__}: {str(error)[:200]}",
                hint="remove it to begin again",
            ) from error


def decay_after(iterations: int) -> float:
    """Of the moving average after so many iterations: lower at first, while all weights are poor."""
    return min(DECAY, iterations / (9 + iterations))


def _save(content: dict[str, Any], path: Path) -> None:
    try:
        torch.save(content, path)
    except RuntimeError as error:  # torch tells a full disk so
        raise OSError(str(error)) from error


def _begin(plan: TrainPlan) -> AnyNetwork:
    """The network before its first iteration; raises ModelError where ``init`` is another one."""
    if plan.init is None:
        network = build(plan.variant, plan.sizes)
        initialise(network, torch.Generator().manual_seed(plan.seed))
        return network
    path = find_model(plan.init)
    loaded = load_model(path, plan.variant)
    if loaded.card.sizes != plan.sizes:
        raise ModelError(
            path,
            expected=f"a network of {plan.sizes}",
            found=str(loaded.card.sizes),
            hint="ask for those sizes",
        )
    return loaded.network.train()

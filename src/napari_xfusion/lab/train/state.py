"""The state of a training between iterations, and its checkpoint.

It contains no random generators: batch k, its noise and the learning rate follow from the plan.
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
"""Betas of Adam, as for EDVR."""
DECAY = 0.999
"""Decay of the moving average of the weights."""


PARTS = ("network", "average", "optimizer")


class State:
    """A network in training, the moving average of its weights, Adam, and the number of iterations."""

    def __init__(self, plan: TrainPlan, device: torch.device) -> None:
        self.network = _begin(plan).to(device)
        if device.type == "cuda":  # on a CPU it makes gradients 10 % slower
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        """The network with averaged weights, which is saved."""
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=plan.rate, betas=BETAS)
        self.iteration = 0
        """Number of iterations done."""

    def advance(self) -> None:
        """Count an iteration after its step, and update the average, faster in early iterations."""
        self.iteration += 1
        decay = decay_after(self.iteration)
        with torch.no_grad():
            for averaged, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
                averaged.lerp_(current, 1 - decay)

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        content = {name: getattr(self, name).state_dict() for name in PARTS}
        write_whole(path, partial(_save, content | {"iteration": self.iteration}))

    def load(self, path: Path) -> None:
        """Resume from a checkpoint; raises InputError where it is not one of this network."""
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            for name in PARTS:
                getattr(self, name).load_state_dict(content[name])
            self.iteration = int(content["iteration"])
        except Exception as error:  # with arbitrary bytes the unpickler raises nearly any exception
            raise InputError(
                path,
                expected="the checkpoint of this training",
                found=f"{type(error).__name__}: {str(error)[:200]}",
                hint="delete it to start again",
            ) from error


def decay_after(iterations: int) -> float:
    """Return the decay of the moving average after ``iterations``: lower in early ones."""
    return min(DECAY, iterations / (9 + iterations))


def _save(content: dict[str, Any], path: Path) -> None:
    try:
        torch.save(content, path)
    except RuntimeError as error:  # the error of torch for a full disk
        raise OSError(str(error)) from error


def _begin(plan: TrainPlan) -> AnyNetwork:
    """Return the network before its first iteration; raises ModelError where ``init`` is a different one."""
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

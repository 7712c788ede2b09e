"""The processes of one training: a single one, or one per GPU when started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from napari_xfusion.core.networks.engine import find_device
from napari_xfusion.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """This process and the number of processes."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Return the samples of a batch that belong to this process; InputError where a batch cannot be divided."""
        if batch % self.world:
            raise InputError(
                setting="batch",
                expected=f"a multiple of {self.world}, the number of processes",
                found=str(batch),
                hint="change it",
            )
        return slice(self.rank, None, self.world)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap the network so that gradients are averaged over all processes."""
        return DistributedDataParallel(network) if self.world > 1 else network

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true in any process; all processes must call this."""
        if self.world == 1:
            return flag
        said = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return bool(said)


@contextmanager
def join(device: str) -> Iterator[Ranks]:
    """Join the other processes, if any, on the named device."""
    found = find_device(device)
    if not distributed.is_torchelastic_launched():
        yield Ranks(0, 1, found)
        return
    if found.type == "cuda":
        found = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(found)
    # The others wait while the first process generates samples.
    distributed.init_process_group("nccl" if found.type == "cuda" else "gloo", timeout=timedelta(days=1))
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), found)
    finally:
        distributed.destroy_process_group()

"""How frame groups become a network's input: the contract, and the step from images to tensors that all share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor

from napari_xfusion.core.networks.network import Output
from napari_xfusion.core.networks.tiles import Rect, Tile
from napari_xfusion.core.rig import FrameGroup
from napari_xfusion.core.types import Image


class Feed(Protocol):
    """Frame groups of one rig to a network's answers; caches what neighbouring targets share, within bounds."""

    @property
    def halo(self) -> int:
        """LR pixels around a tile that can change it."""
        ...

    def combine(self, groups: list[FrameGroup], tile: Tile, tiles: int) -> Output:
        """The network's answer for the outer rectangle of one of ``tiles`` tiles of the groups' targets."""
        ...

    def free(self) -> None:
        """Drop what is cached, and cache no more than the current targets need from now on."""
        ...


def as_tensor(image: Image, place: Rect, scale: int, device: torch.device) -> Tensor:
    """A part of an image as (1, 1, h, w); ``place`` is in LR pixels, ``scale`` image pixels each."""
    # A copy: frames are shared and read-only, tensors never are. Pinned memory is copied while a GPU works.
    part = torch.from_numpy(np.array(place.cut(image, scale)))[None, None]
    return part.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else part.to(device)


def free_memory(device: torch.device) -> int:
    """Bytes free on ``device``, or on the computer for devices that share its memory."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return psutil.virtual_memory().available

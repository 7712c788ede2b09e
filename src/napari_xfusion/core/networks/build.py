"""Sizes become networks here: one short function per variant."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from napari_xfusion.core.networks.blocks import ResidualBlock, trunk
from napari_xfusion.core.networks.deform import DeformPack
from napari_xfusion.core.networks.edvr import EDVR
from napari_xfusion.core.networks.edvr_stf import EDVRSTF
from napari_xfusion.core.networks.lite import Lite
from napari_xfusion.core.networks.network import REFERENCE, Network
from napari_xfusion.core.networks.pcd import PCDAlign
from napari_xfusion.core.networks.tsa import TSAFusion

N = TypeVar("N", bound=Network)


def edvr_stf(channels: int = 128, extract: int = 5, reconstruct: int = 40, groups: int = 8) -> EDVRSTF:
    """The paper's network: 3 LR and 2 HR frames in, 20.9 million parameters at its sizes."""
    return _assemble(EDVRSTF, channels, extract, reconstruct, groups)


def edvr(channels: int = 128, extract: int = 5, reconstruct: int = 40, groups: int = 8) -> EDVR:
    """The paper's baseline: 3 LR frames in."""
    return _assemble(EDVR, channels, extract, reconstruct, groups)


def lite(encode: int = 24, channels: int = 32, coarse: int = 64, blocks: int = 4) -> Lite:
    """The bundled default's sizes."""
    return Lite(encode, channels, coarse, blocks)


def _assemble(kind: type[N], channels: int, extract: int, reconstruct: int, groups: int) -> N:
    """``groups`` of channels move together in the deformable convolutions."""
    return kind(
        trunk(channels, extract),
        PCDAlign(channels, groups),
        TSAFusion(channels, len(kind.inputs), REFERENCE),
        trunk(channels, reconstruct),
        channels,
    )


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Fill the network with random weights to train from; the same generator gives the same bytes.

    He et al. 2015 for convolutions, a tenth of it inside residual blocks so that a long trunk starts
    near the identity; offsets start at zero, so alignment starts as a plain convolution. The result starts
    near the network's base and attention near a half: from a large residual, the shortest way to a smaller
    error is attention of zero, whose sigmoid is then saturated and lets no gradient through any more.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | DeformPack):
            nn.init.kaiming_normal_(module.weight, a=0.1, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.conv1.weight.mul_(0.1)
            module.conv2.weight.mul_(0.1)
        elif isinstance(module, DeformPack):
            nn.init.zeros_(module.conv_offset.weight)
        elif isinstance(module, Network):
            module.conv_last.weight.mul_(0.01)
            module.fusion.temporal_attn1.weight.mul_(0.1)
            module.fusion.temporal_attn2.weight.mul_(0.1)
        elif isinstance(module, Lite):
            module.residual.weight.mul_(0.01)
            module.filters.weight.mul_(0.01)

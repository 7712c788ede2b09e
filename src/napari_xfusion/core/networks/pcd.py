"""PCD: every input frame is aligned to the reference LR frame (Wang et al. 2019, EDVR, section 3.2).

A pyramid of three levels, coarse to fine: at each, a frame's features and the reference's say how far
things moved (the coarser level's answer, doubled, helps), and a deformable convolution moves the
frame's features there. One more such step, the cascade, refines the result.

The first convolution of each level reads [frame, reference] stacked in channels. It is computed in two
halves, conv(frame) + conv(reference), because a frame serves many targets and a reference all frames
of its group: both halves are computed once.

Shape legend: B targets · F frames of a group · n channels · h w LR pixels.
Stacks of F·B are frame-major: frame f of target b is entry f*B + b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, conv, enlarge
from napari_xfusion.core.networks.deform import DeformPack

LEVELS = ("l1", "l2", "l3")


class Features(NamedTuple):
    """One pyramid: the same thing at full, half and quarter LR resolution."""

    l1: Tensor
    """(B, n, h, w)."""
    l2: Tensor
    """(B, n, h/2, w/2)."""
    l3: Tensor
    """(B, n, h/4, w/4)."""


class Encoded(NamedTuple):
    """All of one frame that alignment wants; depends on nothing but the frame, so it can be cached."""

    features: Features
    halves: Features
    """The frame's half of each level's first offset convolution."""


class Reference(NamedTuple):
    """The reference's halves of the first offset convolutions; serves all frames of a group."""

    halves: Features
    cascade: Tensor
    """(B, n, h, w): its half of the cascade's first convolution."""


class PCDAlign(nn.Module):
    """Alignment of all frames of a group, the reference too, to the reference."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        n = channels
        self.offset_conv1 = nn.ModuleDict({level: conv(2 * n, n) for level in LEVELS})
        self.offset_conv2 = nn.ModuleDict({level: conv(n if level == "l3" else 2 * n, n) for level in LEVELS})
        self.offset_conv3 = nn.ModuleDict({level: conv(n, n) for level in ("l1", "l2")})
        self.dcn_pack = nn.ModuleDict({level: DeformPack(n, groups) for level in LEVELS})
        self.feat_conv = nn.ModuleDict({level: conv(2 * n, n) for level in ("l1", "l2")})
        self.cas_offset_conv1 = conv(2 * n, n)
        self.cas_offset_conv2 = conv(n, n)
        self.cas_dcnpack = DeformPack(n, groups)

    def prepare_frame(self, features: Features) -> Encoded:
        """What a frame brings to every group it is in; compute it once per frame."""
        halves = (_first_half(self.offset_conv1[k], x) for k, x in features._asdict().items())
        return Encoded(features, Features(*halves))

    def prepare_reference(self, features: Features) -> Reference:
        """What the reference brings to its group; compute it once per target."""
        halves = (_second_half(self.offset_conv1[k], x) for k, x in features._asdict().items())
        return Reference(Features(*halves), _second_half(self.cas_offset_conv1, features.l1))

    def forward(self, frames: Sequence[Encoded], reference: Reference) -> Tensor:
        """The aligned features of F frames, each encoded for B targets: (F·B, n, h, w)."""
        offset = self.offset_conv2["l3"](self._first_offset("l3", frames, reference))
        offset = act(offset)
        feature = act(self.dcn_pack["l3"](_stack(frames, "l3"), offset))
        offset, feature = self._finer("l2", frames, reference, (offset, feature))
        offset, feature = self._finer("l1", frames, reference, (offset, act(feature)))
        del offset
        return self._cascade(feature, reference)

    def _first_offset(self, level: str, frames: Sequence[Encoded], reference: Reference) -> Tensor:
        stacked = torch.cat([getattr(frame.halves, level) for frame in frames])
        return act(_add_to_each(stacked, getattr(reference.halves, level)))

    def _finer(
        self, level: str, frames: Sequence[Encoded], reference: Reference, coarser: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Offset and feature at ``level`` from those of the level below, (F·B, n, h, w) each."""
        offset = self._first_offset(level, frames, reference)
        offset = torch.cat((offset, enlarge(coarser[0]).mul_(2)), dim=1)
        offset = act(self.offset_conv2[level](offset))
        offset = act(self.offset_conv3[level](offset))
        feature = self.dcn_pack[level](_stack(frames, level), offset)
        feature = self.feat_conv[level](torch.cat((feature, enlarge(coarser[1])), dim=1))
        return offset, feature

    def _cascade(self, feature: Tensor, reference: Reference) -> Tensor:
        offset = act(_add_to_each(_first_half(self.cas_offset_conv1, feature), reference.cascade))
        offset = act(self.cas_offset_conv2(offset))
        return act(self.cas_dcnpack(feature, offset))


def _stack(frames: Sequence[Encoded], level: str) -> Tensor:
    return torch.cat([getattr(frame.features, level) for frame in frames])


def _add_to_each(stacked: Tensor, one: Tensor) -> Tensor:
    """Add ``one`` (B, ...) to each frame of ``stacked`` (F·B, ...), in place."""
    stacked.view(-1, *one.shape).add_(one)
    return stacked


def _first_half(layer: nn.Module, x: Tensor) -> Tensor:
    """A two-input convolution's answer to its first input alone, without the bias."""
    return functional.conv2d(x, layer.get_parameter("weight")[:, : x.shape[1]], padding=1)


def _second_half(layer: nn.Module, x: Tensor) -> Tensor:
    """A two-input convolution's answer to its second input alone, with the bias."""
    return functional.conv2d(
        x, layer.get_parameter("weight")[:, x.shape[1] :], layer.get_parameter("bias"), padding=1
    )

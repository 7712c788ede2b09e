"""EDVR-STF lite: the paper's idea in a size for a laptop, all of it at LR resolution.

What the paper's network learns to do, alignment, is done beforehand by the motion seen in LR: the network is
handed the HR neighbours as they are and carried to the target's time, and a first result to start from
(``base``, the method ``flow``). HR images enter by pixel unshuffling: the 16 HR pixels under an LR pixel
become 16 channels, so that nothing is lost and no convolution runs at full resolution. As in the paper, each
input is weighed by its temporal attention against the reference LR frame. The network answers how far to lean
on each neighbour, pixel by pixel, and with a residual.

Shape legend: B targets · n channels · H W HR pixels · h w LR pixels
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.model.blocks import act, conv, trunk
from napari_xfusion.core.model.network import Output
from napari_xfusion.core.types import ROLES, Role

SCALE = 4
FACTS = 4
"""Numbers a target comes with, see ``Inputs.facts``."""
_BLOCK = SCALE * SCALE
_CANDIDATES = 4
_LR, _HR = (1, 0, 2), (3, 4)
"""Places among the roles of the reference and the LR frames beside it, and of the HR frames."""


class Inputs(NamedTuple):
    """What serves B targets, in grey units; a tensor each."""

    lr: Tensor
    """(B, 3, h, w): LR at t-s, t, t+s."""
    lr_at_hr: Tensor
    """(B, 2, h, w): LR at the times of the HR frames."""
    base: Tensor
    """(B, 1, H, W): the result to start from."""
    moved: Tensor
    """(B, 2, H, W): the HR frames carried to the target's time."""
    still: Tensor
    """(B, 2, H, W): the HR frames as they are."""
    facts: Tensor
    """(B, 4): LR noise, weights in time of both HR frames, distance between them; see ``facts_of``."""


class Lite(nn.Module):
    """Encoders at LR resolution, temporal attention, a trunk over two resolutions, a mixing of candidates."""

    inputs: ClassVar[tuple[Role, ...]] = ROLES

    def __init__(self, encode: int, channels: int, half: int, blocks: int) -> None:
        """``encode`` channels per input, ``channels`` at LR resolution and ``half`` at half of it.

        ``blocks`` residual blocks work at half the LR resolution, two before and two after at the LR one.
        """
        super().__init__()
        self.encode_reference = nn.Sequential(
            conv(_BLOCK + 2, encode), nn.LeakyReLU(0.1), conv(encode, encode)
        )
        self.encode_lr = nn.Sequential(conv(3, encode), nn.LeakyReLU(0.1))
        self.encode_hr = nn.Sequential(conv(2 * _BLOCK + 6, encode), nn.LeakyReLU(0.1), conv(encode, encode))
        self.temporal_attn1 = conv(encode, encode, kernel=1)
        self.temporal_attn2 = conv(encode, encode, kernel=1)
        self.fusion = conv(len(ROLES) * encode, channels, kernel=1)
        self.before = trunk(channels, 2)
        self.down = conv(channels, half, stride=2)
        self.middle = trunk(half, blocks)
        self.up = conv(half, 4 * channels, kernel=1)
        self.after = trunk(channels, 2)
        self.last = conv(channels, _BLOCK * (1 + _CANDIDATES))

    def forward(self, x: Inputs) -> Output:
        """HR images at the targets' times; h and w must be even."""
        frames = self._encode(x)
        raw = self._attention(frames)
        weighed = [frame * raw[:, i, None].sigmoid() for i, frame in enumerate(frames)]
        fused = self.before(act(self.fusion(torch.cat(weighed, 1))))
        coarse = self.middle(act(self.down(fused)))
        fused = fused + functional.pixel_shuffle(self.up(coarse), 2)
        answer = functional.pixel_shuffle(self.last(self.after(fused)), SCALE).float()
        candidates = torch.cat([x.moved, x.still], 1) - x.base
        image = x.base + answer[:, :1] + (answer[:, 1:] * candidates).sum(1, keepdim=True)
        return Output(image, raw.float())

    def _encode(self, x: Inputs) -> list[Tensor]:
        """Features (B, n, h, w) of the five inputs, in the order of ROLES."""
        kind = self.last.weight.dtype
        lr, lr_at_hr, facts = (part.to(kind) for part in (x.lr.clamp(0, 1), x.lr_at_hr.clamp(0, 1), x.facts))
        here = lr[:, 1:2]
        noise, *weights, distance = (maps(fact, here) for fact in facts.unbind(1))
        under = [unshuffled(image.clamp(0, 1).to(kind), here) for image in (x.base, x.moved, x.still)]
        reference = self.encode_reference(torch.cat([here - 0.5, under[0], noise], 1))
        beside = [self.encode_lr(torch.cat([lr[:, i, None] - here, here - 0.5, noise], 1)) for i in (0, 2)]
        sharp = []
        for k, weight in enumerate(weights):
            images = [part[:, k * _BLOCK : (k + 1) * _BLOCK] for part in under[1:]]
            means = [image.mean(1, keepdim=True) for image in images]
            seen = lr_at_hr[:, k, None] - here
            sharp.append(self.encode_hr(torch.cat([*images, *means, seen, noise, weight, distance], 1)))
        return [beside[0], reference, beside[1], *sharp]

    def _attention(self, frames: list[Tensor]) -> Tensor:
        """Raw temporal attention (B, 5, h, w): dot products of embeddings with the reference's."""
        anchor = self.temporal_attn1(frames[1])
        return torch.stack([(self.temporal_attn2(frame) * anchor).sum(1) for frame in frames], 1)


def facts_of(noise: float, weights: tuple[float, float], distance: float) -> tuple[float, ...]:
    """LR noise (grey units), weights of the HR frames and LR frames between them, scaled to about 1."""
    return 10 * noise, *weights, float(torch.log2(torch.tensor(max(distance, 1.0)))) / 6


def maps(fact: Tensor, like: Tensor) -> Tensor:
    """Numbers (B,) as maps (B, 1, h, w)."""
    return fact[:, None, None, None].expand_as(like)


def unshuffled(images: Tensor, here: Tensor) -> Tensor:
    """HR images (B, C, H, W) as (B, 16 C, h, w), relative to the LR frame ``here`` (B, 1, h, w)."""
    return functional.pixel_unshuffle(images, SCALE) - here


def lite(encode: int = 24, channels: int = 32, half: int = 64, blocks: int = 4) -> Lite:
    """The bundled default's sizes."""
    return Lite(encode, channels, half, blocks)

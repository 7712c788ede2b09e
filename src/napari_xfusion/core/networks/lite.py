"""EDVR-STF lite: the paper's idea in a size for a laptop, all of it at LR resolution.

What the paper's network learns to do, alignment, is done beforehand by the motion seen in LR: the network is
handed the HR neighbours as they are and warped to the target's time, and a first result to start from
(``base``, the method ``flow``). HR images enter by pixel unshuffling: the 16 HR pixels under an LR pixel
become 16 channels, so that nothing is lost and no convolution runs at full resolution. As in the paper, each
input is weighed by its temporal attention against the reference LR frame. The network answers with small
filters, for every HR pixel its own: what to take from around it in ``base``, in the warped HR frames and in
the static ones; and with a residual. It may change ``base`` by no more than a share of how far the warped
frames, ``base`` and LR disagree there: where they agree there is nothing to correct, and this keeps the network
from inventing structure. See `limit_of`.

Shape legend: B targets · n channels · H W HR pixels · h w LR pixels
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, conv, trunk
from napari_xfusion.core.networks.network import Output
from napari_xfusion.core.types import ROLES, SCALE, Role

_BLOCK = SCALE * SCALE
REACH = (5, 3, 3, 1, 1, 3)
"""Sides in HR pixels of the filters on ``base``, both ``warped``, both ``static`` and ``mean``."""
TAPS = sum(side * side for side in REACH)
LIMITS = (-1.0, 3.0)
"""Grey values that the network looks at; beyond, as in a defect pixel, ``base`` stays as it is."""
SHARE, QUIET, COARSER = 0.25, 4.0, 4.0
"""Of the limit to what ``base`` may change by; see `limit_of`."""
CPU_STRIP, GPU_STRIP = 1024, 8192
"""LR pixels whose filters are in memory at once, 3.4 kB each: what a processor's cache holds, few launches on a GPU."""
LEAST_ERROR = 1e-4
"""Smallest standard deviation that counts, grey units."""


class Inputs(NamedTuple):
    """What serves B targets, in grey units; a tensor each."""

    lr: Tensor
    """(B, 3, h, w): LR at t-s, t, t+s."""
    lr_at_hr: Tensor
    """(B, 2, h, w): LR at the times of the HR frames."""
    base: Tensor
    """(B, 1, H, W): the result to start from."""
    warped: Tensor
    """(B, 2, H, W): the HR frames warped to the target's time."""
    static: Tensor
    """(B, 2, H, W): the HR frames as they are."""
    mean: Tensor
    """(B, 1, H, W): the mean of all HR frames within reach."""
    errors: Tensor
    """(B, 2, h, w): expected error of ``base`` and of ``mean``, standard deviations."""
    facts: Tensor
    """(B, 5): LR noise, weights in time of both HR frames, distance between them, disagreement of HR images
    in the quieter part of the frame; see ``facts_of``."""


class Lite(nn.Module):
    """Encoders at LR resolution, temporal attention, a trunk over two resolutions, a mixing of candidates."""

    inputs: ClassVar[tuple[Role, ...]] = ROLES

    def __init__(self, encode: int, channels: int, coarse: int, blocks: int) -> None:
        """``encode`` channels per input, ``channels`` at LR resolution and ``coarse`` at half of it.

        ``blocks`` residual blocks work at half the LR resolution, two before and two after at the LR one.
        """
        super().__init__()
        self.encode_reference = nn.Sequential(
            conv(2 * _BLOCK + 5, encode), nn.LeakyReLU(0.1), conv(encode, encode)
        )
        self.encode_lr = nn.Sequential(conv(3, encode), nn.LeakyReLU(0.1))
        self.encode_hr = nn.Sequential(conv(2 * _BLOCK + 6, encode), nn.LeakyReLU(0.1), conv(encode, encode))
        self.temporal_attn1 = conv(encode, encode, kernel=1)
        self.temporal_attn2 = conv(encode, encode, kernel=1)
        self.fusion = conv(len(ROLES) * encode, channels, kernel=1)
        self.before = trunk(channels, 2)
        self.down = conv(channels, coarse, stride=2)
        self.middle = trunk(coarse, blocks)
        self.up = conv(coarse, 4 * channels, kernel=1)
        self.after = trunk(channels, 2)
        self.residual = conv(channels, _BLOCK)
        self.filters = conv(channels, _BLOCK * TAPS, kernel=1)
        self.error = conv(channels, _BLOCK)

    def forward(self, x: Inputs) -> Output:
        """HR images at the targets' times; h and w must be even."""
        finer, coarser = disagreements(x)
        frames = self._encode(x, _around(finer + coarser))
        raw = self._attention(frames)
        weighed = [frame * raw[:, i, None].sigmoid() for i, frame in enumerate(frames)]
        fused = self.before(act(self.fusion(torch.cat(weighed, 1))))
        below = self.middle(act(self.down(fused)))
        fused = self.after(fused + functional.pixel_shuffle(self.up(below), 2))
        change = functional.pixel_shuffle(self.residual(fused), SCALE).float() + self._filtered(x, fused)
        limit = functional.interpolate(limit_of(x, finer, coarser), scale_factor=SCALE, mode="nearest")
        image = x.base + torch.minimum(torch.maximum(change, -limit), limit)
        return Output(image, raw.float(), self._error(x, fused))

    def _error(self, x: Inputs, fused: Tensor) -> Tensor:
        """Expected error (B, 1, H, W) of the image: that of ``base`` times what the network makes of it."""
        told = self.error(fused.detach())  # it reads what serves the image, and changes nothing there
        factor = functional.pixel_shuffle(told, SCALE).float().clamp(-4, 4).exp()
        base = functional.interpolate(x.errors[:, :1], scale_factor=SCALE, mode="bilinear")
        return base.clamp(min=LEAST_ERROR) * factor

    def _filtered(self, x: Inputs, fused: Tensor) -> Tensor:
        """What the filters make of all candidates, less ``base``: (B, 1, H, W)."""
        height, width = fused.shape[2:]
        strip = CPU_STRIP if fused.device.type == "cpu" else GPU_STRIP
        rows = height if torch.is_grad_enabled() else max(1, strip // width)
        candidates = (x.base, *x.warped.chunk(2, 1), *x.static.chunk(2, 1), x.mean)
        around = [
            _neighbours(image.clamp(*LIMITS), side // 2)
            for image, side in zip(candidates, REACH, strict=True)
        ]
        # As a matrix product, of which the bias is one more column, the weights lie tap by tap in memory; what a
        # convolution gives has to be arranged afterwards.
        matrix = torch.cat([each.view(len(each), -1) for each in self.filters.parameters()], 1)
        features = functional.pad(fused, [0] * 5 + [1], value=1.0).transpose(0, 1)
        strips = []
        for top in range(0, height, rows):
            part = features[:, :, top : top + rows]
            weights = torch.mm(matrix, part.flatten(1)).float()
            here = [image[..., top : top + rows, :] for image in around]
            strips.append(_filter(here, weights.view(TAPS, SCALE, SCALE, *part.shape[1:])))
        return functional.pixel_shuffle(torch.cat(strips, 3).flatten(0, 1).transpose(0, 1), SCALE)

    def _encode(self, x: Inputs, apart: Tensor) -> list[Tensor]:
        """Features (B, n, h, w) of the five inputs, in the order of ROLES."""
        kind = self.residual.weight.dtype
        lr, lr_at_hr, facts = (
            part.to(kind) for part in (x.lr.clamp(*LIMITS), x.lr_at_hr.clamp(*LIMITS), x.facts)
        )
        here = lr[:, 1:2]
        noise, *weights, distance = (maps(fact, here) for fact in facts[:, :4].unbind(1))
        under = [
            unshuffled(image.clamp(*LIMITS).to(kind), here) for image in (x.base, x.warped, x.static, x.mean)
        ]
        # From noiseless sequences to wrong motion.
        doubt = torch.cat([apart, x.errors], 1).clamp(LEAST_ERROR, 1).log10().to(kind)
        reference = self.encode_reference(torch.cat([here - 0.5, under[0], noise, doubt, under[3]], 1))
        beside = [self.encode_lr(torch.cat([lr[:, i, None] - here, here - 0.5, noise], 1)) for i in (0, 2)]
        sharp = []
        for k, weight in enumerate(weights):
            images = [part[:, k * _BLOCK : (k + 1) * _BLOCK] for part in under[1:3]]
            means = [image.mean(1, keepdim=True) for image in images]
            seen = lr_at_hr[:, k, None] - here
            sharp.append(self.encode_hr(torch.cat([*images, *means, seen, noise, weight, distance], 1)))
        return [beside[0], reference, beside[1], *sharp]

    def _attention(self, frames: list[Tensor]) -> Tensor:
        """Raw temporal attention (B, 5, h, w): dot products of embeddings with the reference's."""
        anchor = self.temporal_attn1(frames[1])
        return torch.stack([(self.temporal_attn2(frame) * anchor).sum(1) for frame in frames], 1)


def disagreements(x: Inputs) -> tuple[Tensor, Tensor]:
    """How far ``base``, both warped HR frames and LR disagree in each LR pixel: two sums of mean squares.

    Each (B, 1, h, w), grey units squared: of the three differences in HR pixels among ``base`` and the
    warped frames, and of the two between a warped frame, binned, and LR.
    """
    before, after = x.warped.chunk(2, 1)
    finer = [functional.avg_pool2d((a - b) ** 2, SCALE) for a, b in combinations((x.base, before, after), 2)]
    coarser = [(functional.avg_pool2d(frame, SCALE) - x.lr[:, 1:2]) ** 2 for frame in (before, after)]
    return finer[0] + finer[1] + finer[2], coarser[0] + coarser[1]


def limit_of(x: Inputs, finer: Tensor, coarser: Tensor) -> Tensor:
    """What ``base`` may change by at most, (B, 1, h, w) in grey units, from `disagreements`.

    HR images disagree by their noise and where texture was not warped exactly. Only noise is there in quiet
    parts of the frame, too, and it is for taking off; so more than it does not count.
    Disagreement with LR says that something is elsewhere than it was warped to.
    """
    quiet = QUIET * x.facts[:, 4, None, None, None] ** 2
    return SHARE * _around(torch.minimum(finer, quiet) + COARSER * coarser)


def _around(squares: Tensor) -> Tensor:
    """The mean of roots over 3x3 LR pixels."""
    return functional.avg_pool2d(functional.pad(squares, [1] * 4, mode="replicate").sqrt(), 3, stride=1)


def _neighbours(image: Tensor, reach: int) -> Tensor:
    """HR images (B, 1, H, W) as (4 + 2 reach, 4 + 2 reach, B, h, w), the edge repeated.

    Of every LR pixel: rows and columns of the HR pixels under it, and of ``reach`` HR pixels around it. A neighbour of
    all HR pixels is a slice of them.
    """
    under = functional.pixel_unshuffle(functional.pad(image, [SCALE] * 4, mode="replicate"), SCALE)
    under = under.transpose(0, 1).reshape(SCALE, SCALE, len(image), *under.shape[2:])
    if not reach:
        return under[..., 1:-1, 1:-1]
    above, rows, below = under[-reach:, ..., :-2, :], under[..., 1:-1, :], under[:reach, ..., 2:, :]
    under = torch.cat([above, rows, below])
    left, columns, right = under[:, -reach:, ..., :-2], under[..., 1:-1], under[:, :reach, ..., 2:]
    return torch.cat([left, columns, right], 1)


def _filter(around: list[Tensor], weights: Tensor) -> Tensor:
    """Sum over all taps of weight times (candidate there - ``base`` here): (4, 4, B, h, w).

    ``weights`` (TAPS, 4, 4, B, h, w), the candidates as `_neighbours`. In this order no tap's weights, which are by far
    the most numbers here, have to be moved in memory.
    """
    reach = REACH[0] // 2
    total = -weights.sum(0) * around[0][reach : reach + SCALE, reach : reach + SCALE]
    taps = iter(weights)
    for image, side in zip(around, REACH, strict=True):
        for down in range(side):
            for right in range(side):
                total.addcmul_(next(taps), image[down : down + SCALE, right : right + SCALE])
    return total


def facts_of(noise: float, weights: tuple[float, float], distance: float, quiet: float) -> tuple[float, ...]:
    """LR noise (grey units), weights of the HR frames, LR frames between them, scaled to about 1.

    And as it is ``quiet``, the root of what `disagreements` gives first in the quieter part of the frame.
    """
    return 10 * noise, *weights, math.log2(max(distance, 1.0)) / 6, quiet


def maps(fact: Tensor, like: Tensor) -> Tensor:
    """Numbers (B,) as maps (B, 1, h, w)."""
    return fact[:, None, None, None].expand_as(like)


def unshuffled(images: Tensor, here: Tensor) -> Tensor:
    """HR images (B, C, H, W) as (B, 16 C, h, w), relative to the LR frame ``here`` (B, 1, h, w)."""
    return functional.pixel_unshuffle(images, SCALE) - here

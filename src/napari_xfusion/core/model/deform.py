"""Modulated deformable convolution (DCNv2): a 3x3 convolution whose nine taps move and are weighed.

Zhu et al. 2019, "Deformable ConvNets v2", equation 1. A tap that falls between pixels reads a bilinear
blend; pixels outside the image are zero, also as corners of a blend. Coordinates are float32 in every
precision: bfloat16 cannot tell pixel 300 from 301.

Shape legend: B frames · C channels in · O channels out · G groups of channels that move together · h w pixels
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = 9


def modulated_deform_conv(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Deformable 3x3 convolution with stride 1 and padding 1, (B, O, h, w); differentiable.

    ``x`` (B, C, h, w). ``offset`` (B, G*9*2, h, w): how far tap k of group g is moved, in pixels, in
    the order group, tap (row by row), (y, x). ``mask`` (B, G*9, h, w): the weight of each tap, 0..1.
    ``weight`` (O, C, 3, 3), ``bias`` (O,).
    """
    if x.is_cuda and (kernel := _torchvision_kernel()) is not None:
        tensors = (x.float(), offset.float(), weight.float(), bias.float())
        return kernel(*tensors, padding=(1, 1), mask=mask.float()).to(x.dtype)
    return deform_conv_by_taps(x, offset, mask, weight, bias)


def deform_conv_by_taps(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`modulated_deform_conv` in plain torch: sample the image at one tap, weigh, multiply, add up.

    One tap at a time keeps the memory at a few images; nine at once would need nine times as much.
    """
    B, C, h, w = x.shape
    G = mask.shape[1] // TAPS
    image = x.float().reshape(B * G, C // G, h, w)
    offset = offset.reshape(B * G, TAPS, 2, h, w)
    mask = mask.reshape(B * G, TAPS, 1, h, w)
    row = torch.arange(h, dtype=torch.float32, device=x.device).view(h, 1)
    column = torch.arange(w, dtype=torch.float32, device=x.device)
    kernels = weight.permute(2, 3, 0, 1).reshape(TAPS, -1, C)
    out = bias.view(1, -1, 1).expand(B, -1, h * w).clone()
    for tap in range(TAPS):
        y = offset[:, tap, 0].float() + (row + (tap // 3 - 1))
        x_ = offset[:, tap, 1].float() + (column + (tap % 3 - 1))
        sample = _sample(image, y, x_) * mask[:, tap]
        out.baddbmm_(kernels[tap].expand(B, -1, -1), sample.to(weight.dtype).view(B, C, h * w))
    return out.view(B, -1, h, w)


def _sample(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Values (N, C, h, w) of ``image`` (N, C, h, w) at pixels ``y``, ``x`` (N, h, w); zero outside."""
    h, w = image.shape[-2:]
    # align_corners=False is the one convention that can also express pixel 0 of an image one pixel wide.
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@functools.cache
def _torchvision_kernel() -> Callable[..., Tensor] | None:
    """torchvision's fused operator, where it loads; beside another build of torch it raises RuntimeError."""
    try:
        operators = importlib.import_module("torchvision.ops")
    except (ImportError, OSError, RuntimeError):
        return None
    kernel: Callable[..., Tensor] = operators.deform_conv2d
    return kernel


class DeformPack(nn.Module):
    """A deformable convolution that reads its offsets and masks off a second feature map.

    ``conv_offset`` gives G*27 channels: offsets (the first two thirds) and masks before their sigmoid.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as torch does for its own convolutions
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv_offset = nn.Conv2d(channels, groups * 3 * TAPS, 3, padding=1)

    def forward(self, x: Tensor, motion: Tensor) -> Tensor:
        """``x`` (B, C, h, w) moved as the feature map ``motion`` (B, C, h, w) says: (B, C, h, w)."""
        moved = self.conv_offset(motion)
        split = moved.shape[1] // 3 * 2
        return modulated_deform_conv(x, moved[:, :split], moved[:, split:].sigmoid(), self.weight, self.bias)

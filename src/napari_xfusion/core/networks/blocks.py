"""Small parts that every box of the network uses: activation, residual trunk, resampling, strips.

Shape legend: B frames · n channels · h w pixels
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (divided by ``stride``)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def act(x: Tensor) -> Tensor:
    """LeakyReLU of slope 0.1, in place: only for fresh results, such as a convolution's."""
    return functional.leaky_relu(x, 0.1, inplace=True)


def enlarge(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear upsampling of (B, n, h, w), half-pixel centres."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), no normalisation; (B, n, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The block's result, (B, n, h, w)."""
        change: Tensor = self.conv2(functional.relu(self.conv1(x), inplace=True))
        return change.add_(x)


def trunk(channels: int, blocks: int) -> nn.Sequential:
    """A chain of residual blocks, (B, n, h, w) to the same."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))


def in_strips(part: Callable[[Tensor], Tensor], x: Tensor, *, rows: int, halo: int) -> Tensor:
    """``part(x)`` computed strip by strip, so that only one strip's intermediate results are in memory.

    ``rows`` per strip and ``halo``, the rows that ``part`` sees above and below, count rows of ``x``
    (B, n, h, w); both must be multiples of what ``part`` divides the height by. The true borders
    meet no halo, so ``part`` treats them as in the whole image. While gradients are recorded everything
    is kept anyway, and ``part`` sees the whole image.
    """
    height = x.shape[2]
    if torch.is_grad_enabled() or height <= rows:
        return part(x)
    strips = []
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        strip = part(x[:, :, first:last])
        done = strip.shape[2]
        begin, end = ((edge - first) * done // (last - first) for edge in (top, bottom))
        strips.append(strip[:, :, begin:end])
    return torch.cat(strips, dim=2)

"""Modulated deformable convolution (DCNv2): a 3x3 convolution whose nine taps move and are weighed.

Zhu et al. 2019, "Deformable ConvNets v2", equation 1. A tap that falls between pixels reads a bilinear
blend; pixels outside the image are zero, also as corners of a blend. Coordinates are float32 in every
precision: bfloat16 cannot tell pixel 300 from 301.

Shape legend: B frames · C channels in · O channels out · G groups of channels that move together · h w pixels
"""

from __future__ import annotations

import functools
import importlib
import itertools
import logging
import timeit
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

log = logging.getLogger(__name__)

TAPS = 9
STRIP = 4096
"""Pixels at a time in plain torch."""
DeformConv = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Anything that does what `modulated_deform_conv` does."""


def modulated_deform_conv(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Deformable 3x3 convolution with stride 1 and padding 1, (B, O, h, w); differentiable.

    ``x`` (B, C, h, w). ``offset`` (B, G*9*2, h, w): how far tap k of group g is moved, in pixels, in
    the order group, tap (row by row), (y, x). ``mask`` (B, G*9, h, w): the weight of each tap, 0..1.
    ``weight`` (O, C, 3, 3), ``bias`` (O,).
    """
    tensors = x, offset, mask, weight, bias
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        kernel = _torchvision_kernel(x.device) if x.is_cuda else None
        return (kernel or deform_conv_training)(*tensors)
    if x.is_cuda:
        return _quickest(x.device, x.dtype, x.shape[1], mask.shape[1] // TAPS)(*tensors)
    return deform_conv_plain(*tensors)


def deform_conv_plain(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`modulated_deform_conv` in plain torch: gather what all taps see, weigh it, multiply once.

    Some rows at a time, because what nine taps see is nine times the image: strips stay in the caches.
    """
    B, C, h, w = x.shape
    G, O = mask.shape[1] // TAPS, len(bias)  # noqa: E741 - O is outputs in the legend
    image, kernel = x.float().reshape(B, G, C // G, h, w), weight.reshape(O, C * TAPS)
    offset, mask = offset.reshape(B, G, TAPS, 2, h, w), mask.reshape(B, G, TAPS, h, w)
    row, column = _taps(h, w, x.device)
    rows = max(1, STRIP // w)
    out = torch.empty((B, O, h, w), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    pixels = out.permute(0, 2, 3, 1)
    for b, top in itertools.product(range(B), range(0, h, rows)):
        strip = slice(top, top + rows)
        seen = _see(image[b], offset[b, :, :, :, strip], mask[b, :, :, strip], row[:, strip], column)
        seen = seen.to(weight.dtype).view(C * TAPS, -1)
        pixels[b, strip] = torch.addmm(bias, seen.t(), kernel.t()).view(-1, w, O)
    return out


def deform_conv_training(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`deform_conv_plain` for all frames and rows at once.

    Takes nine times the image in memory, but gradients need not be put together from hundreds of pieces.
    """
    B, C, h, w = x.shape
    G = mask.shape[1] // TAPS
    image, moved = x.float().reshape(B * G, C // G, h, w), offset.reshape(B * G, TAPS, 2, h, w)
    seen = _see(image, moved, mask.reshape(B * G, TAPS, h, w), *_taps(h, w, x.device))
    result = weight.flatten(1) @ seen.to(weight.dtype).view(B, C * TAPS, h * w)
    return (result.view(B, -1, h, w) + bias.view(-1, 1, 1)).to(x.dtype)


def _taps(h: int, w: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the taps of an image's pixels lie before they move, from -1 to 1: y (9, h, 1) and x (9, 1, w)."""
    tap = torch.arange(TAPS, device=device).view(TAPS, 1, 1)
    row = _centres(h, device).view(h, 1) + (tap // 3 - 1) * (2 / h)
    return row, _centres(w, device) + (tap % 3 - 1) * (2 / w)


def _see(image: Tensor, offset: Tensor, mask: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """What moved taps see of N images (N, c, h, w), weighed: (N, c, 9 * rows, w).

    ``offset`` (N, 9, 2, rows, w) and ``mask`` (N, 9, rows, w) belong to some rows of the image, whose taps
    lie at ``row`` (9, rows, 1) and ``column`` (9, 1, w).
    """
    h, w = image.shape[2:]
    y = torch.add(row, offset[:, :, 0].float(), alpha=2 / h)
    x = torch.add(column, offset[:, :, 1].float(), alpha=2 / w)
    grid = torch.stack((x, y), dim=-1).flatten(1, 2)
    seen = functional.grid_sample(image, grid, padding_mode="zeros", align_corners=False)
    return seen * mask.reshape(len(mask), 1, -1, w)


def _centres(size: int, device: torch.device) -> Tensor:
    """Centres of ``size`` pixels on an axis from -1 to 1, which grid_sample wants.

    Of its two conventions (align_corners) it is the one that can also place a single pixel.
    """
    return (2 * torch.arange(size, dtype=torch.float32, device=device) + 1) / size - 1


@functools.cache
def _quickest(device: torch.device, dtype: torch.dtype, channels: int, groups: int) -> DeformConv:
    """What to use on a GPU while no gradients are recorded: measured once, on a small example.

    What does not load, does not compile or gives other numbers than `deform_conv_plain` is left out.
    """
    case = _example(device, dtype, channels, groups)
    found = [kernel for kernel in (_torchvision_kernel(device), _triton_kernel()) if kernel is not None]
    able = [deform_conv_plain, *(kernel for kernel in found if _agrees(kernel, case))]
    seconds = {kernel: _seconds(kernel, case) for kernel in able}
    best = min(able, key=seconds.__getitem__)
    log.info("deformable convolution of %s on %s: %s", dtype, device, best.__qualname__)
    return best


def _example(device: torch.device, dtype: torch.dtype, channels: int, groups: int) -> tuple[Tensor, ...]:
    """A group of small frames as `DeformPack` would pass it, with offsets of some pixels."""
    generator = torch.Generator().manual_seed(0)  # the same example every time
    sizes = (5, channels, 64, 128), (5, groups * 3 * TAPS, 64, 128), (channels, channels, 3, 3)
    x, moved, weight = (
        torch.randn(size, generator=generator).to(device, dtype, memory_format=torch.channels_last)
        for size in sizes
    )
    offset, mask = (4 * moved)[:, : 2 * TAPS * groups], moved[:, 2 * TAPS * groups :].sigmoid()
    return x, offset, mask, weight, weight[:, 0, 0, 0].clone()


def _agrees(kernel: DeformConv, case: tuple[Tensor, ...]) -> bool:
    """Whether ``kernel`` works and gives what `deform_conv_plain` gives, but for rounding."""
    expected = deform_conv_plain(*(t.double() for t in case))
    rounding = max(1e-4, 4 * torch.finfo(case[0].dtype).eps)
    try:
        error = float((kernel(*case) - expected).abs().max() / expected.abs().max())
    except Exception:  # compilers and drivers fail in classes of their own, and there is always plain torch
        log.info("left out: %s fails", kernel.__qualname__, exc_info=True)
        return False
    if error <= rounding:
        return True
    log.info("left out: %s is wrong by %.2g", kernel.__qualname__, error)
    return False


def _seconds(kernel: DeformConv, case: tuple[Tensor, ...]) -> float:
    """The least time of some runs, the network's memory layout (channels_last) included."""

    def run() -> None:
        kernel(*case).contiguous(memory_format=torch.channels_last)
        if case[0].is_cuda:
            torch.cuda.synchronize(case[0].device)

    run()
    return min(timeit.repeat(run, number=1, repeat=5))


@functools.cache
def _torchvision_kernel(device: torch.device) -> DeformConv | None:
    """torchvision's fused operator, where it works on ``device``; differentiable.

    Beside another build of torch its import raises RuntimeError, and a build without CUDA tells so
    only when it is called.
    """

    def deform_conv_torchvision(
        x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        tensors = (x.float(), offset.float(), weight.float(), bias.float())
        result: Tensor = operator(*tensors, padding=(1, 1), mask=mask.float())
        return result.to(x.dtype)

    try:
        operator = importlib.import_module("torchvision.ops").deform_conv2d
        x, offset, mask, weight = (torch.zeros(1, n, 3, 3, device=device) for n in (1, 18, 9, 1))
        deform_conv_torchvision(x, offset, mask, weight, torch.zeros(1, device=device))
    except (ImportError, OSError, RuntimeError):
        return None
    return deform_conv_torchvision


def _triton_kernel() -> DeformConv | None:
    """Our own kernel, where Triton is installed; for inference only."""
    try:
        module = importlib.import_module("napari_xfusion.core.networks.deform_triton")
    except (ImportError, OSError, RuntimeError):
        return None
    kernel: DeformConv = module.deform_conv_triton
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

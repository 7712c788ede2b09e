"""The deformable convolution of `deform` as one Triton kernel, for inference on an NVIDIA GPU.

Each program makes a block of pixels x output channels. Step by step, one tap of one group at a time, it
gathers the four corners that the tap falls between, blends them, and multiplies the blend with the
tap's weights. Nothing but the result is written, where other ways write nine images of blends first.

Frames lie in memory pixel by pixel (channels_last), so that a corner's channels are neighbours: a gather
then reads whole stretches of memory. Coordinates and sums are float32 in every precision.

On an H100 the full-size network in bfloat16 takes 7.7 ms a frame with it, 13.8 ms with torchvision's operator
and 17.1 ms with plain torch (docs/networks.md). `deform` takes it only where it is right and quickest.

Importing this module needs Triton, which comes with torch's builds for NVIDIA GPUs.

Shape legend: as in `deform`
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found, import-untyped, unused-ignore] # no types, where it is there
import triton.language as tl  # type: ignore[import-not-found, import-untyped, unused-ignore] # the same
from torch import Tensor

TAPS = 9
PIXELS = 128
"""Of one program; it makes as many output channels, where there are so many."""
LEAST = 16
"""The smallest side of a matrix that a GPU's matrix units take."""
CHANNELS = {2: 64, 4: 32}
"""Input channels at a time at most, by bytes per number: more float32 would not fit into shared memory."""


def deform_conv_triton(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`modulated_deform_conv` of float32, bfloat16 or float16 tensors, channels_last; no gradients.

    Tensors that are not channels_last are copied first.
    """
    B, C, h, w = x.shape
    O, G = len(bias), mask.shape[1] // TAPS  # noqa: E741 - O is outputs in the legend
    kernels = weight.permute(0, 2, 3, 1).reshape(O, TAPS * C).contiguous()
    out = torch.empty((B, O, h, w), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    images, moves, strengths = _rows(x), _rows(offset), _rows(mask)
    outputs = min(PIXELS, _block(O))
    grid = triton.cdiv(B * h * w, PIXELS), triton.cdiv(O, outputs)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call] # Triton launches on the current GPU
        _deform_conv[grid](
            *(images, moves, strengths, kernels, bias.contiguous(), out),
            *(images.stride(0), moves.stride(0), strengths.stride(0)),
            *(B * h * w, h, w),
            OUTPUTS_IN_ALL=O,
            GROUPS=G,
            GROUP_CHANNELS=C // G,
            PIXELS=PIXELS,
            OUTPUTS=outputs,
            CHANNELS=min(CHANNELS[x.itemsize], _block(C // G)),
            num_warps=8,
            enable_fp_fusion=True,  # products and sums in one; Triton 3.9 warns where it is not told
        )
    return out


def _rows(x: Tensor) -> Tensor:
    """(B, C, h, w) as one row of channels per pixel, (B*h*w, C).

    No copy is made of what is channels_last, nor of a slice of its channels.
    """
    rows = x.permute(0, 2, 3, 1).flatten(0, 2)
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _block(size: int) -> int:
    """The block that holds ``size``: Triton's are powers of two."""
    return max(LEAST, 1 << (size - 1).bit_length())


# Sizes of images are not specialised on: a tile of another size would be compiled for anew.
@triton.jit(do_not_specialize=["pixels", "h", "w"])  # type: ignore[untyped-decorator, unused-ignore] # no types
def _deform_conv(  # type: ignore[no-untyped-def] # noqa: PLR0917 - a kernel takes numbers and pointers only
    image,
    offset,
    mask,
    kernels,
    bias,
    out,
    image_stride,
    offset_stride,
    mask_stride,
    pixels,
    h,
    w,
    OUTPUTS_IN_ALL: tl.constexpr,
    GROUPS: tl.constexpr,
    GROUP_CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """One block of ``out``. All tensors are rows: of a pixel's channels, or of an output's (tap, channel)."""
    # What the last block has too much repeats the last pixel.
    pixel = tl.minimum(tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), pixels - 1)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    is_output = output < OUTPUTS_IN_ALL
    channels = GROUPS * GROUP_CHANNELS
    column = pixel % w
    row = pixel // w % h
    frame = pixel - row * w - column  # its first pixel
    far = pixel.to(tl.int64)  # many large frames have more numbers than int32 counts
    total = tl.zeros((PIXELS, OUTPUTS), tl.float32)
    for step in range(GROUPS * 9):  # the order of the masks, and of the offsets' pairs
        group = step // 9
        tap = step % 9
        move = offset + far * offset_stride + 2 * step
        strength = tl.load(mask + far * mask_stride + step).to(tl.float32)
        # Beyond the border all is zero; stopping there keeps the corners within the range of int32.
        y = tl.minimum(tl.maximum(row + (tap // 3 - 1) + tl.load(move).to(tl.float32), -2.0), h + 0.0)
        x = tl.minimum(tl.maximum(column + (tap % 3 - 1) + tl.load(move + 1).to(tl.float32), -2.0), w + 0.0)
        low = y - tl.floor(y)  # the lower corners' part, and below the right corners'
        right = x - tl.floor(x)
        i = tl.floor(y).to(tl.int32)
        j = tl.floor(x).to(tl.int32)
        for first in range(0, GROUP_CHANNELS, CHANNELS):
            within = first + tl.arange(0, CHANNELS)
            is_channel = within < GROUP_CHANNELS
            channel = group * GROUP_CHANNELS + within
            here = image + channel[None, :]
            blend = _corner(here, is_channel, image_stride, frame, i, j, h, w, (1 - low) * (1 - right))
            blend += _corner(here, is_channel, image_stride, frame, i, j + 1, h, w, (1 - low) * right)
            blend += _corner(here, is_channel, image_stride, frame, i + 1, j, h, w, low * (1 - right))
            blend += _corner(here, is_channel, image_stride, frame, i + 1, j + 1, h, w, low * right)
            blend *= strength[:, None]
            entry = output[None, :] * (9 * channels) + (tap * channels + channel)[:, None]
            weights = tl.load(kernels + entry, is_channel[:, None] & is_output[None, :], 0)
            # ieee: else the matrix units shorten float32 to ten bits. It says nothing to the other types.
            total = tl.dot(blend.to(weights.dtype), weights, total, input_precision="ieee")
    total += tl.load(bias + output, is_output, 0).to(tl.float32)[None, :]
    place = out + far[:, None] * OUTPUTS_IN_ALL + output[None, :]
    tl.store(place, total.to(out.dtype.element_ty), is_output[None, :])


@triton.jit  # type: ignore[untyped-decorator, unused-ignore] # no types
def _corner(here, is_channel, stride, frame, i, j, h, w, part):  # type: ignore[no-untyped-def] # noqa: PLR0917 - the same
    """``part`` of the channels at row ``i``, column ``j`` of each pixel's frame; zero outside it.

    ``here`` points to the channels of the very first pixel.
    """
    inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
    place = (frame + i * w + j).to(tl.int64) * stride
    values = tl.load(here + place[:, None], inside[:, None] & is_channel[None, :], 0)
    return values.to(tl.float32) * part[:, None]

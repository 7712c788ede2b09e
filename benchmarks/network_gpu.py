"""The full-size network over a film on a GPU: which form is quickest, and what it costs in accuracy.

    python benchmarks/network_gpu.py [--size 400 1024] [--frames 48] [--step 10] [--device cuda]

For each precision, number of targets at a time and kernel of the deformable convolution: milliseconds per
frame over the film, after a first batch that warms up; and the PSNR of the result against float32 by plain
torch, on a film whose grey values span 0 to 1. Beside it the floor: the network's operations over what this
GPU does in a plain matrix product of the same precision. `--device cpu --size 64 96` shows that it runs.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from time import perf_counter
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from napari_xfusion.core.fusers.network import PRECISIONS, NetworkFuser
from napari_xfusion.core.model import deform
from napari_xfusion.core.pairing import Pair
from network import film_pair, make_fuser

TERA_MACS = 1.09e12 / (100 * 256)
"""Multiplications of a running film's target, for each LR pixel (docs/networks.md)."""
BATCHES = (1, 2, 4, 8)


def forms(device: torch.device) -> Iterator[tuple[str, int, deform.DeformConv]]:
    """Precision, batch and kernel of everything that is tried."""
    found = [deform.deform_conv_plain]
    if device.type == "cuda":
        found += [x for x in (deform._torchvision_kernel(device), deform._triton_kernel()) if x is not None]
    for precision in PRECISIONS:
        for kernel in found:
            for batch in BATCHES:
                yield precision, batch, kernel


def milliseconds(
    fuser: NetworkFuser, pair: Pair, kernel: deform.DeformConv
) -> tuple[float, NDArray[np.float32]]:
    """Of a frame, the first batch left out; and the frames (T, H, W)."""
    with mock.patch.object(deform, "_quickest", lambda *_: kernel), fuser.open(pair) as stream:
        frames, images = stream.fuse(range(len(pair)), threading.Event()), []
        for _ in range(fuser.batch):
            images.append(next(frames).image)
        began = perf_counter()
        images += [frame.image for frame in frames]
        seconds = perf_counter() - began
    return 1000 * seconds / (len(pair) - fuser.batch), np.stack(images)


@cache
def floor(device: torch.device, precision: str, pixels: int) -> float:
    """Milliseconds that the operations of a frame of so many LR pixels take as one large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=PRECISIONS[precision])
    best = float("inf")
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = perf_counter()
        product = a @ a
        float(product[0, 0])  # waits for it
        best = min(best, perf_counter() - began)
    return 1000 * TERA_MACS * pixels * best / side**3


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 1024))
    parser.add_argument("--step", type=int, default=10)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    pair = film_pair(arguments.frames, tuple(arguments.size), arguments.step)
    reference = None
    print("| precision | kernel | targets at a time | ms/frame | floor, ms | PSNR to float32, dB |")
    print("|---|---|---|---|---|---|")
    for precision, batch, kernel in forms(device):
        fuser = make_fuser(precision)
        fuser.loaded.network.to(device)
        fuser = replace(fuser, device=device, batch=batch)
        spent, images = milliseconds(fuser, pair, kernel)
        reference = images if reference is None else reference
        error = float(np.mean((images - reference) ** 2, dtype=np.float64))
        psnr = "" if error == 0 else f"{-10 * np.log10(error):.1f}"
        least = floor(device, precision, arguments.size[0] * arguments.size[1] // 16)
        print(
            f"| {precision} | {kernel.__qualname__} | {batch} | {spent:.1f} | {least:.2f} | {psnr} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Milliseconds per frame on a GPU: the full-size network in every form, and the bundled networks.

    python benchmarks/gpu/speed.py [-o OUT] [--size 400 1024] [--frames 32] [--step 10] [--device cuda]

The full-size network over a sequence, first batch left out: each precision (TF32: float32 storage, convolutions
rounded to 10 bits), implementation of the deformable convolution and number of targets at a time, with the
PSNR of the result against float32 by plain torch (grey values from 0 to 1); beside it the floor, the
network's operations at the rate of a large matrix product in that precision on the same GPU, and where the
time of the fastest form goes. Then the bundled networks, which includes what they need of the CPU.
Writes speed.json. `--device cpu --size 64 96` shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from napari_xfusion.core.methods import make_fuser as load_method
from napari_xfusion.core.networks import deform, engine
from napari_xfusion.core.networks.cards import describe, list_models
from napari_xfusion.core.networks.engine import PRECISIONS, NetworkFuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader
from network import make_fuser, sequence_pair

TERA_MACS = 1.09e12 / (100 * 256)
"""Multiplications of a running sequence's target, for each LR pixel (docs/networks.md)."""
Sequences = NDArray[np.float32]
PARTS = ("full size", "bundled", "profile")


def kernels(device: torch.device) -> dict[str, deform.DeformConv]:
    """The implementations of the deformable convolution that load here."""
    found = {"plain torch": deform.deform_conv_plain}
    if device.type == "cuda":
        others = {"torchvision": deform._torchvision_kernel(device), "Triton": deform._triton_kernel()}
        found |= {name: kernel for name, kernel in others.items() if kernel is not None}
    return found


def forms(device: torch.device, frames: int) -> Iterator[tuple[str, str, int]]:
    """Precision, kernel and targets at a time of everything that is tried."""
    names = list(kernels(device))
    for precision in ("float32", "TF32", "bfloat16", "float16"):
        for name in names:
            yield precision, name, 4
    yield "bfloat16, tuned", names[-1], 4
    for batch in (1, 2, 8, 16):
        if batch < frames:
            yield "bfloat16", names[-1], batch


RULES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "TF32": lambda: torch.backends.cudnn.flags(enabled=True, allow_tf32=True),
    "bfloat16, tuned": lambda: torch.backends.cudnn.flags(enabled=True, benchmark=True),
}
"""What takes the place of the engine's `exact_float32`; tuned: cuDNN tries its algorithms first."""
TYPES = PRECISIONS | {"TF32": torch.float32, "bfloat16, tuned": torch.bfloat16}


def over_the_sequence(
    fuser: NetworkFuser, reader: FrameReader, precision: str, kernel: deform.DeformConv
) -> tuple[float, Sequences]:
    """Milliseconds of a frame, the first batch left out; and the frames (T, H, W)."""
    rule = (
        mock.patch.object(engine, "exact_float32", RULES[precision]) if precision in RULES else nullcontext()
    )
    with rule, mock.patch.object(deform, "_quickest", lambda *_: kernel), fuser.open(reader) as stream:
        frames, images = stream.fuse(range(len(reader.rig)), threading.Event()), []
        for _ in range(fuser.batch):
            images.append(next(frames).image)
        began = time.perf_counter()
        images += [frame.image for frame in frames]
        seconds = time.perf_counter() - began
    return 1000 * seconds / max(1, len(reader.rig) - fuser.batch), np.stack(images)


@cache
def floor(device: torch.device, precision: str, pixels: int) -> float:
    """Milliseconds that the operations of a frame of so many LR pixels take as one large matrix product."""
    side = 8192 if device.type == "cuda" else 512
    dtype = TYPES[precision]
    torch.backends.cuda.matmul.allow_tf32 = precision == "TF32"
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        float((a @ a)[0, 0])  # waits for it
        best = min(best, time.perf_counter() - began)
    torch.backends.cuda.matmul.allow_tf32 = False
    return 1000 * TERA_MACS * pixels * best / side**3


def full_size(precision: str, device: torch.device, batch: int) -> NetworkFuser:
    """The full-size network with random, lively weights."""
    fuser = make_fuser({"TF32": "float32"}.get(precision, precision.partition(",")[0]))
    fuser.loaded.network.to(device)
    return replace(fuser, device=device, batch=batch)


def table(reader: FrameReader, device: torch.device, rows: list[dict[str, Any]]) -> Iterator[None]:
    """Append a row for each form."""
    reference, pixels = None, int(np.prod(reader.rig.fast.shape[1:]))
    for precision, kernel, batch in forms(device, len(reader.rig)):
        row: dict[str, Any] = {"precision": precision, "kernel": kernel, "targets": batch}
        rows.append(row)
        try:
            fuser = full_size(precision, device, batch)
            spent, images = over_the_sequence(fuser, reader, precision, kernels(device)[kernel])
        except Exception as error:  # a kernel that fails is a row of the table, not the end of it
            row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
            yield
            continue
        reference = images if reference is None else reference
        error = float(np.mean((images - reference) ** 2, dtype=np.float64))
        row["ms"] = round(spent, 2)
        row["floor"] = round(floor(device, precision, pixels), 2)
        row["psnr"] = None if error == 0 else round(-10 * float(np.log10(error)), 1)
        yield


def profile(
    reader: FrameReader, device: torch.device, precision: str, kernel: str, batch: int
) -> list[dict[str, Any]]:
    """Where the time on the device goes: milliseconds per frame of its longest kernels."""
    if device.type != "cuda":
        return []
    fuser, frames = full_size(precision, device, batch), 0
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with (
        mock.patch.object(deform, "_quickest", lambda *_: kernels(device)[kernel]),
        fuser.open(reader) as stream,
    ):
        fused = stream.fuse(range(len(reader.rig)), threading.Event())
        for _ in range(2 * batch):
            next(fused)
        with torch.profiler.profile(activities=activities) as watched:
            for _ in fused:
                frames += 1
    found = [
        (e.key, e.self_device_time_total / 1000 / frames, e.count / frames) for e in watched.key_averages()
    ]
    found.sort(key=lambda row: -row[1])
    total = {
        "kernel": "all",
        "ms": round(sum(row[1] for row in found), 3),
        "calls": round(sum(r[2] for r in found), 1),
    }
    return [total] + [
        {"kernel": k[:120], "ms": round(ms, 3), "calls": round(n, 1)} for k, ms, n in found[:25]
    ]


def bundled(pair: Callable[[int], FrameReader], device: torch.device) -> Iterator[dict[str, Any]]:
    """The bundled networks on the device and on the CPU, median milliseconds of a frame.

    ``pair`` makes a pair of so many LR frames. The first two batches are left out.
    """
    for name, path in list_models().items():
        for where, precision in ((device.type, "float32"), (device.type, "bfloat16"), ("cpu", "float32")):
            plan = Plan(method=describe(path).card.variant, model=name, device=where, precision=precision)
            fuser = load_method(plan)
            batches, count = (5, 100) if where == "cuda" else (3, 4)
            reader = pair(count)
            with fuser.open(reader) as stream:
                batch = getattr(stream, "batch", 1)
                targets = range(1, min(len(reader.rig), 1 + batches * batch))
                seconds = [frame.seconds for frame in stream.fuse(targets, threading.Event())][2 * batch :]
            yield {
                "model": name,
                "device": where,
                "precision": precision,
                "targets": batch,
                "ms": round(1000 * float(np.median(seconds)), 2),
            }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path())
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 1024))
    parser.add_argument("--step", type=int, default=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    pair = cache(lambda frames: sequence_pair(frames, tuple(asked.size), asked.step))
    reader = pair(asked.frames)
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "size": list(asked.size),
        "full size": [],
    }

    def write() -> None:
        (asked.output / "speed.json").write_text(json.dumps(report, indent=1), encoding="utf-8")

    for _ in table(reader, device, report["full size"]) if "full size" in asked.parts else ():
        print(report["full size"][-1], flush=True)
        write()
    steps: dict[str, Callable[[], Any]] = {
        "bundled": lambda: list(bundled(pair, device)),
        "profile": lambda: profile(reader, device, "bfloat16", list(kernels(device))[-1], 4),
    }
    for name, step in steps.items():
        if name not in asked.parts:
            continue
        try:
            report[name] = step()
        except Exception as error:  # what was measured before is kept
            report[name] = f"{type(error).__name__}: {str(error)[:300]}"
        print(name, json.dumps(report[name], indent=1), flush=True)
        write()


if __name__ == "__main__":
    main()

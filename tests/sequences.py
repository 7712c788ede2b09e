"""Small sequences for tests: arrays as Stacks, and a sequence of known motion seen by two cameras."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, make_rig
from napari_xfusion.core.types import Stack


def stack(
    frames: NDArray, source: str = "sequence", interval: float | None = None, **fields: object
) -> Stack:
    """A Stack over an array (T, H, W), frames ``interval`` seconds from each other where that is given."""
    return Stack(
        shape=frames.shape,
        dtype=frames.dtype,
        read=lambda i: frames[i],
        digest=lambda: hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest(),
        source=source,
        clock=Clock.regular(len(frames), interval),
        **fields,
    )


def reader_of(lr: Stack, hr: Stack, plan: Plan) -> FrameReader:
    """The frames of two cameras, each on its own pixels."""
    own = plan.model_copy(update={"method": "flow"})  # a rig for networks divides LR pixels into 4 x 4
    return FrameReader(make_rig(own, lr, hr))


def moving_discs(frames: int = 12, shape: tuple[int, int] = (48, 64), seed: int = 0) -> NDArray:
    """A sequence (T, H, W) float32 on [0, 1]: soft discs that drift over a gradient."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    sequence = np.repeat((0.3 + 0.4 * x / shape[1])[None], frames, axis=0)
    for _ in range(8):
        centre, velocity = rng.uniform(0, 1, 2) * shape, rng.uniform(-1.5, 1.5, 2)
        radius, depth = rng.uniform(3, 8), rng.uniform(-0.25, 0.25)
        for t in range(frames):
            cy, cx = centre + velocity * t
            outside = np.hypot(y - cy, x - cx) - radius
            sequence[t] += depth / (1 + np.exp(2 * np.minimum(outside, 50)))
    return sequence.astype(np.float32)


def binned(sequence: NDArray, scale: int = 4) -> NDArray:
    """Mean over scale x scale blocks, sides cropped to multiples: the LR camera, written out."""
    t, h, w = len(sequence), sequence.shape[1] // scale, sequence.shape[2] // scale
    blocks = sequence[:, : h * scale, : w * scale].reshape(t, h, scale, w, scale)
    return blocks.mean(axis=(2, 4), dtype=np.float64).astype(np.float32)


def two_cameras(
    sequence: NDArray, step: int = 4, scale: int = 4, last: bool = True
) -> tuple[NDArray, NDArray, tuple[float, ...]]:
    """LR (T, h, w), HR (N, H, W) and the HR times of a virtual experiment on ``sequence``."""
    times = sorted({*range(0, len(sequence), step), *([len(sequence) - 1] if last else [])})
    return binned(sequence, scale), sequence[times], tuple(map(float, times))

"""What is fused to notice a change of results: four pairs of recordings, and every method on each.

The pairs are built from a seed. ``fuse_case`` computes on one thread, so that neither the number of cores
nor the load of the machine can change a bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.run import fuse, fuse_files
from napari_xfusion.core.types import Region
from tests.sequences import binned, moving_discs

SAMPLE = Path(__file__).parents[2] / "sample_data"
TRAINING_FREE: dict[str, dict[str, Any]] = {
    name: {"method": name} for name in ("bicubic", "interpolation", "flow", "bayesian", "bayesian-paper")
}
"""Name in the pins, and settings of the plan."""
NETWORKS: dict[str, dict[str, Any]] = {
    "lite": {"method": "lite", "model": "lite", "device": "cpu"},
    "edvr-stf-medium": {"method": "edvr-stf", "model": "edvr-stf-medium", "device": "cpu"},
    "edvr-medium": {"method": "edvr", "model": "edvr-medium", "device": "cpu"},
}
METHODS = TRAINING_FREE | NETWORKS


class Recordings(NamedTuple):
    """Both cameras as arrays or files, and the settings that belong to them."""

    lr: Any
    hr: Any
    settings: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A pair of recordings, and the target frames to fuse."""

    build: Callable[[], Recordings]
    frames: tuple[int, int]
    """First target, and one past the last, of the methods without weights."""
    network_frames: tuple[int, int]
    """The same of the networks, which take longer."""
    network_settings: dict[str, Any] = field(default_factory=dict)

    def plan(self, name: str) -> Plan:
        """The plan of a method on this pair."""
        is_network = name in NETWORKS
        return make_plan(
            **self.build().settings,
            **METHODS[name],
            **(self.network_settings if is_network else {}),
            frames=self.network_frames if is_network else self.frames,
        )


class Fused(NamedTuple):
    """Frames (T, H, W) of one method on one pair."""

    computed: NDArray[np.float32]
    """As computed, in the HR camera's units."""
    written: NDArray[np.generic] | None
    """As read back from the output file, in the HR camera's dtype; None of networks, which take long."""


def sample() -> Recordings:
    """The sample recordings that come with the package."""
    return Recordings(SAMPLE / "lr.tif", SAMPLE / "hr.tif", {})


@cache
def odd_scale() -> Recordings:
    """Frame sizes with a ratio of about 2.92, and HR times that are no whole LR frames."""
    scene = moving_discs(13, (111, 149), seed=1)
    lr = np.stack([_resized(frame, (38, 51)) for frame in scene])
    times = (0.0, 3.5, 7.0, 11.5)
    hr = np.stack([(1 - t % 1) * scene[int(t)] + t % 1 * scene[int(t) + 1] for t in times])
    return Recordings(_counts(lr, 9000, 400), _counts(hr, 30000, 1500), {"hr_times": times})


@cache
def noisy() -> Recordings:
    """LR with photon and read noise at about 28 dB, HR slightly noisy too."""
    scene, rng = moving_discs(13, (96, 128), seed=2), np.random.default_rng(20)
    lr, hr = binned(scene), scene[::4]
    lr = rng.normal(lr, np.sqrt(0.04**2 * lr.clip(0)) + 0.01)
    hr = rng.normal(hr, 0.004)
    return Recordings(_counts(lr, 3000, 300), _counts(hr, 3000, 300), {"hr_step": 4.0})


@cache
def region() -> Recordings:
    """A region that begins and ends inside LR pixels; networks compute it in tiles."""
    scene = moving_discs(11, (99, 134), seed=3)
    lr, hr = binned(scene), scene[::5]
    settings = {"hr_step": 5.0, "region": Region(21, 90, 13, 111), "grey": "percentile"}
    return Recordings(_counts(lr, 20000, 2000), _counts(hr, 20000, 2000), settings)


CASES = {
    "sample": Case(sample, frames=(3, 27), network_frames=(14, 16)),
    "scale 2.92": Case(odd_scale, frames=(0, 13), network_frames=(4, 6)),
    "noise": Case(noisy, frames=(0, 13), network_frames=(5, 7)),
    "region in tiles": Case(region, frames=(0, 11), network_frames=(6, 7), network_settings={"tile": 16}),
}


def fuse_case(case: str, method: str, folder: Path) -> Fused:
    """Fuse a case with one method, in memory, and into a file in ``folder`` where it takes no weights."""
    recordings, plan = CASES[case].build(), CASES[case].plan(method)
    output = folder / "fused.tif"
    with one_thread():
        computed = np.stack([frame.image for frame in fuse(plan, recordings.lr, recordings.hr)])
        if method in NETWORKS:
            return Fused(computed, None)
        fuse_files(plan, recordings.lr, recordings.hr, output, overwrite=True)
    return Fused(computed, tifffile.imread(output))


def hashes(fused: Fused) -> dict[str, str]:
    """The sha256 of the computed and of the written frames."""
    arrays = {name: frames for name, frames in fused._asdict().items() if frames is not None}
    return {name: digest(frames) for name, frames in arrays.items()}


def digest(frames: NDArray[np.generic]) -> str:
    """The sha256 of an array's type, shape and bytes."""
    head = f"{frames.dtype.str} {frames.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(frames).tobytes()).hexdigest()


def reduced(frames: NDArray[np.float32], side: int = 24) -> NDArray[np.float32]:
    """About side x side pixels of the first and the last two frames, spread over the frame."""
    _, height, width = frames.shape
    some = frames[[0, -2, -1]] if len(frames) > 2 else frames
    return some[:, height // (2 * side) :: height // side, width // (2 * side) :: width // side]


def fingerprint() -> str:
    """A hash of what numpy, scipy, OpenCV and torch compute here: where it differs, last bits may too."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 96, 128), np.float32)
    image = rng.random((1, 8, 24, 32), np.float32)
    weights, grid = rng.random((16, 8, 3, 3), np.float32), rng.random((1, 24, 32, 2), np.float32)
    bytes_a, bytes_b = ((255 * ndimage.gaussian_filter(x, 3)).astype(np.uint8) for x in (a, b))
    with one_thread(), torch.inference_mode():
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(bytes_a, bytes_b, None)
        y, x = np.mgrid[:96, :128].astype(np.float32)
        convolved = torch.nn.functional.conv2d(torch.from_numpy(image), torch.from_numpy(weights), padding=1)
        sampled = torch.nn.functional.grid_sample(convolved, torch.from_numpy(grid), align_corners=False)
        layers = [_layer(rng, channels) for channels in (16, 32, 64, 128)]
        results = (
            a @ b.T,
            np.exp(-a) / np.sqrt(b + 1),
            np.percentile(a, (0.35, 99.65)),
            np.linalg.solve(a[:, :96] + 96 * np.eye(96, dtype=np.float32), b[:, :3]),
            np.quantile(a, 0.3),
            ndimage.gaussian_filter(a, 1.5),
            cv2.GaussianBlur(a, (0, 0), 1.5),
            cv2.remap(a, x + b, y - b, cv2.INTER_CUBIC),
            flow,
            sampled.sigmoid().numpy(),
            *layers,
        )
    return hashlib.sha256("".join(digest(np.asarray(result)) for result in results).encode()).hexdigest()


def _layer(rng: np.random.Generator, channels: int) -> NDArray[np.float32]:
    """A convolution as networks have them: its blocks depend on the sizes of the processor's caches."""
    image = torch.from_numpy(rng.random((1, channels, 48, 80), np.float32))
    weights = torch.from_numpy(rng.random((channels, channels, 3, 3), np.float32))
    packed = image.contiguous(memory_format=torch.channels_last)
    layer = weights.contiguous(memory_format=torch.channels_last)
    result: NDArray[np.float32] = torch.nn.functional.conv2d(packed, layer, padding=1).numpy()
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and torch on one thread: how OpenCV divides its work among several changes its result."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _resized(frame: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image made smaller by the mean over each new pixel."""
    return np.asarray(cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_AREA))


def _counts(frames: NDArray[Any], span: float, offset: float) -> NDArray[np.uint16]:
    """Normalised frames as counts of a camera."""
    return np.rint(frames * span + offset).clip(0, 65535).astype(np.uint16)

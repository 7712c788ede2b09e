"""Two stacks as one: the windows that serve each target, in grey units."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.grey import fill_invalid, sample_frames
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.geometry import Geometry, fit_geometry
from napari_xfusion.core.rig.grey import Grey, fit_grey
from napari_xfusion.core.rig.timing import Times, find_hr_times, neighbours
from napari_xfusion.core.types import Image, Stack, Window
from napari_xfusion.errors import PairingError, XFusionWarning

COMMON_TIMES = 8
"""HR frames at whose times LR is compared with binned HR."""


@dataclass(frozen=True, eq=False)
class Pair:
    """LR and HR on one clock, one grid and one grey scale. Reads frames as they are asked for."""

    lr: Stack
    hr: Stack
    hr_times: Times
    geometry: Geometry
    grey: Grey
    separation: int
    notes: tuple[XFusionWarning, ...]
    """Sentences on what is odd about the two sequences."""
    invalid: dict[str, int] = field(default_factory=dict)
    """Frames read so far that held NaN or infinite pixels, and how many; those were filled in."""
    _lr_frames: FrameCache = field(init=False, repr=False)
    _hr_frames: FrameCache = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def reader(
            stack: Stack, name: str, to_grey: Callable[[NDArray[Any]], Image]
        ) -> Callable[[int], Image]:
            def read(i: int) -> Image:
                frame, filled = fill_invalid(stack.frame(i))
                if filled:
                    self.invalid[f"{name} {i}"] = filled
                image = to_grey(frame)
                image.flags.writeable = False  # shared by all who ask for it
                return image

            return read

        lr = FrameCache(reader(self.lr, "LR", self.grey.lr.to_grey), 2 * self.separation + 8)
        hr = FrameCache(reader(self.hr, "HR", self.grey.hr.to_grey), 4)
        object.__setattr__(self, "_lr_frames", lr)
        object.__setattr__(self, "_hr_frames", hr)

    def __len__(self) -> int:
        return len(self.lr)

    def lr_frame(self, i: int) -> Image:
        """LR frame ``i`` (h, w) in grey units, read-only."""
        return self._lr_frames(i)

    def hr_frame(self, k: int) -> Image:
        """HR frame ``k`` (H, W) in grey units, read-only."""
        return self._hr_frames(k)

    def lr_at(self, time: float) -> Image:
        """LR at any time of the LR clock (h, w), linear between two frames."""
        return interpolate(self.lr_frame, time)

    def window(self, target: int) -> Window:
        """All that serves LR frame ``target``; the ends of both sequences are repeated."""
        last, s = len(self) - 1, self.separation
        lr_index = max(target - s, 0), target, min(target + s, last)
        before, after = neighbours(self.hr_times, target)
        hr_times = float(self.hr_times[before]), float(self.hr_times[after])
        return Window(
            index=target,
            lr=(self.lr_frame(lr_index[0]), self.lr_frame(lr_index[1]), self.lr_frame(lr_index[2])),
            hr=(self.hr_frame(before), self.hr_frame(after)),
            lr_at_hr=(self.lr_at(hr_times[0]), self.lr_at(hr_times[1])),
            times=(float(lr_index[0]), float(target), float(lr_index[2]), *hr_times),
            hr_index=(before, after),
            lr_noise=self.grey.lr_noise,
        )


def pair_stacks(lr: Stack, hr: Stack, plan: Plan) -> Pair:
    """Pair two stacks as ``plan`` says; raises PairingError before any computing when they do not fit."""
    geometry = fit_geometry(lr.shape[1:], hr.shape[1:])
    hr_times = find_hr_times(lr, hr, plan)
    if plan.frames is not None and plan.frames[1] > len(lr):
        raise PairingError(
            setting="frames",
            expected=f"frames inside the LR sequence, 0:{len(lr)}",
            found=f"{plan.frames[0]}:{plan.frames[1]}",
            hint="choose frames of the LR sequence",
        )
    if plan.region is not None and (plan.region.bottom > hr.shape[1] or plan.region.right > hr.shape[2]):
        raise PairingError(
            setting="region",
            expected=f"a region inside the HR frame, 0:{hr.shape[1]},0:{hr.shape[2]}",
            found=str(plan.region),
            hint="choose pixels of the HR frame",
        )
    common = [
        (
            interpolate(lambda i: fill_invalid(lr.frame(i))[0], float(hr_times[k])),
            fill_invalid(hr.frame(k))[0],
        )
        for k in sample_frames(len(hr), COMMON_TIMES)
    ]
    grey = fit_grey(plan.grey, (lr, hr), common, geometry.down)
    absent = [
        XFusionWarning(
            "absent-chunks",
            f"{sequence.metadata.absent_chunks} chunks are absent and read as zero.",
            sequence.source,
        )
        for sequence in (lr, hr)
        if sequence.metadata.absent_chunks
    ]
    return Pair(lr, hr, hr_times, geometry, grey, plan.separation, (*absent, *grey.notes))


def interpolate(frame: Callable[[int], NDArray[Any]], time: float) -> NDArray[Any]:
    """The frame at ``time``, linear between the two frames beside it."""
    i = int(np.floor(time))
    part = np.float32(time - i)
    if part == 0:
        return frame(i)
    return (1 - part) * frame(i) + part * frame(i + 1)


class FrameCache:
    """The frames asked for last, so that neighbouring windows read each frame once. Thread-safe."""

    def __init__(self, read: Callable[[int], Image], size: int) -> None:
        self._read, self._size = read, size
        self._frames: OrderedDict[int, Image] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, i: int) -> Image:
        """Frame ``i``, read if it is not kept."""
        with self._lock:
            if i not in self._frames:
                self._frames[i] = self._read(i)
                if len(self._frames) > self._size:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(i)
            return self._frames[i]

"""The frames that serve a target, read when their pixels are asked for."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.grey import fill_invalid, sample_frames
from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.health import between, fill, fill_like, local_square, mask_of
from napari_xfusion.core.rig.rig import Exposure, Rig
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Image, Region, Role

HELD = 2**22
"""Pixels of the LR frames, and of as many binned HR frames, that are kept: 16 MiB each."""
MOST_READ = 64
"""LR frames of which the mean is taken during an HR exposure."""


class FrameKey(NamedTuple):
    """Which frame of which camera."""

    camera: int
    """0 is LR, 1 the first sharp camera."""
    number: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one camera; its pixels are read when they are asked for."""

    key: FrameKey
    """Equal for equal frames; for caches."""
    time: float
    """In LR frame numbers."""
    read: Callable[[], Image]

    @property
    def image(self) -> Image:
        """Grey units, read-only, on the camera's grid: (h, w) of LR, (H, W) of HR."""
        return self.read()


@dataclass(frozen=True, eq=False)
class FrameGroup:
    """All that serves one target: any number of LR and HR frames, in the order of time."""

    target: int
    """Number of the LR frame whose HR image is wanted."""
    reference: Frame
    """LR at the target's time."""
    lr: tuple[Frame, ...]
    """LR frames around it, the reference among them; where the recording ends, the last one is repeated."""
    hr: tuple[Frame, ...]
    """HR frames around it: the last at or before its time and the first after it; one outside the HR recording."""
    lr_at: Callable[[float], Image]
    """LR (h, w) at any time, see ``FrameReader.lr_at``."""
    lr_noise: float
    """Standard deviation of one LR pixel about the binned HR image, grey units."""

    @property
    def previous(self) -> Frame:
        """The last HR frame at or before the target; the first of all where there is none."""
        return self.hr[0]

    @property
    def next(self) -> Frame:
        """The first HR frame after the target; the last of all where there is none."""
        return self.hr[-1]

    @property
    def ends(self) -> tuple[Frame, Frame]:
        """Previous and next HR frame; twice the same outside the HR recording."""
        return self.previous, self.next

    @property
    def lr_at_hr(self) -> tuple[Image, Image]:
        """LR (h, w) at the times of the previous and next HR frame."""
        return self.lr_at(self.previous.time), self.lr_at(self.next.time)

    @property
    def has_hr_frame(self) -> bool:
        """Whether there is an HR frame at the target's own time; it is the previous one."""
        return self.previous.time == self.target

    @property
    def weights(self) -> tuple[float, float]:
        """Linear weights in time of the previous and next HR frame; (0.5, 0.5) where both are one frame."""
        before, after = self.previous.time, self.next.time
        if after <= before:
            return 0.5, 0.5
        position = (self.target - before) / (after - before)
        return 1.0 - position, position

    def by_role(self, role: Role) -> Frame:
        """The frame that a network's input ``role`` takes; the outermost LR frames are ``lr-`` and ``lr+``."""
        roles = {
            "lr-": self.lr[0],
            "lr": self.reference,
            "lr+": self.lr[-1],
            "hr-": self.previous,
            "hr+": self.next,
        }
        return roles[role]


class Made(NamedTuple):
    """An LR frame that is made of others."""

    image: Image
    """(h, w)."""
    variance: Image
    """(h, w): its expected square error."""


class FrameReader:
    """Reads the frames of a rig in grey units, each once while neighbouring targets need it. Thread-safe.

    ``like`` is a reader of a rig that differs in photometry only: what it has read is not read again. Raises InputError
    where a recording is missing or has changed.
    """

    def __init__(self, rig: Rig, like: FrameReader | None = None) -> None:
        self.rig = rig
        self.invalid: dict[str, int] = {} if like is None else like.invalid
        """Frames read so far that contained NaN, infinity or fill values, and how many; those were filled in."""
        self._recorded: Recorded = Recorded(rig, self.invalid) if like is None else like._recorded
        many = _held(rig)
        self._lr = FrameCache(self._lr_frame, max(10, many))
        self._raw = FrameCache(self._raw_hr, 2)
        self._hr = FrameCache(self._hr_frame, 4)
        self._binned: FrameCache[int, Image] = FrameCache(self._bin, max(4, many))
        grid, health = rig.grids.lr_shape, rig.fast.health
        self._usable = health.usable(len(rig))
        self._lost = frozenset(health.frames if len(self._usable) else ())
        self._made: FrameCache[int, Made] = FrameCache(self._make, 4)
        self._lr_bad = mask_of(health.pixels + health.blind, grid)
        self._hr_blind = [mask_of(camera.health.blind, grid) | rig.alignment.blind for camera in rig.sharp]

    def lr_frame(self, i: int) -> Image:
        """LR frame ``i`` (h, w) in grey units, read-only."""
        return self._lr(i)

    def hr_frame(self, k: int) -> Image:
        """HR frame ``k`` of ``Rig.exposures`` (H, W) in grey units, read-only, on the grid on which methods fuse."""
        return self._hr(k)

    def own_hr_frame(self, k: int) -> Image:
        """HR frame ``k`` of ``Rig.exposures`` (H, W) in grey units, read-only, on the camera's own grid."""
        return self._raw(k)

    def binned_hr(self, k: int) -> Image:
        """HR frame ``k`` of ``Rig.exposures`` as ``hr_frame``, binned to the LR grid (h, w), read-only."""
        blind = self._hr_blind[self.rig.exposures[k].camera].any()
        return _shared(self.rig.grids.down(self._hr(k))) if blind else self._binned(k)

    @property
    def hr_blind(self) -> NDArray[np.bool_]:
        """LR pixels (h, w) where some HR frame shows what LR shows, as its camera sees nothing there."""
        blind: NDArray[np.bool_] = np.any(self._hr_blind, axis=0)
        return blind

    def on_hr(self, target: int, image: Image, region: Region | None) -> Image:
        """A fused image for ``region`` on the HR camera's grid; what LR does not see is interpolated between HR frames.

        See ``Alignment.region``.
        """
        align = self.rig.alignment
        if not align.needed:
            return image
        unseen, image = align.unseen(region), align.back(image, region)
        if not unseen.any():
            return image
        times = self.rig.hr_times
        before, after = neighbours(times, target)
        part = np.float32((target - times[before]) / (times[after] - times[before]) if after > before else 0)
        rows, columns = (
            (slice(None), slice(None)) if region is None else (slice(*region[:2]), slice(*region[2:]))
        )
        between = (1 - part) * self._raw(before) + part * self._raw(after)
        return np.where(unseen, between[rows, columns], image)

    def recorded_at(self, target: int, region: Region | None) -> Image | None:
        """``region`` of the HR frame at ``target`` as it was recorded, on its own grid; None where there is none."""
        k, _ = neighbours(self.rig.hr_times, target)
        return self.recorded(k, region) if self.rig.hr_times[k] == target else None

    def recorded(self, k: int, region: Region | None) -> Image:
        """``region`` of HR frame ``k`` of ``Rig.exposures`` as it was recorded, in grey units, on its own grid."""
        return self._raw(k) if region is None else self._raw(k)[slice(*region[:2]), slice(*region[2:])]

    def lr_at(self, time: float) -> Image:
        """LR at any time (h, w), linear between two frames; ``time`` in LR frame numbers."""
        return interpolate(self.lr_frame, time)

    def lr_during(self, k: int) -> Image:
        """What LR shows (h, w) while HR frame ``k`` of ``Rig.exposures`` is exposed, around its time."""
        rig = self.rig
        exposure = rig.sharp[rig.exposures[k].camera].exposure_in(rig.fast.clock)
        return mean_during(self.lr_frame, float(rig.hr_times[k]), exposure, last=len(rig) - 1)

    def group(self, target: int, separation: int = 1) -> FrameGroup:
        """The frames that serve LR frame ``target``, LR frames ``separation`` from each other."""
        self._lr.hold(2 * separation + 8)
        numbers = (max(target - separation, 0), target, min(target + separation, len(self.rig) - 1))
        lr = tuple(Frame(FrameKey(0, i), float(i), lambda i=i: self._lr(i)) for i in numbers)  # type: ignore[misc]
        hr = tuple(self._hr_at(k) for k in sorted(set(neighbours(self.rig.hr_times, target))))
        return FrameGroup(target, lr[1], lr, hr, self.lr_at, self.rig.lr_noise)

    def _hr_at(self, k: int) -> Frame:
        exposure = self.rig.exposures[k]
        key = FrameKey(exposure.camera + 1, exposure.frame)
        return Frame(key, float(self.rig.hr_times[k]), lambda: self._hr(k))

    def lr_variance(self, i: int) -> Image | None:
        """Expected square error (h, w) of LR frame ``i`` beyond noise, grey units; None of a frame that is not lost."""
        return self._made(i).variance if i in self._lost else None

    def _lr_frame(self, i: int) -> Image:
        return self._made(i).image if i in self._lost else self._seen(i)

    def _make(self, i: int) -> Made:
        """The lost LR frame ``i``, between those before and after it, or HR frames that are nearer in time."""
        after = int(np.searchsorted(self._usable, i))
        lr = {float(j): partial(self._seen, j) for j in self._usable[max(after - 1, 0) : after + 1].tolist()}
        start = max((time for time in lr if time < i), default=-np.inf)
        stop = min((time for time in lr if time > i), default=np.inf)
        rig, hr, blind = self.rig, {}, np.zeros(self.rig.grids.lr_shape, bool)
        for k in {*neighbours(rig.hr_times, i)}:
            number, time = rig.exposures[k].camera, float(rig.hr_times[k])
            # A frame of a long exposure shows no moment.
            if start < time < stop and rig.sharp[number].exposure_in(rig.fast.clock) <= stop - start:
                hr[time] = partial(self._binned, k)
                blind |= self._hr_blind[number]
        made = self._moved_to(i, lr | hr)
        if blind.any():
            made = Made(*(np.where(blind, *each) for each in zip(self._moved_to(i, lr), made, strict=True)))
        return Made(*map(_shared, made))

    def _moved_to(self, time: float, frames: Mapping[float, Callable[[], Image]]) -> Made:
        """Made of the last of ``frames``, by their times, before ``time`` and the first after it."""
        before = max((t for t in frames if t <= time), default=min(frames))
        after = min((t for t in frames if t >= time), default=max(frames))
        if before < after:
            image, variance = between(frames[before](), frames[after](), (time - before) / (after - before))
            return Made(image.astype(np.float32), variance)
        held, away = frames[before](), abs(time - before)
        if not away or len(self._usable) < 2:
            return Made(held.copy(), np.zeros_like(held))
        # Away from all frames: as much as the nearest two differ, for each frame in between.
        a, b = map(int, self._usable[:2] if before > time else self._usable[-2:])
        return Made(held.copy(), np.float32(away) * local_square(self._seen(b) - self._seen(a)))

    def _seen(self, i: int) -> Image:
        """LR frame ``i``, bad pixels as the binned HR frames and their neighbours have them."""
        image = _shared(self.rig.fast.photometry(i, self._recorded.lr(i)))
        if not self._lr_bad.any():
            return image
        times = self.rig.hr_times
        before, after = neighbours(times, i)
        part = np.float32((i - times[before]) / (times[after] - times[before]) if after > before else 0)
        guide = self._binned(before) + np.clip(part, 0, 1) * (self._binned(after) - self._binned(before))
        return _shared(fill_like(image, guide, self._lr_bad))

    def _hr_frame(self, k: int) -> Image:
        """HR frame ``k``, as LR shows it where the camera is blind."""
        image = self._read_hr(k)
        blind, grids = self._hr_blind[self.rig.exposures[k].camera], self.rig.grids
        if not blind.any():
            return image
        lr = self.lr_at(float(self.rig.hr_times[k]))
        offset = fill(grids.down(image) - lr, blind)
        return _shared(np.where(grids.enlarged(blind), grids.up(lr + offset), image))

    def _read_hr(self, k: int) -> Image:
        align = self.rig.alignment
        return _shared(align.place(self._raw(k))) if align.needed else self._raw_hr(k)

    def _raw_hr(self, k: int) -> Image:
        exposure = self.rig.exposures[k]
        return _shared(
            self.rig.sharp[exposure.camera].photometry(exposure.frame, self._recorded.hr(exposure))
        )

    def _bin(self, k: int) -> Image:
        exposure = self.rig.exposures[k]
        photometry = self.rig.sharp[exposure.camera].photometry
        if photometry.uniform:
            return _shared(photometry(exposure.frame, self._recorded.binned(exposure)))
        return _shared(self.rig.grids.down(self._read_hr(k)))


class Recorded:
    """Frames of a rig in grey units without photometry, bad pixels filled from their neighbours. Thread-safe."""

    def __init__(self, rig: Rig, invalid: dict[str, int]) -> None:
        """``invalid`` takes up what is filled in; see `FrameReader.invalid`."""
        self._invalid = invalid
        many = max(1, _held(rig))
        self.lr: FrameCache[int, Image] = FrameCache(self._reader(rig.fast, "LR"), many)
        """LR frame (h, w)."""
        names = [f"HR{number}" if len(rig.sharp) > 1 else "HR" for number in range(1, len(rig.sharp) + 1)]
        self._sharp = [self._reader(*each) for each in zip(rig.sharp, names, strict=True)]
        down = rig.alignment.down
        self.binned: FrameCache[Exposure, Image] = FrameCache(lambda exposure: down(self.hr(exposure)), many)
        """HR frame on the LR grid (h, w)."""

    def hr(self, exposure: Exposure) -> Image:
        """HR frame (H, W) on its own grid."""
        return self._sharp[exposure.camera](exposure.frame)

    def _reader(self, camera: Camera, name: str) -> Callable[[int], Image]:
        stack = camera.frames()

        def read(i: int) -> Image:
            frame, filled = fill_invalid(stack.frame(i))
            if filled:
                self._invalid[f"{name} {i}"] = filled
            return camera.grey.to_grey(frame)

        return read


def _held(rig: Rig) -> int:
    """Images on the LR grid that have HELD pixels in all."""
    return HELD // math.prod(rig.grids.lr_shape)


def _shared(image: Image) -> Image:
    image.flags.writeable = False  # for all who ask for it
    return image


def mean_during(
    frame: Callable[[int], NDArray[Any]], time: float, exposure: float, *, last: int
) -> NDArray[Any]:
    """The mean of frames 0 to ``last`` during ``exposure``, at least 1, around ``time``, all in frame numbers.

    Each frame lasts from one half before its number to one half after it: an exposure of 1 is linear between the two
    frames next to ``time``. Of long exposures, up to ``MOST_READ`` frames are read.
    """
    if exposure == 1:
        return interpolate(frame, time)
    start, end = time - exposure / 2, time + exposure / 2
    numbers = np.arange(max(round(start), 0), min(math.ceil(end - 0.5), last) + 1)
    share = np.minimum(numbers + 0.5, end) - np.maximum(numbers - 0.5, start)
    numbers, share = numbers[share > 1e-9], share[share > 1e-9]
    chosen = sample_frames(len(numbers), MOST_READ)
    weights = (share[chosen] / share[chosen].sum()).astype(np.float32)
    mean: NDArray[Any] = weights[0] * frame(int(numbers[chosen[0]]))
    for weight, j in zip(weights[1:], chosen[1:], strict=True):
        mean = mean + weight * frame(int(numbers[j]))
    return mean


def interpolate(frame: Callable[[int], NDArray[Any]], time: float) -> NDArray[Any]:
    """The frame at ``time``, linear between the two frames next to it."""
    i = int(np.floor(time))
    part = np.float32(time - i)
    if part == 0:
        return frame(i)
    return (1 - part) * frame(i) + part * frame(i + 1)


Key = TypeVar("Key")
Value = TypeVar("Value")


class FrameCache(Generic[Key, Value]):
    """The frames asked for last, so that neighbouring targets read or compute each once. Thread-safe."""

    def __init__(self, read: Callable[[Key], Value], size: int) -> None:
        self._read, self._size = read, size
        self._frames: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def hold(self, size: int) -> None:
        """Keep at least ``size`` frames from now on."""
        self._size = max(size, self._size)

    def __call__(self, i: Key) -> Value:
        """Frame ``i``, read if it is not cached."""
        with self._lock:
            if i not in self._frames:
                self._frames[i] = self._read(i)
                if len(self._frames) > self._size:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(i)
            return self._frames[i]

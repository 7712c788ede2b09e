"""What all HR frames within reach know of the fine structure at a time: repeated structure, and its noise.

A shot holds many HR frames, and in a radiograph most of what they show does not move while transparent things pass in
front of it. Fine structure is what does not survive binning, H - up(down(H)). It is used twice:

*Denoised HR frames.* At the time of an HR frame its neighbours in time, as they are or warped along the motion, are
compared with it pixel by pixel. A neighbour counts by n / (n + loss), n the noise and loss what both differ by beyond
their noise. Frames before and after are summed apart, so that the noise of the two sides of a target has
nothing in common.

*The mean of all of them at any time*, where they are. Between HR frames only LR tells which of them fit; a frame
counts by 1 / (n + rate * change), with the local energy of what has changed in LR since, without slow variation in
space, so that a transparent object may pass in front. The rate at which fine structure is lost with that change is
measured on pairs of HR frames; and how much the mean loses, on the HR frames before and after, each compared with the
mean of the others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_xfusion.core.methods.hr_noise import NoiseCurve, finest, fit_noise, roughness
from napari_xfusion.core.methods.local import TINY, kalman_update, local_mean
from napari_xfusion.core.methods.lr_noise import fit_lr_noise
from napari_xfusion.core.optical_flow import enlarge, find_motion, warp
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.rig.frames import FrameCache
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Image

REACH = 8
"""HR frames before and after that are looked at."""
CACHED_PIXELS = 2**26
"""HR pixels that are cached at most, so that large frames reach less far: 256 MB."""
SAMPLES = 6
"""HR frames on which noise and rate are measured."""
HIDDEN = np.float32(0.3)
"""Part of the LR noise, a variance, up to which a change may go unseen: local means of it vary by that much."""
UNDECIDED = np.float32(0.05)
"""Part of the noise below which a loss does not tell a warped frame from one left in place."""


@dataclass(frozen=True, eq=False)
class Structure:
    """An estimate of fine structure."""

    fine: Image
    """(H, W)."""
    noise: Image
    """Its variance by noise (h, w), of one HR pixel."""
    loss: Image
    """Energy (h, w) by which it may miss the true structure beyond that."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """Weighted frames on one side of an HR frame, that one not among them."""

    fine: Image
    """(H, W): the sum of weight times fine structure."""
    weights: Image
    """(h, w): the sum of the weights, 1 that of the frame itself."""
    squares: Image
    """(h, w): the sum of their squares."""

    def __add__(self, other: _Sum) -> _Sum:
        return _Sum(self.fine + other.fine, self.weights + other.weights, self.squares + other.squares)


Cached = FrameCache[int, Image]


class SharpFrames:
    """The HR frames of a rig and what each of them gains from the others; caches within bounds, thread-safe.

    HR frames are numbered as ``Rig.exposures``.
    """

    def __init__(self, reader: FrameReader) -> None:
        self.reader, self.grids, self.times = reader, reader.rig.grids, reader.rig.hr_times
        height, width = self.grids.hr_shape
        self.reach = int(np.clip(CACHED_PIXELS // (height * width) // 2 - 2, 1, REACH))
        some = 2 * self.reach + 4
        self.binned: Cached = FrameCache(lambda k: self.grids.down(reader.hr_frame(k)), some)
        self.fine: Cached = FrameCache(lambda k: reader.hr_frame(k) - self.grids.up(self.binned(k)), some)
        self.seen: Cached = FrameCache(self._at_hr, some)
        self.variance: Cached = FrameCache(lambda t: self.lr_noise(reader.lr_frame(t)), 2)
        """Variance (h, w) of the LR frame at a target by noise."""
        self._variance_at_hr: Cached = FrameCache(lambda k: self.lr_noise(self.binned(k)), some)
        self._quick: Cached = FrameCache(lambda k: without_slow(reader.lr_at(float(self.times[k]))), some)
        self._noise: Cached = FrameCache(lambda k: self.curve(self.seen(k)), some)
        self._joined: FrameCache[tuple[int, tuple[int, ...]], Structure] = FrameCache(
            lambda key: self._join(*key), 2
        )
        self._tested: FrameCache[int, tuple[Image, Image]] = FrameCache(self._test, 4)
        self._side: FrameCache[tuple[int, int], _Sum] = FrameCache(lambda key: self._sum(*key), 4)

    def denoised(self, k: int, sides: tuple[int, ...] = (-1, 1)) -> Structure:
        """HR frame ``k`` with what the frames before it (side -1), after it (1) or both confirm."""
        return self._joined((k, sides))

    def _join(self, k: int, sides: tuple[int, ...]) -> Structure:
        noise = self._noise(k)
        total = _Sum(self.fine(k), np.ones_like(noise), np.ones_like(noise))
        for side in sides:
            total = total + self._side((k, side))
        variance = noise * total.squares / total.weights**2
        return Structure(total.fine / self.enlarge(total.weights), variance, np.zeros_like(noise))

    def mean(self, target: int, without: Collection[int] = ()) -> Structure:
        """The mean of the fine structure of all HR frames within reach, as LR at ``target`` bears them out.

        All but the frames ``without``; zero where there is none.
        """
        before, after = neighbours(self.times, target)
        mean = self._mean(
            without_slow(self.reader.lr_frame(target)), self.variance(target), (before, after), without
        )
        gap = float(self.times[after] - self.times[before])
        late = (target - float(self.times[before])) / gap if gap else 0.0
        first, second = np.float32(1 - late), np.float32(late)
        tests = self._tested(before), self._tested(after)
        expected, found = (first * a + second * b for a, b in zip(*tests, strict=True))
        return Structure(mean.fine, mean.noise, _as_found(mean.loss, expected, found))

    def _test(self, k: int) -> tuple[Image, Image]:
        """The loss (h, w) expected of the mean at the time of HR frame ``k`` without that frame, and the one found."""
        mean = self._mean(self._quick(k), self._variance_at_hr(k), (k, k), {k})
        noise = self._noise(k) + mean.noise
        return mean.loss, np.maximum(self.energy(mean.fine - self.fine(k)) - noise, UNDECIDED * noise)

    def _mean(
        self, quick: Image, variance: Image, at: tuple[int, int], without: Collection[int]
    ) -> Structure:
        """The mean where LR is ``quick`` with noise ``variance``, between two HR frames ``at``."""
        first, last = max(at[1] - self.reach, 0), min(at[0] + self.reach, len(self.times) - 1)
        fine = np.zeros(self.grids.hr_shape, np.float32)
        total, squares, lost = (np.zeros(self.grids.lr_shape, np.float32) for _ in range(3))
        for k in sorted({*range(first, last + 1)} - {*without}):
            noise, both = self._noise(k), variance + self._variance_at_hr(k)
            loss = self.rate * _change(quick, self._quick(k), both)
            weight: Image = np.float32(1) / (noise + loss + TINY)
            fine += self.enlarge(weight) * self.fine(k)
            total += weight
            squares += weight**2 * noise
            lost += weight * loss
        total = np.maximum(total, TINY)
        return Structure(fine / self.enlarge(total), squares / total**2, lost / total)

    @cached_property
    def lr_noise(self) -> NoiseCurve:
        """The noise of LR frames, at the times of a few HR frames."""
        lr = [self.reader.lr_at(float(self.times[k])) for k in self._sample]
        return fit_lr_noise(lr, [self.binned(k) for k in self._sample], self.reader.rig.lr_noise)

    @cached_property
    def curve(self) -> NoiseCurve:
        """The noise of the HR frames, from a few of them."""
        quiet, lr = [], []
        for k in self._sample:
            energy = self._finest(k)
            for other in (k - 1, k + 1):
                if 0 <= other < len(self.times):
                    energy = np.minimum(energy, self.energy(self.fine(other) - self.fine(k)) / 2)
            quiet.append(energy)
            lr.append(self.seen(k))
        return fit_noise(quiet, lr, self.reader.hr_blind)

    def _finest(self, k: int) -> Image:
        """Variance (h, w) of the noise in the fine structure of HR frame ``k``, by its second differences."""
        align = self.reader.rig.alignment
        if not align.needed:
            return finest(self.fine(k), self.grids.lr_shape)
        # Interpolation makes the noise alike in neighbours, so that it is measured on the camera's own pixels.
        rough = align.down(roughness(self.reader.own_hr_frame(k)))
        return self._noise_left * local_mean(np.maximum(rough, 0))

    @cached_property
    def _noise_left(self) -> np.float32:
        """Part of the variance of a pixel of the HR camera that is in the fine structure of resampled frames."""
        align = self.reader.rig.alignment
        white = np.random.default_rng(0).standard_normal(align.hr_shape, np.float32)
        left = self.energy(self.fine_of(align.place(white)))
        return np.float32(np.median(left[~align.blind] if not align.blind.all() else left))

    @cached_property
    def rate(self) -> Image:
        """Energy (h, w) of fine structure that is lost for each energy of change in LR, from a few pairs."""
        lost, changed = (np.zeros(self.grids.lr_shape, np.float32) for _ in range(2))
        for k in self._sample:
            if k + 1 < len(self.times):
                both = self._noise(k) + self._noise(k + 1)
                lost += self.energy(self.fine(k) - self.fine(k + 1)) - both
                noise = self._variance_at_hr(k) + self._variance_at_hr(k + 1)
                changed += _change(self._quick(k), self._quick(k + 1), noise)
        lost = np.maximum(lost, 0)
        little = self._noise(0).mean() / 10 + TINY
        mean = (lost.mean() + little) / (changed.mean() + little)  # 1 where no change was seen
        rate: Image = (lost + mean * little) / (changed + little)
        return rate

    def fine_of(self, image: Image) -> Image:
        """The fine structure of an image (H, W)."""
        return image - self.grids.up(self.grids.down(image))

    def energy(self, fine: Image) -> Image:
        """Local mean square (h, w) of a fine structure (H, W)."""
        return self.product(fine, fine)

    def product(self, a: Image, b: Image) -> Image:
        """Local mean (h, w) of the product of two fine structures (H, W)."""
        return local_mean(self.grids.down(a * b))

    def enlarge(self, field: Image) -> Image:
        """A smooth field (h, w) on the HR grid (H, W)."""
        return enlarge(field, self.grids.hr_shape, self.grids.scale)

    @property
    def _sample(self) -> list[int]:
        return self.reader.rig.common_exposures(SAMPLES)

    def _at_hr(self, k: int) -> Image:
        """LR (h, w) at the time of HR frame ``k``, without the noise that the binned frame shows to be noise."""
        lr = self.reader.lr_at(float(self.times[k]))
        return kalman_update(lr, self.binned(k), self._variance_at_hr(k))

    def _sum(self, k: int, side: int) -> _Sum:
        """Frames before (-1) or after (1) HR frame ``k``, each by how well it agrees with it."""
        fine = np.zeros(self.grids.hr_shape, np.float32)
        weights, squares = (np.zeros(self.grids.lr_shape, np.float32) for _ in range(2))
        noise = self._noise(k)
        for distance in range(1, self.reach + 1):
            other = k + side * distance
            if not 0 <= other < len(self.times):
                break
            image = self.fine(other)
            loss = self._lost(k, image)
            if distance == 1:
                image, loss = self._warped_where_better(k, other, image, loss)
            weight = noise / (noise + loss)
            fine += self.enlarge(weight) * image
            weights += weight
            squares += weight**2
        return _Sum(fine, weights, squares)

    def _warped_where_better(
        self, k: int, other: int, static: Image, static_loss: Image
    ) -> tuple[Image, Image]:
        """Fine structure of ``other`` at the time of ``k`` and its loss, warped where that is closer to ``k``."""
        motion = find_motion(self.seen(k), self.seen(other), self.grids.hr_shape, self.grids.scale)
        image = warp(self.reader.hr_frame(other), motion)
        moved = self.fine_of(image)
        little = UNDECIDED * self._noise(k)
        a, b = (static_loss + little) ** 2, (self._lost(k, moved) + little) ** 2
        mixed = static + self.enlarge(a / (a + b)) * (moved - static)
        return mixed, self._lost(k, mixed)

    def _lost(self, k: int, fine: Image) -> Image:
        """Energy (h, w) by which ``fine`` differs from HR frame ``k`` beyond the noise of both."""
        loss: Image = np.maximum(self.energy(fine - self.fine(k)) - 2 * self._noise(k), 0)
        return loss


def _change(here: Image, there: Image, noise: Image) -> Image:
    """Local energy (h, w) of the difference of two LR images, beyond that of their ``noise`` and what it may hide."""
    change: Image = np.maximum(local_mean((here - there) ** 2) - noise, HIDDEN / 2 * noise)
    return change


def _as_found(loss: Image, expected: Image, found: Image) -> Image:
    """An expected loss (h, w), corrected by what was ``found`` where that much was ``expected``; beyond it as it is."""
    known: Image = np.minimum(loss, expected)
    some: Image = np.maximum(expected, TINY)
    return known * found / some + loss - known


def without_slow(lr: Image) -> Image:
    """An LR frame (h, w) without what varies slowly in space."""
    return lr - local_mean(lr)

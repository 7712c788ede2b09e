"""HR frames denoised, warped to the target's time along the motion seen in LR, weighted by their local reliability.

LR(t) gives what is coarse; HR frames give what is fine, C - up(down(C)). The HR frame before the target and the one
after it, each denoised by the frames on its side (`sharp`), are warped to the target's time:

    HR(t) = up(coarse) + w_before * fine_before + w_after * fine_after

The weights are those of the best linear estimate, pixel by pixel, of the true fine structure x from the two
fine structures a and b: minimise <(x - w_a a - w_b b)^2> over a neighbourhood. That needs <aa>, <bb> and
<ab>, which are measured, and <ax> and <bx>, which are not. But structure is lost step by step on the way
from one HR frame to the next. Of a the part <ab>/<aa> lives on in b; if a share s of the loss falls between
a and the target, the part (<ab>/<aa>)^s lives on in x. Where a and b agree this becomes interpolation in
time along the motion; where they have nothing in common, both weights vanish and bicubic is left. The expected error
<(x - w_a a - w_b b)^2> comes with it. It is no less than what the two miss of LR(t) implies: both may
agree where something passes that neither shows.

Where most does not move, the mean of all HR frames within reach knows more than the two. It is joined to the
estimate above like a further measurement of x, each by its expected error.

Noise enters twice. HR noise is measured (`hr_noise`) and subtracted from <aa> and <bb>. LR noise: LR(t) and the
prediction of the HR neighbours are combined by a Kalman gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.methods.local import NEGLIGIBLE, TINY, error_energy, kalman_update
from napari_xfusion.core.methods.sharp import SharpFrames, Structure
from napari_xfusion.core.optical_flow import find_motion, warp
from napari_xfusion.core.rig import FrameGroup, FrameReader
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Image

CHANCE = np.float32(0.03)
"""Correlation of two fine structures that means nothing."""
MISSED = 2
"""Error in what is fine for each energy by which what is coarse misses LR: a shifted edge errs in both."""
CLEARLY = 1.5
"""Power of the expected errors by which two estimates are weighed: more than 1, so that the better one is preferred."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What one HR neighbour says about the target."""

    coarse: Image
    """Binned, (h, w)."""
    fine: Image
    """What does not survive binning, (H, W)."""
    noise: Image
    """Variance (h, w) of ``fine`` by noise."""
    error: Image
    """Energy (h, w) by which ``coarse`` misses LR(t) beyond LR noise."""
    warped: Image
    """The HR neighbour warped along the motion, (H, W)."""


class Estimate(NamedTuple):
    """A fused image and what it was made of, (H, W) unless stated."""

    image: Image
    variance: Image
    """(h, w): expected square error of one pixel of ``image``, grey units squared."""
    warped: tuple[Image, Image]
    """Both HR neighbours, denoised and warped to the target's time; twice the same where there is one."""
    mean: Image
    """The mean of all HR frames within reach, with the coarse structure of ``image``."""
    doubt: Image
    """(h, w): expected square error of ``mean``."""


class FlowStream(GroupStream):
    """Two candidates and the mean of all frames, their weights, and their sum on LR(t)."""

    def __init__(self, reader: FrameReader) -> None:
        super().__init__(reader)
        self.sharp = SharpFrames(reader)

    def combine(self, group: FrameGroup) -> tuple[Image, Image]:
        """See ``GroupStream.combine``."""
        if group.has_hr_frame:
            image, variance = self._at_hr_time(group)
        else:
            image, variance, *_ = self.estimate(group)
        return image, self.sharp.enlarge(np.sqrt(variance))

    def estimate(self, group: FrameGroup) -> Estimate:
        """The same image with what it was made of, for networks that refine it."""
        mean = self.sharp.mean(group.target)
        candidates = self._candidates(group)
        between = self._between(group, candidates)
        image, variance, doubt = self._join(between, mean)
        if group.has_hr_frame:
            image, variance = self._at_hr_time(group)
        all_frames = self.grids.up(self.grids.down(image)) + mean.fine
        return Estimate(image, variance, (candidates[0].warped, candidates[-1].warped), all_frames, doubt)

    def _candidates(self, group: FrameGroup) -> list[Candidate]:
        """The HR frames before and after, or the only one; see ``neighbours``."""
        before, after = neighbours(self.sharp.times, group.target)
        if before == after:
            return [self._candidate(group, before, (-1, 1))]
        return [self._candidate(group, before, (-1,)), self._candidate(group, after, (1,))]

    def _at_hr_time(self, group: FrameGroup) -> tuple[Image, Image]:
        """The target's own HR frame, denoised and brought to what LR says, and its expected square error."""
        k, _ = neighbours(self.sharp.times, group.target)
        own = self.sharp.denoised(k)
        coarse, variance = self._coarse(group, self.sharp.binned(k))
        return self.grids.up(coarse) + own.fine, variance + own.noise

    def _coarse(self, group: FrameGroup, expected: Image) -> tuple[Image, Image]:
        """LR(t) (h, w) where that was expected, and its variance."""
        noise, seen = self.sharp.variance(group.target), group.reference.image
        coarse = kalman_update(seen, expected, noise)
        if not noise.any():
            return coarse, np.zeros_like(coarse)
        moved = np.abs(coarse - expected) / np.maximum(np.abs(seen - expected), NEGLIGIBLE)
        return coarse, noise * np.minimum(moved, 1)

    def _between(self, group: FrameGroup, candidates: list[Candidate]) -> tuple[Image, Image]:
        """What is coarse from LR, what is fine from the candidates; and the expected square error (h, w)."""
        expected, weights, error = self._weigh(candidates, group.weights)
        coarse, variance = self._coarse(group, expected)
        image = self.grids.up(coarse)
        for weight, candidate in zip(weights, candidates, strict=True):
            image += self.sharp.enlarge(weight) * candidate.fine
        image += self.grids.up(coarse - self.grids.down(image))
        missed = error_energy(group.reference.image - expected, self.sharp.variance(group.target))
        error = np.maximum(error, MISSED * (missed - NEGLIGIBLE))
        return image, variance + error

    def _weigh(
        self, candidates: list[Candidate], in_time: tuple[float, float]
    ) -> tuple[Image, tuple[Image, ...], Image]:
        """What the candidates say of LR(t), the weights of their fine structure and its expected error; all (h, w)."""
        first, last = candidates[0], candidates[-1]
        aa = self.sharp.energy(first.fine)
        if first is last:  # the target lies before the first HR frame or after the last
            signal = np.maximum(aa - first.noise, NEGLIGIBLE)
            weight = weight_of_one(aa, signal, first.error)
            return first.coarse, (weight,), signal * (1 - weight)
        bb = self.sharp.energy(last.fine)
        ab = np.maximum(self.sharp.product(first.fine, last.fine), 0)  # no structure turns into its negative
        share = share_lost(first.error, last.error, in_time)
        signals = aa - first.noise, bb - last.noise
        ax, bx = part_left(signals[0], ab, share), part_left(signals[1], ab, 1 - share)
        w_a, w_b = weights_of_two(aa, bb, ab, ax, bx)
        error = np.maximum(energy_between(*signals, share) - w_a * ax - w_b * bx, 0)
        return (1 - share) * first.coarse + share * last.coarse, (w_a, w_b), error

    def _join(self, between: tuple[Image, Image], mean: Structure) -> tuple[Image, Image, Image]:
        """The estimate with the mean of all frames, each by its expected square error; that error, and the mean's."""
        image, error = between
        fine = self.sharp.fine_of(image)
        energy = np.maximum(self.sharp.energy(mean.fine) - mean.noise, TINY)
        likeness = np.clip(1 - mean.loss / (2 * energy), 0.02, 1)
        doubt = (mean.noise + energy * (1 - likeness**2)) / likeness**2
        error = np.minimum(error, self.sharp.energy(mean.fine - fine))
        weight = error**CLEARLY / (error**CLEARLY + doubt**CLEARLY + TINY**CLEARLY)
        change = self.sharp.enlarge(weight / likeness) * mean.fine - self.sharp.enlarge(weight) * fine
        image = image + change - self.grids.up(self.grids.down(change))
        return image, (1 - weight) ** 2 * error + weight**2 * doubt, doubt

    def _candidate(self, group: FrameGroup, k: int, sides: tuple[int, ...]) -> Candidate:
        """An HR neighbour, left in place or warped along the motion, whichever LR(t) bears out."""
        target, grids, sharp = group.reference.image, self.grids, self.sharp
        variance = sharp.variance(group.target)
        own, binned = sharp.denoised(k, sides), sharp.binned(k)
        static = grids.up(binned) + own.fine
        warped = warp(static, find_motion(target, sharp.seen(k), grids.hr_shape, grids.scale))
        static_error = error_energy(target - binned, variance)
        warped_error = error_energy(target - grids.down(warped), variance)
        # Squared, so that the better of the two is clearly preferred.
        motion = static_error**2 / (static_error**2 + warped_error**2)
        image = static + sharp.enlarge(motion) * (warped - static)
        coarse = grids.down(image)
        error = error_energy(target - coarse, variance)
        return Candidate(coarse, image - grids.up(coarse), own.noise, error, warped)


def share_lost(before: Image, after: Image, weights: tuple[float, float]) -> Image:
    """Share (h, w) of the loss between two HR frames that falls before the target, 0..1.

    From the errors of the two candidates and their distances in time, which are the other's weight.
    """
    first: Image = np.float32(weights[1]) * before
    second: Image = np.float32(weights[0]) * after
    share: Image = first / (first + second)
    return share


def weight_of_one(aa: Image, signal: Image, error: Image) -> Image:
    """Weight (h, w) of a lone candidate's fine structure of energy ``aa``, noise included: a Wiener filter.

    Nothing else bears it out.
    """
    return signal / (aa + MISSED * error + NEGLIGIBLE)


def weights_of_two(aa: Image, bb: Image, ab: Image, ax: Image, bx: Image) -> tuple[Image, Image]:
    """Weights (h, w) of two fine structures from their local energies; see the module.

    Weights are never negative: where one would be, the other candidate is taken alone.
    """
    aa, bb = 1.01 * aa + NEGLIGIBLE, 1.01 * bb + NEGLIGIBLE  # solvable also where a and b are the same
    w_a, w_b = ax * bb - bx * ab, bx * aa - ax * ab
    determinant = aa * bb - ab * ab
    only_a, only_b = w_b < 0, w_a < 0
    return (
        np.where(only_b, 0, np.where(only_a, ax / aa, w_a / determinant)),
        np.where(only_a, 0, np.where(only_b, bx / bb, w_b / determinant)),
    )


def energy_between(a: Image, b: Image, share: Image) -> Image:
    """<xx>: the energy (h, w) of x between two signals of energies ``a`` and ``b``.

    It changes step by step as structure is lost, so that x has about the energy of the one that it is like.
    """
    a, b = np.maximum(a, NEGLIGIBLE), np.maximum(b, NEGLIGIBLE)
    between: Image = a ** (1 - share) * b**share
    return between


def part_left(signal: Image, ab: Image, share: Image) -> Image:
    """<ax>: the energy of a's signal times the part of it that lives on until the target.

    ``share`` of the loss of structure lies between a and the target.
    """
    signal = np.maximum(signal, NEGLIGIBLE)
    alike = (np.clip(ab / signal, 0, 1) - CHANCE) / (1 - CHANCE)
    left: Image = signal * np.maximum(alike, 1e-3) ** share
    return left


flow = GroupFuser(FlowStream)

"""HR neighbours warped to the target's time along the motion seen in LR, weighted by their local reliability.

LR(t) gives what is coarse; the HR neighbours, warped, give what is fine, C - up(down(C)):

    HR(t) = up(coarse) + w_before * fine_before + w_after * fine_after

The weights are those of the best linear estimate, pixel by pixel, of the true fine structure x from the two
fine structures a and b: minimise <(x - w_a a - w_b b)^2> over a neighbourhood. That needs <aa>, <bb> and
<ab>, which are measured, and <ax> and <bx>, which are not. But structure is lost step by step on the way
from one HR frame to the next. Of a the part <ab>/<aa> lives on in b; if a share s of the loss falls between
a and the target, the part (<ab>/<aa>)^s lives on in x. Where a and b agree this becomes interpolation in
time along the motion; where they have nothing in common, both weights vanish and bicubic is left.

Noise enters twice. HR noise: what a and b disagree in where they agree best is no structure, and is
subtracted from <aa> and <bb>. LR noise: LR(t) and the prediction of the HR neighbours are combined by a Kalman gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.methods.binned import BinnedFrames
from napari_xfusion.core.optical_flow import enlarge, find_motion, warp
from napari_xfusion.core.rig import Frame, FrameGroup, FrameReader
from napari_xfusion.core.types import Image

NEIGHBOURHOOD = 2.0
"""Standard deviation, in LR pixels, of the Gaussian over which energies are averaged."""
NEGLIGIBLE = np.float32(1e-6)
"""Energy that counts as zero: a thousandth of the grey scale, squared."""
AGREEING = 2
"""Per cent of the pixels, those where the two HR neighbours agree best, that tell the HR noise."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What one HR neighbour says about the target."""

    coarse: Image
    """Binned, (h, w)."""
    fine: Image
    """What does not survive binning, (H, W)."""
    error: Image
    """Energy (h, w) by which ``coarse`` misses LR(t) beyond LR noise."""
    warped: Image
    """The HR neighbour warped along the motion, (H, W)."""


class Estimate(NamedTuple):
    """A fused image and what it was made of, (H, W) each."""

    image: Image
    warped: tuple[Image, Image]
    """Both HR neighbours warped to the target's time; twice the same where there is one."""


class FlowStream(GroupStream):
    """Two candidates, their weights, and their sum on LR(t)."""

    def __init__(self, reader: FrameReader) -> None:
        super().__init__(reader)
        self._binned = BinnedFrames(self.grids.down)

    def combine(self, group: FrameGroup) -> tuple[Image, None]:
        """See ``GroupStream.combine``."""
        if group.has_hr_frame:
            return self._at_hr_time(group), None
        return self._between(group, self._candidates(group)), None

    def estimate(self, group: FrameGroup) -> Estimate:
        """The same image with the warped HR frames, for networks that refine it."""
        candidates = self._candidates(group)
        image = self._at_hr_time(group) if group.has_hr_frame else self._between(group, candidates)
        return Estimate(image, (candidates[0].warped, candidates[-1].warped))

    def _candidates(self, group: FrameGroup) -> list[Candidate]:
        return [self._candidate(group, frame) for frame in group.hr]

    def _at_hr_time(self, group: FrameGroup) -> Image:
        """The target's own HR frame, brought to what LR says."""
        binned = self._binned(group.previous)
        coarse = kalman_update(group.reference.image, binned, np.float32(group.lr_noise**2))
        return group.previous.image + self.grids.up(coarse - binned)

    def _between(self, group: FrameGroup, candidates: list[Candidate]) -> Image:
        """What is coarse from LR, what is fine from the candidates."""
        expected, weights = self._weigh(candidates, group.weights)
        coarse = kalman_update(group.reference.image, expected, np.float32(group.lr_noise**2))
        image = self.grids.up(coarse)
        for weight, candidate in zip(weights, candidates, strict=True):
            image += self._enlarge(weight) * candidate.fine
        image += self.grids.up(coarse - self.grids.down(image))
        return image

    def _weigh(
        self, candidates: list[Candidate], in_time: tuple[float, float]
    ) -> tuple[Image, tuple[Image, ...]]:
        """What the candidates together say of LR(t), and the weights of their fine structure; all (h, w)."""
        first, last = candidates[0], candidates[-1]
        aa = self._energy(first.fine, first.fine)
        if first is last:  # the target lies before the first HR frame or after the last
            return first.coarse, (weight_of_one(aa, first.error),)
        bb, ab = self._energy(last.fine, last.fine), self._energy(first.fine, last.fine)
        share = share_lost(first.error, last.error, in_time)
        return (1 - share) * first.coarse + share * last.coarse, weights_of_two(aa, bb, ab, share)

    def _candidate(self, group: FrameGroup, neighbour: Frame) -> Candidate:
        """An HR neighbour, left in place or warped along the motion, whichever LR(t) bears out."""
        target, static, variance = group.reference.image, neighbour.image, np.float32(group.lr_noise**2)
        grids, binned = self.grids, self._binned(neighbour)
        seen = kalman_update(group.lr_at(neighbour.time), binned, variance)
        warped = warp(static, find_motion(target, seen, grids.hr_shape, grids.scale))
        static_error = error_energy(target - binned, variance)
        warped_error = error_energy(target - grids.down(warped), variance)
        # Squared, so that the better of the two is clearly preferred.
        motion = static_error**2 / (static_error**2 + warped_error**2)
        image = static + self._enlarge(motion) * (warped - static)
        coarse = grids.down(image)
        error = error_energy(target - coarse, variance)
        return Candidate(coarse, image - grids.up(coarse), error, warped)

    def _enlarge(self, field: Image) -> Image:
        return enlarge(field, self.grids.hr_shape, self.grids.scale)

    def _energy(self, a: Image, b: Image) -> Image:
        """Local mean (h, w) of the product of two fine structures (H, W)."""
        return local_mean(self.grids.down(a * b))


def local_mean(field: Image) -> Image:
    """Gaussian mean over the neighbourhood, (h, w)."""
    mean: Image = cv2.GaussianBlur(field, (0, 0), NEIGHBOURHOOD, borderType=cv2.BORDER_REPLICATE)
    return mean


def error_energy(residual: Image, variance: np.float32) -> Image:
    """Local mean square (h, w) of an LR residual beyond the LR noise ``variance``; never zero.

    What noise hides is unknown, so a fiftieth of it stays.
    """
    energy: Image = np.maximum(local_mean(residual * residual) - variance, variance / 50) + NEGLIGIBLE
    return energy


def kalman_update(seen: Image, expected: Image, variance: np.float32) -> Image:
    """An LR frame (h, w) between what was seen, with noise ``variance``, and what was expected.

    The Kalman gain p / (p + r), the variance p of the expectation taken from how far it misses locally.
    """
    if variance == 0:
        return seen
    innovation = seen - expected
    error: Image = np.maximum(local_mean(innovation * innovation) - variance, 0)
    image: Image = expected + error / (error + variance) * innovation
    return image


def share_lost(before: Image, after: Image, weights: tuple[float, float]) -> Image:
    """Share (h, w) of the loss between two HR frames that falls before the target, 0..1.

    From the errors of the two candidates and their distances in time, which are the other's weight.
    """
    first: Image = np.float32(weights[1]) * before
    second: Image = np.float32(weights[0]) * after
    share: Image = first / (first + second)
    return share


def weight_of_one(aa: Image, error: Image) -> Image:
    """Weight (h, w) of a lone candidate's fine structure of energy ``aa``: a Wiener filter.

    Nothing else bears the fine structure out, so its error is taken as twice the coarse one: a shifted
    edge errs at least as much in what is fine.
    """
    return aa / (aa + 2 * error)


def weights_of_two(aa: Image, bb: Image, ab: Image, share: Image) -> tuple[Image, Image]:
    """Weights (h, w) of two fine structures from their local energies; see the module.

    ``share`` of the loss of structure lies between a and the target. Weights are never negative: where
    one would be, the other candidate is taken alone.
    """
    noise = np.float32(np.percentile((aa + bb) / 2 - ab, AGREEING))
    ab = np.maximum(ab, 0)  # a structure does not turn into its negative: that is chance
    ax, bx = _part_left(aa - noise, ab, share), _part_left(bb - noise, ab, 1 - share)
    aa, bb = 1.01 * aa + NEGLIGIBLE, 1.01 * bb + NEGLIGIBLE  # solvable also where a and b are the same
    w_a, w_b = ax * bb - bx * ab, bx * aa - ax * ab
    determinant = aa * bb - ab * ab
    only_a, only_b = w_b < 0, w_a < 0
    return (
        np.where(only_b, 0, np.where(only_a, ax / aa, w_a / determinant)),
        np.where(only_a, 0, np.where(only_b, bx / bb, w_b / determinant)),
    )


def _part_left(signal: Image, ab: Image, share: Image) -> Image:
    """<ax>: the energy of a's signal times the part of it that lives on until the target."""
    signal = np.maximum(signal, NEGLIGIBLE)
    left: Image = signal * np.clip(ab / signal, 1e-3, 1) ** share
    return left


flow = GroupFuser(FlowStream)

"""Find pixels that are no image of the event: dead and hot ones, hits of the sensor, time stamps, dark corners.

A camera alone cannot tell a dead pixel from a dark particle; the other camera can. A pixel that stands out is
accepted as bad where filling it in brings the two cameras closer to each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.grey import Affine, sample_frames
from napari_xfusion.core.recordings import pco
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.rig.health import Health, Mask, excess, fill, grown, mask_of
from napari_xfusion.core.rig.photometry import Array, along, follow, robust_gain
from napari_xfusion.core.rig.scan import plain, zero_of
from napari_xfusion.core.types import Image, Stack

ENOUGH = 2**16
"""Pixels of an image that its noise is estimated from, at most four times as many."""
STANDS_OUT = 8.0
"""Standard deviations of noise by which a pixel exceeds its neighbours."""
LEAST_OUT = 0.03
"""The same as a share of the image's range: noise may be none."""
LASTING = 0.95
"""Share of the pixels that do not change in the first half of the frames that then never change."""
CHANCE = 0.01
"""Of a pixel that stands out to have the same value in all frames where its neighbours change, at most."""
MOST_STUCK = 0.02
"""Share of pixels that may be stuck."""
MOST_NEXT = 2
"""Bad neighbours of a bad pixel at most; more are an object, or an edge that is not where it should be."""
LEAST_NOISE = 0.002
"""Of LR about LR by HR, as a share of the image's range; simulated recordings may have none."""
PERSISTENT = 0.75
"""Share of the sampled frames in which a bad pixel stands out."""
CERTAIN = 4.0
"""Standard deviations of LR about binned HR that filling in a pixel must change."""
FEWEST = 3
"""Pixels that cannot be judged alone, in all frames together, that are judged as a kind."""
EXTREME = 0.1
"""Share of the way from the darkest or brightest value to the middle one that counts as dark or bright."""
LEAST_OFF = 0.5
"""Share of its pixels that the other camera shows otherwise."""
SMALLEST_PART = 8
"""LR pixels of such a part."""
LARGEST_PART = 0.6
"""Share of the field that may be such parts."""
COMMON = 12
"""Frames of common times that are looked at."""
SMALLEST_SIDE = 8
"""LR pixels; smaller images show too little."""
STAMP_STEP = 3
"""Times by which a time stamp differs more from the row below than the pixels next to it."""
FOLLOWS = 0.5
"""Correlation of the ranks of LR and HR pixels in a part of the field that both cameras see."""
AT_EDGE = 0.3
"""Share of the change of HR at the edge of such a part that LR must show."""
BLURS = (0.3, 0.5, 0.8, 1.3)
"""LR pixels by which LR may be blurred beyond the area of its pixels."""
FEW = 4
"""Frames from which that is estimated."""
MANY = 2**12
"""LR pixels of a frame that suffice for that; of more, some are taken."""
LEAST_GAIN = 0.1
"""Share of the mean square difference of LR and HR that such a blur must explain."""
Images = NDArray[np.float32]
"""(N, h, w) or (N, H, W)."""


class Pixels(NamedTuple):
    """The findings."""

    lr: Health
    hr: Health
    line: Affine | None
    """LR values from HR values; None where there is none."""


def find_pixels(
    stacks: tuple[Stack, Stack],
    healths: tuple[Health, Health],
    hr_times: NDArray[np.float64],
    align: Alignment,
) -> Pixels:
    """Pixels of LR and HR, from frames of common times that are usable by ``healths``."""
    stamps = [_stamp(stack) for stack in stacks]
    lr, hr = (each.model_copy(update={"pixels": stamp}) for each, stamp in zip(healths, stamps, strict=True))
    nearest, last = np.rint(hr_times).astype(int), len(stacks[0]) - 1
    usable = [
        k
        for k in range(len(hr_times))
        if k not in hr.frames and nearest[k] not in lr.frames and 0 <= hr_times[k] <= last
    ]
    chosen = [usable[j] for j in sample_frames(len(usable), COMMON)] if usable else []
    if len(chosen) < 2 or min(align.grids.lr_shape) < SMALLEST_SIDE:
        return Pixels(lr, hr, None)
    numbers = [int(nearest[k]) for k in chosen], chosen
    seen = [_look(*each) for each in zip(stacks, numbers, stamps, strict=True)]
    pair, zeros = _Pair.of(seen[0], seen[1], align, ~align.blind), tuple(map(zero_of, stacks))
    found = _judge(pair, (lr, hr), zeros)
    if any(align.grids.blur) or (found.lr, found.hr) == (lr, hr):
        return found
    blur = pair.without(mask_of((*found.lr.blind, *found.hr.blind), pair.seen.shape)).blur
    return _judge(pair.blurred(blur), (lr, hr), zeros) if blur else found


def _judge(pair: _Pair, healths: tuple[Health, Health], zeros: tuple[float, ...]) -> Pixels:
    """What of the pixels that stand out is no image."""
    (lr, hr), blind, align = healths, pair.blind, pair.align
    pair = pair.without(blind[0] | blind[1] | align.blind)
    line = pair.straight
    if not line.span > 0 or not np.isfinite(pair.noise):
        return Pixels(lr, hr, None)
    return Pixels(
        _accept(_with_blind(lr, blind[0]), pair.lr, pair.lr_evidence, pair.noise, owner=None),
        _accept(_with_blind(hr, blind[1]), pair.hr, pair.hr_evidence, pair.noise, owner=align.owner),
        Affine(line.zero - line.span * zeros[1] + zeros[0], line.span),
    )


def _with_blind(health: Health, blind: Mask) -> Health:
    return health.model_copy(update={"blind": tuple(np.flatnonzero(blind).tolist())})


class _Seen(NamedTuple):
    """Frames of one camera at common times."""

    images: list[Image]
    """As float32, in camera units about a zero."""
    heights: list[Image]
    """By how much each of their pixels stands out."""
    out: list[Mask]
    """Which of them do."""

    def filled(self) -> list[Image]:
        """The images without what stands out."""
        return [fill(image, out) for image, out in zip(self.images, self.out, strict=True)]

    def few(self, count: int) -> Self:
        """The first ``count`` frames."""
        return self._replace(images=self.images[:count], heights=self.heights[:count], out=self.out[:count])

    def without(self, ignored: Mask) -> Self:
        """With nothing that stands out in ``ignored``."""
        return self._replace(out=[out & ~ignored for out in self.out])


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both cameras at common times."""

    lr: _Seen
    hr: _Seen
    align: Alignment
    seen: Mask
    """LR pixels (h, w) that both cameras see."""
    binned: Images
    """HR images on the LR grid, without what stands out."""
    binned_raw: Images | None
    """The same with that; None where nothing stands out."""

    @classmethod
    def of(cls, lr: _Seen, hr: _Seen, align: Alignment, seen: Mask) -> Self:
        """The pair of these frames."""
        return cls(lr, hr, align, seen, *_both(hr, align.down))

    def expected(self, binned: Images) -> Images:
        """LR images (N, h, w) by HR images on the LR grid, in LR units."""
        return np.stack(
            [a * each + b for each, (a, b) in zip(self.curve(binned), self.lines, strict=True)]
        ).astype(np.float32)

    @cached_property
    def points(self) -> tuple[Array, Array]:
        """HR values and the LR values that belong to them."""
        return follow(self.binned[:, self.seen].ravel(), self.lr_filled[:, self.seen].ravel())

    def curve(self, binned: Images) -> Images:
        """LR values from HR values by all frames."""
        return along(binned, *self.points).astype(np.float32)

    @cached_property
    def straight(self) -> Affine:
        """LR values from HR values by a line."""
        gain, offset = robust_gain(self.lr_filled[:, self.seen].ravel(), self.binned[:, self.seen].ravel())
        return Affine(offset, gain)

    @cached_property
    def lines(self) -> list[tuple[float, float]]:
        """Gain and offset of each LR frame about that: brightness may differ."""
        pairs = zip(self.lr_filled, self.curve(self.binned), strict=True)
        return [robust_gain(seen[self.seen], expected[self.seen]) for seen, expected in pairs]

    @cached_property
    def lr_filled(self) -> Images:
        """LR images (N, h, w) without what stands out."""
        return np.stack(self.lr.filled())

    @cached_property
    def models(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """LR by HR, with and without what stands out of HR."""
        filled = self.expected(self.binned)
        return (filled if self.binned_raw is None else self.expected(self.binned_raw)), filled

    @cached_property
    def noise(self) -> float:
        """Standard deviation of LR about LR by HR."""
        low, high = np.percentile(self.lr_filled, (1, 99))
        return max(spread((self.lr_filled - self.models[1])[:, self.seen]), LEAST_NOISE * float(high - low))

    @property
    def lr_evidence(self) -> _Evidence:
        """What filling in LR does."""
        return _Evidence.of(np.stack(self.lr.images), self.lr_filled, self.models)

    @property
    def hr_evidence(self) -> _Evidence:
        """What filling in HR does."""
        return _Evidence.of(*self.models, (np.stack(self.lr.images), self.lr_filled))

    @property
    def blur(self) -> float:
        """Standard deviation in LR pixels by which LR seems to be blurred, 0 where that explains little.

        Each pixel counts as it is or filled in, whichever agrees better, so that bad ones do not matter.
        """
        few = self.few(FEW).thinned
        seen = np.stack(few.lr.images)[:, few.seen], few.lr_filled[:, few.seen]
        placed, placed_raw = _both(few.hr, self.align.place)

        def left(sigma: float) -> float:
            align = self._blurred(sigma)
            binned = _each(align.grids.down, placed)
            raw = None if placed_raw is None else _each(align.grids.down, placed_raw)
            models = replace(few, align=align, binned=binned, binned_raw=raw).models
            apart = [np.abs(lr - model[:, few.seen]) for lr in seen for model in models]
            return float(np.mean(np.min(apart, axis=0).astype(np.float64) ** 2))

        sharp = left(0.0)
        start = min(BLURS, key=left)
        bounds = 0.5 * start, 1.5 * start
        sigma = float(
            scipy.optimize.minimize_scalar(left, bounds=bounds, options={"xatol": 0.02, "maxiter": 8}).x
        )
        return sigma if left(sigma) < (1 - LEAST_GAIN) * sharp else 0.0

    def blurred(self, sigma: float) -> _Pair:
        """With HR blurred by ``sigma`` LR pixels before it is compared with LR."""
        return self.of(self.lr, self.hr, self._blurred(sigma), self.seen)

    def _blurred(self, sigma: float) -> Alignment:
        return replace(self.align, grids=replace(self.align.grids, blur=(sigma, sigma)))

    @property
    def thinned(self) -> _Pair:
        """With every nth pixel along each axis, where there are many."""
        n = max(1, math.isqrt(int(self.seen.sum()) // MANY))
        every = np.zeros_like(self.seen)
        every[::n, ::n] = True
        return replace(self, seen=self.seen & every)

    @property
    def inner(self) -> Mask:
        """LR pixels (h, w) into which nothing is blurred that HR does not see."""
        reach = math.ceil(2 * max(self.align.grids.blur))
        around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        seen = cv2.erode(
            (~self.align.blind).astype(np.uint8), around, borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        return np.asarray(seen if reach else ~self.align.blind, bool)

    def few(self, count: int) -> _Pair:
        """The first ``count`` of its frames."""
        return replace(
            self,
            lr=self.lr.few(count),
            hr=self.hr.few(count),
            binned=self.binned[:count],
            binned_raw=None if self.binned_raw is None else self.binned_raw[:count],
        )

    @property
    def blind(self) -> tuple[Mask, Mask]:
        """LR pixels (h, w) that LR and HR do not see: they are dark there, or else as bright as they get."""
        extremes = _extreme(self.lr_filled, None), _extreme(np.stack(self.hr.filled()), self.align)
        for (lr, hr), sees in zip(zip(*extremes, strict=True), (self._follows, self._steps), strict=True):
            # What is dark in both cameras may be an object that reaches into such a part.
            parts = [
                [part for part in _border_parts(one & ~other) if not sees(part)]
                for one, other in ((lr, hr), (hr, lr))
            ]
            found = self._blind_of(parts)
            if found[0].any() or found[1].any():
                break
        return found

    def _blind_of(self, parts: list[list[Mask]]) -> tuple[Mask, Mask]:
        """Those of the parts (h, w) of LR and HR in which the other camera shows something else."""
        none = np.zeros(self.seen.shape, bool)
        if not any(parts):
            return none, none
        suspect = grown(np.any([none, *parts[0], *parts[1]], axis=0))
        pair = replace(self, seen=~suspect) if suspect.mean() < LARGEST_PART else self
        line = pair.straight
        differences = self.lr_filled - (line.span * self.binned + line.zero)
        low, high = np.percentile(self.lr_filled, (1, 99))
        least = max(CERTAIN * spread(differences[:, pair.seen]), LEAST_OUT * float(high - low))
        off = np.abs(np.median(differences, axis=0)) > least
        lr, hr = (np.any([none, *(x for x in each if off[x].mean() > LEAST_OFF)], axis=0) for each in parts)
        # One camera has the smaller field; if each seems to, they do not lie upon each other.
        if (lr.any() and hr.any()) or (lr | hr).mean() > LARGEST_PART:
            return none, none
        # Pixels at an edge are half in the dark; those that are alone look like dead ones.
        binned = self.binned if self.binned_raw is None else self.binned_raw
        alone = np.abs(np.median(np.stack(self.lr.images) - line.span * binned - line.zero, axis=0)) > least
        lr, hr = (_with_edge(each, off | alone) for each in (lr, hr))
        return lr, hr

    def _follows(self, part: Mask) -> bool:
        """Whether both cameras see a part (h, w) of the field: where LR is brighter there, so is HR, however little."""
        inner = _inner(part)
        judged = inner if inner.sum() >= SMALLEST_PART else part  # at an edge, pixels are half in the dark
        lr, hr = (np.median(images, axis=0) for images in (self.lr_filled, self.binned))
        ranks = [np.unique(each[judged], return_inverse=True)[1] for each in (lr, hr)]
        low, high = (each - each.mean() for each in ranks)
        return float(low @ high) > FOLLOWS * float(np.linalg.norm(low) * np.linalg.norm(high))

    def _steps(self, part: Mask) -> bool:
        """Whether both cameras see a bright part (h, w): both change at its edge, whatever the illumination is."""
        lr, hr = (
            np.median(images[:, grown(part)], axis=0).astype(np.float64)
            for images in (self.lr_filled, self.binned)
        )
        hr -= hr.mean()
        return float(lr @ hr) > AT_EDGE * self.straight.span * float(hr @ hr)

    def without(self, ignored: Mask) -> Self:
        """Without the LR pixels ``ignored`` (h, w), and with those that differ from HR in all frames by one sign."""
        around = cv2.dilate(ignored.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        ends, least = (100 - 100 * PERSISTENT, 100 * PERSISTENT), STANDS_OUT * self.noise
        off = self.inner
        for model in self.models:
            low, high = np.percentile(np.stack(self.lr.images) - model, ends, axis=0)
            off = off & ((low > least) | (high < -least))
        lr = self.lr._replace(out=[out | (off & _alone(off)) for out in self.lr.out]).without(around)
        large = self.align.enlarged(around)
        if not any(out[large].any() for out in self.hr.out):
            return replace(self, lr=lr, seen=~around)
        return self.of(lr, self.hr.without(large), self.align, ~around)


def _both(hr: _Seen, function: Callable[[Image], Image]) -> tuple[Images, Images | None]:
    """What ``function`` makes of HR images without what stands out, and with it; None where nothing does."""
    return _each(function, hr.filled()), _each(function, hr.images) if any(map(np.any, hr.out)) else None


def _each(function: Callable[[Image], Image], images: Iterable[Image]) -> Images:
    return np.stack([function(image) for image in images])


def _extreme(images: NDArray[np.float32], align: Alignment | None) -> tuple[Mask, Mask]:
    """Where (h, w) images (N, h, w), or (N, H, W) with ``align``, are always as dark, or as bright, as they get."""
    highest, lowest = (cv2.blur(x, (3, 3)) for x in (images.max(axis=0), images.min(axis=0)))
    if align is not None:
        highest, lowest = align.down(highest), align.down(lowest)
    ends = np.percentile(images[:, ::2, ::2], (0.5, 50, 99.5))
    return highest < ends[0] + EXTREME * (ends[1] - ends[0]), lowest > ends[2] - EXTREME * (ends[2] - ends[1])


def _border_parts(extreme: Mask) -> list[Mask]:
    """The connected parts (h, w) of a mask that touch the border of the field, without the smallest ones."""
    closed = cv2.morphologyEx(extreme.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(closed, connectivity=4)
    at_border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    masks = [parts == number for number in at_border[at_border > 0]]
    return [mask for mask in masks if mask.sum() >= SMALLEST_PART and _inner(mask).any()]


def _inner(part: Mask) -> Mask:
    """A part (h, w) of the field without its edge."""
    return np.asarray(cv2.erode(part.astype(np.uint8), np.ones((3, 3), np.uint8)), bool)


def _with_edge(part: Mask, off: Mask) -> Mask:
    """A part (h, w) of the field with what differs between the cameras next to it, and at the border."""
    if not part.any():
        return part
    border = np.ones(part.shape, bool)
    border[1:-1, 1:-1] = False
    return part | ((grown(part) | border) & off)


class _Evidence(NamedTuple):
    """What filling in does to the square difference (N, h, w) between LR and LR by the HR image."""

    gain: NDArray[np.float64]
    """By how much it falls."""
    change: NDArray[np.float64]
    """Square of the change itself: the gain where what is filled in is right, its negative where that is wrong."""

    @classmethod
    def of(cls, raw: Images, filled: Images, others: tuple[Images, Images]) -> Self:
        """Of one camera's images; of the other camera's with and without what is filled in there, those count that
        gain less."""
        before, after = raw.astype(np.float64), filled.astype(np.float64)
        gains = [(before - other) ** 2 - (after - other) ** 2 for other in others]
        return cls(np.minimum(*gains), (before - after) ** 2)


def _look(stack: Stack, frames: Sequence[int], stamp: Sequence[int]) -> _Seen:
    zero = zero_of(stack)
    stamped = mask_of(stamp, stack.shape[1:])
    images = [fill(plain(stack.frame(i), zero), stamped) for i in frames]
    heights = [np.abs(excess(image)) for image in images]
    return _Seen(images, heights, [_stand_out(*each) for each in zip(images, heights, strict=True)])


def _stand_out(image: Image, height: Image) -> Mask:
    """Single pixels, and pairs of them, and groups where pairs are left when those are filled in."""
    out = _above_noise(image, height)
    if not out.any():
        return out
    filled = fill(image, out)
    return out | _above_noise(filled, np.abs(excess(filled)))


def _above_noise(image: Image, height: Image) -> Mask:
    out: Mask = height > _least_step(image)
    return out


def _least_step(image: Image) -> float:
    """What a pixel must differ by to stand out."""
    n = max(1, math.isqrt(image.size // ENOUGH))
    noise = spread((image - cv2.medianBlur(image, 3))[::n, ::n]) / 0.8
    low, high = np.percentile(image[::2, ::2], (1, 99))
    return max(STANDS_OUT * noise, LEAST_OUT * float(high - low))


def _accept(
    health: Health, seen: _Seen, evidence: _Evidence, noise: float, *, owner: NDArray[np.intp] | None
) -> Health:
    """``health`` with the pixels that stand out and that the other camera does not show.

    ``owner`` gives the LR pixel, where evidence is, of each HR pixel.
    """
    out = np.stack(seen.out)
    height = np.stack(seen.heights)
    often = out.mean(axis=0) >= PERSISTENT
    numbers = np.flatnonzero(often)
    at = numbers if owner is None else owner.ravel()[numbers]
    shape = len(out), -1
    gain, change = (x.reshape(shape).sum(axis=0)[at] for x in evidence)
    high = np.median(height.reshape(shape)[:, numbers], axis=0)
    alone = change > (CERTAIN * noise) ** 2  # the others are judged together
    constant = _constant(seen.images).ravel()[numbers]
    # Where much more is gained than what is filled in changes, something else makes the cameras differ.
    own = gain < 3 * change + 2 * CERTAIN * noise * np.sqrt(change)
    wrong = np.where(alone, (gain > change / 2) & own, high >= _least_height(high, gain, change, noise))
    wrong |= constant & (gain > -change / 2)
    pixels = np.union1d(numbers[wrong], np.flatnonzero(_stuck(seen.images) & out.any(axis=0)))
    once = np.nonzero((out & ~often).reshape(shape))
    at = once[1] if owner is None else owner.ravel()[once[1]]
    gain, change = (x.reshape(shape)[once[0], at] for x in evidence)
    least = min(map(_least_step, seen.images))
    spike = _least_height(height.reshape(shape)[once], gain, change, noise, least)
    return health.model_copy(
        update={
            "pixels": tuple(sorted({*health.pixels, *pixels.tolist(), *_unread_stamp(seen.images)})),
            "spike": spike if np.isfinite(spike) else None,
        }
    )


def _unread_stamp(images: list[Image]) -> range:
    """The first pixels of a frame, where they are a time stamp in another code than pco's decimals.

    In most frames they differ from the row below far more than the next ones do. Single pixels of a stamp look like
    their neighbours, and where the other camera has one at the same place, it is no evidence.
    """
    n = pco.PIXELS
    if images[0].shape[0] < 2 or images[0].shape[1] < 2 * n:
        return range(0)
    step = np.abs(np.stack([image[0, : 2 * n] - image[1, : 2 * n] for image in images]))
    least = np.maximum(STAMP_STEP * step[:, n:].max(axis=1), [_least_step(image) for image in images])
    unlike = np.median(step[:, :n], axis=1) > least
    return range(n if unlike.mean() >= PERSISTENT else 0)


def _stuck(images: list[Image]) -> Mask:
    """Single pixels that never change, where chance leaves none so."""
    stack = np.stack(images)
    unchanged = np.logical_and.accumulate(stack == stack[0])
    left = unchanged.sum(axis=(1, 2))
    constant: Mask = unchanged[-1]
    # By chance fewer are left after each frame; in a static scene many are.
    lasting = left[-1] > LASTING * left[len(stack) // 2] and constant.mean() < MOST_STUCK
    if len(stack) < 4 or not lasting:
        return np.zeros_like(constant)
    return constant & _alone(constant)


def _constant(images: list[Image]) -> Mask:
    """Single pixels that never change, next to such that do so often that this is no chance."""
    stack = np.stack(images)
    again = (stack[1:] == stack[:-1]).sum(axis=0).astype(np.float32)
    steps = len(stack) - 1
    around = (cv2.boxFilter(again, -1, (3, 3), normalize=False) - again) / (8 * steps)
    constant = again == steps
    unlikely = np.maximum(around, 1 / (8 * steps)) ** steps < CHANCE
    found: Mask = constant & _alone(constant) & unlikely
    return found


def _alone(mask: Mask) -> Mask:
    """Where a pixel has few neighbours that are in ``mask`` too."""
    count = cv2.filter2D(mask.astype(np.float32), -1, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT)
    few: Mask = count <= MOST_NEXT + 1
    return few


def _least_height(
    height: NDArray[np.float32],
    gain: NDArray[np.float64],
    change: NDArray[np.float64],
    noise: float,
    least: float = 0.0,
) -> float:
    """The height above which most of what stands out is wrong; infinity where that is nothing.

    Pixels that stand out only after others are filled in are less than ``least`` high, and count where most are higher.
    What cannot be judged alone counts by the share that it gains: 1 on average where it is wrong, else -1.
    """
    share = np.clip(gain / np.maximum(change, 1e-300), -1, 1)
    order = np.argsort(-height)
    balance = np.cumsum(share[order])
    last = int(balance.argmax()) if len(balance) else 0
    above = order[: last + 1]
    # A sum of chances grows as the square root of their number.
    if not len(above) or balance[last] < max(FEWEST, 2 * np.sqrt(len(above))):
        return np.inf
    if change[above].sum() < (2 * CERTAIN * noise) ** 2 or gain[above].sum() < change[above].sum() / 2:
        return np.inf
    lowest = float(height[order[last]])
    if lowest < least:
        if balance[last] < len(above) / 2 or np.mean(height[above] >= least) < 0.5:
            return np.inf
        lowest = least
    below = float(height[order[last + 1]]) if last + 1 < len(order) else 0.0
    return math.sqrt(lowest * (below or lowest / 2)) if lowest > 0 else np.inf


def _stamp(stack: Stack) -> tuple[int, ...]:
    """Numbers of the pixels of a pco camera's time stamp, which counts the frames; none where there is none."""
    if (
        stack.dtype.kind not in "ui"
        or stack.dtype.itemsize < 2
        or stack.shape[2] < pco.PIXELS
        or len(stack) < 3
    ):
        return ()
    numbers = []
    for i in sample_frames(len(stack), 4):
        two = pco.digits(stack.frame(i)[0, : pco.PIXELS])
        if two is None:
            return ()
        numbers.append((i, pco.image_number(two)))
    count = {number - i for i, number in numbers}
    steps = [(b - a) / (j - i) for (i, a), (j, b) in pairwise(numbers)]
    regular = len(count) == 1 or (min(steps) > 0 and max(steps) == min(steps))
    return tuple(range(pco.PIXELS)) if regular else ()

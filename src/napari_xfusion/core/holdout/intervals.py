"""Calibrated intervals: how wide an interval about a fused pixel must be to contain a new HR frame's value there.

Split conformal prediction (Papadopoulos et al. 2002; Lei et al., J. Am. Stat. Assoc. 113, 1094, 2018) with the HR
frames that were left out as calibration data. The error of a pixel is divided by the HR noise at its brightness.
Pixels are grouped by how difficult the method finds them, its variance against that noise, and by how much the fused
image has changed around them since the HR frame before and until the one after; a group's quantile of the normalised
error, times the noise, is the half width. What happens between two HR frames only, nothing that was left out shows:
groups of few pixels have the quantiles of simulated shots (benchmarks/simulated_intervals.py). Brightness enters by
the noise, the distance to the HR frames by both, so that the groups hold at the real gap, too.

Of fewer than FEWEST HR frames none can be left out to calibrate on and another one to judge by. All quantiles are
those of simulated shots then.

A new HR frame has noise of its own: the interval is one for the value that the HR camera would have recorded, and
wider than one for the scene without noise would have to be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from napari_xfusion.core.holdout.left_out import Gap, Guess, LeftOut, judged, without
from napari_xfusion.core.holdout.noise import noise_curve
from napari_xfusion.core.holdout.sample import BUDGET, require_enough, settle_gaps, standard_error
from napari_xfusion.core.methods import Fuser
from napari_xfusion.core.methods.hr_noise import NoiseCurve
from napari_xfusion.core.methods.local import NEIGHBOURHOOD
from napari_xfusion.core.optical_flow import enlarge
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Rig
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import FusedFrame, Image, Region, Token
from napari_xfusion.core.value import Value
from napari_xfusion.errors import XFusionWarning

COVERAGE = 0.9
"""Of the interval unless given."""
FEWEST = 4
"""Usable HR frames to calibrate on the recording: two can be left out, and the coverage be judged by one with an
interval from the other. With fewer, intervals are those of simulated shots."""
DIFFICULTIES = tuple(2.0**power for power in range(-6, 9))
"""Edges of the groups of a pixel's variance by its method, over the HR noise."""
CHANGES = (1.2, 2.0, 8.0)
"""Edges of the groups of the mean square difference from an HR frame around, over the HR noise."""
AROUND = 1.5
"""HR pixels: standard deviation of the Gaussian over which that is averaged."""
LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95, 0.99)
"""Coverages of the intervals from simulated shots; others are interpolated."""
LEAST = 400
"""Pixels of a group that tell its quantile, at least."""
PIXELS = 40_000
"""Pixels that are looked at in each frame; neighbours hardly differ."""
SEED = 0
"""Of the choice of these pixels."""
Values = NDArray[np.float64]
Groups = NDArray[np.intp]


class Intervals(Value):
    """Half widths of intervals by group of pixels, calibrated on one recording for one method."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    """Share of the pixels of a new HR frame that are to lie in their interval."""
    widths: tuple[tuple[float, ...], ...]
    """Half width by difficulty and change, in standard deviations of the HR noise."""
    brightness: tuple[float, ...]
    """Where the noise is known, grey units."""
    variance: tuple[float, ...]
    """The noise there: variance of an HR pixel, grey units squared."""
    frames: int
    """HR frames that were left out; 0 where the widths are those of simulated shots."""
    reached: float
    """Mean coverage on a frame that was left out, by the intervals from the others; or on other simulated scenes."""
    reached_error: float
    """Its standard error, from the scatter among the frames; or its standard deviation among these scenes."""

    @property
    def warnings(self) -> tuple[XFusionWarning, ...]:
        """That they are not calibrated on the recording, where that is so."""
        if self.frames:
            return ()
        text = (
            f"with fewer than {FEWEST} HR frames, the intervals of {self.coverage:.0%} are those of simulated shots. "
            f"They contained {self.reached:.0%} of the pixels of other simulated scenes, with a standard deviation of "
            f"{self.reached_error:.0%} among these."
        )
        return (XFusionWarning("intervals-simulated", text),)

    @property
    def curve(self) -> NoiseCurve:
        """The noise of an HR pixel."""
        return NoiseCurve(np.array(self.brightness), np.array(self.variance))

    def half_widths(self, frame: FusedFrame, reader: FrameReader, region: Region | None) -> Image:
        """Half widths (H, W) for a fused frame of ``region``, in its units; NaN where LR sees nothing."""
        return self._seen(self._in_noise(frame, reader, region), reader, region)

    def beyond_noise(self, frame: FusedFrame, reader: FrameReader, region: Region | None) -> Image:
        """What is left of the half widths, in quadrature, without the noise that a new HR frame has of its own.

        The square root of the half width squared less that of normally distributed noise, for the same coverage; else
        as ``half_widths``.
        """
        widths, noise = self._in_noise(frame, reader, region)
        own = np.float32(NormalDist().inv_cdf((1 + self.coverage) / 2))
        return self._seen((np.sqrt(np.maximum(np.square(widths) - own**2, 0)), noise), reader, region)

    def _in_noise(self, frame: FusedFrame, reader: FrameReader, region: Region | None) -> tuple[Image, Image]:
        """Half widths (H, W) in standard deviations of the HR noise, and these, grey units."""
        image = reader.rig.compared(frame.index, frame.image)
        std = None if frame.std is None else frame.std / np.float32(reader.rig.hr.grey.span)
        fields = _fields(reader, _Fused(float(frame.index), image, std, region), self.curve)
        return np.array(self.widths, np.float32)[fields.difficulty, fields.change], fields.noise

    @staticmethod
    def _seen(parts: tuple[Image, Image], reader: FrameReader, region: Region | None) -> Image:
        """The product of the parts in the units of frames; NaN where LR sees nothing."""
        widths, noise = parts
        half: Image = (widths * noise * np.float32(reader.rig.hr.grey.span)).astype(np.float32)
        align = reader.rig.alignment
        if align.needed:
            half[align.unseen(region)] = np.nan
        return half


class _Fused(NamedTuple):
    """A fused image of a region, grey units."""

    time: float
    """In LR frame numbers."""
    image: Image
    """(H, W)."""
    std: Image | None
    region: Region | None


class _Fields(NamedTuple):
    """What is known of each pixel (H, W) of a fused frame."""

    noise: Image
    """Standard deviation of the HR noise, grey units."""
    difficulty: Groups
    change: Groups
    """Its difference from the more similar HR frame around, and from the other one."""


class _Errors(NamedTuple):
    """Errors (N,) of some pixels of a guess, over the HR noise, and their groups."""

    gap: Gap
    frame: int
    size: Values
    difficulty: Groups
    change: Groups


def calibrate_intervals(
    plan: Plan,
    rig: Rig,
    fuser: Fuser,
    *,
    coverage: float = COVERAGE,
    budget: float = BUDGET,
    stop: Token | None = None,
) -> Intervals | None:
    """Calibrate intervals for ``plan`` by HR frames that are left out; None when stopped.

    ``rig`` is that of a ``judged`` plan, ``fuser`` the plan's; ``budget`` see ``score_methods``. With fewer than FEWEST
    usable HR frames, the intervals are those of simulated shots; see ``require_calibrated`` for what is raised.
    """
    require_calibrated(plan, rig)
    if len(rig.exposures) < FEWEST:
        return _simulated(plan.method, noise_curve(FrameReader(rig)), coverage)
    stop = stop or threading.Event()
    plan = judged(plan)
    left = LeftOut(plan, rig)
    curve = noise_curve(left.reader)
    found = []
    for gap in settle_gaps(rig, plan, [plan], budget):
        reader = FrameReader(without(rig, gap.frames))
        found += [_errors(left, reader, guess, curve) for guess in left.guesses(gap, plan, fuser, stop)]
        if stop.is_set():
            return None
    beyond = _simulated_table(plan.method, "widths", coverage) if plan.method in _tables() else None

    def widths(of: Sequence[_Errors]) -> Values:
        size, difficulty, change = (
            np.concatenate([getattr(each, name) for each in of]) for name in ("size", "difficulty", "change")
        )
        return _widths_of(size, difficulty, change, coverage, beyond)

    def reached_by_others(one: _Errors) -> float:
        others = widths([x for x in found if x.frame != one.frame])
        return float(np.mean(one.size <= others[one.difficulty, one.change]))

    alone = [each for each in found if each.gap.length == 1]
    reached = np.array([reached_by_others(each) for each in alone])
    return Intervals(
        coverage=coverage,
        widths=tuple(map(tuple, widths(found).tolist())),
        brightness=tuple(curve.brightness.tolist()),
        variance=tuple(curve.variance.tolist()),
        frames=len(alone),
        reached=float(reached.mean()),
        reached_error=standard_error(reached) or 0.0,
    )


def require_calibrated(plan: Plan, rig: Rig) -> None:
    """Raise InputError where there are no intervals for ``plan`` on ``rig``: few HR frames, and no simulated ones."""
    if plan.method not in _tables():
        require_enough(rig, FEWEST, "an interval is calibrated on two that are left out at least")


@cache
def _tables() -> dict[str, dict[str, Values]]:
    """By method: widths (coverage, difficulty, change) of simulated shots, what they cover, and the scatter of that."""
    text = Path(__file__).with_name("simulated.json").read_text(encoding="utf-8")
    return {
        name: {key: np.array(each) for key, each in table.items()} for name, table in json.loads(text).items()
    }


def _simulated(method: str, curve: NoiseCurve, coverage: float) -> Intervals:
    widths, reached, scatter = (
        _simulated_table(method, key, coverage) for key in ("widths", "reached", "scatter")
    )
    return Intervals(
        coverage=coverage,
        widths=tuple(map(tuple, widths.tolist())),
        brightness=tuple(curve.brightness.tolist()),
        variance=tuple(curve.variance.tolist()),
        frames=0,
        reached=float(reached),
        reached_error=float(scatter),
    )


def _simulated_table(method: str, key: str, coverage: float) -> Values:
    """The "widths" of simulated shots, what they have "reached" on others, or the "scatter" of that.

    Beyond LEVELS the widths grow, and shrink, as those of a normal distribution.
    """
    level = min(max(coverage, LEVELS[0]), LEVELS[-1])
    values: Values = np.asarray(
        scipy.interpolate.interp1d(LEVELS, _tables()[method][key], axis=0)(level), float
    )
    if key == "widths":
        normal = NormalDist()
        values *= normal.inv_cdf((1 + coverage) / 2) / normal.inv_cdf((1 + level) / 2)
    return values


def _widths_of(
    size: Values, difficulty: Groups, change: Groups, coverage: float, beyond: Values | None = None
) -> Values:
    """Quantiles of ``size`` by group; where there are few, those ``beyond``.

    Without these, of all changes, then of the next difficulty up.
    """
    table = np.full((len(DIFFICULTIES) + 1, (len(CHANGES) + 1) ** 2), np.nan)
    rows, columns = table.shape
    group = columns * difficulty + change
    ordered = size[np.argsort(group, kind="stable")]
    first = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=table.size))])
    for i, j in np.ndindex(rows, columns):
        row = columns * i
        same = ordered[first[row + j] : first[row + j + 1]]
        if beyond is None and len(same) < LEAST:
            same = ordered[first[row] : first[row + columns]]
        if len(same) >= LEAST:
            table[i, j] = _quantile(same, coverage)
    if beyond is not None:
        return np.where(np.isfinite(table), table, beyond)
    known = np.flatnonzero(np.isfinite(table[:, 0]))
    if not len(known):
        return np.full_like(table, _quantile(size, coverage))
    nearest = known[np.minimum(np.searchsorted(known, np.arange(len(table))), len(known) - 1)]
    widths: Values = table[nearest]
    return widths


def _quantile(sizes: Values, coverage: float) -> float:
    """The conformal quantile, that of one more value than there are."""
    rank = min((len(sizes) + 1) * coverage / len(sizes), 1.0)
    return float(np.quantile(sizes, rank, method="higher"))


def _errors(left: LeftOut, reader: FrameReader, guess: Guess, curve: NoiseCurve) -> _Errors:
    region = left.rig.region(left.plan)
    time = float(left.rig.hr_times[guess.frame])
    fields = _fields(reader, _Fused(time, guess.image, guess.std, region), curve)
    seen = np.flatnonzero(~left.hidden)
    rng = np.random.default_rng([SEED, guess.frame, guess.gap.length])
    some = rng.choice(seen, min(PIXELS, len(seen)), replace=False)
    size = np.abs(guess.truth - guess.image).ravel()[some] / fields.noise.ravel()[some]
    return _Errors(
        guess.gap,
        guess.frame,
        size.astype(np.float64),
        fields.difficulty.ravel()[some],
        fields.change.ravel()[some],
    )


def _fields(reader: FrameReader, fused: _Fused, curve: NoiseCurve) -> _Fields:
    """What LR and the HR frames around tell of a fused image."""
    rig, (time, image, std, region) = reader.rig, fused
    large = _enlarger(rig, region)
    ends = neighbours(rig.hr_times, time)
    lr = reader.lr_at(time)
    noise = np.maximum(large(curve(lr)), 1e-12)
    recorded = [reader.recorded(k, region) for k in sorted(set(ends))]
    if std is None:
        variance = np.minimum.reduce(
            _differences(image, recorded, [NEIGHBOURHOOD * s for s in rig.grids.scale])
        )
    else:
        variance = np.where(std > 0, np.square(std), noise)  # an HR frame as it is has its noise
    nearby = _differences(image, recorded, (AROUND, AROUND))
    change = [
        np.searchsorted(CHANGES, each / noise)
        for each in (np.minimum.reduce(nearby), np.maximum.reduce(nearby))
    ]
    return _Fields(
        np.sqrt(noise),
        np.searchsorted(DIFFICULTIES, variance / noise),
        (len(CHANGES) + 1) * change[0] + change[1],
    )


def _differences(image: Image, others: Sequence[Image], around: Sequence[float]) -> list[Image]:
    """Local mean square differences (H, W) of an image from each of ``others``; ``around``: HR pixels down, across.

    Large where something moved, and where fine structure is missing.
    """
    y, x = around
    return [cv2.GaussianBlur(np.square(image - other), (0, 0), x, sigmaY=y) for other in others]


def _enlarger(rig: Rig, region: Region | None) -> Callable[[Image], Image]:
    """A smooth field (h, w) of LR on the pixels of results for ``region``."""
    align, grids = rig.alignment, rig.grids
    fused = align.region(region)

    def large(field: Image) -> Image:
        whole = enlarge(field, grids.hr_shape, grids.scale)
        part = whole if fused is None else whole[slice(*fused[:2]), slice(*fused[2:])]
        return align.back(np.ascontiguousarray(part), region)

    return large

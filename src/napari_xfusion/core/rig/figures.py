"""What a pair of recordings tells of its cameras: how their grey values belong together, LR's noise, its fixed pattern.

Legend: T frames · N pairs of an LR frame and an HR frame of one moment · h, w LR pixels. All values are camera units.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration, CameraFigures, FixedPattern, GreyRelation, PixelNoise
from napari_xfusion.core.grey import fill_invalid, sample_frames
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.blur import kernel_of
from napari_xfusion.core.rig.frames import interpolate
from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.rig.health import grown, mask_of
from napari_xfusion.core.rig.pairing import make_rig
from napari_xfusion.core.rig.pattern import SECOND, SMOOTH, without_smooth
from napari_xfusion.core.rig.photometry import along, follow
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.rig.scan import plain, zero_of
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import PairingError

TRIPLES = 24
"""LR frames that are compared with the one before and the one after."""
PAIRS = 32
"""HR frames that are compared with LR."""
FEWEST_PAIRS = 4
LEVELS = 12
"""Ranges of brightness with the same number of pixels each."""
FEWEST_LEVELS = 4
"""In which enough is static."""
FINER, COARSER = 1.0, 4.0
"""Standard deviations in LR pixels between which neighbours have in common what moves."""
SOFT = (1 / FINER**2 + 1 / COARSER**2 - 4 / (FINER**2 + COARSER**2)) / (4 * np.pi)
"""Part of the variance of white noise between these."""
AROUND, QUIETEST, MOST_CHANGE = 2.0, 0.2, 3.0
"""Standard deviation in LR pixels over which a change is averaged; share of the pixels of a level that change least,
and what their change may be, in that of noise."""
FEWEST_PIXELS = 200
"""In all frames together, of one level; and in a frame."""
_WEIGHTS = cv2.getGaussianKernel(8 * int(SMOOTH) + 1, SMOOTH).ravel()
LEFT = tuple(float(1 - 2 * w.max() + (w**2).sum()) for w in (_WEIGHTS, np.outer(_WEIGHTS, _WEIGHTS)))
"""Part of the variance of a pattern of lines, and of pixels, that is left when what is smooth is subtracted."""
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def measure_figures(rig: Rig) -> CameraFigures:
    """The figures of the cameras of ``rig``; reads up to 72 frames of LR and 32 of HR."""
    lr = rig.fast.frames()
    seen = ~grown(_unseen(rig))
    noise = fit_noise([_triple(lr, i) for i in _middles(len(lr))]) if len(lr) >= 3 else None
    numbers = [rig.exposures[k].frame for k in rig.common_exposures(PAIRS)]
    if int(seen.sum()) < FEWEST_PIXELS or len(numbers) < FEWEST_PAIRS:
        return CameraFigures(noise=noise)
    hr, times = rig.hr.frames(), rig.fast.clock.frames_of(rig.hr.clock)
    zero = zero_of(hr)
    lows, highs = [], []
    for k in numbers:
        lows.append(interpolate(lambda i: fill_invalid(lr.frame(i))[0].astype(np.float64), float(times[k])))
        highs.append(rig.alignment.down(plain(hr.frame(k), zero)) + np.float64(zero))
    low, high = np.stack(lows), np.stack(highs)
    relation = GreyRelation(**_points(high[:, seen], low[:, seen]))
    residual = low - along(high, np.array(relation.hr), np.array(relation.lr))
    return CameraFigures(relation=relation, noise=noise, pattern=fit_pattern(residual, seen))


def with_figures(lr: Stack, hr: Stack, plan: Plan) -> Calibration:
    """The calibration of ``plan`` with LR's blur and the figures as these recordings show them.

    Raises PairingError as ``make_rig``.
    """
    if plan.calibration is None:
        raise PairingError(setting="rig", problem="there is no rig file", hint="calibrate the cameras")
    sharp = plan.calibration.model_copy(update={"blur": None})
    rig = make_rig(plan.model_copy(update={"calibration": sharp}), lr, hr)
    blur = kernel_of(rig.fast.blur, sharp.mapping) if any(rig.fast.blur) else None
    return sharp.model_copy(update={"blur": blur, "figures": measure_figures(rig)})


def _unseen(rig: Rig) -> Mask:
    """The LR pixels (h, w) that one of the cameras does not see, or that are filled in."""
    bad = [*rig.fast.health.pixels, *rig.fast.health.blind, *rig.hr.health.blind]
    return mask_of(bad, rig.grids.lr_shape) | rig.alignment.blind


def _points(high: Floats, low: Floats) -> dict[str, tuple[float, ...]]:
    """Points of the relation of HR values to LR values (N, n): a line, unless a curve is clearly better."""
    every = max(1, high.size // 200_000)
    hr, lr = follow(high.ravel()[::every], low.ravel()[::every])
    return {"hr": tuple(hr.tolist()), "lr": tuple(lr.tolist())}


class Triple(NamedTuple):
    """Three successive frames."""

    brightness: Floats
    """(h, w) their mean."""
    noise: Floats
    """(h, w) what they have in common neither with each other nor with their neighbours, of the variance of one pixel's
    noise."""
    change: Floats
    """(h, w) mean square around each pixel of what neighbours have in common, but not the frames.

    It has nothing to do with ``noise`` where there is noise alone, so that places may be chosen by it."""


def _middles(count: int) -> list[int]:
    return [1 + i for i in sample_frames(count - 2, TRIPLES)]


def _triple(lr: Stack, middle: int) -> Triple:
    frames = [fill_invalid(lr.frame(middle + step))[0] for step in (-1, 0, 1)]
    return triple_of(np.stack(frames).astype(np.float64))


def triple_of(frames: Floats) -> Triple:
    """Of three successive frames (3, h, w): steady motion, and all that is smooth, is no noise."""
    rest = (frames[0] - 2 * frames[1] + frames[2]) / np.sqrt(6)
    soft = cv2.GaussianBlur(rest, (0, 0), FINER) - cv2.GaussianBlur(rest, (0, 0), COARSER)  # without flicker
    return Triple(
        brightness=cv2.blur(frames.mean(axis=0), (3, 3)),
        noise=cv2.filter2D(rest, -1, SECOND, borderType=cv2.BORDER_REFLECT),
        change=cv2.GaussianBlur(soft * soft, (0, 0), AROUND) / SOFT,
    )


def fit_noise(triples: list[Triple]) -> PixelNoise | None:
    """The line of variance against brightness; None where there are too few pixels, or no noise."""
    inner = (slice(1, -1), slice(1, -1))
    value, noise, change = (
        np.concatenate([field[inner].ravel() for field in fields]) for fields in zip(*triples, strict=True)
    )
    levels = []
    for part in np.array_split(np.argsort(value), LEVELS):
        variance = _of_quiet(noise[part], change[part])
        if variance is not None:
            levels.append((value[part].mean(), variance))
    x, variances = np.array(levels).reshape(-1, 2).T
    if len(x) < FEWEST_LEVELS or not variances.max() > 0:
        return None
    gain, floor = _line(x, variances)
    return PixelNoise(floor=floor, gain=gain, darkest=float(x[0]), brightest=float(x[-1]))


def _of_quiet(noise: Floats, change: Floats) -> float | None:
    """Variance of ``noise`` (n,) where least changes; None where something else than noise changes there too."""
    least = np.argpartition(change, int(QUIETEST * len(change)))[: int(QUIETEST * len(change))]
    if len(least) < FEWEST_PIXELS:
        return None
    variance = spread(noise[least]) ** 2
    return variance if np.median(change[least]) <= MOST_CHANGE * variance else None


def _line(x: Floats, variance: Floats) -> tuple[float, float]:
    """Slope, not negative, and intercept; the error of a variance grows with it."""
    weight = np.ones_like(x)
    slope = intercept = 0.0
    for _ in range(5):
        slope, intercept = np.polyfit(x, variance, 1, w=weight).tolist()
        if slope <= 0:
            slope, intercept = 0.0, float(np.average(variance, weights=weight**2))
        fitted = np.maximum(slope * x + intercept, variance.max() * 1e-3)
        off = np.abs(variance / fitted - 1)
        weight = 1 / fitted / np.maximum(1, off / max(1.345 * 1.4826 * float(np.median(off)), 1e-3)) ** 0.5
    return slope, intercept


def fit_pattern(residual: Floats, seen: Mask) -> FixedPattern:
    """The pattern in what HR leaves unexplained (N, h, w) of LR; pixels that are not ``seen`` (h, w) do not count.

    What both halves of the frames show is no noise.
    """
    halves = [_sharp(residual[start::2].mean(axis=0), seen) for start in (0, 1)]
    rows, columns = (_common(*(_means(half, seen, axis) for half in halves)) for axis in (1, 0))
    rows, columns = rows / LEFT[0], columns / LEFT[0]
    both = _common(*(half[seen] for half in halves)) / LEFT[1]
    count = seen.sum(axis=1).mean(), seen.sum(axis=0).mean()
    lines = [max(each - both / max(n, 1), 0.0) for each, n in zip((rows, columns), count, strict=True)]
    pixels = max(both - sum(lines), 0.0)
    return FixedPattern(pixels=np.sqrt(pixels), rows=np.sqrt(lines[0]), columns=np.sqrt(lines[1]))


def _sharp(image: Floats, seen: Mask) -> Floats:
    """An image (h, w) without what is smooth, 0 where it is not ``seen``; values far out are clipped."""
    rest = without_smooth(image, seen)
    limit = 5 * spread(rest[seen])
    return np.clip(rest, -limit, limit) if limit > 0 else rest


def _means(image: Floats, seen: Mask, axis: int) -> Floats:
    """Means of rows (axis 1) or columns of which at least half is seen."""
    count = seen.sum(axis=axis)
    enough = count >= max(count.max() / 2, 1)
    found: Floats = image.sum(axis=axis)[enough] / count[enough]
    return found


def _common(a: Floats, b: Floats) -> float:
    """Variance that two measurements (n,) have in common, at least 0."""
    return max(float(np.mean((a - a.mean()) * (b - b.mean()))), 0.0)

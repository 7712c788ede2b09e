"""One grey scale for both cameras.

The map comes from the HR sequence's percentiles; LR is matched to it where both cameras saw the same moment.
(The paper lets each sequence have its own percentiles, D4; that shifts one against the other.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.grey import Affine, fill_invalid, percentile_map, sample_frames
from napari_xfusion.core.plan import GreyRule
from napari_xfusion.core.rig.middle import median
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import PairingError, XFusionWarning

FLAT = 1e-5
"""Standard deviation in grey units of an image that shows nothing."""
MIDDLE = (10.0, 90.0)
"""Percentiles of the HR values through which a line is fitted that bright and dark outliers cannot tilt."""
HUBER = 1.345
"""Standard deviations from which a pixel counts less."""
FAR = 8.0
"""Standard deviations from that line beyond which a pixel does not belong to it."""
FOLLOW = 0.75
"""Correlation of LR and HR among such pixels, where they do belong together and the response is no line."""
FEWEST = 50
"""Such pixels that tell it."""


@dataclass(frozen=True)
class Grey:
    """The maps of the two cameras, how well they fit, and what is odd about it."""

    rule: GreyRule
    lr: Affine
    hr: Affine
    lr_noise: float
    """Standard deviation of LR about the binned HR image at common times, grey units."""
    correlation: float
    """Of LR with the binned HR image at common times; 1 is perfect."""
    notes: tuple[XFusionWarning, ...] = ()


def fit_grey(
    rule: GreyRule,
    sequences: tuple[Stack, Stack],
    common: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    down: Callable[[Image], Image],
) -> Grey:
    """The grey scale of two ``sequences``, LR and HR, by ``rule`` (see Plan.grey).

    ``common`` holds pairs of an LR frame (h, w) and an HR frame (H, W) of the same moment, in camera
    units; ``down`` bins the latter. Raises PairingError for rule ``none`` with values outside [0, 1].
    """
    lr, hr = sequences
    if rule == "none":
        for stack in sequences:
            _require_unit_range(stack)
        lr_map = hr_map = Affine(0.0, 1.0)
        notes: tuple[XFusionWarning, ...] = ()
    else:
        hr_map, notes = percentile_map(hr)
        lr_map, lr_notes = percentile_map(lr)
        notes += lr_notes
    compared = [(low, down(hr_map.to_grey(high))) for low, high in common]
    alike = _alike(compared)
    if len(alike) < len(compared):
        text = (
            f"{len(compared) - len(alike)} of {len(compared)} HR frames compared with LR show something else "
            "(black, saturated, of another time?); they are left out of the grey scale."
        )
        notes += (XFusionWarning("unlike", text),)
    lows, binned = np.stack([low for low, _ in alike]), np.stack([high for _, high in alike])
    good = np.ones(lows.shape, bool)
    if rule == "match":
        line = _match(lows, binned)
        if line is None:
            text = "LR could not be matched to binned HR; each sequence has its own percentiles instead."
            notes += (XFusionWarning("no-match", text),)
        elif line.bad is None:
            lr_map = line.lr
        else:  # percentiles of HR may be those of its bad pixels: its range is that of LR, through the line
            low, high = line.lr.to_grey(np.array([lr_map.zero, lr_map.zero + lr_map.span])).tolist()
            hr_map = Affine(hr_map.zero + low * hr_map.span, hr_map.span * (high - low))
            binned, good = (binned - np.float32(low)) / np.float32(high - low), ~line.bad
            text = (
                f"{100 * line.bad.mean():.2g}% of the HR pixels compared with LR have values that LR does not show "
                "(a label, a time stamp, hot or saturated pixels?). The grey scale leaves them out, unrepaired."
            )
            notes += (XFusionWarning("unlike-pixels", text, hr.source),)
    seen = lr_map.to_grey(lows)
    alike_by = correlation(seen[good], binned[good])
    if rule == "match" and alike_by < 0.5:
        text = (
            f"LR and binned HR agree poorly at common times (correlation {alike_by:.2f}). "
            "Check the HR times, and that both sequences show the same field of view."
        )
        notes += (XFusionWarning("poor-agreement", text),)
    return Grey(rule, lr_map, hr_map, spread(seen - binned), alike_by, notes)


def _require_unit_range(stack: Stack) -> None:
    for i in sample_frames(len(stack)):
        frame = fill_invalid(stack.frame(i))[0]
        low, high = float(frame.min()), float(frame.max())
        if low < -1e-3 or high > 1 + 1e-3:
            raise PairingError(
                f"{stack.source}, frame {i}",
                setting="grey",
                expected="values from 0 to 1, as {grey} none takes them",
                found=f"{low:g} to {high:g}",
                hint="use {grey} match",
            )


def _alike(compared: list[tuple[NDArray[Any], Image]]) -> list[tuple[NDArray[Any], Image]]:
    """The pairs of an LR frame (h, w) and a binned HR frame that show the same.

    A line is robust against pixels that are off, not against a whole frame that is: one saturated HR frame
    would tilt it for the whole sequence. A pair counts when it correlates half as well as the median one.
    """
    likeness = np.array(
        [correlation(low, high) if np.ptp(low) > 0 and high.std() > FLAT else 0.0 for low, high in compared]
    )
    least = 0.5 * np.median(likeness)
    return [pair for pair, c in zip(compared, likeness, strict=True) if least <= 0 or c >= least]


class Line(NamedTuple):
    """The line LR = span * grey + zero."""

    lr: Affine
    """LR values to the grey units of the binned HR frames."""
    bad: NDArray[np.bool_] | None
    """(N, h, w): pixels far off the line, where such pixels would have tilted a line through all; else None."""


def _match(seen: NDArray[Any], binned: Image) -> Line | None:
    """Robust line LR = span * grey + zero through pixels of common times; None where there is none.

    ``seen`` are LR frames (N, h, w) in camera units, ``binned`` the HR frames in grey units.

    LR is the dependent variable because it is the noisier one: the other way round noise would flatten
    the slope. Huber weights keep what moved between the two exposures from tilting it. They do not help against
    HR pixels far beyond all others, such as a label of the camera: a line through the middle of the HR values is
    taken where it leaves much less of LR unexplained, unless LR follows HR among the others, too, by another line.
    """
    lr, grey = (x.ravel().astype(np.float64) for x in (seen, binned))
    all_pixels = _huber(lr, grey)
    middle = _within(grey, MIDDLE)
    robust = _huber(lr[middle], grey[middle])
    if robust is not None:
        residual = _residual(lr, grey, robust)
        bad = residual > FAR * 1.4826 * float(median(residual))
        tilted = all_pixels is None or 2 * np.median(residual) < np.median(_residual(lr, grey, all_pixels))
        bent = bad.sum() >= FEWEST and correlation(lr[bad], grey[bad]) > FOLLOW
        if tilted and bad.any() and not bent:
            return Line(robust, bad.reshape(seen.shape))
    return None if all_pixels is None else Line(all_pixels, None)


def _huber(lr: NDArray[np.float64], grey: NDArray[np.float64]) -> Affine | None:
    """The line by iteratively reweighted least squares; None where it rises nowhere."""
    if not lr.size:
        return None
    weight = np.ones_like(lr)
    zero = span = 0.0
    for _ in range(8):
        total = weight.sum()
        grey_mean, lr_mean = (weight @ grey) / total, (weight @ lr) / total
        variance = weight @ (grey - grey_mean) ** 2 / total
        if variance < FLAT**2:
            return None
        span = float(weight @ ((grey - grey_mean) * (lr - lr_mean)) / total / variance)
        zero = float(lr_mean - span * grey_mean)
        residual = np.abs(lr - span * grey - zero)
        weight = huber_weights(residual, weight)
    if not span > 1e-6 * max(float(np.ptp(lr)), 1e-300):
        return None
    return Affine(zero, span)


def huber_weights(
    residual: NDArray[np.float64], before: NDArray[np.float64], sigmas: float = HUBER
) -> NDArray[np.float64]:
    """Weights (N,) of absolute residuals for the next fit; those of ``before`` where half of the residuals are 0."""
    limit = sigmas * 1.4826 * float(median(residual))
    return np.minimum(1.0, limit / np.maximum(residual, 1e-300)) if limit > 0 else before


def _residual(lr: NDArray[np.float64], grey: NDArray[np.float64], line: Affine) -> NDArray[np.float64]:
    residual: NDArray[np.float64] = np.abs(lr - line.span * grey - line.zero)
    return residual


def _within(values: NDArray[np.float64], percentiles: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = np.percentile(values, percentiles)
    inside: NDArray[np.bool_] = (values >= low) & (values <= high)
    return inside


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Pearson's; of images that show nothing 1 where both do, else 0."""
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    norm = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64)) / norm if norm > 0 else float(a.any() == b.any())


def spread(residual: NDArray[np.floating]) -> float:
    """Standard deviation from the median absolute deviation: motion is not noise."""
    values = residual.ravel()
    return 1.4826 * float(median(np.abs(values - median(values))))

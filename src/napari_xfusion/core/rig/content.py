"""Calibrate from what both recordings show: an exhaustive start at low resolution, ECC, and local shifts of tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.rig.correlate import Fixed, Mask, Orientation, absorbance, orientations, oriented
from napari_xfusion.core.rig.fit import (
    PLATE_NEEDS,
    THIN_PLATE,
    Fitted,
    Model,
    Points,
    fit_points,
    rms,
    without_outliers,
)
from napari_xfusion.core.types import Image
from napari_xfusion.errors import CalibrationError

START, MEDIUM = 32, 96
"""Pixels of the shorter side of LR in the exhaustive start, and where its best results are refined."""
SCALES = (1.2, 8.0)
"""HR pixels per LR pixel that are tried where pixel sizes are unknown."""
SCALE_STEP, ANGLE_STEP, ANGLES = 1.05, 3.0, 2
"""Ratio of scales, degrees, and angles to each side of the quarter turns that are tried."""
NEAR_SCALES = (0.97, 1.0, 1.03)
"""Of the scale that pixel sizes give."""
NEAR = 0.1
"""Of HR's shorter side, by which LR may lie elsewhere than where it was placed by hand."""
OVERLAP = 0.35
"""Fraction of the smaller field that both cameras must show."""
CANDIDATES = 16
"""Results of the exhaustive start that are refined."""
DARK = 0.05
"""Of the range of intensities: the least one of which a logarithm is taken."""
SLOW = 6
"""Shorter side over the standard deviation of what varies slowly."""
ONE_PLACE = 2.0
"""Pixels of the start by which mappings of the same place differ at the corners."""
TILES, SMALLEST = 8, 16
"""Tiles along the shorter side of LR, and their least side in LR pixels."""
HALF = 192
"""Pixels of the shorter side of LR from which on tiles are compared at half the resolution first."""
PART = 0.5
"""Of a tile that both cameras must show."""
BLUR = 0.7
"""Standard deviation in LR pixels by which both images are smoothed before tiles are compared."""
ROUNDS = 3
"""Of local shifts and a new fit."""
LIKE, FAR, VAGUE = 0.4, 1.5, 0.25
"""Correlation of a tile from which it counts; shift and standard deviation beyond which it does not, LR pixels."""
AGREE, SPREAD, FEWEST = 0.5, 0.25, 8
"""Fraction of the tiles that must agree, of the overlap they must span, and their least number."""
CERTAIN, CHANCE = 10.0, 6.0
"""Logarithm of the likelihood ratio of the best placement to any other; standard deviations of the correlation of
unlike images that the best one must exceed."""
SURE = 0.35
"""HR pixels by which the mappings of two halves of the tiles may differ, as standard deviation of the mapping."""


class Candidate(NamedTuple):
    """A mapping of LR pixels to HR pixels and how well the images agree under it."""

    mapping: Mapping
    correlation: float
    samples: float
    """Independent ones."""

    @property
    def rank(self) -> float:
        """The correlation in standard deviations of chance; its inverse hyperbolic tangent is normal (Fisher, 1921)."""
        return math.atanh(min(self.correlation, 0.9999)) * math.sqrt(max(self.samples - 3, 0))


def fit_content(
    lr: NDArray[np.float64],
    hr: NDArray[np.float64],
    scale: float | None,
    model: Model,
    near: Mapping | None = None,
) -> Fitted:
    """Fit the mapping of LR pixels to HR pixels to what the mean frames (h, w) and (H, W) both show.

    ``scale`` are the HR pixels per LR pixel by the pixel sizes. ``near`` is a rough mapping: the nearest one that
    agrees is taken, and no other is sought. Raises CalibrationError where it is not certain.
    """
    lr, hr = _filled(lr, "LR"), _filled(hr, "HR")
    try:
        if near is None:
            return _fit(lr, hr, _distinct(_started(lr, hr, scale), lr.shape).mapping, model)
        return _fit(lr, hr, _nearest(lr, hr, near), model)
    except _UncertainError as uncertain:
        raise _refusal(str(uncertain), sizes_known=scale is not None) from uncertain


def _fit(lr: NDArray[np.float64], hr: NDArray[np.float64], mapping: Mapping, model: Model) -> Fitted:
    if min(lr.shape) >= HALF:
        mapping = _fitted(_tiles_of_half(lr, hr, mapping), hr.shape, "affine", AGREE / 2).mapping
    for _ in range(ROUNDS):
        fit = _fitted(_tiles(lr, hr, mapping), hr.shape, model)
        mapping = fit.mapping
    _require_halves(fit, lr.shape, hr.shape)
    return fit


class _UncertainError(Exception):
    """Why the content does not give one mapping."""


def _refusal(problem: str, *, sizes_known: bool) -> CalibrationError:
    sizes = "check the pixel sizes" if sizes_known else "give the pixel sizes as"
    return CalibrationError(
        "recordings",
        problem=f"the content does not tell how the cameras lie on each other: {problem}",
        hint=f"{sizes} {{pixel_size_lr}} and {{pixel_size_hr}}, record a grid or a static object with fine structure"
        " all over the field, or give point pairs as {points}",
    )


def _filled(image: NDArray[np.float64], camera: str) -> NDArray[np.float64]:
    """The image without NaN and infinity, and positive; raises CalibrationError where it shows nothing."""
    finite = np.isfinite(image)
    if not finite.any() or np.ptp(image[finite]) == 0:
        raise CalibrationError(
            f"{camera} image",
            problem="all its pixels are equal",
            hint="check shutter, beam and the exported range",
        )
    low, middle, high = np.percentile(image[finite], (0.1, 50, 99.9))
    least = DARK * max(high - low, 1e-12)
    filled: NDArray[np.float64] = np.where(finite, image, middle) + max(0.0, least - low)
    return filled


# The start: all orientations, scales and turns at low resolution.


def _started(lr: NDArray[np.float64], hr: NDArray[np.float64], scale: float | None) -> list[Candidate]:
    """The best candidates of all orientations, best first."""
    small, grid = _resized(lr, max(1.0, min(lr.shape) / START))
    start = _Start(_textured(small), grid)
    found: list[Candidate] = []
    for tried in _scales(scale):
        image, of_hr = _resized(hr, tried * grid.scale[0])
        if min(image.shape) >= START / 4:
            found += _trials(start, _textured(image), of_hr)
    kept: list[Candidate] = []
    for each in sorted(found, key=lambda each: -each.rank):
        if len(kept) < CANDIDATES and not any(_same(each, other, lr.shape, 1.0) for other in kept):
            kept.append(each)
    refined = [done for each in kept if (done := _refined(each, lr, hr)) is not None]
    return sorted(refined, key=lambda each: -each.rank)


@dataclass(frozen=True, eq=False)
class _Start:
    """The texture of LR at low resolution, and its pixels to LR pixels."""

    image: Image
    grid: Mapping


def _scales(scale: float | None) -> list[float]:
    if scale is not None:
        return [scale * factor for factor in NEAR_SCALES]
    low, high = SCALES
    count = round(math.log(high / low) / math.log(SCALE_STEP)) + 1
    return [float(each) for each in np.geomspace(low, high, count)]


def _resized(image: NDArray[np.float64], factor: float) -> tuple[NDArray[np.float64], Mapping]:
    """The image with pixels ``factor`` times as wide, each the mean over its area, and their mapping to its pixels."""
    height, width = (max(1, round(n / factor)) for n in image.shape)
    small = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if factor >= 1 else cv2.INTER_CUBIC
    )
    return small, Mapping.scaled((image.shape[0] / height, image.shape[1] / width))


def _textured(image: NDArray[np.float64], mask: Mask | None = None) -> Image:
    """-log intensity without what varies slowly, such as illumination, where the mask is set; else 0."""
    shown = np.ones(image.shape, np.float32) if mask is None else mask.astype(np.float32)
    absorbed = absorbance(image)
    size = min(image.shape) / SLOW
    weight = cv2.GaussianBlur(shown, (0, 0), size)
    slow = cv2.GaussianBlur(absorbed * shown, (0, 0), size) / np.maximum(weight, 1e-3)
    texture: Image = (absorbed - slow) * shown
    return texture


def _trials(start: _Start, image: Image, grid: Mapping) -> Iterable[Candidate]:
    """Candidates of one scale: ``image`` in all turns and mirrors, moved to where it agrees best."""
    for turn in range(-ANGLES, ANGLES + 1):
        turned, mask, back = _turned(image, turn * ANGLE_STEP)
        for flips in orientations():
            flipped, shown = oriented(turned, flips), oriented(mask, flips)
            scores, counts = _fixed(start, flipped.shape).correlation(flipped, shown, OVERLAP)
            place = np.unravel_index((scores * np.sqrt(counts)).argmax(), scores.shape)
            down, right = (float(n - 1 - p) for n, p in zip(flipped.shape, place, strict=True))
            move = Mapping(shift=(down, right))
            chain = (move, _unflipped(turned.shape, flips), back, grid)
            mapping = start.grid.inverse
            for step in chain:
                mapping = mapping.then(step)
            yield Candidate(mapping, float(scores[place]), float(counts[place]))


@lru_cache(maxsize=2)
def _fixed(start: _Start, largest: Shape) -> Fixed:
    return Fixed(start.image, np.ones(start.image.shape, bool), largest)


def _turned(image: Image, degrees: float) -> tuple[Image, Mask, Mapping]:
    """The image turned about its middle, which pixels show it, and the mapping of its pixels to those of the image."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle = (np.array(image.shape) - 1) / 2
    linear = np.array([[c, -s], [s, c]])
    back = Mapping(linear=linear.tolist(), shift=(middle - linear @ middle).tolist())
    if degrees == 0:
        return image, np.ones(image.shape, bool), back
    return _sampled(image, back, image.shape), _inside(back, image.shape, image.shape), back


def _unflipped(shape: Shape, flips: Orientation) -> Mapping:
    """Pixels of ``oriented`` to those of the image, of ``shape``."""
    last = np.array(shape) - 1
    first = np.minimum(flips @ last, 0)
    back = flips.T
    return Mapping(linear=back.tolist(), shift=(back @ first).tolist())


def _sampled(image: Image, mapping: Mapping, shape: Shape) -> Image:
    """The image at ``mapping`` of the pixels of ``shape``, cubic, border pixels repeated."""
    at = mapping.to_output(_pixels(shape)).astype(np.float32)
    sampled: Image = cv2.remap(
        image, at[..., 1], at[..., 0], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return sampled


def _inside(mapping: Mapping, shape: Shape, other: Shape, border: float = 0.0) -> Mask:
    """Which pixels of ``shape`` the mapping puts at least ``border`` pixels inside an image of shape ``other``."""
    at = mapping.to_output(_pixels(shape))
    return np.asarray(((at >= border) & (at <= np.array(other) - 1 - border)).all(axis=-1))


def _pixels(shape: Shape) -> NDArray[np.int64]:
    return np.moveaxis(np.indices(shape), 0, -1)


def _same(one: Candidate, other: Candidate, lr_shape: Shape, times: float) -> bool:
    """Whether both mappings put the corners of LR in the same places."""
    (h, w) = lr_shape
    corners = np.array([(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)])
    away = np.linalg.norm(one.mapping.to_output(corners) - other.mapping.to_output(corners), axis=1)
    pixel = max(one.mapping.scale) * min(lr_shape) / START
    return bool(away.max() < times * ONE_PLACE * pixel)


# Refinement by the enhanced correlation coefficient.


def _refined(candidate: Candidate, lr: NDArray[np.float64], hr: NDArray[np.float64]) -> Candidate | None:
    """The candidate after ECC at two resolutions; None where that fails.

    Evangelidis and Psarakis, IEEE Trans. Pattern Anal. 30, 1858, 2008.
    """
    mapping = candidate.mapping
    for side, blurs in ((START, (1.0,)), (MEDIUM, (2.0, 1.0))):
        small, of_lr = _resized(lr, max(1.0, min(lr.shape) / side))
        for blur in blurs:
            scale = math.sqrt(abs(float(np.linalg.det(mapping.linear))))
            if not SCALES[0] / 1.5 < scale < SCALES[1] * 1.5:
                return None
            large, of_hr = _resized(hr, scale * of_lr.scale[0])
            moved = of_lr.then(mapping).then(of_hr.inverse)
            common = _inside(moved, small.shape, large.shape)
            if common.sum() < OVERLAP / 2 * common.size:
                return None
            here = _textured(small, common)
            there = _textured(large, _inside(moved.inverse, large.shape, small.shape))
            found = _ecc(here, there, moved, blur)
            if found is None:
                return None
            moved = found
            mapping = of_lr.inverse.then(moved).then(of_hr)
    both = common & _inside(moved, small.shape, large.shape)
    if both.sum() < OVERLAP / 2 * both.size:
        return None
    return Candidate(mapping, *_correlated(here, _sampled(there, moved, small.shape), both))


def _nearest(lr: NDArray[np.float64], hr: NDArray[np.float64], near: Mapping) -> Mapping:
    """The mapping that agrees nearest to a rough one; raises _UncertainError where none does."""
    reach = NEAR * min(hr.shape)
    for away in (0.0, reach / 3, 2 * reach / 3, reach):
        shifts = [(math.sin(turn) * away, math.cos(turn) * away) for turn in np.arange(8) * math.pi / 4]
        moved = [near.then(Mapping(shift=shift)) for shift in (shifts if away else shifts[:1])]
        found = [done for each in moved if (done := _refined(Candidate(each, 0, 0), lr, hr)) is not None]
        good = [each for each in found if each.correlation > LIKE and each.rank > CHANCE]
        if good:
            return max(good, key=lambda each: each.rank).mapping
    raise _UncertainError("nothing agrees near where LR was placed")


def _ecc(template: Image, image: Image, start: Mapping, blur: float) -> Mapping | None:
    """The affine mapping of template to image pixels near ``start`` with the highest correlation."""
    warp = np.ascontiguousarray(start.affine[:2][::-1, [1, 0, 2]], np.float32)
    one, other = (cv2.GaussianBlur(each, (0, 0), blur) for each in (template, image))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-5)
    try:
        # Its own blur reduces the scale.
        mask = (image != 0).astype(np.uint8)
        _, warp = cv2.findTransformECC(one, other, warp, cv2.MOTION_AFFINE, criteria, mask, 1)
    except cv2.error as error:
        if error.code != cv2.Error.StsNoConv:
            raise
        return None
    rows = warp[::-1, [1, 0, 2]].astype(float)
    if not np.isfinite(rows).all() or abs(np.linalg.det(rows[:, :2])) < 0.2:
        return None
    return Mapping(linear=rows[:, :2].tolist(), shift=rows[:, 2].tolist())


def _correlated(one: Image, other: Image, mask: Mask) -> tuple[float, float]:
    """The correlation of two images where the mask is set, and the number of independent samples.

    The variance of the correlation of unlike images is the sum of the products of their normalised power spectra.
    """
    a, b = (np.where(mask, each - each[mask].mean(), 0.0) for each in (one, other))
    energy = math.sqrt(float((a**2).sum() * (b**2).sum()))
    if energy == 0:
        return 0.0, 1.0
    powers = [np.abs(np.fft.fft2(each, [2 * n for n in each.shape])) ** 2 for each in (a, b)]
    samples = powers[0].sum() * powers[1].sum() / (powers[0] * powers[1]).sum()
    return float((a * b).sum()) / energy, max(float(samples) / 4, 1.0)


def _distinct(candidates: Sequence[Candidate], lr_shape: Shape) -> Candidate:
    """The best candidate; raises _UncertainError where another one is about as good, or it may be chance."""
    if not candidates or candidates[0].rank < CHANCE:
        raise _UncertainError("LR and HR have too little in common")
    best = candidates[0]
    for other in candidates[1:]:
        if _same(best, other, lr_shape, 1.0):
            continue
        samples = min(best.samples, other.samples)
        ratio = math.log((1 - max(other.correlation, 0) ** 2) / max(1 - best.correlation**2, 1e-9))
        if samples / 2 * ratio < CERTAIN:
            what = "the structure may be periodic" if best.correlation > LIKE else "LR and HR seem to differ"
            raise _UncertainError(
                f"two placements agree about as well, with correlations of {best.correlation:.2f} and"
                f" {other.correlation:.2f}; {what}"
            )
    return best


# Local shifts of tiles at the resolution of LR.


@dataclass(frozen=True, eq=False)
class _Tiles:
    """What tiles of LR say about the place of LR on HR."""

    lr: Points
    hr: Points
    weights: NDArray[np.float64]
    """Inverse standard deviations, 1 / HR pixels."""
    tried: int
    """Tiles that both cameras show."""
    across: float
    """Fraction of the rows times that of the columns of the overlap that the tiles span."""


def _predicted(hr: NDArray[np.float64], mapping: Mapping, shape: Shape) -> tuple[Image, Mask]:
    """LR as HR predicts it: the mean of HR over each LR pixel; and which pixels HR shows completely."""
    scale = math.sqrt(abs(float(np.linalg.det(mapping.linear))))
    kernel = _box(scale)
    blurred = cv2.sepFilter2D(hr.astype(np.float32), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    image = _sampled(blurred, mapping, shape)
    return image, _inside(mapping, shape, hr.shape, scale * (0.75 + 3 * BLUR))


def _box(width: float) -> NDArray[np.float64]:
    """A mean over ``width`` pixels, the outermost of which count in part."""
    reach = math.ceil((width - 1) / 2)
    edges = np.arange(-reach, reach + 2) - 0.5
    kernel = np.diff(edges.clip(-width / 2, width / 2))
    normalised: NDArray[np.float64] = kernel / kernel.sum()
    return normalised


def _tiles(lr: NDArray[np.float64], hr: NDArray[np.float64], mapping: Mapping) -> _Tiles:
    """The local shifts between LR and its prediction from HR."""
    there, inside = _predicted(hr, mapping, lr.shape)
    here, there = (cv2.GaussianBlur(absorbance(each), (0, 0), BLUR) for each in (lr, there))
    side = max(SMALLEST, min(lr.shape) // TILES)
    down, across = np.gradient(there)
    pairs, weights, tried = [], [], 0
    for top, left in product(*(range(2, n - side - 1, side) for n in lr.shape)):
        tile = np.s_[top : top + side, left : left + side]
        shown = inside[tile]
        if shown.mean() < PART:
            continue
        tried += 1
        values = (each[tile][shown] for each in (here, there, down, across))
        found = _shift(np.stack(list(values)), np.argwhere(shown))
        if found is not None:
            middle = np.array([top, left]) + np.argwhere(shown).mean(axis=0)
            pairs.append((middle, middle + found[0]))
            weights.append(1 / found[1])
    points = np.array(pairs).reshape(-1, 2, 2)
    seen = np.argwhere(inside)
    field = np.ptp(seen, axis=0) + 1 if len(seen) else np.ones(2)
    spanned = np.ptp(points[:, 0], axis=0) + side if len(points) else np.zeros(2)
    scale = mapping.scale[0]
    return _Tiles(
        points[:, 0],
        mapping.to_output(points[:, 1]),
        np.array(weights) / scale,
        tried,
        float(np.prod(spanned / field)),
    )


def _tiles_of_half(lr: NDArray[np.float64], hr: NDArray[np.float64], mapping: Mapping) -> _Tiles:
    """The same at half the resolution, where shifts may be twice as large."""
    small, grid = _resized(lr, 2)
    tiles = _tiles(small, hr, grid.then(mapping))
    return replace(tiles, lr=grid.to_output(tiles.lr))


def _shift(
    values: NDArray[np.float64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float] | None:
    """The shift (y, x) from ``there`` to ``here`` in pixels, with its standard deviation; None where it is vague.

    ``values`` (4, N) are those of ``here``, of ``there`` and of its derivatives along y and x, at ``pixels`` (N, 2).
    Gain, offset and a gradient of the illumination are fitted as well (Lucas and Kanade, 1981).
    """
    shading = np.column_stack([np.ones(len(pixels)), pixels - pixels.mean(axis=0)])
    basis = np.linalg.qr(shading)[0]
    rest_of = values - (values @ basis) @ basis.T
    target, rows = rest_of[0], rest_of[1:].T
    solution, rest, rank, _ = np.linalg.lstsq(rows, target, rcond=None)
    gain, energy = solution[0], float(target @ target)
    if rank < 3 or gain <= 0 or energy == 0:
        return None
    like = math.sqrt(max(0.0, 1 - float(rest[0]) / energy))
    # Neighbouring residuals are smoothed alike.
    alike = 4 * math.pi * BLUR**2 + 1
    spread = np.linalg.inv(rows.T @ rows) * float(rest[0]) / max(len(pixels) - 6, 1) * alike
    deviation = math.sqrt(max(spread[1, 1] + spread[2, 2], 0.0)) / gain
    shift = solution[1:] / gain
    if like < LIKE or deviation > VAGUE or np.abs(shift).max() > FAR:
        return None
    return shift, max(deviation, 1e-3)


def _fitted(tiles: _Tiles, hr_shape: Shape, model: Model, agree: float = AGREE) -> Fitted:
    """The mapping that the tiles agree on."""
    if len(tiles.lr) < FEWEST:
        raise _UncertainError(f"{len(tiles.lr)} of {tiles.tried} tiles of the common field agree")
    agreeing = without_outliers(tiles.lr, tiles.hr, hr_shape)
    if agreeing.sum() < max(FEWEST, agree * tiles.tried) or tiles.across < SPREAD:
        raise _UncertainError(
            f"{agreeing.sum()} of {tiles.tried} tiles of the common field agree, over {tiles.across:.0%} of it"
        )
    return fit_points(tiles.lr[agreeing], tiles.hr[agreeing], hr_shape, model, tiles.weights[agreeing])


def _require_halves(fit: Fitted, lr_shape: Shape, hr_shape: Shape) -> None:
    """Raise _UncertainError where every other tile gives another mapping."""
    name: Model = "radial" if fit.model.startswith("radial") else "affine"
    if fit.model == THIN_PLATE and len(fit.lr) >= 2 * PLATE_NEEDS:
        name = "thin-plate"
    half = np.arange(len(fit.lr)) % 2 == 0
    one, other = (
        fit_points(fit.lr[which], fit.hr[which], hr_shape, name, fit.weights[which]).mapping
        for which in (half, ~half)
    )
    pixels = np.stack(np.meshgrid(*(np.linspace(0, n - 1, 20) for n in lr_shape), indexing="ij"), -1).reshape(
        -1, 2
    )
    at = fit.mapping.to_output(pixels)
    inside = ((at > 0) & (at < np.array(hr_shape) - 1)).all(axis=1)
    apart = rms(one.to_output(pixels[inside]) - other.to_output(pixels[inside])) / 2
    if apart > SURE:
        raise _UncertainError(f"two halves of the tiles disagree by {2 * apart:.2f} HR pixels")

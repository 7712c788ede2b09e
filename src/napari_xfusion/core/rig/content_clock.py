"""When one camera took its frames on the clock of another, from what changes in front of both.

HR frames are compared with LR as it was during their exposures, for all offsets between the clocks. What does not
change (fixed patterns, illumination, stains of one camera) and the brightness of each frame are left out. LR is
smoothed in time by the same Gaussian at every offset: linear interpolation between two frames averages noise and
motion more at some offsets than at others, and biases the result.

Legend: T LR frames · N HR frames · P pixels of a common grid · K tiles of it. Times are in mean LR intervals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.rig.common_view import LEAST_SMOOTH, Floats, Views
from napari_xfusion.core.types import Image

SMOOTHING = (LEAST_SMOOTH, 2 * LEAST_SMOOTH, 4 * LEAST_SMOOTH)
"""Standard deviations in LR frames of the smoothing that is tried: more leaves less noise, less keeps quick motion."""
FEWEST = 4
"""HR frames inside LR: of fewer, chance explains any agreement."""
COMPONENTS = 48
"""Principal components of LR that are compared at all offsets."""
STEP, GRID, FINE = 0.5, 0.25, 0.125
"""LR frames between the offsets tried everywhere, the times at which LR is looked up for that, and around the best one.
"""
REACH = 1.0
"""LR frames around the best offset that are looked at closely."""
RIVALS = 6
"""Other offsets that are compared with the best one, at most, in each of two orders."""
LEADS = ((0.05, 2.5), (0.15, 1.5))
"""Share of what changes in HR that the best offset must explain beyond any other, and the same in standard errors: one
of these pairs."""
LEAST_EVIDENCE = 5.0
"""Standard errors of what the best offset explains: noise alone reaches 2 at the best of all offsets."""
LARGEST_SIGMA = 0.2
"""LR frames; an offset that is less certain may be wrong by half a frame."""
SEGMENT = 8
"""HR frames of one part of the recording, at least, where drift is looked for."""
DRIFT = 5e-4
"""Difference of the clocks' rates that is looked for, at most: ten times what crystals have."""
CRYSTAL = 5e-5
"""Of clocks that run apart without that being found, typically."""
LEAST_DRIFT = 3.0
"""Standard errors that make a drift significant."""
APART = 0.5
"""LR frames by which offsets of different smoothing may differ."""
_TINY = 1e-30

Reason = Literal["few", "static", "ambiguous", "uncertain"]
"""Too few HR frames inside LR, nothing that changes in both, several offsets that fit equally, a wide error bar."""


_NEAREST: tuple[Reason, ...] = ("few", "static", "ambiguous", "uncertain")
"""The last one is nearest to an answer."""


class Refused(Exception):  # noqa: N818 - not a fault: a finding
    """The content does not tell the offset."""

    def __init__(self, reason: Reason, best: float = np.nan, other: float = np.nan, frames: int = 0) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.best = best
        """The offset that fits best, where there is one."""
        self.other = other
        """Another one that fits equally; where it is uncertain, its standard deviation."""
        self.frames = frames
        """HR frames inside LR then."""


class Fit(NamedTuple):
    """The clock of HR on that of LR."""

    start: float
    """From the centre of the exposure of LR frame 0 to that of HR frame 0, mean LR intervals."""
    sigma: float
    """Its standard deviation."""
    stretch: float
    """True over stated time between HR frames, 1 without drift."""
    correlation: float
    """Of what changes in LR and in HR, at this offset."""
    frames: int
    """HR frames that were compared."""

    @property
    def drifts(self) -> bool:
        """Whether a drift was found."""
        return self.stretch != 1


def find_clock(
    views: Views, bounds: tuple[float, float] | None = None, evidence: float = LEAST_EVIDENCE
) -> Fit:
    """The offset that makes LR agree best with HR, its standard deviation, and drift where it is significant.

    ``bounds`` are those of the offset where it is known so far; ``evidence`` see LEAST_EVIDENCE. Raises Refused.
    """
    found, refused = list[Fit](), list[Refused]()
    for smooth in SMOOTHING:
        try:
            found.append(_find(replace(views, smooth=smooth), bounds, evidence))
        except Refused as reason:
            refused.append(reason)
    if not found:
        raise max(refused, key=lambda each: (_NEAREST.index(each.reason), -each.other))
    best = min(found, key=lambda fit: (not fit.drifts, fit.sigma))
    for fit in found:
        if fit.drifts == best.drifts and abs(fit.start - best.start) > APART:
            raise Refused("ambiguous", best.start, fit.start, best.frames)
    return best


def _find(views: Views, bounds: tuple[float, float] | None, evidence: float) -> Fit:
    if len(views.since) < FEWEST:
        raise Refused("few", frames=len(views.since))
    stretch, starts, scores = _search(views, bounds)
    views = replace(views, since=views.since * stretch)
    best, most = int(scores[:, 0].argmax()), int(scores[:, 1].max())
    if not scores[best, 0] > 0:
        raise Refused("static" if most >= FEWEST else "few", frames=most)
    if _evidence(views, starts[best]) < evidence:
        raise Refused("static", starts[best], frames=int(scores[best, 1]))
    for other in _rivals(starts, scores, best):
        if views.is_brightness and scores[other, 1] < scores[best, 1] / 2:
            continue  # few numbers agree by chance
        if _as_good(views, starts[best], starts[other]):
            raise Refused("ambiguous", starts[best], starts[other], int(scores[best, 1]))
    return _refine(views, starts[best], stretch)


def _search(views: Views, bounds: tuple[float, float] | None) -> tuple[float, Floats, Floats]:
    """The best stretch, and for it all offsets (C,) and their scores (C, 2): evidence, HR frames inside LR."""
    coarse = components(views)
    last, since = float(views.when[-1]), views.since
    low, high = bounds or (-since[-FEWEST], last - since[FEWEST - 1])
    starts = np.arange(low, high + STEP, STEP)
    grid = np.arange(-1, last + 1 + GRID, GRID)
    table = coarse.lr_at(grid)
    found = {}
    for stretch in _stretches(views):
        stretched = replace(coarse, since=since * stretch)
        found[stretch] = np.array([_score(stretched, table, start) for start in starts])
    best = max(found, key=lambda stretch: float(found[stretch][:, 0].max()))
    return best, starts, found[best]


def _stretches(views: Views) -> list[float]:
    """Those whose times differ by an offset step at the ends of the recording; 1 alone where none does."""
    length = min(float(views.since[-1]), float(views.when[-1]))
    count = int(DRIFT * length / 2 / STEP)
    return [1 + DRIFT * i / max(count, 1) for i in sorted(range(-count, count + 1), key=abs)]


def components(views: Views) -> Views:
    """The same in the principal components of LR, which hold what changes and little noise."""
    lr = views.lr
    if lr.shape[0] < lr.shape[1]:
        _, vectors = np.linalg.eigh(lr @ lr.T)
        axes, _ = np.linalg.qr(lr.T @ vectors[:, ::-1][:, :COMPONENTS])
    else:
        _, vectors = np.linalg.eigh(lr.T @ lr)
        axes = vectors[:, ::-1][:, :COMPONENTS]
    return replace(views, lr=lr @ axes, hr=views.hr @ axes, tile=np.zeros(axes.shape[1], np.intp))


def _score(views: Views, table: Image, start: float) -> tuple[float, float]:
    """The ``agreement`` of the HR frames inside LR, and how many these are.

    ``table`` (., P) is LR from time -1 on in steps of GRID.
    """
    times = start + views.since
    chosen = views.inside(times)
    count = int(chosen.sum())
    if count < FEWEST:
        return 0.0, count
    return agreement(table[table_rows(times[chosen])], views.hr[chosen]), count


def table_rows(times: Floats) -> NDArray[np.intp]:
    """The rows of a table of LR from time -1 on in steps of GRID."""
    return np.rint((times + 1) / GRID).astype(np.intp)


def agreement(lr: Image, hr: Image) -> float:
    """How much better changes of HR (n, P) are explained by those of LR than by none: a log likelihood, 0 at least.

    The same correlation is worth more the more frames have it.
    """
    x, y = _centred(lr), _centred(hr)
    square = max(float(np.vdot(x, y)), 0.0) ** 2 / (float(np.vdot(x, x)) * float(np.vdot(y, y)) + _TINY)
    return -(len(hr) - 1) / 2 * float(np.log(max(1 - square, 1e-9)))


class _Sums(NamedTuple):
    """Sums of products (n, K) over the pixels of a tile in a frame."""

    both: Floats
    lr: Floats
    hr: Floats

    @property
    def explained(self) -> Floats:
        """(n, K) what LR explains of the mean square of HR, with one gain."""
        gain = max(float(self.both.sum()), 0.0) / (float(self.lr.sum()) + _TINY)
        share: Floats = (2 * gain * self.both - gain**2 * self.lr) / (float(self.hr.mean()) + _TINY)
        return share

    @property
    def left(self) -> Floats:
        """(n, K) what remains of the mean square of HR."""
        left: Floats = self.hr / (float(self.hr.mean()) + _TINY) - self.explained
        return left


def _sums(views: Views, times: Floats, chosen: NDArray[np.bool_]) -> _Sums:
    """Of the changes among the HR frames ``chosen`` (N,), where HR was exposed about ``times`` (N,)."""
    x, y, tiles = _centred(views.lr_at(times[chosen])), _centred(views.hr[chosen]), views.tiles
    return _Sums(*((product @ tiles).astype(np.float64) for product in (x * y, x * x, y * y)))


def _evidence(views: Views, start: float) -> float:
    """What LR explains of HR, in standard errors; by Fisher's transformation where a frame is one number."""
    times = start + views.since
    chosen = views.inside(times)
    sums = _sums(views, times, chosen)
    if not views.is_brightness:
        return _in_errors(sums.explained)
    correlation = sums.both.sum() / np.sqrt(sums.lr.sum() * sums.hr.sum() + _TINY)
    return float(np.arctanh(np.clip(correlation, 0, 1 - 1e-9)) * np.sqrt(max(int(chosen.sum()) - 3, 0)))


def _rivals(starts: Floats, scores: Floats, best: int) -> list[int]:
    """Other local maxima: those with the most evidence, and those where the frames inside LR agree best."""
    found: list[int] = []
    for value in (scores[:, 0], scores[:, 0] / np.maximum(scores[:, 1] - 1, 1)):
        peaks = np.flatnonzero((value[1:-1] >= value[:-2]) & (value[1:-1] > value[2:])) + 1
        far = peaks[np.abs(starts[peaks] - starts[best]) > REACH]
        found += far[np.argsort(-value[far], kind="stable")][:RIVALS].tolist()
    return list(dict.fromkeys(found))


def _as_good(views: Views, best: float, other: float) -> bool:
    """Whether HR frames agree as well with LR at another offset: on the frames inside LR at both, if there are some."""
    here, there = best + views.since, other + views.since
    common = views.inside(here) & views.inside(there)
    if common.sum() >= FEWEST - 1:
        lead = _sums(views, there, common).left - _sums(views, here, common).left
        return not _leads(float(lead.mean()), _in_errors(lead))
    theirs, ours = _sums(views, there, views.inside(there)).left, _sums(views, here, views.inside(here)).left
    error = float(np.sqrt(theirs.var() / theirs.size + ours.var() / ours.size))
    lead_of_means = float(theirs.mean() - ours.mean())
    return not _leads(lead_of_means, lead_of_means / (error + _TINY))


def _leads(lead: float, in_errors: float) -> bool:
    return any(lead >= share and in_errors >= sigmas for share, sigmas in LEADS)


def _in_errors(cells: Floats) -> float:
    """The mean of (n, K) in its standard errors."""
    return float(cells.mean() / (cells.std() / np.sqrt(cells.size) + _TINY))


def _refine(views: Views, start: float, stretch: float) -> Fit:
    """The offset near ``start`` as a fraction of a frame, and drift from the parts of the recording."""
    chosen = views.inside(start + views.since)
    local = _local(views, start, chosen)
    count = int(chosen.sum())
    if local.sigma > LARGEST_SIGMA:
        raise Refused("uncertain", local.start, local.sigma, count)
    drift = _drift(views, local.start, chosen)
    if drift is not None:
        return Fit(drift.start, drift.sigma, stretch * drift.slope, local.correlation, count)
    apart = CRYSTAL * float(views.since[chosen].std())
    return Fit(local.start, float(np.hypot(local.sigma, apart)), stretch, local.correlation, count)


class _Local(NamedTuple):
    start: float
    sigma: float
    correlation: float


def _local(views: Views, start: float, chosen: NDArray[np.bool_]) -> _Local:
    """The best offset within REACH of ``start``, by the HR frames ``chosen`` (N,) that stay inside LR.

    The standard deviation is from what it becomes without each frame, or without each tile (jackknife): the larger one,
    as both contain the noise.
    """
    for _ in range(3):
        starts = start + np.asarray(
            FINE * np.arange(-round(REACH / FINE), round(REACH / FINE) + 1), np.float64
        )
        used = chosen & views.inside(starts[0] + views.since) & views.inside(starts[-1] + views.since)
        if used.sum() < FEWEST - 1:
            raise Refused("few", start, frames=int(used.sum()))
        sums = [_sums(views, each + views.since, used) for each in starts]
        both, lr = (np.stack(each) for each in ([s.both for s in sums], [s.lr for s in sums]))
        best = float(_peak(both.sum(axis=(1, 2)), lr.sum(axis=(1, 2)), starts))
        if abs(best - start) < REACH - FINE:
            break
        start = best
    else:
        raise Refused("uncertain", best, np.inf, int(used.sum()))
    frames, tiles = (_without_each(both, lr, starts, axis) for axis in (2, 1))
    few = float(scipy.special.stdtrit(max(int(used.sum()) - 1, 1), 0.975)) / 1.96
    sigma = few * max(_jackknife(frames), _jackknife(tiles))
    middle = int(np.abs(starts - best).argmin())
    total = sums[middle]
    correlation = total.both.sum() / np.sqrt(total.lr.sum() * total.hr.sum() + _TINY)
    return _Local(best, sigma, float(correlation))


def _without_each(both: Floats, lr: Floats, starts: Floats, axis: int) -> Floats:
    """The best offsets without each frame (``axis`` 2 is summed) or each tile (1)."""
    total = both.sum(axis=(1, 2))[:, None] - both.sum(axis=axis)
    return _peak(total, lr.sum(axis=(1, 2))[:, None] - lr.sum(axis=axis), starts)


def _peak(both: Floats, lr: Floats, starts: Floats) -> Floats:
    """Where LR explains most, by the parabola through the best of (C, ...) and its neighbours: (...)."""
    value = np.maximum(both, 0) ** 2 / np.maximum(lr, 1e-3 * np.abs(lr).max() + _TINY)
    best = np.clip(value.argmax(axis=0), 1, len(starts) - 2)
    before, at, after = (np.take_along_axis(value, np.expand_dims(best + d, 0), 0)[0] for d in (-1, 0, 1))
    curve = before - 2 * at + after
    part = np.where(curve < 0, np.clip((before - after) / (2 * np.where(curve < 0, curve, -1)), -1, 1), 0)
    place: Floats = starts[best] + part * (starts[1] - starts[0])
    return place


def _jackknife(values: Floats) -> float:
    return float(np.sqrt((len(values) - 1) * values.var()))


class _Drift(NamedTuple):
    start: float
    sigma: float
    slope: float


def _drift(views: Views, start: float, chosen: NDArray[np.bool_]) -> _Drift | None:
    """The line through the offsets of parts of the recording, where it is significantly inclined."""
    numbers = np.flatnonzero(chosen)
    parts = np.array_split(numbers, min(len(numbers) // SEGMENT, 8)) if len(numbers) >= 3 * SEGMENT else []
    found = []
    for part in parts:
        only = np.zeros_like(chosen)
        only[part] = True
        try:
            local = _local(views, start, only)
        except Refused:
            continue
        found.append((float(views.since[part].mean()), local.start, local.sigma))
    if len(found) < 3:
        return None
    since, starts, sigmas = np.array(found).T
    weights = 1 / np.maximum(sigmas, 1e-3)
    line, covariance = np.polyfit(since, starts, 1, w=weights, cov="unscaled")
    misfit = (
        float(np.mean(((starts - np.polyval(line, since)) * weights) ** 2)) * len(found) / (len(found) - 2)
    )
    slope, error = float(line[0]), float(np.sqrt(covariance[0, 0] * max(misfit, 1.0)))
    if abs(slope) < LEAST_DRIFT * error or abs(slope) > 2 * DRIFT:
        return None
    return _Drift(float(line[1]), float(np.sqrt(covariance[1, 1] * max(misfit, 1.0))), 1 + slope)


def _centred(x: Image) -> Image:
    about_mean: Image = x - x.mean(axis=0)
    return about_mean

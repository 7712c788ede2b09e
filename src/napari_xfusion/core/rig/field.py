"""What makes LR differ from HR by position and by grey value: uneven illumination, a response that is no line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from napari_xfusion.core.rig.grey import huber_weights
from napari_xfusion.core.rig.pattern import Pairs
from napari_xfusion.core.rig.photometry import Array, Photometry, Shading, along, monotone_curve
from napari_xfusion.errors import XFusionWarning

LEAST_GAIN = 0.15
"""Share of the mean square difference between the cameras, on frames not used for the fit, that a model must remove."""
SIMPLER = 0.98
"""A model of more parameters must leave less than this share of what the simpler one leaves."""
ORDER = 2
"""Of the polynomials of position."""
MOST_PIXELS = 60_000
"""Pixels that a model is fitted to."""
FEWEST_PIXELS = 200
"""Pixels of LR that both cameras see; fewer show too little."""


def fit_field(
    common: Pairs, which: Sequence[str], usable: NDArray[np.bool_]
) -> tuple[Photometry, tuple[XFusionWarning, ...]]:
    """What makes LR differ from HR by position (``shading``) and by grey value (``response``), as far as named.

    ``usable`` (h, w) are the pixels that both cameras see. The simplest model is taken that leaves least on frames, or
    parts of the field, that it was not fitted to.
    """
    if int(usable.sum()) < FEWEST_PIXELS:
        return Photometry(), ()
    sample = _Sample.of(common, usable)
    models: dict[tuple[str, ...], Callable[[_Sample], Photometry]] = {(): lambda _: Photometry()}
    if "shading" in which:
        models["shading",] = _fit_shading
    if "response" in which:
        models["response",] = _fit_response
    if len(models) == 3:
        models["response", "shading"] = _fit_both
    left = {name: _left(sample, fit) for name, fit in models.items()}
    best: tuple[str, ...] = ()
    for name in models:
        needed = LEAST_GAIN if best == () else 1 - SIMPLER
        if left[name] < (1 - needed) * left[best]:
            best = name
    if best == ():
        return Photometry(), ()
    found = models[best](sample)
    return found, tuple(_explain(found, sample))


class _Sample(NamedTuple):
    """Pixels of common times."""

    seen: Array
    """(N,) LR."""
    expected: Array
    """(N,) binned HR."""
    y: Array
    x: Array
    """(N,) position, -1..1."""
    half: NDArray[np.bool_]
    """(N,) which half each belongs to."""

    @classmethod
    def of(cls, common: Pairs, usable: NDArray[np.bool_]) -> _Sample:
        shape = usable.shape
        y, x = (
            np.broadcast_to(each, shape)
            for each in np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        )
        rows, columns = np.indices(shape)
        halves = [
            np.full(shape, bool(k % 2)) if len(common) >= 4 else ((rows // 8 + columns // 8) % 2 == 1)
            for k in range(len(common))
        ]
        every = max(1, len(common) * int(usable.sum()) // MOST_PIXELS)
        at = np.flatnonzero(usable)
        parts = [
            [array.ravel()[at[k % every :: every]] for array in (low, high, y, x, half)]
            for k, ((low, high), half) in enumerate(zip(common, halves, strict=True))
        ]
        seen, expected, ys, xs, half = (np.concatenate(each) for each in zip(*parts, strict=True))
        values = [np.asarray(each, np.float64) for each in (seen, expected, ys, xs)]
        return cls(values[0], values[1], values[2], values[3], half.astype(bool))

    def select(self, mask: NDArray[np.bool_]) -> _Sample:
        """Some of the pixels."""
        return _Sample(self.seen[mask], self.expected[mask], self.y[mask], self.x[mask], self.half[mask])

    def corrected(self, photometry: Photometry) -> Array:
        """LR values after ``photometry``, which has no lines."""
        values = self.seen
        if photometry.response[0]:
            values = along(values, *map(np.array, photometry.response))
        if photometry.shading is not None:
            gain, offset = photometry.shading.at(self.y, self.x)
            values = (values - offset) / gain
        return values

    def foreseen(self, photometry: Photometry) -> Array:
        """LR values that the binned HR values would have, were ``photometry`` right; the inverse of ``corrected``."""
        values = self.expected
        if photometry.shading is not None:
            gain, offset = photometry.shading.at(self.y, self.x)
            values = gain * values + offset
        if photometry.response[0]:
            values = along(values, *map(np.array, reversed(photometry.response)))
        return values


def _left(sample: _Sample, fit: Callable[[_Sample], Photometry]) -> float:
    """Mean square difference of LR and what each half expects of it by what was fitted to the other one.

    Large ones are clipped. LR itself is compared, not corrected LR: a curve that is too flat makes its noise smaller.
    """
    rest = [
        part.seen - part.foreseen(fit(sample.select(~mask)))
        for mask in (sample.half, ~sample.half)
        for part in (sample.select(mask),)
    ]
    before = sample.seen - sample.expected
    limit = 4 * 1.4826 * float(np.median(np.abs(before - np.median(before)))) + 1e-9
    together = np.concatenate(rest)
    return float(np.mean(np.minimum(together**2, limit**2)))


def _fit_shading(sample: _Sample) -> Photometry:
    """Polynomials of gain and offset, by iteratively reweighted least squares."""
    terms = legendre.legvander2d(sample.y, sample.x, (ORDER, ORDER))
    chosen = [i * (ORDER + 1) + j for i in range(ORDER + 1) for j in range(ORDER + 1) if i + j <= ORDER]
    basis = terms[:, chosen]
    design = np.concatenate([basis * sample.expected[:, None], basis], axis=1)
    solution = _robust(design, sample.seen)
    coefficients = np.zeros((2, (ORDER + 1) ** 2))
    coefficients[:, chosen] = solution.reshape(2, -1)
    gain, offset = (tuple(map(tuple, each.reshape(ORDER + 1, ORDER + 1).tolist())) for each in coefficients)
    shading = Shading(gain=gain, offset=offset)
    if shading.field((9, 9))[0].min() < 0.1:
        return Photometry()
    return Photometry(shading=shading)


def _robust(design: Array, values: Array) -> Array:
    weight: Array = np.ones(len(values))
    solution: Array = np.zeros(design.shape[1])
    for _ in range(5):
        weighted = design * weight[:, None]
        normal = design.T @ weighted
        normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
        solution = np.asarray(np.linalg.solve(normal, weighted.T @ values), np.float64)
        rest = np.abs(values - design @ solution)
        weight = huber_weights(rest, weight)
    return solution


def _fit_response(sample: _Sample) -> Photometry:
    expected, seen = monotone_curve(sample.expected, sample.seen)
    return Photometry(response=(tuple(seen.tolist()), tuple(expected.tolist())))


def _fit_both(sample: _Sample) -> Photometry:
    """A curve, then polynomials of what it leaves; twice."""
    response, shading = _fit_response(sample), Photometry()
    for _ in range(2):
        straight = sample._replace(seen=sample.corrected(response))
        shading = _fit_shading(straight)
        if shading.shading is None:
            return response
        gain, offset = shading.shading.at(sample.y, sample.x)
        response = _fit_response(sample._replace(expected=gain * sample.expected + offset))
    return Photometry(response=response.response, shading=shading.shading)


def _explain(found: Photometry, sample: _Sample) -> Iterator[XFusionWarning]:
    if found.response[0]:
        seen, meant = (np.array(each) for each in found.response)
        line = np.polyval(np.polyfit(meant, seen, 1), meant)
        text = (
            f"LR does not follow HR by a straight line: it bends by {np.abs(seen - line).max():.1%} of full scale "
            "(gamma, saturation?). The curve is applied."
        )
        yield XFusionWarning("response", text)
    if found.shading is not None:
        gain, offset = found.shading.field((17, 17))
        size = float(np.ptp(gain * float(np.median(sample.expected)) + offset))
        text = f"the illumination of LR and HR differs by {size:.1%} of full scale across the field; it is corrected."
        yield XFusionWarning("shading", text)

"""A smooth warp through residuals: a thin-plate spline of few knots, as stiff as leave-one-out errors ask for.

Green and Silverman, Nonparametric Regression and Generalized Linear Models, Chapman & Hall, 1994, chapter 7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Warp

KNOTS = 40
"""At most; so many of them for each of the pairs at most as PER_PAIR."""
PER_PAIR = 0.5
STIFFNESS = np.geomspace(1e-6, 1e3, 19)
"""Tried weights of the bending energy."""
GRID, BEYOND = (15, 19), 0.15
"""Places down and across at which the warp is saved; how far they reach beyond the points, in the extent of these."""
Floats = NDArray[np.float64]


def bend(points: Floats, rest: Floats, weights: Floats) -> tuple[Warp, Floats, Floats]:
    """The warp of points (N, 2) through ``rest`` (N, 2), and what it leaves of it, also when each is left out.

    ``weights`` (N,) are inverse standard deviations.
    """
    middle, size = points.mean(axis=0), float(np.ptp(points, axis=0).max()) / 2
    unit = (points - middle) / size
    basis = _Basis.of(unit)
    rows, energy = basis.rows(unit), basis.energy
    weighted, target = rows * weights[:, None], rest * weights[:, None]
    normal, right = weighted.T @ weighted, weighted.T @ target
    scale = np.trace(normal) / max(np.trace(energy), 1e-30)
    best, terms, left_out = np.inf, np.zeros((rows.shape[1], 2)), rest
    for stiffness in STIFFNESS:
        inverse = np.linalg.pinv(normal + stiffness * scale * energy, hermitian=True)
        tried = inverse @ right
        leverage = np.einsum("ij,jk,ik->i", weighted, inverse, weighted)
        out = (rest - rows @ tried) / np.maximum(1 - leverage, 1e-3)[:, None]
        error = float(((out * weights[:, None]) ** 2).sum())
        if error < best:
            best, terms, left_out = error, tried, out
    beyond = BEYOND * np.ptp(unit, axis=0)
    low, high = unit.min(axis=0) - beyond, unit.max(axis=0) + beyond
    places = np.stack(np.meshgrid(*map(np.linspace, low, high, GRID), indexing="ij"), axis=-1)
    down, across = np.moveaxis(basis.rows(places.reshape(-1, 2)) @ terms, -1, 0).reshape(2, *GRID)
    per_pixel = (np.array(GRID) - 1) / (high - low) / size
    shift = -(middle + low * size) * per_pixel
    warp = Warp(
        linear=((float(per_pixel[0]), 0.0), (0.0, float(per_pixel[1]))),
        shift=(float(shift[0]), float(shift[1])),
        down=tuple(map(tuple, down.tolist())),
        across=tuple(map(tuple, across.tolist())),
    )
    return warp, rest - warp(points), left_out


class _Basis:
    """Affine terms and thin-plate splines about knots that bend nothing affine."""

    def __init__(self, knots: Floats) -> None:
        self.knots = knots
        _, _, rows = np.linalg.svd(_affine(knots).T)
        self.free = rows[3:].T
        bending = self.free.T @ _green(knots, knots) @ self.free
        self.energy = np.zeros((3 + self.free.shape[1],) * 2)
        self.energy[3:, 3:] = bending

    @classmethod
    def of(cls, unit: Floats) -> _Basis:
        """With knots among points (N, 2) that are far from each other."""
        count = max(4, min(KNOTS, int(PER_PAIR * len(unit))))
        chosen = [int(np.linalg.norm(unit, axis=1).argmin())]
        away = np.linalg.norm(unit - unit[chosen[0]], axis=1)
        while len(chosen) < count and away.max() > 0:
            chosen.append(int(away.argmax()))
            away = np.minimum(away, np.linalg.norm(unit - unit[chosen[-1]], axis=1))
        return cls(unit[chosen])

    def rows(self, unit: Floats) -> Floats:
        """(N, terms) at points (N, 2)."""
        return np.hstack([_affine(unit), _green(unit, self.knots) @ self.free])


def _affine(unit: Floats) -> Floats:
    return np.column_stack([np.ones(len(unit)), unit])


def _green(a: Floats, b: Floats) -> Floats:
    """r^2 log r of the distances (N, K)."""
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    found: Floats = 0.5 * square * np.log(np.maximum(square, 1e-30))
    return found

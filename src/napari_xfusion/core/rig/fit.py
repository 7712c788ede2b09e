"""Fit a mapping to pairs of points, by the simplest model whose leave-one-out error is not worse than the others'."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.optimize import least_squares

from napari_xfusion.core.calibration import Residuals
from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.rig.thin_plate import bend
from napari_xfusion.errors import CalibrationError

Points = NDArray[np.float64]
"""(N, 2) of (row, column) in pixels."""
Model = Literal["auto", "similarity", "affine", "radial", "thin-plate"]
Parameters = NDArray[np.float64]
NOT_WORSE = 1.5
"""Standard deviations of the mean difference of squared leave-one-out errors up to which a simpler model is taken."""
THIN = 0.02
"""Width over length of a set of points that lies on a line."""
FAR, NEVER = 5.0, 1e-6
"""Times the median residual, and HR pixels, beyond which and never below which a point is an outlier."""
SLIGHT, EVALUATIONS = 0.02, 200
"""HR pixels of a radial term at ``reach`` whose centre cannot be seen; evaluations of a fit."""
FOLDED = 1e6
"""Residual of parameters that are no mapping, HR pixels."""


@dataclass(frozen=True)
class Fitted:
    """A mapping and how well it explains the pairs it was fitted to."""

    model: str
    """A key of ``LADDER``, or THIN_PLATE."""
    mapping: Mapping
    lr: Points
    hr: Points
    """The pairs that were used."""
    arrows: Points
    """(N, 2) measured minus mapped, HR pixels."""
    left_out: Points
    """(N, 2) the same where the mapping is that of the other pairs."""
    weights: NDArray[np.float64]
    """(N,) of the pairs."""

    @property
    def residuals(self) -> Residuals:
        """The residuals as numbers."""
        return Residuals(
            count=len(self.lr),
            rms=rms(self.arrows),
            largest=float(np.linalg.norm(self.arrows, axis=1).max()),
            left_out=rms(self.left_out),
        )


def rms(vectors: Points) -> float:
    """Root of the mean squared length of vectors (N, 2)."""
    return math.sqrt(float((vectors**2).sum(axis=1).mean()))


@dataclass(frozen=True)
class Rung:
    """A model: parameters of a simpler mapping, and a mapping from parameters and what the model keeps of it."""

    needs: int
    """Pairs, one more than determine it."""
    start: Callable[[Mapping], list[float]]
    build: Callable[[Parameters, Mapping], Mapping]


def _mirror(affine: Mapping) -> float:
    return math.copysign(1.0, float(np.linalg.det(affine.affine)))


def _similarity(p: Parameters, affine: Mapping) -> Mapping:
    a, b, y, x = p.tolist()
    m = _mirror(affine)
    return Mapping(linear=((a, -b * m), (b, a * m)), shift=(y, x))


def _similar_to(affine: Mapping) -> list[float]:
    (yy, yx), (xy, xx) = affine.linear
    m = _mirror(affine)
    return [(yy + m * xx) / 2, (xy - m * yx) / 2, *affine.shift]


def _two_scales(p: Parameters, _: Mapping) -> Mapping:
    turn, down, across, y, x = p.tolist()
    c, s = math.cos(turn), math.sin(turn)
    return Mapping(linear=((c * down, -s * across), (s * down, c * across)), shift=(y, x))


def _two_scales_of(affine: Mapping) -> list[float]:
    (yy, _), (xy, _) = affine.linear
    down, across = affine.scale
    return [math.atan2(xy, yy), down, _mirror(affine) * across, *affine.shift]


def _affine(p: Parameters, _: Mapping) -> Mapping:
    yy, yx, xy, xx, y, x = p.tolist()
    return Mapping(linear=((yy, yx), (xy, xx)), shift=(y, x))


def _affine_of(affine: Mapping) -> list[float]:
    return [*affine.linear[0], *affine.linear[1], *affine.shift]


def _radial(p: Parameters, affine: Mapping) -> Mapping:
    k1, down, across = [*p[6:].tolist(), 0.0, 0.0][:3]
    y, x = affine.centre
    flat = _affine(p[:6], affine)
    return Mapping(
        linear=flat.linear,
        shift=flat.shift,
        radial=(k1, 0.0),
        centre=(y + down * affine.reach, x + across * affine.reach),
        reach=affine.reach,
    )


LADDER: dict[str, Rung] = {
    "similarity": Rung(3, _similar_to, _similarity),
    "scales": Rung(4, _two_scales_of, _two_scales),
    "affine": Rung(4, _affine_of, _affine),
    "radial": Rung(8, lambda mapping: [*_affine_of(mapping), mapping.radial[0]], _radial),
    "radial-centre": Rung(12, lambda mapping: [*_affine_of(mapping), mapping.radial[0], 0.0, 0.0], _radial),
}
"""The models from simple to complex: one scale with turn and mirror, one scale per axis, affine, with a radial term
about the centre of HR, and with one about a fitted centre."""
RUNGS: dict[Model, tuple[str, ...]] = {
    "auto": tuple(LADDER),
    "similarity": ("similarity",),
    "affine": ("affine",),
    "radial": ("radial", "radial-centre"),
    "thin-plate": ("affine",),
}
THIN_PLATE, PLATE_NEEDS = "thin-plate", 24
"""The model above the ladder, of the affine one and a warp; pairs it needs."""
CLEARLY = 0.64
"""Share of the mean squared leave-one-out error of the other models that it may have at most to be taken."""


def fit_points(
    lr: Points, hr: Points, hr_shape: Shape, model: Model = "auto", weights: NDArray[np.float64] | None = None
) -> Fitted:
    """Fit the mapping of LR pixels to HR pixels to pairs (N, 2) of points.

    ``weights`` (N,) are inverse standard deviations. Raises CalibrationError where there are too few pairs for the
    model, or they lie on a line.
    """
    weights = np.ones(len(lr)) if weights is None else weights
    _require(lr, hr, model)
    affine = _least_squares(lr, hr, weights)
    height, width = hr_shape
    affine = affine.model_copy(
        update={"centre": ((height - 1) / 2, (width - 1) / 2), "reach": math.hypot(height, width) / 2}
    )
    tried: list[Fitted] = []
    for name in RUNGS[model]:
        start = tried[-1].mapping if name == "radial-centre" else affine
        if len(lr) < LADDER[name].needs or (name == "radial-centre" and not _has_centre(start)):
            continue
        tried.append(_fitted(name, start, lr, hr, weights))
    simplest = _simplest(tried)
    if model not in ("auto", THIN_PLATE) or len(lr) < PLATE_NEEDS:
        return simplest
    flat = next(fit for fit in tried if fit.model == "affine")
    plate = _plate(flat)
    if plate is None or (model == "auto" and _error(plate) > CLEARLY * min(map(_error, tried))):
        return simplest
    return plate


def _error(fit: Fitted) -> float:
    """Mean squared leave-one-out error."""
    return float(((fit.left_out * fit.weights[:, None]) ** 2).sum(axis=1).mean())


def _plate(flat: Fitted) -> Fitted | None:
    """An affine fit with a thin-plate spline through what it leaves; None where that folds."""
    warp, rest, left_out = bend(flat.lr, flat.arrows, flat.weights)
    try:
        mapping = Mapping(linear=flat.mapping.linear, shift=flat.mapping.shift, warp=warp)
    except ValidationError:
        return None
    return replace(flat, model=THIN_PLATE, mapping=mapping, arrows=rest, left_out=left_out)


def _has_centre(mapping: Mapping) -> bool:
    """Whether the radial term is large enough for its centre to matter."""
    return abs(mapping.radial[0]) * mapping.reach > SLIGHT


def without_outliers(lr: Points, hr: Points, hr_shape: Shape) -> NDArray[np.bool_]:
    """Which of many pairs (N, 2), few of them wrong, agree with the others on the most complex model."""
    kept = np.ones(len(lr), bool)
    for _ in range(3):
        mapping = fit_points(lr[kept], hr[kept], hr_shape).mapping
        away = np.linalg.norm(hr - mapping.to_output(lr), axis=1)
        kept = away <= max(FAR * float(np.median(away[kept])), NEVER)
    return kept


def _require(lr: Points, hr: Points, model: Model) -> None:
    needed = PLATE_NEEDS if model == THIN_PLATE else min(LADDER[name].needs for name in RUNGS[model])
    if len(lr) < needed:
        raise CalibrationError(
            "points",
            expected=f"at least {needed} pairs of points",
            found=str(len(lr)),
            hint="add pairs, spread over the field",
        )
    for camera, points in (("LR", lr), ("HR", hr)):
        _, long, wide = (0.0, *np.linalg.svd(points - points.mean(axis=0), compute_uv=False))
        if wide <= THIN * long:
            raise CalibrationError(
                "points",
                problem=f"all points lie on a line in {camera}",
                hint="add pairs away from the line, best near the corners of the field",
            )


def _least_squares(lr: Points, hr: Points, weights: NDArray[np.float64]) -> Mapping:
    middle = lr.mean(axis=0)
    rows = np.column_stack([lr - middle, np.ones(len(lr))])
    solution = np.linalg.lstsq(rows * weights[:, None], hr * weights[:, None], rcond=None)[0]
    linear = solution[:2].T
    return Mapping(linear=linear.tolist(), shift=(solution[2] - linear @ middle).tolist())


def _fitted(name: str, start: Mapping, lr: Points, hr: Points, weights: NDArray[np.float64]) -> Fitted:
    rung = LADDER[name]

    def away(p: Parameters) -> NDArray[np.float64]:
        try:
            mapped = rung.build(p, start).to_output(lr)
        except ValidationError:
            return np.full(2 * len(lr), FOLDED)
        weighted: NDArray[np.float64] = ((hr - mapped) * weights[:, None]).ravel()
        return weighted

    found = least_squares(away, rung.start(start), method="lm", x_scale="jac", max_nfev=EVALUATIONS)
    mapping = rung.build(found.x, start)
    arrows = hr - mapping.to_output(lr)
    basis = np.linalg.qr(np.asarray(found.jac))[0].reshape(len(lr), 2, -1)
    rest = np.eye(2) - basis @ basis.transpose(0, 2, 1)
    left_out = np.linalg.solve(rest + 1e-12 * np.eye(2), arrows[..., None])[..., 0]
    return Fitted(name, mapping, lr, hr, arrows, left_out, weights)


def _simplest(tried: Sequence[Fitted]) -> Fitted:
    errors = [((fit.left_out * fit.weights[:, None]) ** 2).sum(axis=1) for fit in tried]
    best = min(errors, key=lambda each: float(each.mean()))
    never = (NEVER * float(tried[0].weights.max())) ** 2
    return next(fit for fit, each in zip(tried, errors, strict=True) if not _worse(each - best, never))


def _worse(more: NDArray[np.float64], never: float) -> bool:
    """Whether squared errors (N,) that are ``more`` than those of another model are so by more than chance."""
    chance = float(more.std()) / math.sqrt(len(more))
    return float(more.mean()) > max(NOT_WORSE * chance, never)

"""Point pairs of two cameras, given by hand or in a CSV file, some of which may be wrong."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from skimage.measure import ransac

from napari_xfusion.core.mapping import Shape
from napari_xfusion.core.rig.fit import Fitted, Model, Points, fit_points
from napari_xfusion.errors import CalibrationError, InputError, reason_of

COLUMNS = ("lr_row", "lr_col", "hr_row", "hr_col")
"""Of a file without header, in this order."""
AXES = {"row": "row", "y": "row", "col": "col", "column": "col", "x": "col"}
"""What a header may call an axis."""
CHECKED = 6
"""Pairs from which on some may be wrong."""
WRONG = 2.0
"""LR pixels by which a pair may be off."""
TRIALS, AGREE = 300, 0.6
"""Random sets of three pairs, and the fraction of all pairs that must agree with the best of them."""


def read_points(path: str | PathLike[str]) -> tuple[Points, Points]:
    """Read pairs (N, 2) of LR and HR pixels (row, column) from a CSV file.

    Columns are ``lr_row,lr_col,hr_row,hr_col``, or in the order that a header of these names gives; ``y`` and ``x``
    may stand for row and column. Integers are pixel centres. Raises InputError where the file cannot be read,
    lacks a column or contains something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise _unlike(path, reason_of(error)) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    separator = next((mark for mark in (";", "\t", ",") if lines and mark in lines[0]), ",")
    rows = list(csv.reader(lines, delimiter=separator))
    order: Sequence[int] = range(4)
    if rows and not all(map(_is_number, rows[0])):
        order = _order(path, rows.pop(0))
    values = np.array([_numbers(path, number, row, order) for number, row in enumerate(rows, 1)])
    if not len(values):
        raise _unlike(path, "no pair of points")
    return values[:, :2], values[:, 2:]


def _unlike(path: object, found: str) -> InputError:
    return InputError(
        path,
        expected=f"a CSV file with the columns {', '.join(COLUMNS)}, in pixels",
        found=found,
        hint="correct the file",
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _order(path: object, header: list[str]) -> list[int]:
    """Where the columns are, from a header."""
    names = []
    for word in header:
        camera, _, axis = word.strip().lower().replace(" ", "_").replace("-", "_").partition("_")
        names.append(f"{camera}_{AXES.get(axis, axis)}")
    if missing := [name for name in COLUMNS if name not in names]:
        raise _unlike(path, f"a header without {', '.join(missing)}: {','.join(header)[:80]}")
    return [names.index(name) for name in COLUMNS]


def _numbers(path: object, number: int, row: list[str], order: Sequence[int]) -> list[float]:
    try:
        return [float(row[place]) for place in order]
    except (ValueError, IndexError) as error:
        raise _unlike(path, f"'{','.join(row)[:60]}' as pair {number}") from error


def fit_given(
    lr: Points, hr: Points, lr_shape: Shape, hr_shape: Shape, model: Model
) -> tuple[Fitted, NDArray[np.bool_]]:
    """Fit the mapping of LR pixels to HR pixels to given pairs (N, 2); and which of them agree with it.

    Raises CalibrationError, which names the pairs by numbers from 1, where they are not finite, outside the frames,
    given twice, on a line, too few, or contradict each other.
    """
    lr, hr = (np.asarray(points, np.float64).reshape(-1, 2) for points in (lr, hr))
    if len(lr) != len(hr):
        raise CalibrationError(
            "points", problem=f"{len(lr)} LR and {len(hr)} HR points", hint="give both points of every pair"
        )
    _refuse(np.asarray(~np.isfinite(np.hstack([lr, hr])).all(axis=1)), "are not finite", "remove them")
    for points, shape, camera in ((lr, lr_shape, "LR"), (hr, hr_shape, "HR")):
        outside = np.asarray(((points < -0.5) | (points > np.array(shape) - 0.5)).any(axis=1))
        what = f"lie outside the {camera} frame of {shape[0]}x{shape[1]} pixels (rows x columns)"
        _refuse(outside, what, "check the order of rows and columns, and of LR and HR")
        same = np.linalg.norm(points[:, None] - points[None], axis=-1) < 1e-6
        _refuse(same.sum(axis=1) > 1, f"have the same {camera} point", "remove all but one")
    kept = _agreeing(lr, hr)
    return fit_points(lr[kept], hr[kept], hr_shape, model), kept


def _refuse(wrong: NDArray[np.bool_], problem: str, hint: str) -> None:
    if wrong.any():
        numbers = ", ".join(map(str, np.flatnonzero(wrong)[:10] + 1))
        raise CalibrationError("points", problem=f"pairs {numbers} {problem}", hint=hint)


class _AffineModel:
    """What RANSAC fits."""

    def __init__(self) -> None:
        self._terms: NDArray[np.floating] = np.zeros((3, 2))

    @classmethod
    def from_estimate(cls, lr: Points, hr: Points) -> Self | None:
        """As ``estimate``; None where the points lie on a line."""
        model = cls()
        return model if model.estimate(lr, hr) else None

    def estimate(self, lr: Points, hr: Points) -> bool:
        """Fit the pairs; whether that is possible."""
        self._terms, _, rank, _ = np.linalg.lstsq(self._rows(lr), hr, rcond=1e-6)
        return bool(rank == 3)

    def residuals(self, lr: Points, hr: Points) -> NDArray[np.float64]:
        """Distances (N,) in HR pixels."""
        return np.asarray(np.linalg.norm(hr - self._rows(lr) @ self._terms, axis=1))

    @staticmethod
    def _rows(lr: Points) -> NDArray[np.float64]:
        return np.column_stack([lr, np.ones(len(lr))])


def _agreeing(lr: Points, hr: Points) -> NDArray[np.bool_]:
    """Which pairs agree with each other; all of a few."""
    everything = np.ones(len(lr), bool)
    if len(lr) < CHECKED:
        return everything
    sizes = [np.linalg.norm(points - np.median(points, axis=0), axis=1) for points in (lr, hr)]
    threshold = WRONG * float(np.median(sizes[1]) / max(np.median(sizes[0]), 1e-6))
    _, agree = ransac(
        (lr, hr), _AffineModel, min_samples=3, residual_threshold=threshold, max_trials=TRIALS, rng=0
    )
    if agree is None or agree.sum() < max(CHECKED - 1, AGREE * len(lr)):
        raise CalibrationError(
            "points",
            expected="pairs that show one place each",
            found=f"{0 if agree is None else agree.sum()} of {len(lr)} pairs that agree to {WRONG:g} LR pixels",
            hint="check the pairs, and that LR and HR are not swapped",
        )
    return np.asarray(agree, bool)

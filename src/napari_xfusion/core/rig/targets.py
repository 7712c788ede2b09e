"""Find the lattice of a grid or dot target in an image, and the placement of one lattice on another."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, spatial

from napari_xfusion.core.rig.correlate import Fixed, Mask, Orientation, orientations, oriented
from napari_xfusion.core.types import Image
from napari_xfusion.errors import CalibrationError

FINE, COARSE = 16, 4
"""Samples per cell and axis, for centroids and for the comparison of cells."""
SMALLEST = 5.0
"""Pixels of a pitch."""
FEWEST = 20
"""Cells of a lattice."""
STRONG = 0.25
"""Height of a peak of the autocorrelation that can be a lattice vector, relative to the centre."""
ORDER, CELLS_PER_TERM = 3, 4
"""Degree of the polynomials from cell numbers to pixels, for lens distortion and tilt; cells for each of its terms."""
ODD, ODD_GAIN = 0.9, 0.25
"""Correlation with the median cell below which, and difference in contrast above which, a cell is odd."""
PARTS = 0.45
"""Fraction of the places in the middle of a lattice that must be occupied."""
SAME_SHAPE = 0.15
"""Difference of the open fractions of one target in two cameras."""
SQUARE = 0.1
"""Difference of scales along the axes beyond which two lattices cannot be one."""
SIZES_AGREE = 0.05
"""Relative error of a scale from given pixel sizes."""
OVERLAP = 0.25
"""Fraction of the smaller lattice that both cameras must show."""
LIKE = 0.3
"""Correlation of the irregularities of two lattices."""
UNLIKE = 0.004
"""Share of the energy of irregularities that two images of one target may differ by, whatever their noise."""
CERTAIN = 10.0
"""Logarithm of the likelihood ratio of the best placement to any other."""

Indices = NDArray[np.int64]
"""(N, 2) cell numbers."""
Points = NDArray[np.float64]


class _Surface:
    """A polynomial of cell numbers (N, 2), fitted to values (N,) or (N, 2) by least squares."""

    def __init__(self, cells: NDArray[np.float64], values: NDArray[np.float64], order: int) -> None:
        self.middle, self.size = cells.mean(axis=0), np.ptp(cells, axis=0).max() / 2 + 1
        self.powers = [(i, j) for i, j in product(range(order + 1), repeat=2) if i + j <= order]
        self.terms = np.linalg.lstsq(self._rows(cells), values, rcond=None)[0]

    def _rows(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v = np.moveaxis((cells - self.middle) / self.size, -1, 0)
        return np.stack([u**i * v**j for i, j in self.powers], axis=-1)

    def __call__(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at cells (..., 2)."""
        values: NDArray[np.float64] = self._rows(cells) @ self.terms
        return values


@dataclass(frozen=True, eq=False)
class Lattice:
    """The cells of a target in one image. Cell (i, j) is around ``place((i, j))``."""

    place: _Surface
    """Cell numbers to pixels."""
    cells: Indices
    points: Points
    """Regular cells, and their centroids in pixels."""
    first: tuple[int, int]
    """Number of the cell of the first element of ``odd``."""
    odd: NDArray[np.float32]
    """(COARSE n, COARSE m) deviations from the median cell, in units of its contrast."""
    inside: Mask
    """Which elements of ``odd`` the image shows."""
    open_part: float
    """Fraction of the median cell above the middle of its contrast."""

    @cached_property
    def basis(self) -> NDArray[np.float64]:
        """(2, 2) pixels per cell along both axes, in rows, in the middle of the cells."""
        middle = self.cells.mean(axis=0)
        steps = np.array([[0.5, 0], [0, 0.5]])
        basis: NDArray[np.float64] = self.place(middle + steps) - self.place(middle - steps)
        return basis

    @property
    def pitch(self) -> float:
        """Pixels per cell."""
        return math.sqrt(abs(float(np.linalg.det(self.basis))))


def find_lattice(image: Image, camera: str) -> Lattice:
    """Find the lattice of bright or dark squares or dots in an image (h, w); ``camera`` is for messages.

    Raises CalibrationError where there is none.
    """
    a, b = _vectors(image, camera)
    pitch = math.sqrt(abs(a[0] * b[1] - a[1] * b[0]))
    found = [_indexed(_blobs(sign * image, pitch), a, b) for sign in (1, -1)]
    cells, points = max(found, key=lambda each: len(each[0]))
    sign = 1 if cells is found[0][0] else -1
    if len(cells) < FEWEST or np.ptp(cells, axis=0).min() < 2 or _occupied(cells) < PARTS:
        raise _none(camera)
    lattice = _refined(sign * image, cells, points, pitch)
    if lattice is None:
        raise _none(camera)
    return lattice


def _none(camera: str) -> CalibrationError:
    return CalibrationError(
        f"{camera} image",
        expected=f"a grid or dots with at least {FEWEST} regular cells of {SMALLEST:g} pixels or more",
        found="no such target",
        hint="record the target with both cameras, or calibrate from point pairs or from the content",
    )


def _vectors(image: Image, camera: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two shortest lattice vectors in pixels, from the autocorrelation."""
    flat = image - cv2.GaussianBlur(image, (0, 0), min(image.shape) / 8)
    spectrum = fft.rfft2(flat, [2 * n for n in image.shape])
    overlap = [1 - np.abs(fft.fftfreq(2 * n, 1 / (2 * n))) / n for n in image.shape]
    power = fft.irfft2(np.abs(spectrum) ** 2, [2 * n for n in image.shape])
    power = power / max(power[0, 0], 1e-12) / np.maximum(overlap[0][:, None] * overlap[1][None, :], 0.25)
    power = np.roll(power, image.shape, (0, 1)).astype(np.float32)
    high = ndimage.maximum_filter(power, 5) == power
    at = np.argwhere(high & (power > STRONG)) - image.shape
    length = np.hypot(*at.T)
    reach = min(image.shape) / 3
    at = at[(length >= SMALLEST * 0.9) & (length < reach)]
    strength = power[tuple((at + image.shape).T)]
    if not len(at):
        raise _none(camera)
    # Parts of a cell correlate too, but less than complete cells.
    at = at[strength >= 0.6 * strength.max()]
    at = at[np.argsort(np.hypot(*at.T))].astype(float)
    a = at[0]
    across = np.abs(at @ [a[1], -a[0]]) / (np.hypot(*at.T) * np.hypot(*a))
    if not (across > math.sin(math.radians(55))).any():
        raise _none(camera)
    return a, at[across > math.sin(math.radians(55))][0]


def _blobs(image: Image, pitch: float) -> Points:
    """Centroids of connected pixels above the mean of their surroundings, of the size of part of a cell."""
    smooth = cv2.GaussianBlur(image, (0, 0), pitch / 16)
    box = max(3, 2 * round(pitch / 2) + 1)
    above = smooth - cv2.blur(cv2.blur(smooth, (box, box)), (box, box))
    count, _, stats, centres = cv2.connectedComponentsWithStats((above > 0).astype(np.uint8), connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA]
    low, high = 0.08 * pitch**2, 0.9 * pitch**2
    small = (area > low) & (area < high) & (stats[:, 2:4].max(axis=1) < 1.5 * pitch)
    small[0] = False
    points: Points = centres[small][:, ::-1]
    return points if count > 1 else np.empty((0, 2))


def _indexed(points: Points, a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[Indices, Points]:
    """Number the points that continue the lattice from the point nearest the middle."""
    if len(points) < FEWEST:
        return np.empty((0, 2), np.int64), points[:0]
    tree = spatial.cKDTree(points)
    steps = {(1, 0): a, (-1, 0): -a, (0, 1): b, (0, -1): -b}
    tolerance = 0.2 * min(np.hypot(*a), np.hypot(*b))
    best: dict[int, tuple[int, int]] = {}
    for start in np.argsort(np.hypot(*(points - np.median(points, axis=0)).T))[:8]:
        number: dict[int, tuple[int, int]] = {int(start): (0, 0)}
        taken = {(0, 0)}
        queue = deque([int(start)])
        while queue:
            k = queue.popleft()
            for step, vector in steps.items():
                cell = (number[k][0] + step[0], number[k][1] + step[1])
                away, near = tree.query(points[k] + vector)
                if cell not in taken and near not in number and away < tolerance:
                    number[int(near)] = cell
                    taken.add(cell)
                    queue.append(int(near))
        if len(number) > len(best):
            best = number
        if len(best) > len(points) / 2:
            break
    return np.array(list(best.values()), np.int64), points[list(best)]


def _occupied(cells: Indices) -> float:
    """Fraction of the places around occupied ones that are occupied."""
    grid = np.zeros(np.ptp(cells, axis=0) + 1, bool)
    grid[tuple((cells - cells.min(axis=0)).T)] = True
    filled = ndimage.binary_closing(np.pad(grid, 3), np.ones((3, 3), bool), iterations=2)
    return float(grid.sum() / filled.sum())


def _refined(image: Image, cells: Indices, points: Points, pitch: float) -> Lattice | None:
    """The lattice with centroids from the complete cells; None where too few of them are alike."""
    place = _surface(cells, points)
    image = cv2.GaussianBlur(image, (0, 0), max(pitch / FINE / 2, 0.3))
    lattice = _measured(image, place, cells, pitch)
    if len(lattice.cells) < FEWEST / 2 or np.ptp(lattice.cells, axis=0).min() < 2:
        return None
    return _measured(image, _surface(lattice.cells, lattice.points), lattice.cells, pitch)


def _surface(cells: Indices, points: Points) -> _Surface:
    orders = (n for n in (ORDER, 2) if len(cells) >= CELLS_PER_TERM * (n + 1) * (n + 2) / 2)
    order = next(orders, 1)
    rough = _Surface(cells.astype(float), points, order)
    away = np.linalg.norm(points - rough(cells.astype(float)), axis=1)
    kept = away <= max(4 * float(np.median(away)), 1e-3)
    return _Surface(cells[kept].astype(float), points[kept], order)


class _Rectified(NamedTuple):
    """The image in coordinates of the lattice: (n, m, FINE, FINE), and the number of the first cell."""

    patches: NDArray[np.float64]
    inside: NDArray[np.bool_]
    first: tuple[int, int]


def _rectified(image: Image, place: _Surface, cells: Indices, pitch: float) -> _Rectified:
    """All cells around ``cells`` that the image shows a part of."""
    beyond = math.ceil(max(image.shape) / pitch)
    low, high = cells.min(axis=0) - beyond, cells.max(axis=0) + beyond
    numbers = np.stack(np.meshgrid(*map(np.arange, low, high + 1), indexing="ij"), -1)
    # Polynomials turn back far outside the cells that they were fitted to.
    near = numbers.clip(cells.min(axis=0) - 2, cells.max(axis=0) + 2)
    basis = place(cells.mean(axis=0) + np.array([[0.5, 0], [0, 0.5]])) - place(
        cells.mean(axis=0) - np.array([[0.5, 0], [0, 0.5]])
    )
    centres = place(near.astype(float)) + (numbers - near) @ basis
    shown = ((centres > -pitch) & (centres < np.array(image.shape) + pitch)).all(-1)
    rows, columns = (np.flatnonzero(shown.any(axis=k)) for k in (1, 0))
    low = numbers[rows[0], columns[0]]
    high = numbers[rows[-1], columns[-1]]
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    sides = [(np.arange(lo, hi + 1)[:, None] + steps).ravel() for lo, hi in zip(low, high, strict=True)]
    fine = np.stack(np.meshgrid(*sides, indexing="ij"), -1)
    near = fine.clip(cells.min(axis=0) - 2, cells.max(axis=0) + 2)
    at = (place(near) + (fine - near) @ basis).astype(np.float32)
    sampled = cv2.remap(image, at[..., 1], at[..., 0], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = ((at >= 0) & (at <= np.array(image.shape) - 1)).all(-1)
    n, m = (high - low + 1).tolist()
    split = (n, FINE, m, FINE)
    return _Rectified(
        sampled.reshape(split).transpose(0, 2, 1, 3).astype(np.float64),
        inside.reshape(split).transpose(0, 2, 1, 3),
        (int(low[0]), int(low[1])),
    )


def _measured(image: Image, place: _Surface, cells: Indices, pitch: float) -> Lattice:
    patches, inside, first = _rectified(image, place, cells, pitch)
    complete = inside.all((2, 3))
    known = np.zeros_like(complete)
    at = tuple((cells - first).T)
    known[at] = True
    known &= complete
    if known.sum() < FEWEST / 2:
        known = np.zeros_like(complete)
        known[at] = True
    light = _illumination(patches, known)
    patches = patches / light
    typical = np.median(patches[known], axis=0)
    dark, bright = np.percentile(typical, (3, 97))
    contrast = max(float(bright - dark), 1e-9)
    patches, typical = (patches - dark) / contrast, (typical - dark) / contrast
    regular = complete & _like(patches, typical)
    numbers = np.argwhere(regular)
    weights = patches[regular]
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    total = weights.sum((1, 2))
    centroids = (
        np.stack([(weights.sum(2) * steps).sum(1), (weights.sum(1) * steps).sum(1)], -1) / total[:, None]
    )
    numbers = numbers + first
    points = place(numbers + centroids)
    return Lattice(
        place=place,
        cells=numbers,
        points=points,
        first=first,
        odd=_coarse(np.where(inside, patches - typical, 0)),
        inside=_coarse(inside.astype(float)) > 0.99,
        open_part=float((typical > 0.5).mean()),
    )


def _illumination(patches: NDArray[np.float64], known: Mask) -> NDArray[np.float64]:
    """The illumination (n, m, 1, 1) or of every sample, relative to its mean, from the brightness of regular cells."""
    level = np.where(known, patches.mean((2, 3)), 0)
    numbers = np.argwhere(known).astype(float)
    order = 2 if len(numbers) >= 6 * CELLS_PER_TERM else 1
    kept = np.ones(len(numbers), bool)
    values = level[known]
    for _ in range(3):
        surface = _Surface(numbers[kept], values[kept], order)
        away = np.abs(values - surface(numbers))
        kept = away <= max(3 * float(np.median(away)), 1e-9)
    n, m = known.shape
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    rows = (np.arange(n)[:, None] + steps).clip(low[0], high[0])
    columns = (np.arange(m)[:, None] + steps).clip(low[1], high[1])
    where = np.stack(np.broadcast_arrays(rows[:, None, :, None], columns[None, :, None, :]), axis=-1)
    light = surface(where)
    middle = float(np.median(values))
    sign = 1.0 if middle >= 0 else -1.0  # dark targets are turned over
    return np.maximum(sign * light, 0.1 * abs(middle)) / abs(middle)


def _like(patches: NDArray[np.float64], typical: NDArray[np.float64]) -> Mask:
    """Which cells look like the typical one."""
    centred = typical - typical.mean()
    away = patches - patches.mean((2, 3), keepdims=True)
    product_ = (away * centred).sum((2, 3))
    gain = product_ / (centred**2).sum()
    correlation = product_ / np.sqrt((away**2).sum((2, 3)) * (centred**2).sum() + 1e-12)
    usual = float(np.median(correlation[correlation > 0.5])) if (correlation > 0.5).any() else 1.0
    like: Mask = (correlation > ODD * usual) & (np.abs(gain - 1) < ODD_GAIN)
    return like


def _coarse(patches: NDArray[np.float64]) -> NDArray[np.float32]:
    n, m = patches.shape[:2]
    k = FINE // COARSE
    small = patches.reshape(n, m, COARSE, k, COARSE, k).mean((3, 5))
    coarse: NDArray[np.float32] = (
        small.transpose(0, 2, 1, 3).reshape(n * COARSE, m * COARSE).astype(np.float32)
    )
    return coarse


class Placement(NamedTuple):
    """Which HR cell an LR cell is: ``turn @ cell + move``."""

    turn: Orientation
    move: Indices
    score: float


def place_lattice(lr: Lattice, hr: Lattice, scale: float | None) -> tuple[Points, Points]:
    """The pairs of LR and HR points (N, 2) of the same cells.

    ``scale`` are the HR pixels per LR pixel that the pixel sizes give. Raises CalibrationError where the targets
    differ, or several placements explain both images.
    """
    _require_one_target(lr, hr, scale)
    best = _certain(lr, hr, _placements(lr, hr))
    numbers = {tuple(cell): k for k, cell in enumerate(hr.cells.tolist())}
    moved = lr.cells @ best.turn.T + best.move
    pairs = [(k, numbers[tuple(cell)]) for k, cell in enumerate(moved.tolist()) if tuple(cell) in numbers]
    if len(pairs) < FEWEST / 2:
        raise _unclear("too few cells are seen by both cameras to tell how the lattices lie on each other")
    first, second = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    return lr.points[first], hr.points[second]


def _require_one_target(lr: Lattice, hr: Lattice, scale: float | None) -> None:
    measured = hr.pitch / lr.pitch
    if scale is not None and abs(measured / scale - 1) > SIZES_AGREE:
        raise CalibrationError(
            "target",
            expected=f"{scale:.3f} HR pixels per LR pixel, as the pixel sizes say",
            found=f"{measured:.3f}: pitches of {hr.pitch:.2f} HR pixels and {lr.pitch:.2f} LR pixels",
            hint="record one target with both cameras, or correct {pixel_size_lr} and {pixel_size_hr}",
        )
    if abs(lr.open_part - hr.open_part) > SAME_SHAPE:
        raise CalibrationError(
            "target",
            problem=f"the cameras show two different targets: {lr.open_part:.0%} of a cell are bright in LR,"
            f" {hr.open_part:.0%} in HR",
            hint="record one target with both cameras",
        )


def _placements(lr: Lattice, hr: Lattice) -> list[Placement]:
    """All placements of complete cells with their scores, best first."""
    fixed = Fixed(hr.odd, hr.inside, (max(lr.odd.shape),) * 2)
    found = []
    for turn in orientations():
        linear = np.linalg.solve(lr.basis, turn.T @ hr.basis)
        down, across = np.linalg.svd(linear, compute_uv=False)
        if down / across > 1 + SQUARE:
            continue
        odd, inside = oriented(lr.odd, turn), oriented(lr.inside, turn)
        scores, _ = fixed.correlation(odd, inside, OVERLAP)
        height, width = odd.shape
        scores = scores[(height - 1) % COARSE :: COARSE, (width - 1) % COARSE :: COARSE]
        corner = _corner(lr, turn)
        # Element k of these is a move of k cells less those before the first one.
        zero = np.array([(height - 1) // COARSE, (width - 1) // COARSE])
        for at in np.argwhere(_peaks(scores)):
            move = np.array(hr.first) + at - zero - corner
            found.append(Placement(turn, move, float(scores[tuple(at)])))
    return sorted(found, key=lambda each: -each.score)


def _corner(lr: Lattice, turn: Orientation) -> Indices:
    """Number of the first cell after ``turn``."""
    first = np.array(lr.first)
    last = first + np.array(lr.odd.shape) // COARSE - 1
    corner: Indices = np.minimum(turn @ first, turn @ last)
    return corner


def _peaks(scores: NDArray[np.float64]) -> Mask:
    """The few highest scores."""
    least = np.partition(scores.ravel(), -4)[-4] if scores.size > 4 else -1.0
    return (scores >= least) & (scores > 0)


def _certain(lr: Lattice, hr: Lattice, placements: list[Placement]) -> Placement:
    best = placements[0] if placements else None
    if best is None or best.score < LIKE:
        raise CalibrationError(
            "target",
            problem="the lattice is periodic, and no mark, rim or flaw of it is seen by both cameras;"
            " it could lie in many places",
            hint="show a mark or the rim of the target to both cameras, or give a few point pairs as {points}",
        )
    second = placements[1].score if len(placements) > 1 else 0.0
    count = min(lr.inside.sum(), hr.inside.sum()) / COARSE**2
    ratio = count / 2 * math.log((1 - second**2 + UNLIKE) / (1 - best.score**2 + UNLIKE))
    if ratio < CERTAIN:
        alike = sum(each.score > best.score - 0.02 for each in placements)
        raise _unclear(
            f"{max(alike, 2)} placements of the lattice explain both images equally well, such as turned or moved by"
            " complete pitches"
        )
    return best


def _unclear(problem: str) -> CalibrationError:
    hint = "use a target with an unsymmetrical mark, or give a few point pairs as {points}"
    return CalibrationError("target", problem=problem, hint=hint)

"""What both cameras show of an event, frame by frame on one grid, for finding when they showed it.

Legend: T LR frames · N HR frames · P pixels of the grid · K tiles of it. Times are in mean LR intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.rig.scan import plain, zero_of
from napari_xfusion.core.types import Image, Progress, Stack
from napari_xfusion.errors import PairingError

Floats = NDArray[np.float64]

LEAST_SMOOTH = 0.8
"""Standard deviation in LR frames of a Gaussian from which on the sum of its squared weights is the same everywhere."""
TILES = 4
"""Tiles down and across."""
LONGEST_SIDE = 96
"""Pixels of the images that are compared, at most."""
MOST_VALUES = 2**24
"""Of LR that are compared; images of long recordings are smaller."""


@dataclass(frozen=True, eq=False)
class Views:
    """What both cameras show, as vectors of changes."""

    lr: Image
    """(T, P)."""
    hr: Image
    """(N, P)."""
    tile: NDArray[np.intp]
    """(P,) number of the tile of each pixel, 0 to K - 1."""
    when: Floats
    """(T,) time of each LR frame since LR frame 0."""
    since: Floats
    """(N,) stated time of each HR frame since HR frame 0."""
    exposure: float
    """Of an HR frame, LR frames."""
    smooth: float = LEAST_SMOOTH
    """Standard deviation in LR frames by which LR is smoothed in time."""

    @property
    def is_brightness(self) -> bool:
        """Whether a frame is one number."""
        return bool(self.hr.shape[1] == 1)

    @property
    def tiles(self) -> Image:
        """(P, K) which tile a pixel is in."""
        return np.eye(int(self.tile.max()) + 1, dtype=np.float32)[self.tile]

    def inside(self, times: Floats) -> NDArray[np.bool_]:
        """Which exposures (N,) about ``times`` lie inside LR."""
        reach, last = self.exposure / 2, self.when[-1]
        found: NDArray[np.bool_] = (times - reach >= -0.5) & (times + reach <= last + 0.5)
        return found

    def lr_at(self, times: Floats) -> Image:
        """(n, P) LR during exposures about ``times`` (n,)."""
        numbers = np.interp(times, self.when, np.arange(len(self.when)))
        numbers += np.minimum(times, 0) + np.maximum(times - self.when[-1], 0)
        return _exposed(self.lr, numbers, self.exposure, self.smooth)


def changes(frames: Image) -> Image:
    """What changes in frames (T, P): without what a gain and an offset of their mean frame explain."""
    mean = frames.mean(axis=0, dtype=np.float64)
    fixed, _ = np.linalg.qr(np.stack([np.ones_like(mean), mean], axis=1))
    fixed = fixed.astype(np.float32)
    changing: Image = frames - (frames @ fixed) @ fixed.T
    return changing


def common_views(
    lr: Stack,
    hr: Stack,
    mapping: Mapping,
    times: tuple[Floats, Floats],
    *,
    exposure: float,
    progress: Progress = lambda _done, _total: None,
) -> tuple[Views, Views]:
    """What both recordings show on one grid: its changes, and the brightness of the frames. Reads all frames.

    ``mapping`` takes LR pixels to HR pixels; ``times`` are those of the frames of LR (T,) and HR (N,), and the
    ``exposure`` of HR, as ``Views`` has them. Raises PairingError where there is no common field.
    """
    (h, w), total = lr.shape[1:], len(lr) + len(hr)
    side = min(LONGEST_SIDE, max(int(np.sqrt(MOST_VALUES / len(lr) * max(h, w) / min(h, w))), 1))
    factor = -(-max(h, w) // side)
    grid = (max(h // factor, 1), max(w // factor, 1))
    places, seen = _places(mapping, hr.shape[1:], grid, factor)
    low = _read(lr, lambda frame: _binned(frame, factor)[: grid[0], : grid[1]][seen], 0, total, progress)
    binning = max(1, int(min(mapping.scale) * factor + 1e-6))
    where = ((places - (binning - 1) / 2) / binning).astype(np.float32)

    def placed(frame: Image) -> Image:
        image = _binned(frame, binning)
        moved = cv2.remap(
            image, where[..., 1], where[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved)[seen]

    high = _read(hr, placed, len(lr), total, progress)
    tiles = [np.arange(n) * min(TILES, n) // n for n in grid]
    tile = (tiles[0][:, None] * TILES + tiles[1])[seen]
    content = Views(changes(low), changes(high), tile, *times, exposure)
    means = [(each.mean(axis=1, keepdims=True) - each.mean()).astype(np.float32) for each in (low, high)]
    return content, Views(means[0], means[1], np.zeros(1, np.intp), *times, exposure)


def _places(
    mapping: Mapping, hr_shape: tuple[int, int], grid: tuple[int, int], factor: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Where the pixels of the grid lie on HR (h, w, 2), and which of them HR sees (h, w)."""
    rows, columns = (factor * np.arange(n) + (factor - 1) / 2 for n in grid)
    places = mapping.to_output(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1))
    margin = (min(mapping.scale) * factor - 1) / 2
    inside = (places >= margin - 0.5) & (places <= np.array(hr_shape) - 0.5 - margin)
    seen: NDArray[np.bool_] = np.all(inside, axis=-1)
    if seen.sum() < 1:
        raise PairingError(
            "frame sizes",
            problem="by the calibration the cameras show no common field",
            hint="calibrate the cameras again",
        )
    return places, seen


def _read(stack: Stack, view: Callable[[Image], Image], done: int, total: int, progress: Progress) -> Image:
    """(T, P) of all frames; values far outside those of most pixels are clipped, so that hits do not decide."""
    zero, frames = zero_of(stack), []
    for i in range(len(stack)):
        frames.append(view(plain(stack.frame(i), zero)))
        progress(done + i + 1, total)
    found: Image = np.stack(frames)
    low, high = np.percentile(found, (0.5, 99.5))
    span = max(float(high - low), 1e-6)
    normalised: Image = np.clip((found - np.float32(low)) / np.float32(span), -1, 2)
    return normalised


def _binned(frame: Image, factor: int) -> Image:
    """Means of ``factor`` x ``factor`` pixels; a rest at the lower and right border is omitted."""
    h, w = (max(n // factor, 1) for n in frame.shape)
    cropped = np.ascontiguousarray(frame[: h * factor, : w * factor])
    return np.asarray(cv2.resize(cropped, (w, h), interpolation=cv2.INTER_AREA)) if factor > 1 else cropped


def _exposed(lr: Image, times: Floats, exposure: float, smooth: float) -> Image:
    """(n, P) LR (T, P), smoothed, during exposures about ``times`` (n,)."""
    reach, times = 3 * smooth + exposure / 2, times[:, None]
    frames = np.floor(times - reach).astype(np.intp) + np.arange(int(np.ceil(2 * reach)) + 2)
    if exposure < 1e-3:
        weights = np.exp(-(((times - frames) / smooth) ** 2) / 2)
    else:
        weights = scipy.special.ndtr((times + exposure / 2 - frames) / smooth) - scipy.special.ndtr(
            (times - exposure / 2 - frames) / smooth
        )
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    frames = np.clip(frames, 0, len(lr) - 1)
    seen = np.zeros((len(times), lr.shape[1]), np.float32)
    for k in range(frames.shape[1]):
        seen += weights[:, k, None] * lr[frames[:, k]]
    return seen

"""A guess compared with the HR frame that was left out; grey values clipped to [0, 1], as ``evaluate`` compares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout.left_out import Guess
from napari_xfusion.core.inspect.metrics import ssim
from napari_xfusion.core.types import Image

LEAST = 1e-9
"""Mean square of equal images: 90 dB."""
BLOCKS = 12
"""Of the map of errors, along the longer side."""


@dataclass(frozen=True, eq=False)
class Compared:
    """The error of a guess over the pixels that both cameras see."""

    truth: Image
    image: Image
    """Both (H, W) in [0, 1]; the truth where the pixel is hidden."""
    seen: float
    """Share of the pixels that both cameras see."""

    @property
    def square(self) -> float:
        """Mean square error."""
        return max(float(np.mean(np.square(self.image - self.truth), dtype=np.float64)) / self.seen, LEAST)

    @property
    def aad(self) -> float:
        """Mean absolute difference in 8-bit grey levels."""
        return 255 * float(np.mean(np.abs(self.image - self.truth), dtype=np.float64)) / self.seen

    @property
    def ssim(self) -> float | None:
        """Structural similarity; None of images that are smaller than its filter."""
        found = ssim(self.truth, self.image)
        return None if math.isnan(found) else 1 - (1 - found) / self.seen


def compare(guess: Guess, hidden: NDArray[np.bool_]) -> Compared:
    """Compare a guess; ``hidden`` (H, W) are the pixels to leave out."""
    truth, image = (np.clip(each, 0, 1) for each in (guess.truth, guess.image))
    return Compared(truth, np.where(hidden, truth, image), max(1 - float(hidden.mean()), LEAST))


def decibels(square: float) -> float:
    """PSNR of a mean square error, peak 1."""
    return -10 * math.log10(max(square, LEAST))


def block_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the map of errors of frames (H, W)."""
    longer = max(shape)
    rows, columns = (max(1, min(side, round(BLOCKS * side / longer))) for side in shape)
    return rows, columns


def block_squares(compared: Compared) -> NDArray[np.float64]:
    """Mean square error in each block of the map."""
    squares = np.square(compared.image - compared.truth, dtype=np.float64)
    rows, columns = block_shape((squares.shape[0], squares.shape[1]))
    parts = [np.array_split(band, columns, axis=1) for band in np.array_split(squares, rows, axis=0)]
    return np.array([[part.mean() for part in band] for band in parts])

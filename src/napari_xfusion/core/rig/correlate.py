"""Normalised correlation of images of unequal fields over all shifts, their eight orientations, and -log intensity."""

from __future__ import annotations

from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_xfusion.core.types import Image

Mask = NDArray[np.bool_]
Orientation = NDArray[np.int64]
"""(2, 2) matrix of a turn by quarters and a mirror: pixel p goes to ``orientation @ p``."""
T = TypeVar("T", bound=np.generic)
FLAT = 1e-6
"""Variance of an overlap, relative to that of the image, below which it shows nothing."""


class Fixed:
    """An image (h, w) and its mask, prepared for correlation with images of up to ``largest`` (H, W) pixels."""

    def __init__(self, image: Image, mask: Mask, largest: tuple[int, int]) -> None:
        self.shape = image.shape
        self.size = [
            fft.next_fast_len(a + b - 1, real=True) for a, b in zip(image.shape, largest, strict=True)
        ]
        self._pixels = int(mask.sum())
        self._spectra, self._mean_square = self._prepared(image, mask)

    def _prepared(self, image: Image, mask: Mask) -> tuple[NDArray[np.complexfloating], float]:
        """Spectra (3, ...) of the mask, of the image without its mean, and of its square; and the mean of that."""
        centred = np.where(mask, image - (image[mask].mean() if mask.any() else 0), 0).astype(np.float32)
        square = centred**2
        spectra = fft.rfft2(np.stack([mask.astype(np.float32), centred, square]), self.size)
        return spectra, float(square.mean())

    def correlation(
        self, image: Image, mask: Mask, overlap: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correlation coefficients, (h + H - 1, w + W - 1), of the pixels that both masks show, and their numbers.

        Element (H - 1 + y, W - 1 + x) is for ``image`` moved by (y, x) pixels. 0 where they share fewer than
        ``overlap`` times the pixels of the smaller mask. After Padfield, IEEE Trans. Image Process. 21, 2706, 2012.
        """
        height, width = image.shape
        (w, s, q), mean_square = self._prepared(image[::-1, ::-1], mask[::-1, ::-1])
        weight, first, square = self._spectra
        shape = (self.shape[0] + height - 1, self.shape[1] + width - 1)
        products = np.stack([weight * w, first * w, weight * s, first * s, square * w, weight * q])
        sums = fft.irfft2(products, self.size)[:, : shape[0], : shape[1]].astype(np.float64)
        count = sums[0].round().clip(1)
        product = sums[3] - sums[1] * sums[2] / count
        variances = (sums[4] - sums[1] ** 2 / count).clip(0) * (sums[5] - sums[2] ** 2 / count).clip(0)
        least = FLAT * count**2 * self._mean_square * mean_square
        shared = (count >= overlap * min(self._pixels, int(mask.sum()))) & (variances > least)
        found = np.zeros(shape)
        np.divide(product, np.sqrt(variances), out=found, where=shared)
        return found.clip(-1, 1), count


def orientations() -> list[Orientation]:
    """The eight turns by quarters and mirrors."""
    signs = product((1, -1), repeat=2)
    return [np.diag(sign)[list(order)] for sign in signs for order in ((0, 1), (1, 0))]


def oriented(image: NDArray[T], orientation: Orientation) -> NDArray[T]:
    """The image (h, w) or (w, h) whose pixels are those of ``image``, turned and mirrored."""
    image = image.T if orientation[0, 0] == 0 else image
    steps = orientation.sum(axis=1).tolist()
    return np.ascontiguousarray(image[:: steps[0], :: steps[1]])


def absorbance(image: NDArray[np.floating]) -> Image:
    """-log intensity up to a constant where all is positive, else the image; NaN and infinity become the median."""
    finite = np.isfinite(image)
    middle = float(np.median(image[finite])) if finite.any() else 0.0
    filled = np.where(finite, image, middle)
    dark = float(np.percentile(filled, 0.1))
    if dark <= 0:
        return filled.astype(np.float32)
    return -np.log(np.maximum(filled, dark / 2)).astype(np.float32)

"""LR from HR and back: binning, cubic reduction and cubic enlargement at any scale.

Each is linear and separable, so each is a pair of sparse matrices, one per axis, built once for a
geometry. Both grids begin at the same outer edge: LR pixel j covers HR positions j*scale to (j+1)*scale,
with HR pixel i covering i to i+1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from napari_xfusion.core.types import Image

CUBIC_A = -0.5
"""The cubic convolution parameter (Keys 1981); OpenCV and torch use -0.75, PIL and this project -0.5."""


@dataclass(frozen=True, eq=False)
class Resampler:
    """A linear map from images (H, W) to images (h, w), the same for every frame."""

    rows: scipy.sparse.csr_array
    """(h, H)."""
    columns: scipy.sparse.csr_array
    """(w, W)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what comes out."""
        return self.rows.shape[0], self.columns.shape[0]

    def __call__(self, image: Image) -> Image:
        """Resample ``image`` (H, W) to (h, w), float32."""
        # The smaller intermediate is the one that is transposed: that copy is most of the cost.
        if self.rows.shape[0] < self.rows.shape[1]:
            small: Image = self.columns @ np.ascontiguousarray((self.rows @ image).T)
            return np.ascontiguousarray(small.T)
        wide: Image = self.columns @ np.ascontiguousarray(image.T)
        large: Image = self.rows @ np.ascontiguousarray(wide.T)
        return large


def binning(
    hr_shape: tuple[int, int],
    lr_shape: tuple[int, int],
    scale: tuple[float, float],
    blur: tuple[float, float] = (0.0, 0.0),
) -> Resampler:
    """Mean of the HR pixels under each LR pixel, weighted by the area they share.

    At a whole scale this is the mean over non-overlapping blocks (paper, D3). An LR pixel that reaches
    over the HR edge is the mean of the part that is there. ``blur`` is the standard deviation, down and across in LR
    pixels, of a Gaussian that blurs the image before; edge pixels are repeated.
    """
    axes = zip(lr_shape, hr_shape, scale, blur, strict=True)
    return Resampler(*(_blurred(_box(n, m, s), s * sigma) for n, m, s, sigma in axes))


def cubic(from_shape: tuple[int, int], to_shape: tuple[int, int], scale: tuple[float, float]) -> Resampler:
    """Cubic resampling with a = -0.5, half-pixel centres and repeated edges (paper, M8).

    ``scale`` is the size of a pixel of the result in pixels of the source, per axis: 1/4 enlarges four
    times. When reducing, the kernel is widened by the scale, so that nothing is aliased.
    """
    return Resampler(*(_cubic(n, m, s) for n, m, s in zip(to_shape, from_shape, scale, strict=True)))


def _box(n_out: int, n_in: int, scale: float) -> scipy.sparse.csr_array:
    taps = int(np.ceil(scale)) + 1
    start = np.arange(n_out)[:, None] * scale
    source = np.floor(start).astype(int) + np.arange(taps)
    overlap = np.minimum(source + 1, start + scale) - np.maximum(source, start)
    overlap = np.where((source >= 0) & (source < n_in), np.clip(overlap, 0, None), 0)
    return _sparse(overlap, source, n_in)


def _blurred(box: scipy.sparse.csr_array, sigma: float) -> scipy.sparse.csr_array:
    """A map of pixels that are blurred before by ``sigma`` of them."""
    if not sigma:
        return box
    n = box.shape[1]
    reach = np.arange(-int(np.ceil(4 * sigma)), int(np.ceil(4 * sigma)) + 1)
    source = np.arange(n)[:, None] + reach
    weights = np.broadcast_to(np.exp(-0.5 * (reach / sigma) ** 2), source.shape)
    return scipy.sparse.csr_array(box @ _sparse(weights, source, n)).astype(np.float32)


def _cubic(n_out: int, n_in: int, scale: float) -> scipy.sparse.csr_array:
    widen = max(scale, 1.0)
    centre = (np.arange(n_out)[:, None] + 0.5) * scale - 0.5
    taps = int(np.ceil(4 * widen)) + 1
    source = np.floor(centre - 2 * widen).astype(int) + 1 + np.arange(taps)
    return _sparse(_keys((source - centre) / widen), source, n_in)


def _keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.abs(x)
    near = (CUBIC_A + 2) * x**3 - (CUBIC_A + 3) * x**2 + 1
    far = CUBIC_A * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _sparse(
    weights: npt.NDArray[np.float64], source: npt.NDArray[np.int_], n_in: int
) -> scipy.sparse.csr_array:
    """Rows that sum to one; weights outside the image fall to its edge pixel."""
    row = np.broadcast_to(np.arange(len(weights))[:, None], weights.shape)
    keep = np.abs(weights) > 1e-12
    column = np.clip(source, 0, n_in - 1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = scipy.sparse.csr_array((weights[keep], (row[keep], column[keep])), shape=(len(weights), n_in))
    matrix.sum_duplicates()
    return matrix.astype(np.float32)

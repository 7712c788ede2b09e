"""LR pixels grouped by what they do over time: K-means, and means over the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.types import Image

FRACTION = 0.05
"""Clusters per LR pixel along one axis (paper, M7)."""
ITERATIONS = 8
SAMPLE = 2048
"""Pixels, evenly spaced, that the centres are fitted to; every pixel is then given to a centre."""

Values = NDArray[np.float64]
"""One number for each cluster, (k,)."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """A partition of the LR pixels into k groups."""

    labels: NDArray[np.int32]
    """(h, w), 0..k-1."""
    sizes: Values
    """(k,) pixels in each group; some may be empty."""

    def mean(self, image: NDArray[np.floating]) -> Values:
        """Mean of ``image`` (h, w) over each cluster; 0 where a cluster is empty."""
        total = np.bincount(self.labels.ravel(), image.ravel(), len(self.sizes))
        means: Values = total / np.maximum(self.sizes, 1)
        return means

    def spread(self, values: Values) -> Image:
        """Each pixel's value of its cluster, (h, w)."""
        return values.astype(np.float32)[self.labels]


def cluster_count(lr_shape: tuple[int, int], fraction: float = FRACTION) -> int:
    """``fraction`` of the LR pixels per dimension, geometric mean of height and width, at least 1 (M7)."""
    return max(1, round(fraction * float(np.sqrt(lr_shape[0] * lr_shape[1]))))


def cluster_pixels(series: Sequence[Image], count: int, *, smooth: int = 1) -> Clusters:
    """Group pixels with a similar time series, into ``count`` groups or fewer.

    ``series`` holds frames (h, w); each is first averaged over ``smooth`` x ``smooth`` pixels, so that
    the groups follow the scene and not the noise. The same frames always give the same groups.
    """
    window = smooth, smooth
    smoothed = [cv2.blur(frame, window, borderType=cv2.BORDER_REPLICATE) for frame in series]
    points = np.stack([frame.ravel() for frame in smoothed], axis=1, dtype=np.float32)
    centres = _fit_centres(points[:: max(1, len(points) // SAMPLE)], count)
    labels = nearest(points, centres)
    sizes = np.bincount(labels, minlength=len(centres)).astype(np.float64)
    return Clusters(labels.reshape(-1, series[0].shape[1]), sizes)


def nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int32]:
    """Number of the centre (k, d) nearest to each point (n, d), (n,)."""
    labels, _ = scipy.cluster.vq.vq(points, centres)
    return labels


def _fit_centres(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Lloyd's iterations from k-means++ seeds; ``points`` (n, d) to centres (k, d), k <= count."""
    centres = _seed_centres(points, count, np.random.default_rng(0))
    for _ in range(ITERATIONS):
        labels = nearest(points, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        filled = sizes > 0
        for d in range(points.shape[1]):
            total = np.bincount(labels, points[:, d], len(centres))
            centres[filled, d] = total[filled] / sizes[filled]
    return centres


def _seed_centres(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """k-means++ (Arthur, Vassilvitskii 2007): each next seed drawn by its squared distance to the others.

    The first is the point nearest to the mean; ends early when every point is a seed already.
    """
    seeds = [points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]]
    distance = np.full(len(points), np.inf, dtype=np.float32)
    while len(seeds) < count:
        distance = np.minimum(distance, ((points - seeds[-1]) ** 2).sum(axis=1))
        cumulative = np.cumsum(distance, dtype=np.float64)
        if cumulative[-1] <= 0:
            break
        seeds.append(points[np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")])
    return np.array(seeds)

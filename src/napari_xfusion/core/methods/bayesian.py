"""Bayesian fusion of temporal changes: what LR tells about change, added to what HR knows about detail.

LR pixels that behave alike are put into clusters (K-means), and each cluster tells from its own pixels
how far the scene has gone from the HR frame before, H_a, to the HR frame after, H_b:

    prediction   H(t) = H_a + w (H_b - H_a) + m + error,     error of a block's mean ~ (0, p)
    observation  L(t) = mean of H(t) over the block + b + noise,               noise ~ (0, r)

All of w, m, p, b, r are one number per cluster. w and m are the least-squares line of the change since
H_a against the whole change, as LR sees them; that is the unbiased mixture of H_a and H_b of least
variance. b and r are calibrated where LR and HR saw the same moment. Prediction and observation are
joined by the Kalman step: gain p / (p + r).

After Xue, Leung, Fung, Remote Sens. 9(12), 1310 (2017), who model grey values and not their changes; that
form is in ``bayesian_paper``. Derivation and what was tried: docs/method-bayesian.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.methods.kmeans import FRACTION, Clusters, Values, cluster_count, cluster_pixels
from napari_xfusion.core.rig import FrameGroup, FrameReader, Grids
from napari_xfusion.core.rig.frames import FrameKey
from napari_xfusion.core.types import Image

ROUNDING = (1 / 255) ** 2 / 12
"""Variance of an 8-bit grey step: no change is known better than this. Grey units squared."""
PRIOR_PIXELS = 10
"""How many pixels of a cluster the expectation before any data is worth, see ``fit_change``."""


class Interval(NamedTuple):
    """What all targets between two HR frames share."""

    before: Image
    """(h, w) binned H_a."""
    change: Image
    """(h, w) binned H_b - H_a."""
    detail: Image
    """(h, w) variance of H_b - H_a inside each LR pixel."""
    hr_change: Image
    """(H, W) H_b - H_a."""


@dataclass(frozen=True, eq=False)
class ChangeModel:
    """The model's numbers, one per cluster, grey units."""

    weight: Values
    """w, share of the whole change that has happened, 0..1."""
    drift: Values
    """m, mean change that the line between the two HR frames does not explain."""
    prior: Values
    """p, variance of the prediction, of the mean over one LR pixel."""
    bias: Values
    """b, mean of LR - binned HR."""
    noise: Values
    """r, variance of LR - binned HR."""
    roughness: Values
    """How much an HR pixel's change varies about its block's mean, in units of how much that mean varies."""

    @property
    def gain(self) -> Values:
        """Kalman gain, 0..1."""
        return self.prior / (self.prior + self.noise)

    @property
    def posterior(self) -> Values:
        """Variance of one HR pixel after the update: of its block's mean, and about that mean."""
        return self.noise * self.gain + self.roughness * self.prior


def fit_change(clusters: Clusters, group: FrameGroup, interval: Interval, block: float) -> ChangeModel:
    """Learn the model of every cluster from the LR pixels in it; ``block`` is HR pixels per LR pixel.

    Noise, slope and drift of small clusters lean on what is expected without them: the noise of the
    whole frame, change linear in time, no drift.
    """
    mean, spread = clusters.mean, clusters.spread
    confidence = clusters.sizes / (clusters.sizes + PRIOR_PIXELS)
    position = group.weights[1]

    after = interval.before + interval.change
    lr_before, lr_after = group.lr_at_hr
    errors = lr_before - interval.before, lr_after - after
    bias = mean((errors[0] + errors[1]) / 2)
    squares = ((errors[0] - spread(bias)) ** 2 + (errors[1] - spread(bias)) ** 2) / 2
    noise = confidence * mean(squares) + (1 - confidence) * float(squares.mean())

    so_far, whole = group.reference.image - spread(bias) - interval.before, interval.change
    mean_so_far, mean_whole = mean(so_far), mean(whole)
    centred = whole - spread(mean_whole)
    variance = mean(centred**2) + ROUNDING
    unlike_linear = so_far - np.float32(position) * whole
    # Beyond 0..1 the mixture would amplify the HR frames' noise.
    weight = np.clip(position + confidence * mean(unlike_linear * centred) / variance, 0, 1)
    drift = confidence * (mean_so_far - weight * mean_whole)

    # The innovation varies by p + r; what LR noise does not explain is error of the prediction.
    innovation = so_far - spread(weight) * whole - spread(drift)
    prior = np.maximum(mean(innovation**2) - noise, ROUNDING)
    # Rounding is independent from pixel to pixel; it decides where nothing changes.
    roughness = (mean(interval.detail) + (block - 1) * ROUNDING) / variance
    return ChangeModel(weight, drift, prior, bias, noise, roughness)


class BayesianStream(GroupStream):
    """Predict from the two HR neighbours, correct with the LR frame, cluster by cluster.

    ``fraction`` sets the number of clusters, see ``cluster_count``.
    """

    def __init__(self, reader: FrameReader, fraction: float = FRACTION) -> None:
        super().__init__(reader)
        self._count = cluster_count(self.grids.lr_shape, fraction)
        self._interval: tuple[tuple[FrameKey, FrameKey], Interval] | None = None

    def combine(self, group: FrameGroup) -> tuple[Image, Image]:
        """See ``GroupStream.combine``. At an HR time that HR frame is the result, std 0."""
        if group.has_hr_frame:
            return group.previous.image.copy(), np.zeros_like(group.previous.image)
        grids, interval = self.grids, self._shared(group)
        lr_before, lr_after = group.lr_at_hr
        series = lr_before, group.reference.image, lr_after
        clusters = cluster_pixels(series, self._count, smooth=3)
        model = fit_change(clusters, group, interval, grids.scale[0] * grids.scale[1])

        weight, drift = clusters.spread(model.weight), clusters.spread(model.drift)
        predicted = interval.before + weight * interval.change + drift
        innovation = group.reference.image - clusters.spread(model.bias) - predicted
        image = grids.up(weight)
        image *= interval.hr_change
        image += group.previous.image
        image += grids.up(drift + clusters.spread(model.gain) * innovation)
        return image, to_blocks(clusters.spread(np.sqrt(model.posterior)), grids)

    def _shared(self, group: FrameGroup) -> Interval:
        key = group.previous.key, group.next.key
        if self._interval is None or self._interval[0] != key:
            down, before, after = self.grids.down, group.previous.image, group.next.image
            hr_change = after - before
            change = down(hr_change)
            detail = np.maximum(down(hr_change**2) - change**2, 0)
            self._interval = key, Interval(down(before), change, detail, hr_change)
        return self._interval[1]


def to_blocks(image: Image, grids: Grids) -> Image:
    """Enlarge ``image`` (h, w) to (H, W): each HR pixel takes the LR pixel that its centre lies in."""
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) / scale).astype(int), m - 1)
        for n, m, scale in zip(grids.hr_shape, grids.lr_shape, grids.scale, strict=True)
    )
    blocks: Image = image[:, columns][rows]
    return blocks


bayesian = GroupFuser(BayesianStream)

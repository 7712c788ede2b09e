"""Bayesian fusion as the paper has it: grey values at three times are jointly Gaussian in each cluster.

K-means groups the LR pixels by their series (L_a, L_t, L_b) at the times of the HR frame before, the
target and the HR frame after. A cluster's mean mu and covariance S, measured on LR, are taken to hold for
HR pixels too, so that HR(t) follows from (H_a, H_b) by the conditional Gaussian:

    prediction   mu_t + S_t,ab S_ab^-1 ((H_a, H_b) - mu_ab)         variance P = S_tt - S_t,ab S_ab^-1 S_ab,t
    observation  L(t) = mean over the N pixels of a block + noise   variance r, from the pairs at t_a and t_b

Pixels are independent given the cluster, so the Kalman step stays inside a block: its innovation, times
P / (P + N r), is added to each of its pixels. The paper's baseline (M7), for comparison: it loses HR
detail, because the line through a cluster's grey values has a slope below one.

Source: Xue, Leung, Fung, Remote Sens. 9(12), 1310 (2017).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_xfusion.core.methods.base import GroupFuser, GroupStream
from napari_xfusion.core.methods.bayesian import ROUNDING, to_blocks
from napari_xfusion.core.methods.binned import BinnedFrames
from napari_xfusion.core.methods.kmeans import FRACTION, Clusters, Values, cluster_count, cluster_pixels
from napari_xfusion.core.rig import FrameGroup, FrameReader
from napari_xfusion.core.types import Image


class Conditional(NamedTuple):
    """HR(t) given (H_a, H_b) in each cluster, grey units."""

    before: Values
    """Coefficient of H_a."""
    after: Values
    """Coefficient of H_b."""
    offset: Values
    """Constant term."""
    variance: Values
    """P, what H_a and H_b leave unexplained."""


def fit_conditional(clusters: Clusters, series: tuple[Image, Image, Image]) -> Conditional:
    """The conditional Gaussian of the middle frame given the outer two, in each cluster.

    ``series`` holds LR (h, w) at t_a, t and t_b. Rounding noise on the outer two keeps S_ab invertible
    where they are equal; they then share the weight.
    """
    mean = np.stack([clusters.mean(frame) for frame in series], axis=1)
    centred = [frame - clusters.spread(mean[:, i]) for i, frame in enumerate(series)]
    covariance = np.stack(
        [np.stack([clusters.mean(x * y) for y in centred], axis=1) for x in centred], axis=1
    )
    known, cross = covariance[:, ::2, ::2], covariance[:, 1, ::2]
    solved = np.linalg.solve(known + ROUNDING * np.eye(2), cross[..., None])
    weights = solved[..., 0].astype(np.float64)
    offset = mean[:, 1] - (weights * mean[:, ::2]).sum(axis=1)
    variance = covariance[:, 1, 1] - (weights * cross).sum(axis=1)
    return Conditional(weights[:, 0], weights[:, 1], offset, np.maximum(variance, ROUNDING))


class PaperStream(GroupStream):
    """Predict HR(t) from (H_a, H_b) pixel by pixel, correct it block by block.

    ``fraction`` sets the number of clusters, see ``cluster_count``.
    """

    def __init__(self, reader: FrameReader, fraction: float = FRACTION) -> None:
        super().__init__(reader)
        self._binned = BinnedFrames(self.grids.down)
        self._count = cluster_count(self.grids.lr_shape, fraction)

    def combine(self, group: FrameGroup) -> tuple[Image, Image]:
        """See ``GroupStream.combine``. At an HR time that HR frame is the result, std 0."""
        if group.has_hr_frame:
            return group.previous.image.copy(), np.zeros_like(group.previous.image)
        block = self.grids.scale[0] * self.grids.scale[1]
        binned, lr_at_hr = [self._binned(frame) for frame in group.ends], group.lr_at_hr
        noise = np.mean([(low - high) ** 2 for low, high in zip(lr_at_hr, binned, strict=True)])
        series = lr_at_hr[0], group.reference.image, lr_at_hr[1]
        clusters = cluster_pixels(series, self._count)
        model = fit_conditional(clusters, series)
        gain = model.variance / (model.variance + block * float(noise))
        posterior = model.variance * (1 - gain / block)

        before, after, offset = (clusters.spread(v) for v in (model.before, model.after, model.offset))
        innovation = group.reference.image - before * binned[0] - after * binned[1] - offset
        image = to_blocks(before, self.grids) * group.previous.image
        image += to_blocks(after, self.grids) * group.next.image
        image += to_blocks(offset + clusters.spread(gain) * innovation, self.grids)
        return image, to_blocks(clusters.spread(np.sqrt(posterior)), self.grids)


bayesian_paper = GroupFuser(PaperStream)

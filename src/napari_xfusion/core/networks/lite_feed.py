"""What the small network is fed: the network refines the result of the method ``flow``."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.networks.feed import as_tensor
from napari_xfusion.core.networks.lite import Inputs, Lite, facts_of
from napari_xfusion.core.networks.network import Output
from napari_xfusion.core.networks.tiles import LITE_HALO, Grid, Rect, Tile
from napari_xfusion.core.rig import FrameGroup, FrameReader, Grids
from napari_xfusion.core.types import SCALE, Image

QUIETER = 0.3
"""Share of a frame that is taken to show its noise and nothing else."""


class Prepared(NamedTuple):
    """The network's input for one target, whole frames; see ``model.lite.Inputs`` for what each is."""

    lr: tuple[Image, ...]
    """Three of (h, w) on the network's grid."""
    lr_at_hr: tuple[Image, ...]
    """Two."""
    base: tuple[Image, ...]
    """One of (H, W)."""
    warped: tuple[Image, ...]
    """Two."""
    static: tuple[Image, ...]
    """Two."""
    mean: tuple[Image, ...]
    """One of (H, W)."""
    errors: tuple[Image, ...]
    """Two of (h, w)."""
    facts: tuple[float, ...]


def prepare(group: FrameGroup, flow: FlowStream, grid: Grid) -> Prepared:
    """The network's input for the target of ``group``."""
    estimate = flow.estimate(group)
    distance = group.next.time - group.previous.time
    here = _blurred_off(flow.grids, estimate.image)
    at_hr = [_blurred_off(flow.grids, frame.image) for frame in group.ends]
    return Prepared(
        lr=tuple(grid.padded_lr(frame.image + here) for frame in group.lr),
        lr_at_hr=tuple(grid.padded_lr(image + off) for image, off in zip(group.lr_at_hr, at_hr, strict=True)),
        base=(grid.padded_hr(estimate.image),),
        warped=tuple(grid.padded_hr(image) for image in estimate.warped),
        static=tuple(grid.padded_hr(frame.image) for frame in group.ends),
        mean=(grid.padded_hr(estimate.mean),),
        errors=tuple(grid.padded_lr(np.sqrt(square)) for square in (estimate.variance, estimate.doubt)),
        facts=facts_of(group.lr_noise, group.weights, distance, _quiet((estimate.image, *estimate.warped))),
    )


def _blurred_off(grids: Grids, image: Image) -> Image:
    """What LR (h, w) lacks of ``image`` (H, W) because LR is more blurred than its pixels; the network knows no blur.

    By that of HR images: LR itself, sharpened, would have more noise.
    """
    if not any(grids.blur):
        return np.zeros(grids.lr_shape, np.float32)
    return replace(grids, blur=(0.0, 0.0)).down(image) - grids.down(image)


def _quiet(images: tuple[Image, ...]) -> float:
    """The root mean square difference of three images (H, W), where they differ least; see `facts_of`."""
    squares = sum((a - b) ** 2 for a, b in combinations(images, 2))
    size = tuple(max(1, side // SCALE) for side in reversed(images[0].shape))
    means = cv2.resize(np.asarray(squares), size, interpolation=cv2.INTER_AREA)
    return math.sqrt(np.quantile(means, QUIETER))


class LiteFeed:
    """See ``Feed``. Caches what was prepared for the current targets, from tile to tile."""

    halo = LITE_HALO

    def __init__(self, network: Lite, reader: FrameReader, grid: Grid, device: torch.device) -> None:
        self.network, self.grid, self.device = network, grid, device
        self._flow = FlowStream(reader)
        self._prepared: OrderedDict[int, Prepared] = OrderedDict()

    def combine(self, groups: list[FrameGroup], tile: Tile, tiles: int) -> Output:  # noqa: ARG002 - see Feed
        """See ``Feed.combine``."""
        prepared = [self._prepare(group) for group in groups]
        while len(self._prepared) > len(groups):
            self._prepared.popitem(last=False)
        parts = [self._part(p, tile.outer) for p in prepared]
        output: Output = self.network(Inputs(*(torch.cat(field) for field in zip(*parts, strict=True))))
        return output

    def free(self) -> None:
        """See ``Feed.free``."""
        self._prepared.clear()

    def _prepare(self, group: FrameGroup) -> Prepared:
        if group.target not in self._prepared:
            self._prepared[group.target] = prepare(group, self._flow, self.grid)
        self._prepared.move_to_end(group.target)
        return self._prepared[group.target]

    def _part(self, whole: Prepared, place: Rect) -> Inputs:
        """A rectangle of what was prepared, as tensors of one target."""

        def cut(images: tuple[Image, ...], scale: int) -> Tensor:
            return torch.cat([as_tensor(image, place, scale, self.device) for image in images], 1)

        facts: NDArray[np.float32] = np.array([whole.facts], np.float32)
        return Inputs(
            lr=cut(whole.lr, 1),
            lr_at_hr=cut(whole.lr_at_hr, 1),
            base=cut(whole.base, SCALE),
            warped=cut(whole.warped, SCALE),
            static=cut(whole.static, SCALE),
            mean=cut(whole.mean, SCALE),
            errors=cut(whole.errors, 1),
            facts=torch.from_numpy(facts).to(self.device),
        )

"""The paper's networks on a sequence: every frame is encoded once, every target combined from what is cached.

EDVR and EDVR-STF differ only in which frames they take; neighbouring targets share most of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch

from napari_xfusion.core.networks.edvr_stf import EDVRSTF
from napari_xfusion.core.networks.feed import as_tensor, free_memory
from napari_xfusion.core.networks.network import Network, Output
from napari_xfusion.core.networks.pcd import Encoded, Features
from napari_xfusion.core.networks.tiles import HALO, Grid, Tile
from napari_xfusion.core.rig import Frame, FrameGroup, FrameReader
from napari_xfusion.core.rig.frames import FrameKey
from napari_xfusion.core.types import SCALE

KEPT_SHARE = 0.25
"""Of the free memory that encoded frames may take beyond those of the current targets."""


class EncodedFeed:
    """See ``Feed``. Caches the encoded frames of the last targets, by frame and tile, as memory allows."""

    halo = HALO

    def __init__(self, network: Network, reader: FrameReader, grid: Grid, device: torch.device) -> None:
        self.network, self.reader, self.grid, self.device = network, reader, grid, device
        self._budget = KEPT_SHARE * free_memory(device)
        self._encoded: OrderedDict[tuple[FrameKey, Tile], Encoded] = OrderedDict()
        self._largest = 0
        """Bytes of the largest one so far."""

    def combine(self, groups: list[FrameGroup], tile: Tile, tiles: int) -> Output:
        """See ``Feed.combine``."""
        inputs = [[group.by_role(role) for group in groups] for role in self.network.inputs]
        # Two uses of an LR frame lie at most as many others apart as the LR frames of a group span.
        span = max(int(group.lr[-1].time - group.lr[0].time) for group in groups)
        keep = (span + len(groups) + 2) * tiles
        self._make_room({(frame.key, tile) for same_role in inputs for frame in same_role}, keep)
        frames = [stack_frames([self._encode(frame, tile) for frame in same_role]) for same_role in inputs]
        references = [as_tensor(self.grid.lr(g.reference.image), tile.outer, 1, self.device) for g in groups]
        return self.network.combine(frames, self.network.base(torch.cat(references)))

    def free(self) -> None:
        """See ``Feed.free``."""
        self._encoded.clear()
        self._budget = 0.0

    def _encode(self, frame: Frame, tile: Tile) -> Encoded:
        """A frame's part in ``tile``, encoded now or before."""
        key = frame.key, tile
        if key not in self._encoded:
            if frame.key.camera == 0:
                image = self.grid.lr(frame.image)
                encoded = self.network.encode_lr(as_tensor(image, tile.outer, 1, self.device))
            else:
                image = self.grid.hr(frame.image)
                network = cast("EDVRSTF", self.network)
                encoded = network.encode_hr(as_tensor(image, tile.outer, SCALE, self.device))
            size = sum(level.nbytes for level in (*encoded.features, *encoded.halves))
            self._encoded[key], self._largest = encoded, max(size, self._largest)
        return self._encoded[key]

    def _make_room(self, wanted: set[tuple[FrameKey, Tile]], keep: int) -> None:
        """Drop what was used longest ago, so that ``keep`` are left when all that is ``wanted`` is there.

        Fewer where they would not fit into the budget: small tiles of a large frame, halos included, hold
        many times the frame.
        """
        for key in wanted & self._encoded.keys():
            self._encoded.move_to_end(key)
        if self._largest:
            keep = min(keep, int(self._budget / self._largest))
        fresh = len(wanted - self._encoded.keys())
        while len(self._encoded) + fresh > max(keep, len(wanted)):
            self._encoded.popitem(last=False)


def stack_frames(frames: list[Encoded]) -> Encoded:
    """Encoded frames (1, ...) of several targets as one (B, ...)."""
    if len(frames) == 1:
        return frames[0]
    stacked = [torch.cat(level) for level in zip(*([*f.features, *f.halves] for f in frames), strict=True)]
    return Encoded(Features(*stacked[:3]), Features(*stacked[3:]))

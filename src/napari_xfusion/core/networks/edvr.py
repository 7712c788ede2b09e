"""EDVR: LR frames alone, the paper's baseline (Wang et al. 2019; Tang et al. 2025, section 2)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from napari_xfusion.core.networks.network import REFERENCE, Network, Output, encode_group
from napari_xfusion.core.types import Role


class EDVR(Network):
    """Three LR frames to one HR frame."""

    inputs: ClassVar[tuple[Role, ...]] = ("lr-", "lr", "lr+")

    def forward(self, lr: Tensor) -> Output:
        """HR images at the times of the middle frames.

        ``lr`` (B, 3, 1, h, w): LR at t-s, t, t+s in grey units, sides multiples of 4.
        """
        return self.combine(encode_group(self.encode_lr, lr), self.base(lr[:, REFERENCE]))

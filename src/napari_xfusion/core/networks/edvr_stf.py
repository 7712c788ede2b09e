"""EDVR-STF: EDVR that also sees the HR frames before and after (Tang et al. 2025, section 2 and figure 1)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, conv, in_strips
from napari_xfusion.core.networks.network import (
    MULTIPLE,
    REFERENCE,
    Network,
    Output,
    check_sides,
    encode_group,
)
from napari_xfusion.core.networks.pcd import Encoded, PCDAlign
from napari_xfusion.core.networks.tsa import TSAFusion
from napari_xfusion.core.types import ROLES, SCALE, Role

HR_STRIP = 64
"""HR rows of the head in memory at once."""
HEAD_HALO = 8
"""HR rows the head sees beyond an output row's own four: seven, rounded up to keep the pooling in step."""


class EDVRSTF(Network):
    """Three LR and two HR frames to one HR frame."""

    inputs: ClassVar[tuple[Role, ...]] = ROLES

    def __init__(
        self,
        extraction: nn.Sequential,
        align: PCDAlign,
        fusion: TSAFusion,
        reconstruction: nn.Sequential,
        n: int,
    ) -> None:
        super().__init__(extraction, align, fusion, reconstruction, n)
        self.conv_first_hi = conv(1, n)
        self.conv1_hi = conv(n, n)
        self.conv2_hi = conv(n, n)

    def forward(self, lr: Tensor, hr: Tensor) -> Output:
        """HR images at the times of the middle LR frames.

        ``lr`` (B, 3, 1, h, w): LR at t-s, t, t+s; ``hr`` (B, 2, 1, 4h, 4w): HR before and after t; in
        grey units, h and w multiples of 4.
        """
        frames = encode_group(self.encode_lr, lr) + encode_group(self.encode_hr, hr)
        return self.combine(frames, self.base(lr[:, REFERENCE]))

    def encode_hr(self, frames: Tensor, rows: int = HR_STRIP) -> Encoded:
        """What alignment needs of HR frames (B, 1, H, W) in grey units; sides must be multiples of 16.

        The head works at full resolution on ``rows`` rows (a multiple of 4) at a time.
        """
        check_sides(frames, SCALE * MULTIPLE, "an HR frame")
        frames = frames.to(self.conv_first_hi.weight.dtype)
        return self._encode(in_strips(self._reduce, frames, rows=rows, halo=HEAD_HALO))

    def _reduce(self, x: Tensor) -> Tensor:
        """Three convolutions and two poolings: (B, 1, H, W) to features (B, n, h, w)."""
        x = act(self.conv_first_hi(x))
        x = functional.max_pool2d(act(self.conv1_hi(x)), 3, 2, 1)
        return functional.max_pool2d(act(self.conv2_hi(x)), 3, 2, 1)

"""TSA: what each aligned frame may say, in time and in space (Wang et al. 2019, EDVR, section 3.3).

In time, a frame counts where its embedding agrees with the reference's. In space, a small pyramid of
attention scales and shifts the fused features.

Shape legend: B targets · F frames of a group · n channels · h w LR pixels.
Stacks of F·B are frame-major: frame f of target b is entry f*B + b.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, conv, enlarge


class TSAFusion(nn.Module):
    """Fusion of F aligned frames into one, weighed by attention."""

    def __init__(self, channels: int, frames: int, reference: int) -> None:
        super().__init__()
        n = channels
        self.frames = frames
        self.reference = reference
        self.temporal_attn1 = conv(n, n)
        self.temporal_attn2 = conv(n, n)
        self.feat_fusion = conv(frames * n, n, kernel=1)
        self.spatial_attn1 = conv(frames * n, n, kernel=1)
        self.spatial_attn2 = conv(2 * n, n, kernel=1)
        self.spatial_attn3 = conv(n, n)
        self.spatial_attn4 = conv(n, n, kernel=1)
        self.spatial_attn5 = conv(n, n)
        self.spatial_attn_l1 = conv(n, n, kernel=1)
        self.spatial_attn_l2 = conv(2 * n, n)
        self.spatial_attn_l3 = conv(n, n)
        self.spatial_attn_add1 = conv(n, n, kernel=1)
        self.spatial_attn_add2 = conv(n, n, kernel=1)

    def forward(self, aligned: Tensor) -> tuple[Tensor, Tensor]:
        """The fused features (B, n, h, w) and the raw temporal attention (B, F, h, w).

        ``aligned`` (F·B, n, h, w). The raw attention is the dot product before its sigmoid, float32.
        """
        frames = aligned.chunk(self.frames)
        raw = self._temporal(aligned, frames[self.reference])
        attention = raw.sigmoid().to(aligned.dtype)
        weighed = torch.cat([x * attention[:, f, None] for f, x in enumerate(frames)], dim=1)
        return self._spatial(weighed), raw

    def _temporal(self, aligned: Tensor, reference: Tensor) -> Tensor:
        anchor = self.temporal_attn1(reference)
        embedded = self.temporal_attn2(aligned).chunk(self.frames)
        return torch.stack([(x * anchor).sum(1, dtype=torch.float32) for x in embedded], dim=1)

    def _spatial(self, weighed: Tensor) -> Tensor:
        """Fuse (B, F·n, h, w) to (B, n, h, w) and modulate it."""
        half = act(self.spatial_attn2(_pooled(act(self.spatial_attn1(weighed)))))
        quarter = act(self.spatial_attn_l2(_pooled(act(self.spatial_attn_l1(half)))))
        quarter = act(self.spatial_attn_l3(quarter))
        half = act(self.spatial_attn3(half)) + enlarge(quarter)
        scale = self.spatial_attn5(enlarge(act(self.spatial_attn4(half))))
        shift = self.spatial_attn_add2(act(self.spatial_attn_add1(scale)))
        fused = act(self.feat_fusion(weighed))
        modulated: Tensor = fused * scale.sigmoid() * 2 + shift
        return modulated


def _pooled(x: Tensor) -> Tensor:
    """Largest and mean value of 3x3 neighbourhoods at half resolution: (B, n, h, w) to (B, 2n, h/2, w/2)."""
    return torch.cat((functional.max_pool2d(x, 3, 2, 1), functional.avg_pool2d(x, 3, 2, 1)), dim=1)

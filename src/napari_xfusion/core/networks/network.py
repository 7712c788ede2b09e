"""The pipeline that the networks of the paper share: encode frames, align, fuse, reconstruct.

A streaming engine calls ``encode_lr``, ``encode_hr`` (once per frame, cached) and ``combine`` (once per
target); ``forward`` of the variants is built of the same parts and serves training and tests.

Shape legend: B targets or frames · F frames of a group · n channels · H W HR pixels · h w LR pixels
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, conv, enlarge, in_strips
from napari_xfusion.core.networks.pcd import Encoded, Features, PCDAlign
from napari_xfusion.core.networks.tsa import TSAFusion
from napari_xfusion.core.types import SCALE, Role
from napari_xfusion.errors import ModelError

MULTIPLE = 4
REFERENCE = 1
"""Which of a group's frames is the LR frame at the target's time."""
LR_STRIP = 32
"""LR rows of the full-resolution tail in memory at once."""
TAIL_HALO = 2


class Output(NamedTuple):
    """What a network says of B targets, all float32."""

    image: Tensor
    """(B, 1, H, W)."""
    raw: Tensor
    """(B, F, h, w) temporal attention before the sigmoid, in the order of the network's inputs."""
    std: Tensor | None = None
    """(B, 1, H, W) standard deviation of the image's expected error, of networks that know it."""

    @property
    def attention(self) -> Tensor:
        """(B, F, h, w) temporal attention, 0..1."""
        return self.raw.sigmoid()


class Network(nn.Module):
    """Extraction, alignment, fusion and reconstruction; the parts are handed in."""

    inputs: ClassVar[tuple[Role, ...]]

    def __init__(
        self,
        extraction: nn.Sequential,
        align: PCDAlign,
        fusion: TSAFusion,
        reconstruction: nn.Sequential,
        n: int,
    ) -> None:
        super().__init__()
        self.conv_first = conv(1, n)
        self.feature_extraction = extraction
        self.conv_l2_1 = conv(n, n, stride=2)
        self.conv_l2_2 = conv(n, n)
        self.conv_l3_1 = conv(n, n, stride=2)
        self.conv_l3_2 = conv(n, n)
        self.pcd_align = align
        self.fusion = fusion
        self.reconstruction = reconstruction
        self.upconv1 = conv(n, 4 * n)
        self.upconv2 = conv(n, 256)
        self.conv_hr = conv(64, 64)
        self.conv_last = conv(64, 1)

    def encode_lr(self, frames: Tensor) -> Encoded:
        """What alignment needs of LR frames (B, 1, h, w) in grey units; sides must be multiples of 4."""
        check_sides(frames, MULTIPLE, "an LR frame")
        return self._encode(act(self.conv_first(frames.to(self.conv_first.weight.dtype))))

    def combine(self, frames: Sequence[Encoded], base: Tensor) -> Output:
        """The images of B targets from the F encoded frames of their groups, ordered as ``inputs``.

        ``base`` (B, 1, H, W) is what the residual is added to.
        """
        self._check_group(frames, base)
        reference = self.pcd_align.prepare_reference(frames[REFERENCE].features)
        aligned = self.pcd_align(frames, reference)
        del reference
        fused, raw = self.fusion(aligned)
        del aligned
        residual = in_strips(self._enlarge, self.reconstruction(fused), rows=LR_STRIP, halo=TAIL_HALO)
        return Output(base.float() + residual.float(), raw)

    @staticmethod
    def base(lr: Tensor) -> Tensor:
        """The bilinear x4 enlargement (B, 1, H, W) of the reference LR frames (B, 1, h, w)."""
        return enlarge(lr.float(), SCALE)

    def _encode(self, x: Tensor) -> Encoded:
        """The shared residual blocks and the pyramid above them."""
        l1 = self.feature_extraction(x)
        l2 = act(self.conv_l2_2(act(self.conv_l2_1(l1))))
        l3 = act(self.conv_l3_2(act(self.conv_l3_1(l2))))
        return self.pcd_align.prepare_frame(Features(l1, l2, l3))

    def _check_group(self, frames: Sequence[Encoded], base: Tensor) -> None:
        sizes = [tuple(SCALE * side for side in frame.features.l1.shape[2:]) for frame in frames]
        if sizes != [tuple(base.shape[2:])] * len(self.inputs):
            raise ModelError(
                "a network's input frames",
                expected=f"{len(self.inputs)} frames of {tuple(base.shape[2:])} HR pixels, four times LR",
                found=", ".join(map(str, sizes)) or "none",
                hint="crop HR to four times the size of LR",
            )

    def _enlarge(self, x: Tensor) -> Tensor:
        """Features (B, n, h, w) to the residual (B, 1, H, W), two pixel shuffles up."""
        x = act(functional.pixel_shuffle(self.upconv1(x), 2))
        x = act(functional.pixel_shuffle(self.upconv2(x), 2))
        residual: Tensor = self.conv_last(act(self.conv_hr(x)))
        return residual


def encode_group(encode: Callable[[Tensor], Encoded], group: Tensor) -> list[Encoded]:
    """The frames of ``group`` (B, F, 1, h, w), encoded as one batch and handed out frame by frame."""
    features, halves = encode(group.transpose(0, 1).flatten(0, 1))
    levels = [level.chunk(group.shape[1]) for level in (*features, *halves)]
    return [Encoded(Features(*frame[:3]), Features(*frame[3:])) for frame in zip(*levels, strict=True)]


def check_sides(frames: Tensor, multiple: int, what: str) -> None:
    """Raise ModelError unless ``frames`` (B, 1, h, w) has sides that the pyramid can halve twice."""
    if (
        frames.ndim != 4
        or frames.shape[1] != 1
        or any(side % multiple or not side for side in frames.shape[2:])
    ):
        raise ModelError(
            what,
            expected=f"shape (batch, 1, height, width), both sides multiples of {multiple}",
            found=str(tuple(frames.shape)),
            hint="pad the frames by reflection and crop the result",
        )

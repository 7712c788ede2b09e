"""The full-size network over a sequence, against a plain forward as the research code does it.

    python benchmarks/network.py [--frames 20] [--size 400 1024] [--step 10] [--precision float32 bfloat16]

Both run in turn on the same windows, one target each, so that a busy machine slows both. The reference
takes the five frames of a group one after the other, keeps nothing between targets, convolves
[neighbour, reference] stacked in channels, and samples each tap of its deformable convolution with one
`grid_sample`. Weights are random but lively: the residual depends on the input. The table gives the
median seconds per target, the ratio, the largest difference, and the peak memory of a stream over what
the process held with its weights loaded.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
from time import perf_counter

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.nn import functional

from napari_xfusion.core.networks.blocks import act, enlarge
from napari_xfusion.core.networks.build import edvr_stf
from napari_xfusion.core.networks.cards import INPUTS, Card, Sizes
from napari_xfusion.core.networks.deform import DeformPack
from napari_xfusion.core.networks.edvr_stf import EDVRSTF
from napari_xfusion.core.networks.engine import PRECISIONS, NetworkFuser
from napari_xfusion.core.networks.tiles import Grid
from napari_xfusion.core.networks.weights import Loaded
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, make_rig

FULL = Sizes(channels=128, extract=5, reconstruct=40, groups=8)


def lively(network: EDVRSTF) -> EDVRSTF:
    """Random weights whose residual depends on the input, of about a tenth of the grey scale."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            small = {"conv_offset": 0.3, "conv_last": 0.1, "reconstruction": 0.5}
            gain = next((g for part, g in small.items() if part in name), 1.2)
            spread = gain / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 0.02
            tensor.normal_(0, spread, generator=generator)
    return network.eval()


class PlainForward:
    """The network's modules, run the way the research code runs them."""

    def __init__(self, network: EDVRSTF) -> None:
        self.net = network

    @torch.inference_mode()
    def __call__(self, lr: list[Tensor], hr: list[Tensor]) -> Tensor:
        """Three LR (1, 1, h, w) and two HR (1, 1, H, W) frames to one image (1, 1, H, W)."""
        net, pcd = self.net, self.net.pcd_align
        first = [act(net.conv_first(x)) for x in lr] + [net._reduce(x) for x in hr]
        pyramids = [self._pyramid(x) for x in first]
        reference = pyramids[1]
        aligned = [self._align(pcd, frame, reference) for frame in pyramids]
        fused, _ = net.fusion(torch.cat(aligned))
        residual = net._enlarge(net.reconstruction(fused))
        return enlarge(lr[1].float(), 4) + residual.float()

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        net = self.net
        l1 = net.feature_extraction(x)
        l2 = act(net.conv_l2_2(act(net.conv_l2_1(l1))))
        return [l1, l2, act(net.conv_l3_2(act(net.conv_l3_1(l2))))]

    def _align(self, pcd: torch.nn.Module, frame: list[Tensor], reference: list[Tensor]) -> Tensor:
        offset = feature = None
        for level in (2, 1, 0):
            name = f"l{level + 1}"
            x = act(pcd.offset_conv1[name](torch.cat((frame[level], reference[level]), 1)))
            if offset is None:
                x = act(pcd.offset_conv2[name](x))
                feature = act(self._deform(pcd.dcn_pack[name], frame[level], x))
            else:
                x = act(pcd.offset_conv2[name](torch.cat((x, enlarge(offset) * 2), 1)))
                x = act(pcd.offset_conv3[name](x))
                moved = self._deform(pcd.dcn_pack[name], frame[level], x)
                feature = pcd.feat_conv[name](torch.cat((moved, enlarge(feature)), 1))
                feature = act(feature) if level else feature
            offset = x
        x = act(pcd.cas_offset_conv1(torch.cat((feature, reference[0]), 1)))
        x = act(pcd.cas_offset_conv2(x))
        return act(self._deform(pcd.cas_dcnpack, feature, x))

    def _deform(self, pack: DeformPack, x: Tensor, motion: Tensor) -> Tensor:
        """Deformable convolution, one `grid_sample` per tap on each group."""
        moved = pack.conv_offset(motion).float()
        groups = moved.shape[1] // 27
        offset, mask = moved[:, : 18 * groups], moved[:, 18 * groups :].sigmoid()
        b, c, h, w = x.shape
        image = x.float().reshape(groups, c // groups, h, w)
        offset, mask = offset.reshape(groups, 9, 2, h, w), mask.reshape(groups, 9, 1, h, w)
        rows = torch.arange(h, dtype=torch.float32).view(h, 1)
        columns = torch.arange(w, dtype=torch.float32)
        out = pack.bias.view(1, -1, 1, 1)
        for tap in range(9):
            y, x_ = offset[:, tap, 0] + rows + (tap // 3 - 1), offset[:, tap, 1] + columns + (tap % 3 - 1)
            grid = torch.stack((2 * x_ / (w - 1) - 1, 2 * y / (h - 1) - 1), -1)
            sample = functional.grid_sample(image, grid, padding_mode="zeros", align_corners=True)
            sample = (sample * mask[:, tap]).reshape(b, c, h, w).to(pack.weight.dtype)
            out = out + functional.conv2d(sample, pack.weight[:, :, tap // 3, tap % 3, None, None])
        return out


def sequence_pair(frames: int, size: tuple[int, int], step: int) -> FrameReader:
    """A sequence of drifting texture, in memory."""
    rng = np.random.default_rng(0)
    room = max(8, -(-frames // 4))
    ground = functional.interpolate(
        torch.from_numpy(rng.random((1, 1, size[0] // 8 + room, size[1] // 8 + room), dtype=np.float32)),
        scale_factor=8,
        mode="bicubic",
    )[0, 0].numpy()
    sequence = np.stack([ground[t : t + size[0], 2 * t : 2 * t + size[1]] for t in range(frames)])
    lr = sequence.reshape(len(sequence), size[0] // 4, 4, size[1] // 4, 4).mean((2, 4))
    times = sorted({*range(0, len(sequence), step), len(sequence) - 1})

    plan = make_plan(hr_times=tuple(times))
    return FrameReader(make_rig(plan, as_stack(lr, name="lr"), as_stack(sequence[times], name="hr")))


def make_fuser(precision: str) -> NetworkFuser:
    """The full-size network on the CPU."""
    network = lively(edvr_stf(**FULL.model_dump())).to(PRECISIONS[precision])
    network.to(memory_format=torch.channels_last)
    card = Card(variant="edvr-stf", sizes=FULL, inputs=INPUTS["edvr-stf"])
    return NetworkFuser(Loaded(network, card, "0" * 64), torch.device("cpu"), precision)


def compare(reader: FrameReader, precision: str) -> None:
    """Both ways, target by target in turn."""
    fuser = make_fuser(precision)
    plain_network = lively(edvr_stf(**FULL.model_dump())).to(PRECISIONS[precision])
    plain, grid = PlainForward(plain_network), Grid.of(reader.rig.grids)
    ours, theirs, worst = [], [], 0.0
    with fuser.open(reader) as stream:
        frames = stream.fuse(range(len(reader.rig)), threading.Event())
        for target in range(len(reader.rig)):
            frame = next(frames)
            ours.append(frame.seconds)
            group, dtype = reader.group(target), PRECISIONS[precision]
            lr = [torch.from_numpy(grid.lr(x.image))[None, None].to(dtype) for x in group.lr]
            hr = [torch.from_numpy(grid.hr(x.image))[None, None].to(dtype) for x in group.ends]
            began = perf_counter()
            image = plain(lr, hr)[0, 0].numpy()
            theirs.append(perf_counter() - began)
            worst = max(worst, float(np.abs(image[: frame.image.shape[0]] - frame.image).max()))
            ratio = sum(theirs) / sum(ours)
            said = f"stream {ours[-1]:.2f} s, plain {theirs[-1]:.2f} s, so far {ratio:.2f}"
            print(f"  target {target:3}: {said}", flush=True)
    medians = f"stream {statistics.median(ours):.2f} s, plain {statistics.median(theirs):.2f} s"
    print(
        f"{precision}: {medians} per target, {ratio:.2f} times as fast over the sequence, differ by {worst:.1e}"
    )


class PeakMemory(threading.Thread):
    """The most memory the process held while this ran, over what it held at its start, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process, self._done = psutil.Process(), threading.Event()
        self.rest = self.highest = self._process.memory_info().rss

    def run(self) -> None:
        """Look every few milliseconds."""
        while not self._done.wait(0.003):
            self.highest = max(self.highest, self._process.memory_info().rss)

    def stop(self) -> float:
        """End, and say how much more it was."""
        self._done.set()
        self.join()
        return (self.highest - self.rest) / 1e6


def peak(arguments: argparse.Namespace) -> None:
    """Peak memory of a stream over rest, in a process of its own."""
    reader, fuser = (
        sequence_pair(arguments.frames, tuple(arguments.size), arguments.step),
        make_fuser(arguments.peak),
    )
    reader.group(0)
    watch = PeakMemory()
    watch.start()
    with fuser.open(reader) as stream:
        for _ in stream.fuse(range(arguments.frames), threading.Event()):
            pass
    print(f"{arguments.peak}: peak {watch.stop():.0f} MB over rest ({watch.rest / 1e6:.0f} MB)")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 1024))
    parser.add_argument("--step", type=int, default=10)
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], choices=list(PRECISIONS))
    parser.add_argument("--peak", choices=list(PRECISIONS), help="only measure the memory of this precision")
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments)
        return
    reader = sequence_pair(arguments.frames, tuple(arguments.size), arguments.step)
    for precision in arguments.precision:
        compare(reader, precision)
        size = [str(n) for n in arguments.size]
        subprocess.run(
            [sys.executable, __file__, "--peak", precision, "--frames", "4", "--size", *size], check=True
        )


if __name__ == "__main__":
    main()

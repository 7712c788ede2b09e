"""A network at work on a sequence, batch by batch and tile by tile, the same for all networks.

Frames that do not fit into memory go through in tiles, each with a halo wide enough not to be seen. What the
networks differ in, how a frame group becomes their input, is the feed's: ``encoded.py`` for those of the
paper, ``lite_feed.py`` for the small one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor

from napari_xfusion.core.networks.cards import model_of
from napari_xfusion.core.networks.encoded import EncodedFeed
from napari_xfusion.core.networks.feed import Feed, free_memory
from napari_xfusion.core.networks.limits import model_warnings
from napari_xfusion.core.networks.lite import Lite
from napari_xfusion.core.networks.lite_feed import LiteFeed
from napari_xfusion.core.networks.network import Network
from napari_xfusion.core.networks.tiles import Grid, Rect, batch_that_fits, cut_tiles, side_that_fits
from napari_xfusion.core.networks.weights import Loaded, load_model
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.types import SCALE, FusedFrame, Image, Region, Score, Token
from napari_xfusion.errors import DeviceError, XFusionWarning

GPU_BATCHES = (16, 8, 4, 2, 1)
"""Targets at once on a GPU: the most whose frames fit into its memory untiled (16 took 6.1 ms a frame, 4 took 7.7)."""
WORKING_MAPS = 60
"""Feature maps of LR size in memory at the peak of one target (benchmarks/network.py)."""
SHARE = 0.6
"""Of the free memory that one target may take."""
BFLOAT16_SINCE = (8, 0)
"""Compute capability of the first NVIDIA GPUs with bfloat16 (Ampere)."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, eq=False)
class NetworkFuser:
    """A network with its weights, on its device. See ``Fuser``."""

    loaded: Loaded
    device: torch.device
    precision: str = "float32"
    tile: int | None = None
    """Side of the tiles in LR pixels; from the free memory when None."""
    batch: int | None = None
    """Targets at once; from the free memory of a GPU when None, else 1."""
    separation: int = 1
    """LR frames from one of the three inputs to the next."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """See ``Fuser.settings``. Tiles chosen by free memory are not among them: they change nothing."""
        return {
            "device": self.device.type,
            "precision": self.precision,
            "tile": self.tile,
            "weights": self.loaded.sha256,
        }

    def open(self, reader: FrameReader) -> NetworkStream:
        """See ``Fuser.open``."""
        return NetworkStream(self, reader)


def load_fuser(plan: Plan) -> NetworkFuser:
    """The network that ``plan`` names, ready on its device.

    Raises ModelError for weights that are unavailable, DeviceError for a device that is missing or lacks the precision.
    """
    device = find_device(plan.device)
    loaded = load_model(model_of(plan))
    precision = "float32" if plan.precision == "auto" else plan.precision
    check_precision(device, precision)
    network = loaded.network.to(device=device, dtype=PRECISIONS[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
    return NetworkFuser(loaded, device, precision, plan.tile, separation=plan.separation)


def make_feed(loaded: Loaded, reader: FrameReader, grid: Grid, device: torch.device) -> Feed:
    """What turns frame groups of ``reader`` into the network's answers."""
    if loaded.card.variant == "lite":
        return LiteFeed(cast("Lite", loaded.network), reader, grid, device)
    return EncodedFeed(cast("Network", loaded.network), reader, grid, device)


def find_device(name: str) -> torch.device:
    """The device ``name`` (see ``Plan.device``), or the best available for ``auto``.

    Raises DeviceError where it is missing.
    """
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    available = ["cuda", *gpus] if gpus else []
    available += ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise DeviceError(
            setting="device",
            expected=f"a device that torch {torch.__version__} can use",
            found=f"{name}; available: {', '.join(available)}",
            hint="use {device} auto, or install a torch build for it",
        )
    return torch.device(name)


def check_precision(device: torch.device, precision: str) -> None:
    """Raise DeviceError where ``device`` does not compute in ``precision`` itself."""
    if precision != "bfloat16":
        return
    has_it = device.type == "cpu" or (
        device.type == "cuda" and torch.cuda.get_device_capability(device) >= BFLOAT16_SINCE
    )
    if not has_it:
        raise DeviceError(
            setting="precision",
            problem=f"{device.type} does not compute in bfloat16 here",
            hint="use {precision} float16 or float32",
        )


class Part(NamedTuple):
    """What a tile gives, on the CPU or on its way there."""

    place: Rect
    """In LR pixels of the area that was asked for."""
    image: Tensor
    """(B, 4h, 4w)."""
    raw: Tensor
    """(B, F, h, w), attention before the sigmoid."""
    attention: Tensor
    """(B, F, h, w), after it."""
    std: Tensor | None
    """(B, 4h, 4w), of networks that know it."""


class Launched(NamedTuple):
    """A batch of targets that the device works on."""

    targets: list[int]
    parts: list[Part]
    began: float
    done: torch.cuda.Event | None
    """When all parts have arrived; None where they are there already."""


class NetworkStream:
    """See ``Stream``. The feed caches what neighbouring targets share."""

    def __init__(self, fuser: NetworkFuser, reader: FrameReader) -> None:
        self.reader, self.fuser = reader, fuser
        self.grid = Grid.of(reader.rig.grids)
        self._feed = make_feed(fuser.loaded, reader, self.grid, fuser.device)
        self.notes = model_warnings(
            fuser.loaded.card,
            reader.rig,
            separation=fuser.separation,
            precision=fuser.precision,
            device=fuser.device.type,
        )
        self._collected = 0.0
        pixels = self._affordable_pixels()
        batches = GPU_BATCHES if fuser.device.type == "cuda" else (1,)
        self.batch = fuser.batch or batch_that_fits(self.grid.padded, pixels, batches)
        self._side = fuser.tile
        if self._side is None:
            self._side = side_that_fits(self.grid.padded, pixels / self.batch, self._feed.halo)

    @property
    def used(self) -> Mapping[str, Any]:
        """See ``Stream.used``: the side of the tiles, None where frames go through whole."""
        return {"tile": self._side}

    def fuse(self, targets: Iterable[int], stop: Token, region: Region | None = None) -> Iterator[FusedFrame]:
        """See ``Stream.fuse``; ``stop`` is looked at before every tile.

        A GPU is handed the next batch before the results of this one are fetched, so that it never idles.
        """
        remaining, waiting = iter(targets), None
        while batch := list(itertools.islice(remaining, self.batch)):
            launched = self._launch(batch, stop, region)
            if launched is None:
                return
            if waiting is not None:
                yield from self._collect(waiting, region)
            waiting = launched
            if self.fuser.device.type != "cuda":
                yield from self._collect(waiting, region)
                waiting = None
        if waiting is not None:
            yield from self._collect(waiting, region)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free()

    def _launch(self, batch: list[int], stop: Token, region: Region | None) -> Launched | None:
        """Begin the frames of ``batch``, in smaller tiles where memory runs out; None when stopped."""
        while True:
            try:
                return self._launch_tiles(batch, stop, region)
            except RuntimeError as error:  # torch has a class of its own for GPUs only
                if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
                    raise
            self._free()
            self._halve_tiles()

    @torch.inference_mode()
    def _launch_tiles(self, batch: list[int], stop: Token, region: Region | None) -> Launched | None:
        began = perf_counter()
        groups = [self.reader.group(target, self.fuser.separation) for target in batch]
        area, parts = self.grid.area(region), []
        tiles = list(cut_tiles(self.grid.padded, area, self._side, self._feed.halo))
        for tile in tiles:
            if stop.is_set():
                return None
            with exact_float32():
                out = self._feed.combine(groups, tile, len(tiles))
            kept = tile.inner.seen_from(tile.outer)
            image, raw = kept.cut(out.image[:, 0], SCALE), kept.cut(out.raw)
            place = tile.inner.seen_from(area)
            std = None if out.std is None else _fetched(kept.cut(out.std[:, 0], SCALE))
            parts.append(Part(place, _fetched(image), _fetched(raw), _fetched(raw.sigmoid()), std))
        done = None
        if self.fuser.device.type == "cuda":
            done = torch.cuda.current_stream(self.fuser.device).record_event()
        return Launched(batch, parts, began, done)

    def _collect(self, launched: Launched, region: Region | None) -> Iterator[FusedFrame]:
        """The frames of a batch once the device has them."""
        if launched.done is not None:
            launched.done.synchronize()
        area = self.grid.area(region)
        shape, count = area.shape, len(launched.targets)
        images = np.empty((count, SCALE * shape[0], SCALE * shape[1]), np.float32)
        stds = None if launched.parts[0].std is None else np.empty_like(images)
        raw, attention = np.empty((2, count, len(self.fuser.loaded.card.inputs), *shape), np.float32)
        for part in launched.parts:
            part.place.cut(images, SCALE)[:] = part.image.numpy()
            if stds is not None and part.std is not None:
                part.place.cut(stds, SCALE)[:] = part.std.numpy()
            part.place.cut(raw)[:] = part.raw.numpy()
            part.place.cut(attention)[:] = part.attention.numpy()
        now = perf_counter()
        seconds = (now - max(launched.began, self._collected)) / count
        self._collected = now
        asked = self.grid.cut(area, region)
        for b, target in enumerate(launched.targets):
            std = None if stds is None else stds[b][asked]
            yield self._frame(target, images[b][asked], std, (raw[b], attention[b]), seconds)

    def _frame(
        self, target: int, image: Image, std: Image | None, weights: tuple[Image, Image], seconds: float
    ) -> FusedFrame:
        """A frame (H, W), its standard deviation, and attention (F, h, w) before and after the sigmoid."""
        raw, attention = weights
        roles = self.fuser.loaded.card.inputs
        means = zip(roles, raw.mean(axis=(1, 2)), attention.mean(axis=(1, 2)), strict=True)
        return FusedFrame(
            index=target,
            image=image,
            std=std,
            attention=dict(zip(roles, attention, strict=True)),
            scores={role: Score(float(r), float(s)) for role, r, s in means},
            seconds=seconds,
        )

    def _free(self) -> None:
        self._feed.free()
        if self.fuser.device.type == "cuda":
            torch.cuda.empty_cache()

    def _affordable_pixels(self) -> float:
        """LR pixels, halos included and of all targets together, that the free memory has room for."""
        sizes = self.fuser.loaded.card.sizes
        per_pixel = WORKING_MAPS * sizes.channels * PRECISIONS[self.fuser.precision].itemsize
        return SHARE * free_memory(self.fuser.device) / per_pixel

    def _halve_tiles(self) -> None:
        """Go on with smaller tiles after memory ran out; raises DeviceError when they are smallest."""
        side = self._side or max(self.grid.size)
        if side <= 16:
            raise DeviceError(
                self.fuser.device.type,
                problem="there is too little memory even for tiles of 16 LR pixels",
                hint="free memory, or use a smaller model, {device} cpu or {precision} bfloat16",
            )
        self._side = max(16, side // 8 * 4)
        text = f"memory ran out; the run continues in tiles of {self._side} LR pixels."
        self.notes += (XFusionWarning("memory", text),)


def exact_float32() -> AbstractContextManager[None]:
    """Convolutions in the float32 that was asked for: on newer GPUs torch would cut it to 10 bits (TF32)."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return flags


def _fetched(tensor: Tensor) -> Tensor:
    """``tensor`` as float32 on the CPU; from a GPU it arrives later, without making anybody wait."""
    tensor = tensor.float()
    if tensor.device.type != "cuda":
        return tensor.cpu()
    return torch.empty(tensor.shape, pin_memory=True).copy_(tensor, non_blocking=True)

"""A network at work on a film: every frame is encoded once and kept, every target combined from what is kept.

EDVR and EDVR-STF differ only in which frames they take; neighbouring targets share most of them. Frames
that do not fit into memory go through in tiles, each with a halo wide enough not to be seen.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_xfusion.core.fusers.heap import kept_buffers
from napari_xfusion.core.fusers.tiles import HALO, SCALE, Grid, Rect, Tile, cut_tiles, side_that_fits
from napari_xfusion.core.model.cards import Card, Variant, find_weights
from napari_xfusion.core.model.edvr_stf import EDVRSTF
from napari_xfusion.core.model.network import Network, Output
from napari_xfusion.core.model.pcd import Encoded, Features
from napari_xfusion.core.model.weights import Loaded, load_model
from napari_xfusion.core.pairing import Pair
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.types import FusedFrame, Image, Region, Role, Score, Token, Window
from napari_xfusion.errors import DeviceError

GPU_BATCH = 4
"""Targets at once on a GPU; a CPU is busy with one."""
WORKING_MAPS = 60
"""Feature maps of LR size in memory at the peak of one target (benchmarks/network.py)."""
SHARE = 0.6
"""Of the free memory that one target may take."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Source(NamedTuple):
    """Which frame of which camera; what encoded frames are kept by, together with the tile."""

    camera: str
    number: int


@dataclass(frozen=True, eq=False)
class NetworkFuser:
    """A network with its weights, on its device. See ``Fuser``."""

    name: str
    loaded: Loaded
    device: torch.device
    precision: str = "float32"
    tile: int | None = None
    """Side of the tiles in LR pixels; from the free memory when None."""
    batch: int = 1
    """Targets at once."""
    gives_std: bool = False
    gives_attention: bool = True
    halo: int | None = SCALE * HALO

    @property
    def settings(self) -> Mapping[str, Any]:
        """See ``Fuser.settings``. Tiles chosen by free memory are not among them: they change nothing."""
        return {
            "device": self.device.type,
            "precision": self.precision,
            "tile": self.tile,
            "weights": self.loaded.sha256,
        }

    def open(self, pair: Pair) -> NetworkStream:
        """See ``Fuser.open``."""
        return NetworkStream(self, pair)


def load_fuser(plan: Plan) -> NetworkFuser:
    """The network that ``plan`` names, ready on its device.

    ``plan.model`` is a name or a file; the method's own name when None. Raises ModelError for weights
    that are not to be had, DeviceError for a device that is not there.
    """
    device = find_device(plan.device)
    loaded = load_model(find_weights(plan.model, cast("Variant", plan.method)))
    precision = "float32" if plan.precision == "auto" else plan.precision
    network = loaded.network.to(device=device, dtype=PRECISIONS[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
    batch = GPU_BATCH if device.type == "cuda" else 1
    return NetworkFuser(plan.method, loaded, device, precision, plan.tile, batch)


def find_device(name: str) -> torch.device:
    """The device ``name``, or the best there is for ``auto``; raises DeviceError where it is missing."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if not there[name]:
        raise DeviceError(
            f"--device {name}",
            expected=f"a {name} device that torch {torch.__version__} can use",
            found=f"only {', '.join(kind for kind, found in there.items() if found)}",
            do="use --device auto, or install a torch build for it",
        )
    return torch.device(name)


class NetworkStream:
    """See ``Stream``. Keeps the encoded frames of the last windows, by frame and tile."""

    def __init__(self, fuser: NetworkFuser, pair: Pair) -> None:
        self.pair, self.fuser = pair, fuser
        self.network: Network = fuser.loaded.network
        self.grid = Grid.of(pair.geometry)
        self.notes = card_notes(fuser.loaded.card, pair) + precision_notes(fuser.device, fuser.precision)
        self._open = ExitStack()
        self._encoded: OrderedDict[tuple[Source, Tile], Encoded] = OrderedDict()
        self._side = fuser.tile
        if self._side is None:
            self._side = side_that_fits(self.grid.padded, self._affordable_pixels())

    def fuse(self, targets: Iterable[int], stop: Token, region: Region | None = None) -> Iterator[FusedFrame]:
        """See ``Stream.fuse``; ``stop`` is looked at before every tile."""
        remaining = iter(targets)
        while batch := list(itertools.islice(remaining, self.fuser.batch)):
            frames = self._fuse_batch(batch, stop, region)
            if frames is None:
                return
            yield from frames

    def __enter__(self) -> Self:
        if self.fuser.device.type == "cpu":
            self._open.enter_context(kept_buffers())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free()
        self._open.close()

    def _fuse_batch(self, batch: list[int], stop: Token, region: Region | None) -> list[FusedFrame] | None:
        """The frames of ``batch``, in smaller tiles where memory runs out; None when stopped."""
        while True:
            try:
                return self._fuse_tiles(batch, stop, region)
            except RuntimeError as error:  # torch has a class of its own for GPUs only
                if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
                    raise
            self._free()
            self._halve_tiles()

    @torch.inference_mode()
    def _fuse_tiles(self, batch: list[int], stop: Token, region: Region | None) -> list[FusedFrame] | None:
        began = perf_counter()
        windows = [self.pair.window(target) for target in batch]
        area = self.grid.area(region)
        shape = area.bottom - area.top, area.right - area.left
        images = np.empty((len(batch), SCALE * shape[0], SCALE * shape[1]), np.float32)
        raw = np.empty((len(batch), len(self.network.inputs), *shape), np.float32)
        tiles = list(cut_tiles(self.grid.padded, area, self._side))
        for tile in tiles:
            if stop.is_set():
                return None
            with exact_float32():
                out = self._combine(windows, tile, len(tiles))
            kept, place = tile.inner.seen_from(tile.outer), tile.inner.seen_from(area)
            place.cut(images, SCALE)[:] = kept.cut(_array(out.image[:, 0]), SCALE)
            place.cut(raw)[:] = kept.cut(_array(out.raw))
        seconds = (perf_counter() - began) / len(batch)
        asked = self.grid.cut(area, region)
        return [
            self._frame(target, image[asked], attention, seconds)
            for target, image, attention in zip(batch, images, raw, strict=True)
        ]

    def _frame(self, target: int, image: Image, raw: NDArray[np.float32], seconds: float) -> FusedFrame:
        sigmoid = 1 / (1 + np.exp(-np.clip(raw, -80, 80)))
        roles = self.network.inputs
        means = zip(roles, raw.mean(axis=(1, 2)), sigmoid.mean(axis=(1, 2)), strict=True)
        return FusedFrame(
            index=target,
            image=image,
            attention=dict(zip(roles, sigmoid, strict=True)),
            scores={role: Score(float(r), float(s)) for role, r, s in means},
            seconds=seconds,
        )

    def _combine(self, windows: list[Window], tile: Tile, tiles: int) -> Output:
        """The network's answer for one tile of the windows' targets."""
        sources = [[source_of(role, window) for window in windows] for role in self.network.inputs]
        # Two uses of an LR frame lie at most 2s + 1 others apart; the windows' own must stay anyway.
        keep = (2 * self.pair.separation + len(windows) + 2) * tiles
        self._make_room({(source, tile) for same_role in sources for source in same_role}, keep)
        frames = [stack_frames([self._encode(source, tile) for source in same_role]) for same_role in sources]
        references = [self._tensor(self.grid.lr(window.lr[1]), tile.outer) for window in windows]
        return self.network.combine(frames, self.network.base(torch.cat(references)))

    def _encode(self, source: Source, tile: Tile) -> Encoded:
        """A frame's part in ``tile``, encoded now or kept from before."""
        key = source, tile
        if key not in self._encoded:
            if source.camera == "lr":
                image = self._tensor(self.grid.lr(self.pair.lr_frame(source.number)), tile.outer)
                self._encoded[key] = self.network.encode_lr(image)
            else:
                image = self._tensor(self.grid.hr(self.pair.hr_frame(source.number)), tile.outer, SCALE)
                self._encoded[key] = cast("EDVRSTF", self.network).encode_hr(image)
        return self._encoded[key]

    def _make_room(self, wanted: set[tuple[Source, Tile]], keep: int) -> None:
        """Drop what was used longest ago, so that ``keep`` are kept when all that is ``wanted`` is there."""
        for key in wanted & self._encoded.keys():
            self._encoded.move_to_end(key)
        fresh = len(wanted - self._encoded.keys())
        while len(self._encoded) + fresh > max(keep, len(wanted)):
            self._encoded.popitem(last=False)

    def _tensor(self, image: Image, place: Rect, scale: int = 1) -> Tensor:
        """A part of an image as (1, 1, h, w) on the device."""
        part = np.ascontiguousarray(place.cut(image, scale))
        return torch.from_numpy(part)[None, None].to(self.fuser.device)

    def _free(self) -> None:
        self._encoded.clear()
        if self.fuser.device.type == "cuda":
            torch.cuda.empty_cache()

    def _affordable_pixels(self) -> float:
        """LR pixels of a tile, halo included, that the free memory has room for."""
        if self.fuser.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.fuser.device)[0]
        else:
            free = psutil.virtual_memory().available
        sizes = self.fuser.loaded.card.sizes
        per_pixel = WORKING_MAPS * sizes.channels * PRECISIONS[self.fuser.precision].itemsize
        return SHARE * free / (per_pixel * self.fuser.batch)

    def _halve_tiles(self) -> None:
        """Go on with smaller tiles after memory ran out; raises DeviceError when they are smallest."""
        side = self._side or max(self.grid.size)
        if side <= 16:
            raise DeviceError(
                self.fuser.device.type,
                expected="memory for tiles of 16 LR pixels",
                found="too little",
                do="free memory, or use a smaller model, --device cpu or --precision bfloat16",
            )
        self._side = max(16, side // 8 * 4)
        self.notes += (f"memory ran out; frames go on in tiles of {self._side} LR pixels",)


def exact_float32() -> AbstractContextManager[None]:
    """Convolutions in the float32 that was asked for: on newer GPUs torch would cut it to 10 bits (TF32)."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return flags


def source_of(role: Role, window: Window) -> Source:
    """The frame that plays ``role`` in ``window``."""
    if role.startswith("hr"):
        return Source("hr", window.hr_index[role == "hr+"])
    return Source("lr", int(window.times[("lr-", "lr", "lr+").index(role)]))


def stack_frames(frames: list[Encoded]) -> Encoded:
    """Encoded frames (1, ...) of several targets as one (B, ...)."""
    if len(frames) == 1:
        return frames[0]
    stacked = [torch.cat(level) for level in zip(*([*f.features, *f.halves] for f in frames), strict=True)]
    return Encoded(Features(*stacked[:3]), Features(*stacked[3:]))


def card_notes(card: Card, pair: Pair) -> tuple[str, ...]:
    """Sentences on how a pair lies outside what a model was trained for."""
    found = {
        "a separation": (card.trained.separations, float(pair.separation)),
        "HR frames as far": (card.trained.hr_distances, float(np.diff(pair.hr_times).max())),
        "LR noise": (card.trained.noise, pair.grey.lr_noise),
    }
    notes = [
        f"the model was trained for {what} from {span[0]:g} to {span[1]:g}, not {value:.3g}"
        for what, (span, value) in found.items()
        if span is not None and not span[0] <= value <= span[1]
    ]
    if card.grey != pair.grey.rule:
        notes.append(f"the model was trained on grey values by {card.grey}, this run has {pair.grey.rule}")
    return tuple(notes)


def precision_notes(device: torch.device, precision: str) -> tuple[str, ...]:
    """A sentence where a lower precision makes a run slower instead of faster."""
    without_bfloat16 = torch.backends.cpu.get_cpu_capability() == "AVX2"
    if device.type == "cpu" and (precision == "float16" or (precision == "bfloat16" and without_bfloat16)):
        return (f"this processor emulates {precision}: float32 is faster",)
    return ()


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()

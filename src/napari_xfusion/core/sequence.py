"""A fused sequence that is made when it is read: for looking and comparing, where no file is wanted."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import METHODS, Gives, giving
from napari_xfusion.core.grey import units_dtype
from napari_xfusion.core.inspect.consistency import consistency
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.networks.tiles import Grid
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import SCALE, FusedFrame, Image, Role, Stack
from napari_xfusion.errors import DeviceError, ModelError

KEPT_BYTES = 2**27
"""Of the frames made last, which several views share."""
ATTENTION_SCALE = SCALE
"""HR pixels per pixel of an attention map: networks work at a quarter of HR, whatever LR is."""


class FusedSequence:
    """What ``plan`` makes of two sequences, frame by frame, in any order and from any thread.

    Raises XFusionError at once when the sequences do not pair, the weights are missing or the device is.
    ``close`` frees what the method caches and ends a frame that is being made, at its next tile.
    """

    def __init__(self, plan: Plan, lr: Stack, hr: Stack) -> None:
        self.plan = plan
        self._session = Session(plan, rig_of(plan, lr, hr))
        self.rig, self.reader, self.fuser = self._session.rig, self._session.reader, self._session.fuser
        self._region = self.rig.region(plan)
        self._shape = self.rig.frame_shape(plan)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, FusedFrame] = OrderedDict()
        weakref.finalize(self, self._session.close)

    def __len__(self) -> int:
        return len(self.rig)

    def frame(self, target: int) -> FusedFrame:
        """The fused frame at LR frame ``target``, in the HR camera's units (float32, not clipped).

        Raises DeviceError when the sequence is closed.
        """
        with self._lock:
            if target not in self._kept:
                self._keep(self._fuse(target))
            self._kept.move_to_end(target)
            return self._kept[target]

    def known(self, target: int) -> FusedFrame | None:
        """The frame at ``target`` if it is cached; makes none, and waits for none."""
        return self._kept.get(target)

    def images(self) -> Stack:
        """The fused images (T, H, W)."""
        dtype = units_dtype(np.dtype(self.rig.hr.dtype))
        return self._view(lambda t: self.frame(t).image, self._shape, "", dtype)

    def std(self) -> Stack:
        """Their standard deviation (T, H, W); raises ModelError where the method does not know it."""
        self._need("std", "a standard deviation")

        def read(t: int) -> Image:
            std = self.frame(t).std
            return np.full(self._shape, np.nan, np.float32) if std is None else std

        return self._view(read, self._shape, ", standard deviation")

    def attention(self, role: Role) -> Stack:
        """The sigmoid attention maps of one input (T, h, w), one pixel each for 4 x 4 that the network fuses; 0 to 1.

        Raises ModelError where the method has none.
        """
        self._need("attention", "attention")
        shape = Grid.of(self.rig.grids).area(self.rig.alignment.region(self._region)).shape

        def read(t: int) -> Image:
            maps = self.frame(t).attention
            return maps[role] if role in maps else np.full(shape, np.nan, np.float32)

        return self._view(read, shape, f", attention {role}")

    @property
    def attention_mapping(self) -> Mapping:
        """Where the pixels of attention maps lie on the HR grid, without radial terms."""
        align = self.rig.alignment
        area = Grid.of(self.rig.grids).area(align.region(self._region))
        on_grid = Mapping(shift=(area.top, area.left)).then(
            Mapping.scaled((ATTENTION_SCALE, ATTENTION_SCALE))
        )
        return on_grid.then(align.to_hr.without_radial) if align.needed else on_grid

    def close(self) -> None:
        """Free what is cached; frames can no longer be made."""
        self._stop.set()
        with self._lock:
            self._kept.clear()
            self._session.close()

    def _need(self, what: Gives, words: str) -> None:
        if what not in METHODS[self.plan.method].gives:
            raise ModelError(
                self.plan.method,
                problem=f"this method does not provide {words}",
                hint=f"use {giving(what)}",
            )

    def _fuse(self, target: int) -> FusedFrame:
        made = None if self._stop.is_set() else next(self._session.frames([target], self._stop), None)
        if made is None:
            raise DeviceError(
                f"frame {target}",
                problem="the sequence is closed",
                hint="open it again",
            )
        return made

    def _keep(self, made: FusedFrame) -> None:
        size = made.image.nbytes * (1 if made.std is None else 2)
        while len(self._kept) * size >= KEPT_BYTES:
            self._kept.popitem(last=False)
        self._kept[made.index] = made

    def _view(
        self,
        read: Callable[[int], NDArray[Any]],
        shape: tuple[int, int],
        what: str,
        dtype: np.dtype[Any] = np.dtype(np.float32),  # noqa: B008 - a value
    ) -> Stack:
        lr = self.rig.fast.open()
        side = self.rig.hr.pixel_size
        if side is not None and shape != self._shape:
            side *= self.attention_mapping.scale[1]
        source = f"{lr.source}, {self.plan.method}{what}"
        return lr.derive(read, (len(lr), *shape), dtype, source=source, pixel_size=side)


def lr_consistency(sequence: Stack, reader: FrameReader) -> Stack:
    """The binned ``sequence`` (T, H, W) minus LR, (T, h, w) float32 in grey units; made when it is read.

    ``sequence`` holds one frame per LR frame in the HR camera's units.
    """
    rig = reader.rig

    def read(t: int) -> Image:
        fused = rig.compared(t, sequence.frame(t))
        return consistency(fused, reader.lr_frame(t), rig.alignment.down)

    return rig.fast.open().derive(
        read, rig.fast.shape, np.dtype(np.float32), source=f"{sequence.source}, binned, minus LR"
    )


def difference(sequence: Stack, other: Stack) -> Stack:
    """``sequence`` - ``other``, float32, frame by frame in camera units; made when it is read."""

    def read(t: int) -> Image:
        image: Image = np.subtract(sequence.frame(t), other.frame(t), dtype=np.float64).astype(np.float32)
        return image

    return sequence.derive(
        read, sequence.shape, np.dtype(np.float32), source=f"{sequence.source} minus {other.source}"
    )

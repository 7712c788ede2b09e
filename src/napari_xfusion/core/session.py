"""A session: a plan's method at work on a rig. The only way to fuse: everything that needs frames asks one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import index
from types import TracebackType
from typing import Any, Self

import numpy as np

from napari_xfusion.core.methods import Fuser, Stream, make_fuser
from napari_xfusion.core.optical_flow import enlarge
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, Rig, make_rig
from napari_xfusion.core.types import FusedFrame, Image, Region, Token
from napari_xfusion.errors import InputError, XFusionWarning


def rig_of(plan: Plan, lr: object, hr: object) -> Rig:
    """The rig of two recordings, given as paths, arrays or Stacks; raises XFusionError when they do not fit."""
    return make_rig(plan, as_stack(lr, name="LR"), as_stack(hr, name="HR"))


class Session:
    """Frames of ``plan`` on ``rig``, in any order, in the HR camera's units.

    The method is opened at the first frame and caches what frames share until ``close``. ``fuser`` is the
    plan's unless given. Raises XFusionError at once when weights or device are unavailable. Belongs to one
    thread at a time.
    """

    def __init__(self, plan: Plan, rig: Rig, fuser: Fuser | None = None) -> None:
        self.rig, self.reader = rig, FrameReader(rig)
        self.fuser = make_fuser(plan) if fuser is None else fuser
        self._region, self._keeps = rig.region(plan), plan.hr_frames == "keep"
        self._stream: Stream | None = None
        self._said: tuple[XFusionWarning, ...] = ()
        self._used: Mapping[str, Any] = {}

    @property
    def notes(self) -> list[XFusionWarning]:
        """Warnings about the recordings and the run so far."""
        return [*self.rig.warnings, *filled_in(self.reader.invalid), *self.said]

    @property
    def said(self) -> tuple[XFusionWarning, ...]:
        """Those of the method about the run so far; see ``Stream.notes``."""
        return self._said if self._stream is None else self._stream.notes

    @property
    def used(self) -> Mapping[str, Any]:
        """What the run itself settled of the plan so far; see ``Stream.used``."""
        return self._used if self._stream is None else self._stream.used

    def frames(
        self, targets: Iterable[int], stop: Token, region: Region | None = None
    ) -> Iterator[FusedFrame]:
        """Fuse ``targets`` (not clipped; see ``Affine.from_grey``), pulled one at a time; see ``Stream.fuse``.

        ``region`` is ``Rig.region`` unless given. Raises InputError for a target that is no frame number.
        """
        if self._stream is None:
            self._stream = self.fuser.open(self.reader).__enter__()
        units, dtype = self.rig.hr.grey, np.dtype(self.rig.hr.dtype)
        align, region = self.rig.alignment, region or self._region
        area = align.region(region)
        for frame in self._stream.fuse(map(_number, targets), stop, area):
            std = self._std(frame, area)
            std = None if std is None else align.back(std, region) * np.float32(units.span)
            image = self.reader.on_hr(frame.index, frame.image, region)
            own = self.reader.recorded_at(frame.index, region) if self._keeps else None
            if own is not None:
                image, std = own, None if std is None else np.zeros_like(std)
            image = self.rig.fast.photometry.restore(frame.index, image)
            yield replace(frame, image=units.from_grey(image, dtype), std=std)

    def _std(self, frame: FusedFrame, area: Region | None) -> Image | None:
        """The standard deviation of a fused frame, that of an LR frame that is made of others included."""
        variance = self.reader.lr_variance(frame.index)
        if frame.std is None or variance is None:
            return frame.std
        large = enlarge(variance, self.rig.grids.hr_shape, self.rig.grids.scale)
        if area is not None:
            large = large[area.top : area.bottom, area.left : area.right]
        return np.sqrt(np.square(frame.std) + large)

    def close(self) -> None:
        """Free what the method caches; the next frame opens it again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._said, self._used = stream.notes, stream.used
            stream.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _number(target: object) -> int:
    try:
        return index(target)  # type: ignore[arg-type] # which is what it finds out
    except TypeError as error:
        hint = "give numbers of LR frames, as integers"
        raise InputError("targets", expected="frame numbers", found=repr(target)[:60], hint=hint) from error


def filled_in(frames: Mapping[str, int]) -> list[XFusionWarning]:
    """A warning about the pixels that were filled in, by frame as in ``FrameReader.invalid``; names the first few."""
    if not frames:
        return []
    first = sorted(frames.items(), key=lambda item: (item[0].split()[0] != "LR", len(item[0]), item[0]))
    named = ", ".join(f"{frame} ({count})" for frame, count in first[:5])
    more = ", ..." if len(frames) > 5 else ""
    text = f"pixels that are NaN, infinite or fill values were filled in from their neighbours in frames {named}{more}."
    return [XFusionWarning("filled-in", text)]

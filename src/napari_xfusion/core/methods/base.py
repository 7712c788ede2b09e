"""What every method of fusing looks like from outside, and the loop of those that make each frame from its group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from napari_xfusion.core.rig import FrameGroup, FrameReader
from napari_xfusion.core.types import FusedFrame, Image, Region, Token
from napari_xfusion.errors import XFusionWarning


class Stream(Protocol):
    """A method at work on one rig; caches what neighbouring targets share, within bounds."""

    @property
    def notes(self) -> tuple[XFusionWarning, ...]:
        """Sentences on what the user should know of this run, complete when it has ended."""
        ...

    @property
    def used(self) -> Mapping[str, Any]:
        """Settings of the plan that only the work itself settles (tile), as they are by now."""
        ...

    def fuse(self, targets: Iterable[int], stop: Token, region: Region | None = None) -> Iterator[FusedFrame]:
        """Fuse ``targets`` in the order they come, in grey units; they are pulled one by one.

        Ends when ``stop`` is set. With ``region`` only that rectangle of HR pixels is made.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what the stream caches."""
        ...


class Fuser(Protocol):
    """A method, ready to be opened on a rig."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the fuser settled of the plan (device, precision, tile, weights); part of a run's identity."""
        ...

    def open(self, reader: FrameReader) -> Stream:
        """Start on the frames of ``reader``."""
        ...


class GroupStream(ABC):
    """A stream that makes each frame from its frame group alone.

    These methods take milliseconds, so a region is cut from the whole frame.
    """

    notes: tuple[XFusionWarning, ...] = ()
    used: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, reader: FrameReader) -> None:
        self.reader, self.grids = reader, reader.rig.grids

    @abstractmethod
    def combine(self, group: FrameGroup) -> tuple[Image, Image | None]:
        """The fused image (H, W) in grey units, and its standard deviation (H, W) where known."""

    def fuse(self, targets: Iterable[int], stop: Token, region: Region | None = None) -> Iterator[FusedFrame]:
        """See ``Stream.fuse``."""
        for target in targets:
            if stop.is_set():
                return
            began = perf_counter()
            image, std = self.combine(self.reader.group(target))
            if region is not None:
                cut = slice(region.top, region.bottom), slice(region.left, region.right)
                image, std = image[cut], None if std is None else std[cut]
            yield FusedFrame(target, image, std, seconds=perf_counter() - began)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@dataclass(frozen=True)
class GroupFuser:
    """A training-free method: what it does with each frame group."""

    open: Callable[[FrameReader], GroupStream]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain NumPy on the CPU."""
        return {"device": "cpu", "precision": "float32", "tile": None}

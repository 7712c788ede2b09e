"""A result that is looked at again: its record, its frames and the recordings it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results.inputs import moved
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.trust.sources import Shares, SourceMap, Sources, main_of, own_of
from napari_xfusion.core.types import Progress, Region, Stack, Token
from napari_xfusion.errors import InputError


@dataclass(frozen=True, eq=False)
class Result:
    """A fused sequence with the record of the run that made it."""

    path: str
    """A name where it was not saved."""
    record: RunRecord
    sequence: Stack
    """Frame i is that of ``targets[i]``."""
    saved: bool = True
    """Whether it is in a file, with its record next to it."""

    @classmethod
    def open(cls, path: str | PathLike[str], *, lr: object = None, hr: object = None) -> Result:
        """Open the result at ``path``; ``lr`` and ``hr`` are the recordings, where these were moved.

        Raises InputError without its record, where they do not match, or where a recording has other content.
        """
        record, sequence = moved(RunRecord.load(path), lr, hr), open_stack(path)
        shape = record.rig.frame_shape(record.plan)
        if (len(record.frames), *shape) != sequence.shape:
            raise InputError(
                path,
                expected=f"{len(record.frames)} frames of {shape[0]}x{shape[1]} pixels, as its record says",
                found="{} frames of {}x{}".format(*sequence.shape),
                hint="give the result that the run wrote, with its record next to it",
            )
        return cls(fspath(path), record, sequence)

    @property
    def targets(self) -> list[int]:
        """LR frame numbers of the frames."""
        return [each.frame for each in self.record.frames]

    @property
    def region(self) -> Region | None:
        """The HR pixels that the frames show; None for all."""
        return self.record.rig.region(self.record.plan)

    @cached_property
    def reader(self) -> FrameReader:
        """Reads the recordings; raises InputError where one is missing."""
        return FrameReader(self.record.rig)

    @cached_property
    def sources(self) -> Sources:
        """Source maps of the frames."""
        return Sources(self.reader)

    def sources_of(self, number: int) -> SourceMap:
        """The source map of frame ``number`` of the sequence."""
        return self.sources.of(self.targets[number], self.sequence.frame(number), self.region)

    def shares(
        self, stop: Token, progress: Progress = lambda _done, _total: None
    ) -> Iterator[tuple[int, Shares]]:
        """Target and shares of the sources, frame by frame; ends early when ``stop`` is set."""
        for number, target in enumerate(self.targets):
            if stop.is_set():
                return
            yield target, self.part(self.sources_of(number))
            progress(number + 1, len(self.sequence))

    def part(self, found: SourceMap) -> Shares:
        """Shares of the sources in the part of the image that the result shows and both cameras see."""
        return found.part(self.seen)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """The LR pixels (h, w) that the result shows and both cameras see."""
        return self.sources.seen & self.sources.within(self.region)

    @property
    def alone(self) -> Stack:
        """What is the method's own in each frame, float32 (T, H, W) in the result's units; made when read."""
        return own_of(self.sequence, self.sources, self.targets, self.region)

    @property
    def main(self) -> Stack:
        """Number in SOURCES of the main source of each pixel, uint8 (T, H, W); made when it is read."""
        return main_of(self.sequence, self.sources, self.targets, self.region)

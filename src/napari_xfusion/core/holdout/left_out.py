"""HR frames left out of a rig, and what a method makes of their times from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.methods import Fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Rig
from napari_xfusion.core.rig.health import mask_of
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import FusedFrame, Image, Token

LONGEST_RUN = 3
"""HR frames in a row that are left out at most."""
SAME_TIME = 0.01
"""LR frames from an HR frame to an LR frame up to which both are of one time."""


class Gap(NamedTuple):
    """HR frames in a row that are left out; numbers of ``Rig.exposures``."""

    first: int
    length: int

    @property
    def frames(self) -> range:
        """The numbers of all of them."""
        return range(self.first, self.first + self.length)

    @property
    def ends(self) -> tuple[int, int]:
        """The HR frames that remain before and after it."""
        return self.first - 1, self.first + self.length


class Guess(NamedTuple):
    """An HR frame that was left out, and what a method made of its time; grey units."""

    gap: Gap
    frame: int
    """Its number in ``Rig.exposures``."""
    truth: Image
    """(H, W) as recorded, noise included."""
    image: Image
    """(H, W)."""
    std: Image | None
    """(H, W) standard deviation of ``image``, by methods that know it."""


def gaps(rig: Rig, count: int) -> list[Gap]:
    """All ways to leave out ``count`` HR frames in a row, such that HR frames remain before and after them."""
    return [Gap(first, count) for first in range(1, len(rig.exposures) - count)]


def spread(number: int, at_most: int) -> list[int]:
    """At most ``at_most`` of ``range(number)``, evenly spread, in order."""
    if at_most >= number:
        return list(range(number))
    return [int((i + 0.5) * number / at_most) for i in range(at_most)]


def judged(plan: Plan) -> Plan:
    """``plan`` as it is compared with HR frames: all frames, in the brightness of HR, fused at HR times."""
    changes = {"frames": None, "keep_flicker": False, "hr_frames": "fuse"}
    return plan.model_copy(update=changes)


def without(rig: Rig, frames: Sequence[int]) -> Rig:
    """``rig`` as if HR ``frames`` (numbers of ``Rig.exposures``) had not been recorded.

    Grey scale, geometry and noise remain those that were measured with all frames.
    """
    sharp = list(rig.sharp)
    for number in frames:
        camera, frame = rig.exposures[number]
        health = sharp[camera].health
        health = health.model_copy(update={"frames": tuple(sorted({*health.frames, frame}))})
        sharp[camera] = sharp[camera].model_copy(update={"health": health})
    return rig.replaced(sharp=tuple(sharp))


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The HR frames of a rig as truth for what methods make of the others.

    ``plan`` is that of ``judged``; its method does not matter.
    """

    plan: Plan
    rig: Rig

    @cached_property
    def reader(self) -> FrameReader:
        """Reads all HR frames."""
        return FrameReader(self.rig)

    @cached_property
    def hidden(self) -> NDArray[np.bool_]:
        """The pixels (H, W) of results that one of the cameras does not see: they are not judged."""
        align, region = self.rig.alignment, self.rig.region(self.plan)
        hidden = np.zeros(align.hr_shape, bool)
        numbers = [pixel for camera in self.rig.cameras.values() for pixel in camera.health.blind]
        if numbers:
            hidden |= align.enlarged(mask_of(numbers, self.rig.grids.lr_shape))
        if align.needed:
            hidden |= align.unseen(None)
        return hidden if region is None else hidden[slice(*region[:2]), slice(*region[2:])]

    def guesses(self, gap: Gap, plan: Plan, fuser: Fuser, stop: Token) -> Iterator[Guess]:
        """What ``fuser``, that of ``plan``, makes of the times of ``gap``; ends early when ``stop`` is set.

        Of an HR frame between two LR frames, the linear mixture of what is fused at both.
        """
        times = self.rig.hr_times
        targets = sorted({t for k in gap.frames for t in around(float(times[k]))})
        with Session(judged(plan), without(self.rig, gap.frames), fuser) as session:
            made = {frame.index: frame for frame in session.frames(targets, stop)}
        for k in gap.frames:
            parts = around(float(times[k]))
            if parts.keys() <= made.keys():
                yield self._guess(gap, k, [(weight, made[t]) for t, weight in parts.items()])

    def _guess(self, gap: Gap, k: int, parts: Sequence[tuple[float, FusedFrame]]) -> Guess:
        units, region = self.rig.hr.grey, self.rig.region(self.plan)
        truth = self.reader.recorded(k, region)
        image, std = np.zeros_like(truth), np.zeros_like(truth)
        for weight, frame in parts:
            image += np.float32(weight) * units.to_grey(frame.image)
            if frame.std is not None:
                std += np.float32(weight / units.span) * frame.std
        known = all(frame.std is not None for _, frame in parts)
        return Guess(gap, k, truth, image, std if known else None)


def around(time: float) -> dict[int, float]:
    """The LR frames next to a time with their linear weights; one where it is close enough to the time."""
    nearest = round(time)
    if abs(time - nearest) <= SAME_TIME:
        return {nearest: 1.0}
    first = int(np.floor(time))
    return {first: 1 - (time - first), first + 1: time - first}

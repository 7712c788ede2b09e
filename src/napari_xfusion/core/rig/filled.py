"""Which pixels of a recording are not used as recorded, and why."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.health import mask_of
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.types import Image, Stack


class Reason(NamedTuple):
    """Why a pixel is filled in from its neighbours, or from the other camera."""

    name: str
    title: str
    colour: str


FRAME = Reason("frame", "the frame shows something else", "#d55e00")
PIXEL = Reason("pixel", "dead, hot or part of a time stamp", "#f0e442")
HIT = Reason("hit", "stands out in this frame alone", "#56b4e9")
BLIND = Reason("blind", "the camera sees nothing there", "#999999")
REASONS = FRAME, PIXEL, HIT, BLIND
"""By number."""


def filled(rig: Rig, camera: Camera) -> Stack:
    """Number in REASONS of each pixel of a camera of ``rig``, float32 (T, H, W); NaN where it is used as recorded."""
    stack, repaired, health = camera.open(), camera.frames(), camera.health
    pixels, blind = mask_of(health.pixels, camera.shape[1:]), mask_of(health.blind, rig.grids.lr_shape)
    if camera is not rig.fast:
        blind = rig.alignment.enlarged(blind)
    whole = set(health.frames)

    def read(i: int) -> Image:
        if i in whole:
            return np.full(camera.shape[1:], REASONS.index(FRAME), np.float32)
        number = np.full(camera.shape[1:], np.nan, np.float32)
        number[stack.frame(i) != repaired.frame(i)] = REASONS.index(HIT)
        number[pixels] = REASONS.index(PIXEL)
        number[blind] = REASONS.index(BLIND)
        return number

    return stack.derive(read, stack.shape, np.dtype(np.float32), source=f"{stack.source}, filled in")

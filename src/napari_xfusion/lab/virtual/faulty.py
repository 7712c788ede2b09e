"""Applies disturbances to the frames of virtual cameras.

Every kind of disturbance has random numbers of its own, which depend only on the seed, the camera and the frame,
so that a frame does not depend on what was read before, nor on the other disturbances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal
from zlib import crc32

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from napari_xfusion.core.grey import as_dtype
from napari_xfusion.core.types import SCALE, Image, Stack
from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual.disturbances import Disturbances, Faults

Counts = NDArray[np.float64]
"""A frame (H, W), or gains that broadcast to it; 0 is no light."""
Name = Literal["lr", "hr"]
BRIGHTEST = 4.0
"""Value of a hot pixel in units of white."""
DARK = 0.01
"""Mean value of a dark frame in units of white, and standard deviation of its noise tenfold."""
STAMP_PIXELS = 14


class FaultyCamera:
    """One of two cameras, with its faults; frames are numbered from 0.

    ``shape`` is (H, W) of its frames, and ``white`` the stored value of the 99.65 percentile.
    """

    def __init__(
        self, disturbances: Disturbances, name: Name, shape: tuple[int, int], white: float, seed: int
    ) -> None:
        self.faults: Faults = getattr(disturbances, name)
        self.name, self.shape, self.white = name, shape, white
        self._beam_flicker, self._seed = disturbances.beam_flicker, seed
        self._gain = self._static_gain()
        self._spots = self._draw_spots()

    def record(self, clean: Stack, times: Sequence[int], count: int) -> tuple[Stack, tuple[int, ...]]:
        """Return the recording of the frames ``clean`` (N, H, W), and the numbers of the frames that are in it.

        Frame k was taken at the LR frame ``times[k]`` of ``count``. Without faults, the recording is ``clean``.
        Raises InputError for numbers of frames that do not exist.
        """
        kept = self._kept(clean)
        if self.faults == Faults() and not self._beam_flicker:
            return clean, kept
        microseconds = clean.clock.since_start // 10**6

        def read(i: int) -> NDArray[Any]:
            k = kept[i]
            while k in self.faults.stuck and k > 0:
                k -= 1
            beam = _flicker(_rng(self._seed, "beam", times[k]), self._beam_flicker)
            light = self.apply(clean.frame(k) * np.float64(beam), k, times[k] / max(count - 1, 1))
            stored = as_dtype(light, clean.dtype)
            if self.faults.stamp:
                stored.ravel()[:STAMP_PIXELS] = pco_stamp(k, int(microseconds[k]))[: stored.size]
            return stored

        shape = (len(kept), *clean.shape[1:])
        clock = clean.clock.select(tuple(range(len(kept))))
        return clean.derive(read, shape, clean.dtype, clock=clock, metadata=clean.metadata), kept

    def apply(self, image: NDArray[Any], frame: int, late: float) -> Counts:
        """Return ``image`` (H, W) with the faults of frame number ``frame``, in the same units, not rounded.

        ``late`` is the time of the frame as a share of the recording, 0 to 1, which a drift depends on.
        """
        faults = self.faults
        if frame < faults.closed or frame in faults.black:
            light = self._dark(frame)
        else:
            light = self._response(image * (self._gain * self._brightness(frame, late)))
        if faults.round_field:
            light[outside_ellipse(self.shape)] = 0
        for places, value in self._spots:
            light.ravel()[places] = value
        if faults.zingers:
            self._add_zingers(light, frame)
        return light

    def _rng(self, kind: str, *frame: int) -> np.random.Generator:
        """Return the random generator of one kind of fault, in a frame or in all frames."""
        return _rng(self._seed, f"{self.name} {kind}", *frame)

    def _static_gain(self) -> Counts:
        across = np.linspace(-1, 1, self.shape[1])[None, :]
        uneven = self._rng("pattern").standard_normal(self.shape)
        return (1 + self.faults.tilt * across) * np.maximum(1 + self.faults.pattern * uneven, 0)

    def _brightness(self, frame: int, late: float) -> Counts:
        """Return the gain of the rows (H, 1) of a frame."""
        flicker = _flicker(self._rng("flicker", frame), self.faults.flicker)
        rows = self._rng("stripes", frame).standard_normal((self.shape[0], 1))
        stripes = np.maximum(1 + self.faults.stripes * rows, 0)
        return stripes * (flicker * (1 + self.faults.drift * late))

    def _response(self, light: Counts) -> Counts:
        if self.faults.gamma == 1 or not self.white:
            return light
        return self.white * np.maximum(light / self.white, 0) ** self.faults.gamma

    def _dark(self, frame: int) -> Counts:
        noise = self._rng("dark", frame).standard_normal(self.shape)
        return DARK * self.white * np.maximum(1 + 0.1 * noise, 0)

    def _draw_spots(self) -> list[tuple[NDArray[np.intp], float]]:
        pixels = self.shape[0] * self.shape[1]
        kinds = [("dead", self.faults.dead, 0.0), ("hot", self.faults.hot, BRIGHTEST * self.white)]
        return [(self._rng(kind).permutation(pixels)[:count], value) for kind, count, value in kinds if count]

    def _add_zingers(self, light: Counts, frame: int) -> None:
        rng = self._rng("zingers", frame)
        hit = rng.random(self.shape) < self.faults.zingers
        light[hit] = self.white * rng.uniform(1, BRIGHTEST, np.count_nonzero(hit))

    def _kept(self, clean: Stack) -> tuple[int, ...]:
        for kind in ("black", "stuck", "dropped"):
            outside = [k for k in getattr(self.faults, kind) if k >= len(clean)]
            if outside:
                raise InputError(
                    setting=f"{self.name}_{kind}",
                    expected=f"frame numbers from 0 to {len(clean) - 1}",
                    found=str(outside[0]),
                    hint="choose frames of the recording",
                )
        kept = tuple(k for k in range(len(clean)) if k not in self.faults.dropped)
        if not kept:
            raise InputError(
                setting=f"{self.name}_dropped",
                problem="no frame is left",
                hint="drop fewer frames",
            )
        return kept


def _rng(seed: int, kind: str, *frame: int) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(kind.encode()), *frame])


def _flicker(rng: np.random.Generator, share: float) -> float:
    """Draw the brightness of a frame, uniform from 1 - share to 1 + share."""
    return 1 + share * float(rng.uniform(-1, 1))


def outside_ellipse(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) lie outside the largest ellipse in the frame."""
    y, x = (np.linspace(-1, 1, side, endpoint=False) + 1 / side for side in shape)
    outside: NDArray[np.bool_] = y[:, None] ** 2 + x[None, :] ** 2 > 1
    return outside


def pco_stamp(frame: int, microseconds: int) -> NDArray[np.uint8]:
    """Return the 14 pixels of pco's binary time stamp, a byte of two decimal digits (BCD) each.

    Manual of pco.edge, p. 28: image number from 1 (4 bytes), year (2), month, day, hour, minute, second,
    microseconds (3). The recording begins on 1 January 2026.
    """
    seconds, rest = divmod(microseconds, 1_000_000)
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    digits = f"{(frame + 1) % 10**8:08}202601{(days % 31) + 1:02}{h:02}{m:02}{s:02}{rest:06}"
    return np.frombuffer(bytes.fromhex(digits), np.uint8)


def place_lr(disturbances: Disturbances, scale: float = SCALE) -> Callable[[Image], Image]:
    """Return what shifts, turns, enlarges and blurs an HR image (H, W), float32, as the LR camera sees it.

    ``scale`` is HR pixels per LR pixel. Edge pixels are repeated.
    """
    right, down = (scale * pixels for pixels in disturbances.lr_shift)
    turn, size = math.radians(disturbances.lr_turn), 1 + disturbances.lr_larger
    blur = scale * disturbances.lr_blur

    def place(image: Image) -> Image:
        if blur:
            image = cv2.GaussianBlur(image, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
        if not (right or down or turn) and size == 1:
            return image
        # OpenCV's cubic interpolation moves smooth images by up to 0.05 pixels; splines do not.
        cos, sin = math.cos(turn) / size, math.sin(turn) / size
        linear, middle = np.array([[cos, -sin], [sin, cos]]), (np.array(image.shape) - 1) / 2
        offset = middle - linear @ (middle + np.array([down, right]))
        placed: Image = scipy.ndimage.affine_transform(image, linear, offset, order=3, mode="nearest")
        return placed

    return place


def expose_hr(truth: Stack, frames: int, time: int) -> NDArray[Any]:
    """Return the mean (H, W) of ``frames`` frames of ``truth`` around frame ``time``, in its dtype.

    There are fewer at the beginning and the end of the sequence.
    """
    first, last = time - (frames - 1) // 2, time + frames // 2
    exposed = range(max(first, 0), min(last, len(truth) - 1) + 1)
    if len(exposed) == 1:
        return truth.frame(time)
    return as_dtype(
        np.asarray(np.mean([truth.frame(i) for i in exposed], axis=0, dtype=np.float64)), truth.dtype
    )

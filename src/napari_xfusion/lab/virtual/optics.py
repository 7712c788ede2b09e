"""What a coarse camera sees of a sharp image through any mapping, and what a slow camera sees of a fast sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from napari_xfusion.core.calibration import Calibration, ClockFit
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.grey import as_dtype
from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.types import Image, Metadata, Stack
from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual.disturbances import Disturbances

PER_PIXEL = 6
"""Points per HR pixel and axis at which the area of an LR pixel is sampled; at whole scales the mean is exact."""
CHUNK = 2**21
"""Points that are mapped at once."""


@dataclass(frozen=True, eq=False)
class View:
    """A camera whose pixels are the means of an image (H, W) over their area, (h, w)."""

    weights: csr_array
    """(h * w, H * W); each row sums to one."""
    shape: Shape
    """(h, w)."""
    blur: tuple[float, float] = (0.0, 0.0)
    """Standard deviation, down and across, in pixels of the image."""

    @classmethod
    def of(
        cls,
        mapping: Mapping,
        shape: Shape,
        image_shape: Shape,
        *,
        corner: tuple[int, int] = (0, 0),
        blur: float = 0.0,
    ) -> View:
        """The view of a camera of ``shape`` (h, w) whose pixels ``mapping`` places on the HR grid.

        HR's first pixel is pixel ``corner`` of the image, which may show more than HR does; beyond it the edge is
        repeated. ``blur`` is the standard deviation of a Gaussian in LR pixels.
        """
        points = math.ceil(PER_PIXEL * max(mapping.scale))
        rows = max(1, CHUNK // (shape[1] * points**2))
        columns, starts = range(shape[1]), range(0, shape[0], rows)
        blocks = [(range(first, min(first + rows, shape[0])), columns) for first in starts]
        parts = [_weights(mapping, block, points, image_shape, corner) for block in blocks]
        y, x = mapping.scale
        return cls(vstack(parts, format="csr"), shape, (blur * y, blur * x))

    def __call__(self, image: Image) -> Image:
        """What the camera sees of ``image``, float32."""
        if any(self.blur):
            down, across = self.blur
            image = cv2.GaussianBlur(
                image, (0, 0), sigmaX=across, sigmaY=down, borderType=cv2.BORDER_REPLICATE
            )
        seen: Image = (self.weights @ image.ravel()).reshape(self.shape).astype(np.float32)
        return seen


def _weights(
    mapping: Mapping, pixels: tuple[range, range], points: int, image_shape: Shape, corner: tuple[int, int]
) -> csr_array:
    """Of some rows and columns of the camera's pixels."""
    rows, columns = pixels
    inside = (np.arange(points) + 0.5) / points - 0.5
    y = (np.array(rows)[:, None] + inside).ravel()
    x = (np.array(columns)[:, None] + inside).ravel()
    places = mapping.to_output(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)) + corner
    nearest = np.clip(np.floor(places + 0.5).astype(np.int64), 0, np.array(image_shape) - 1)
    seen = nearest[..., 0] * image_shape[1] + nearest[..., 1]
    own = np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    owners = own.repeat(points, axis=0).repeat(points, axis=1)
    share = np.full(seen.size, 1 / points**2, np.float32)
    size = len(rows) * len(columns), image_shape[0] * image_shape[1]
    return csr_array((share, (owners.ravel(), seen.ravel())), shape=size)


def expose(read: Callable[[int], NDArray[Any]], count: int, start: float, duration: float) -> Image:
    """The mean image, float32, from ``start`` on for ``duration``, in frames of a sequence of ``count``.

    Frame i lasts from i to i + 1; before the first and after the last frame these are repeated.
    """
    end = start + max(duration, 1e-9)
    frames = np.arange(math.floor(start), math.ceil(end))
    weights = np.minimum(frames + 1, end) - np.maximum(frames, start)
    images = {int(np.clip(i, 0, count - 1)) for i in frames}
    shares = {i: float(weights[np.clip(frames, 0, count - 1) == i].sum() / weights.sum()) for i in images}
    total: Image = np.sum(
        [np.float32(share) * read(i) for i, share in shares.items()], axis=0, dtype=np.float32
    )
    return total


class Exposures:
    """The frames of a slow camera by its clock; their times are in frames of the fast sequence."""

    def __init__(self, clock: ClockFit, count: int) -> None:
        self.clock, self.count = clock, count
        first, step = clock.offset_ns / clock.lr_interval_ns, clock.hr_interval_ns / clock.rate
        step /= clock.lr_interval_ns
        exposure = clock.lr_interval_ns if clock.exposure_ns is None else clock.exposure_ns
        self.duration = exposure / clock.lr_interval_ns
        frames = max(0, math.floor((count - self.duration - first) / step + 1e-9) + 1)
        self.starts = first + step * np.arange(frames)

    @property
    def nearest(self) -> tuple[int, ...]:
        """Number of the frame of the sequence in the middle of each exposure."""
        middle = np.floor(self.starts + self.duration / 2 - 1e-9).astype(int)
        return tuple(np.clip(middle, 0, self.count - 1).tolist())

    def stack(self, truth: Stack) -> Stack:
        """The frames, means of those of ``truth``; they know their own clock only."""
        shape, dtype = (len(self.starts), *truth.shape[1:]), truth.dtype
        return truth.derive(
            lambda k: as_dtype(expose(truth.frame, self.count, self.starts[k], self.duration), dtype),
            shape,
            dtype,
            source=f"{truth.source} (HR)",
            clock=Clock.regular(shape[0], self.clock.hr_interval_ns * 1e-9),
        )


def timed(movie: Stack, clock: ClockFit) -> Stack:
    """A sequence with a frame for each LR frame of a clock."""
    return replace(movie, clock=Clock.regular(len(movie), clock.lr_interval_ns * 1e-9), metadata=Metadata())


def check_rig(
    movie: Stack, calibration: Calibration, hr_step: int | None, binning: str, disturbances: Disturbances
) -> None:
    """Raise InputError where a sequence cannot be seen through a rig file, or settings contradict it."""
    (height, width), shape, clock = calibration.hr.shape, movie.shape[1:], calibration.clock
    by_clock = clock is not None
    wrong = [
        (
            shape[0] < height or shape[1] < width,
            f"frames of at least {height} x {width} pixels, those of HR in the rig file",
            f"{shape[0]} x {shape[1]}",
            "choose a larger sequence",
        ),
        (binning != "mean", "binning mean with a rig file", binning, "omit it"),
        (
            by_clock and hr_step is not None,
            "no HR step, as the rig file has a clock",
            str(hr_step),
            "omit {hr_step}",
        ),
        (
            by_clock and (disturbances.hr_late, disturbances.hr_exposure) != (0, 1),
            "HR times and exposure by the clock of the rig file",
            "others",
            "change the rig file",
        ),
        (
            clock is not None and len(Exposures(clock, len(movie)).starts) < 2,
            "a sequence that lasts for two HR frames of the rig file",
            f"{len(movie)} frames",
            "choose a longer sequence",
        ),
    ]
    for is_wrong, expected, found, do in wrong:
        if is_wrong:
            raise InputError(movie.source, expected=expected, found=found, hint=do)


def cropped(stack: Stack, shape: Shape) -> tuple[Stack, tuple[int, int]]:
    """The middle (H, W) of the frames of a sequence, and its first pixel."""
    top, left = ((n - m) // 2 for n, m in zip(stack.shape[1:], shape, strict=True))
    place = slice(top, top + shape[0]), slice(left, left + shape[1])
    part = stack.derive(lambda i: stack.frame(i)[place], (len(stack), *shape), stack.dtype)
    return part, (top, left)

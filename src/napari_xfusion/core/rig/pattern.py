"""Sensitivity of single pixels of LR, the same in all frames, as HR shows it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_xfusion.core.rig.grey import spread
from napari_xfusion.core.types import Image
from napari_xfusion.core.value import Value

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Pairs = Sequence[tuple[Image, Image]]
"""LR frames (h, w) and HR frames binned to (h, w), of common times, in grey units."""
FEWEST = 4
"""Pairs; with fewer, noise looks as if it lasted."""
LARGEST = 0.5
"""Deviation of a sensitivity from 1."""
LEAST = 0.01
"""Standard deviation of sensitivities; methods cope with less."""
NOT_OF_HR = 2.0
"""Times by which they must exceed what a pattern of HR could make."""
LEAST_GAIN = 0.15
"""Share of the mean square difference between the cameras that they must explain."""
CERTAIN = 8.0
"""Standard errors by which two halves of the frames must agree on them."""
WHITE = 0.25
"""Correlation of neighbours, more than which is no pattern of single pixels."""
LINES, FAR = 0.7, 8
"""Correlation of pixels so far apart, more than which is a pattern of rows or columns."""
EVEN = 0.5
"""Least ratio of its variances where the image has edges and where it is smooth. What LR shows more blurred than HR, or
at another place, differs at edges; what is seen in front of one camera only, elsewhere."""
SMOOTH = 3.0
"""LR pixels; what varies over more is illumination."""
SECOND = np.outer((1, -2, 1), (1, -2, 1)) / 6
"""Second differences down and across, which leave the variance of single pixels as it is."""
LEVELS = 127
"""Steps in which a sensitivity is stored on either side of 1."""


class Pattern(Value):
    """A grey value g of a pixel becomes black + (g - black) / sensitivity."""

    black: float
    """Grey value of no light."""
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """(h, w)."""
    step: Annotated[float, Field(ge=0, le=LARGEST / LEVELS)]
    steps: str
    """Sensitivities less 1 in units of ``step``, row by row, as signed bytes in base64."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(b64decode(self.steps, validate=True)) != self.shape[0] * self.shape[1]:
            raise ValueError("a pattern has one byte for each pixel of its shape")
        return self

    @classmethod
    def of(cls, sensitivity: Floats, black: float) -> Pattern:
        """From sensitivities (h, w), about 1."""
        away = np.clip(sensitivity - 1, -LARGEST, LARGEST)
        step = float(np.abs(away).max()) / LEVELS
        whole = np.rint(away / (step or 1)).astype(np.int8)
        height, width = sensitivity.shape
        return cls(
            black=black, shape=(height, width), step=step, steps=b64encode(whole.tobytes()).decode("ascii")
        )

    @cached_property
    def sensitivity(self) -> Image:
        """(h, w)."""
        whole = np.frombuffer(b64decode(self.steps), np.int8).reshape(self.shape)
        return (1 + self.step * whole).astype(np.float32)

    def __call__(self, image: Image) -> Image:
        """An image (h, w) as pixels of one sensitivity show it."""
        black = np.float32(self.black)
        return black + (image - black) / self.sensitivity


def grain(image: Image, black: float) -> float:
    """Standard deviation of the sensitivity of single pixels, at most, of the camera that took an image (H, W)."""
    light = np.maximum(image.astype(np.float64) - black, 1e-6)
    return spread(cv2.filter2D(np.log(light), -1, SECOND, borderType=cv2.BORDER_REFLECT))


def find_pattern(pairs: Pairs, usable: Mask, black: float, of_hr: float = 0.0) -> Pattern | None:
    """The pattern of LR, or None where there are fewer than ``FEWEST`` pairs or it is not certain.

    ``usable`` (h, w) are the pixels that both cameras see; ``black`` is the grey value of no light, ``of_hr`` the
    standard deviation of binned HR by a pattern of that camera, at most. What both halves of the frames show is no
    noise. Each sensitivity is shrunk towards 1 by as much as it is uncertain.
    """
    if len(pairs) < FEWEST or int(usable.sum()) < 100:
        return None
    low, high = (np.stack(each).astype(np.float64) for each in zip(*pairs, strict=True))
    light = high - black
    residual = np.where(usable, low - high, 0)
    limit = 5 * spread(residual[:, usable])
    residual = np.clip(residual, -limit, limit)

    def measured(part: slice) -> Floats:
        power = (light[part] ** 2).sum(axis=0)
        raw = (residual[part] * light[part]).sum(axis=0) / np.maximum(power, 1e-6)
        return without_smooth(raw, usable)

    first, second = measured(slice(0, None, 2)), measured(slice(1, None, 2))
    variance = _common(first, second, usable)
    if variance < max(LEAST, NOT_OF_HR * of_hr) ** 2 or not _is_pattern(
        first, second, high.mean(axis=0), usable
    ):
        return None
    whole = measured(slice(None))
    rest = residual - whole * light
    noise = float(np.mean(np.where(usable, rest, 0) ** 2)) * usable.size / usable.sum()
    if variance * float(np.mean(light[:, usable] ** 2)) < LEAST_GAIN * float(
        np.mean(residual[:, usable] ** 2)
    ):
        return None
    uncertain = noise / np.maximum((light**2).sum(axis=0), 1e-9)
    return Pattern.of(1 + whole * variance / (variance + uncertain), black)


def _is_pattern(first: Floats, second: Floats, image: Floats, usable: Mask) -> bool:
    """Whether what two halves of the frames show (h, w) is the same, of single pixels, and not what edges show."""
    variance = _common(first, second, usable)
    error = float(np.sqrt(np.mean(first[usable] ** 2) * np.mean(second[usable] ** 2) / usable.sum()))
    if variance < CERTAIN * error:
        return False
    near, far = (
        [_common(first, np.roll(second, shift, axis), usable) / variance for axis in (0, 1)]
        for shift in (1, FAR)
    )
    single = max(np.abs(near)) < WHITE or (max(far) > LINES and min(far) < LINES)
    slope = np.hypot(*np.gradient(cv2.GaussianBlur(image, (0, 0), 1.0)))
    steep = slope > np.median(slope[usable])
    flat, edges = (_common(first, second, usable & part) for part in (~steep, steep))
    return single and min(flat, edges) > EVEN * max(flat, edges)


def _common(a: Floats, b: Floats, where: Mask) -> float:
    """Mean product of two images (h, w) without mean."""
    return float(np.mean((a[where] - a[where].mean()) * (b[where] - b[where].mean())))


def without_smooth(image: Floats, seen: Mask) -> Floats:
    """An image (h, w) without what is smooth, 0 where it is not ``seen``."""
    weight = cv2.GaussianBlur(seen.astype(np.float64), (0, 0), SMOOTH)
    smooth = cv2.GaussianBlur(np.where(seen, image, 0), (0, 0), SMOOTH) / np.maximum(weight, 1e-3)
    return np.where(seen, image - smooth, 0)

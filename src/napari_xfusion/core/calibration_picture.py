"""A picture of a calibration: both cameras as a checkerboard on the HR grid, and the residuals as arrows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.results.sheet import labelled, sheet
from napari_xfusion.core.rig.calibrate import Calibrated

FIELDS = 6
"""Squares of the checkerboard along the shorter side."""
LONGEST = 1280
"""Pixels of the longer side of a picture."""
ARROW = 0.04
"""Length of the longest arrow, relative to the longer side."""
RED = (255, 60, 40)


def write_picture(made: Calibrated, path: Path) -> None:
    """Write the picture of a calibration as PNG; raises WriteError."""
    picture = Picture.fromarray(draw(made))
    write_whole(path, lambda part: picture.save(part, format="PNG"))


def draw(made: Calibrated) -> NDArray[np.uint8]:
    """The picture, (H, W, 3): above the checkerboard, below the residuals on HR."""
    mapping, residuals = made.calibration.mapping, made.fit.residuals
    text = f"residuals of {residuals.count} points: {residuals.rms:.3f} HR pixels RMS, {residuals.largest:.3f} at most"
    longest = max(residuals.largest, 1e-9)
    pictures = [
        labelled(_smaller(_checkerboard(made)), f"LR and HR in turn, scale {mapping.scale[0]:.4f}"),
        labelled(_arrows(made, longest), f"{text}; the longest arrow is {longest:.3f} HR pixels"),
    ]
    return sheet(pictures, across=1, gap=(4, 0))


def _checkerboard(made: Calibrated) -> NDArray[np.uint8]:
    rows, columns = np.indices(made.hr.shape)
    at = made.calibration.mapping.from_output(np.stack([rows, columns], axis=-1)).astype(np.float32)
    lr = cv2.remap(made.lr.astype(np.float32), at[..., 1], at[..., 0], cv2.INTER_LINEAR, borderValue=np.nan)
    side = min(made.hr.shape) // FIELDS + 1
    use = ((rows // side + columns // side) % 2 == 0) & np.isfinite(lr)
    return _colours(np.where(use, _bytes(lr), _bytes(made.hr)).astype(np.uint8))


def _arrows(made: Calibrated, longest: float) -> NDArray[np.uint8]:
    picture = _smaller(_colours(_bytes(made.hr)))
    factor = picture.shape[1] / made.hr.shape[1]
    length = ARROW * max(picture.shape) / longest
    for (y, x), (down, right) in zip(made.fit.hr, made.fit.arrows, strict=True):
        start = (round(x * factor), round(y * factor))
        end = (round(x * factor + right * length), round(y * factor + down * length))
        cv2.arrowedLine(picture, start, end, RED, 1, cv2.LINE_AA, tipLength=0.3)
    return picture


def _bytes(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    scaled = 255 * (np.nan_to_num(image, nan=low) - low) / max(high - low, 1e-12)
    return np.asarray(scaled.clip(0, 255), np.uint8)


def _colours(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=-1))


def _smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = min(1.0, LONGEST / max(image.shape))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

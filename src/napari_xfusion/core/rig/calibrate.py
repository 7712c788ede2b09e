"""Calibrate two cameras: find where LR pixels lie on HR's from a target, from point pairs, or from the recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration, CameraFacts, Way
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.rig.content import fit_content
from napari_xfusion.core.rig.fit import Fitted, Model, Points, fit_points, without_outliers
from napari_xfusion.core.rig.points import fit_given
from napari_xfusion.core.rig.targets import Lattice, find_lattice, place_lattice
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import CalibrationError

Request = Literal["auto", "grid", "content"]
MOST_FRAMES = 32
"""Frames that are averaged, spread over the recording."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration with what it was made from."""

    calibration: Calibration
    fit: Fitted
    lr: NDArray[np.float64]
    hr: NDArray[np.float64]
    """Mean frames, (h, w) and (H, W)."""
    dropped: tuple[int, ...] = ()
    """Numbers, from 0, of given pairs that contradict the others."""


def calibrate(
    lr: Stack,
    hr: Stack,
    *,
    way: Request = "auto",
    points: tuple[Points, Points] | None = None,
    pixel_size_lr: float | None = None,
    pixel_size_hr: float | None = None,
    model: Model = "auto",
    near: Mapping | None = None,
) -> Calibrated:
    """Find where LR pixels lie on HR's.

    ``points`` are pairs (N, 2) of LR and HR pixels (row, column), as ``read_points`` gives them; ``way`` is ignored
    then. ``near`` is a rough mapping of LR pixels to HR pixels, with which the content is compared near it only. Pixel
    sizes are micrometres in the plane of the sample, in place of those of the files. Raises
    CalibrationError, with the reason, where the answer is not certain.
    """
    cameras = CameraFacts.of(lr, pixel_size_lr), CameraFacts.of(hr, pixel_size_hr)
    images = mean_frame(lr), mean_frame(hr)
    scale = _scale(*cameras)
    dropped: tuple[int, ...] = ()
    used: Way = "points"
    if points is None:
        used, fit = _from_images(images, way, scale, model, near)
    else:
        fit, kept = fit_given(*points, images[0].shape, images[1].shape, model)
        dropped = tuple(np.flatnonzero(~kept).tolist())
    calibration = Calibration(
        lr=cameras[0], hr=cameras[1], mapping=fit.mapping, residuals=fit.residuals, way=used
    )
    return Calibrated(calibration, fit, *images, dropped)


def mean_frame(stack: Stack) -> NDArray[np.float64]:
    """The mean of up to MOST_FRAMES frames, (H, W)."""
    numbers = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), MOST_FRAMES)).round().astype(int))
    total = np.zeros(stack.shape[1:])
    for number in numbers.tolist():
        total += stack.frame(number)
    return total / len(numbers)


def _scale(lr: CameraFacts, hr: CameraFacts) -> float | None:
    """HR pixels per LR pixel by the pixel sizes; None where one is not known."""
    if lr.pixel_size is None or hr.pixel_size is None:
        return None
    return lr.pixel_size / hr.pixel_size


def _from_images(
    images: tuple[NDArray[np.float64], NDArray[np.float64]],
    way: Request,
    scale: float | None,
    model: Model,
    near: Mapping | None,
) -> tuple[Way, Fitted]:
    """From a target where one of the cameras shows one, else from the content."""
    lr, hr = images
    if way == "content":
        return way, fit_content(lr, hr, scale, model, near)
    found, lattices = (_lattice(lr, "LR"), _lattice(hr, "HR")), []
    if way == "auto" and not any(isinstance(each, Lattice) for each in found):
        return "content", fit_content(lr, hr, scale, model, near)
    for each in found:
        if isinstance(each, CalibrationError):
            raise each
        lattices.append(each)
    pairs = place_lattice(lattices[0], lattices[1], scale)
    kept = without_outliers(*pairs, hr.shape)
    return "grid", fit_points(pairs[0][kept], pairs[1][kept], hr.shape, model)


def _lattice(image: NDArray[np.float64], camera: str) -> Lattice | CalibrationError:
    """The lattice of a target, or why there is none."""
    try:
        return find_lattice(_normalised(image), camera)
    except CalibrationError as error:
        return error


def _normalised(image: NDArray[np.float64]) -> Image:
    """Intensities from 0 to 1 between percentiles; NaN and infinity become the median."""
    finite = np.isfinite(image)
    low, middle, high = np.percentile(image[finite], (0.5, 50, 99.5)) if finite.any() else (0.0, 0.0, 0.0)
    filled = np.where(finite, image, middle)
    return ((filled - low) / max(high - low, 1e-12)).astype(np.float32)

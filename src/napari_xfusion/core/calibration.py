"""The calibration of two cameras against each other: geometry, clock and blur, saved as the rig file of a user."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from napari_xfusion._version import __version__
from napari_xfusion.core.files import load_json, save_json
from napari_xfusion.core.mapping import Mapping, Shape
from napari_xfusion.core.types import Stack
from napari_xfusion.core.value import Value
from napari_xfusion.errors import PairingError

Side = Annotated[int, Field(gt=0)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Way = Literal["grid", "points", "content", "manual"]
"""From a target, from point pairs, from what both recordings show, or entered by hand."""


class CameraFacts(Value):
    """The camera that a calibration is for."""

    source: str
    """Name of the recording or target it was made with, without its folder."""
    shape: tuple[Side, Side]
    """(rows, columns)."""
    pixel_size: Positive | None = None
    """Side of a pixel in the plane of the sample, micrometres."""
    camera: str | None = None
    serial: str | None = None
    """What the recording says of the camera."""

    @classmethod
    def of(cls, stack: Stack, pixel_size: float | None = None) -> Self:
        """The camera of a recording; ``pixel_size`` in micrometres is preferred to the recording's."""
        said = stack.metadata.camera
        return cls(
            source=Path(stack.source).name,
            shape=stack.shape[1:],
            pixel_size=pixel_size or stack.pixel_size,
            camera=said.name,
            serial=said.serial,
        )

    def may_be(self, other: CameraFacts) -> bool:
        """Whether both may be one camera: frames of one size, and no other name or serial number."""
        known = ((self.camera, other.camera), (self.serial, other.serial))
        return self.shape == other.shape and all(a is None or b is None or a == b for a, b in known)


class Residuals(Value):
    """Distances of measured from mapped points, HR pixels."""

    count: Annotated[int, Field(ge=0)]
    """Points."""
    rms: NotNegative
    largest: NotNegative
    left_out: NotNegative
    """RMS of each point against the mapping that the other points give."""


class ClockFit(Value):
    """The clock of the HR camera on that of the LR camera."""

    offset_ns: FiniteFloat
    """Time of HR frame 0 minus that of LR frame 0, both at the start of the frame."""
    rate: Positive = 1.0
    """Seconds of the HR clock per second of the LR clock; 1 without drift."""
    uncertainty_ns: NotNegative
    """Standard deviation of the offset."""
    lr_interval_ns: Positive
    hr_interval_ns: Positive
    """From frame to frame."""
    exposure_ns: NotNegative | None = None
    """Of an HR frame."""
    source: Literal["stamps", "trigger", "content", "brightness", "manual"]


class GreyRelation(Value):
    """LR values that belong to HR values, camera units; linear between and beyond the points."""

    hr: Annotated[tuple[FiniteFloat, ...], Field(min_length=2)]
    """Increasing."""
    lr: Annotated[tuple[FiniteFloat, ...], Field(min_length=2)]

    @property
    def is_line(self) -> bool:
        """Whether two points are enough."""
        return len(self.hr) == 2

    def __str__(self) -> str:
        slope = (self.lr[-1] - self.lr[0]) / (self.hr[-1] - self.hr[0])
        if self.is_line:
            return f"LR is {slope:.5g} * HR + {self.lr[0] - slope * self.hr[0]:.5g}"
        away = max(
            abs(lr - self.lr[0] - slope * (hr - self.hr[0])) for hr, lr in zip(self.hr, self.lr, strict=True)
        )
        share = away / max(abs(self.lr[-1] - self.lr[0]), 1e-30)
        ends = f"{self.lr[0]:.5g} to {self.lr[-1]:.5g} where HR is {self.hr[0]:.5g} to {self.hr[-1]:.5g}"
        return f"LR is a curve of HR, {ends}, up to {share:.1%} from a line"


class PixelNoise(Value):
    """The noise of one LR pixel by its value, camera units: variance = ``floor`` + ``gain`` * value (photon transfer).

    Where the value of a dark pixel is 0, ``gain`` are units per detected photon or electron and ``floor`` is the
    variance of the read noise (Janesick, Photon Transfer, SPIE Press, 2007).
    """

    floor: FiniteFloat
    gain: NotNegative
    darkest: FiniteFloat
    brightest: FiniteFloat
    """Values between which it was measured."""

    def at(self, value: float) -> float:
        """Standard deviation at a value between these."""
        return math.sqrt(max(self.floor + self.gain * value, 0.0))


class FixedPattern(Value):
    """Standard deviation of what differs from pixel to pixel of LR in all frames alike, camera units."""

    pixels: NotNegative
    rows: NotNegative
    """Of complete rows."""
    columns: NotNegative


class CameraFigures(Value):
    """What was measured of the cameras on a pair; None where it does not tell."""

    relation: GreyRelation | None = None
    noise: PixelNoise | None = None
    pattern: FixedPattern | None = None

    def facts(self) -> dict[str, str]:
        """What is known, in words, by a name each."""
        found = {}
        if self.noise:
            ends = " and ".join(
                f"{self.noise.at(x):.3g} at {x:.4g}" for x in (self.noise.darkest, self.noise.brightest)
            )
            grows = f"variance {self.noise.floor:.4g} + {self.noise.gain:.3g} * value"
            found["noise"] = f"of one LR pixel {ends} units, {grows}"
        if self.pattern:
            each = ", ".join(
                f"{name} {getattr(self.pattern, name):.2g}" for name in ("pixels", "rows", "columns")
            )
            found["pattern"] = f"fixed in LR: {each} units, standard deviation"
        if self.relation:
            found["relation"] = str(self.relation)
        return found


class Calibration(Value):
    """How LR pixels and frames lie on those of HR. Saved as JSON, and reused for the recordings of these cameras."""

    schema_number: Annotated[Literal[1], Field(alias="schema")] = 1
    """Of the JSON; raised when its fields change."""
    lr: CameraFacts
    hr: CameraFacts
    mapping: Mapping
    """LR pixels (row, column) to HR pixels."""
    clock: ClockFit | None = None
    blur: tuple[tuple[FiniteFloat, ...], ...] | None = None
    """Square kernel of HR pixels that makes HR as blurred as LR, of odd size."""
    figures: CameraFigures | None = None
    """What was measured of the cameras; no method needs it."""
    residuals: Residuals | None = None
    way: Way
    made: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """Date and time, ISO 8601, UTC."""
    software: str = __version__
    """Version of this package."""

    @model_validator(mode="after")
    def _square(self) -> Self:
        if self.blur is not None and (
            len(self.blur) % 2 == 0 or {len(self.blur)} != set(map(len, self.blur))
        ):
            raise ValueError("the blur must have as many rows as columns, an odd number")
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Write the calibration as JSON; raises WriteError."""
        save_json(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a calibration from JSON. Raises InputError where there is none, or it is damaged."""
        return load_json(cls, path, expected="a rig file of schema 1", hint="calibrate the cameras again")

    def check_fits(self, lr_shape: Shape, hr_shape: Shape) -> None:
        """Raise PairingError where frames (h, w) and (H, W) are not those of the calibrated cameras."""
        if (tuple(lr_shape), tuple(hr_shape)) != (self.lr.shape, self.hr.shape):
            raise PairingError(
                "frame sizes",
                expected=_sizes(self.lr.shape, self.hr.shape) + ", as calibrated",
                found=_sizes(lr_shape, hr_shape),
                hint="give recordings of the calibrated cameras and sensor regions, or calibrate these",
            )

    def is_of_cameras_of(self, other: Calibration) -> bool:
        """Whether both may be of the same two cameras."""
        return self.lr.may_be(other.lr) and self.hr.may_be(other.hr)

    def with_rest_of(self, earlier: Calibration) -> Calibration:
        """This geometry with the clock, the blur and the figures of an earlier calibration of the same cameras."""
        names = ("clock", "blur", "figures")
        return self.model_copy(update={name: getattr(earlier, name) for name in names})

    @property
    def turn(self) -> float:
        """Degrees by which LR's rows are turned on HR, from down towards right; -180 to 180."""
        (down, _), (right, _) = self.mapping.linear
        return math.degrees(math.atan2(right, down))

    @property
    def is_mirrored(self) -> bool:
        """Whether one camera shows the mirror image of what the other one shows."""
        return bool(np.linalg.det(self.mapping.linear) < 0)

    @property
    def overlap(self) -> float:
        """Fraction of the HR field that LR shows, 0 to 1."""
        height, width = self.hr.shape
        rows, columns = (np.linspace(0, n - 1, min(n, 200)) for n in (height, width))
        pixels = self.mapping.from_output(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1))
        seen = (pixels >= -0.5) & (pixels <= np.array(self.lr.shape) - 0.5)
        return float(seen.all(axis=-1).mean())


def _sizes(lr: Shape, hr: Shape) -> str:
    return f"LR {lr[0]}x{lr[1]} and HR {hr[0]}x{hr[1]} (rows x columns)"

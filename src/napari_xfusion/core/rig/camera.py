"""One camera: where its frames come from, and when, where and in what grey they were taken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, PrivateAttr

from napari_xfusion.core.calibration import NotNegative
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.grey import Affine
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.rig.health import Health, repaired
from napari_xfusion.core.rig.photometry import Photometry
from napari_xfusion.core.types import Stack
from napari_xfusion.core.value import Value
from napari_xfusion.errors import InputError


class Camera(Value):
    """A recording and its place in the rig. Saved as JSON, and sent to other processes."""

    recording: Recording | None = None
    """Opens the frames; None of arrays, which cannot be opened again."""
    source: str
    """Absolute path, or a name for an array."""
    shape: tuple[int, int, int]
    """(T, H, W)."""
    dtype: str
    pixel_size: float | None = None
    """Side of a pixel in micrometres."""
    exposure_ns: Annotated[float, Field(gt=0)] | None = None
    """Nanoseconds of an exposure, where the recording says it."""
    viewer: tuple[tuple[str, str], ...] = ()
    """How a viewer shows its values and rows, see ``Metadata.viewer``."""
    clock: Clock
    """On the clock of the rig, which is that of the fast camera."""
    mapping: Mapping = Mapping()
    """Pixels to the output grid."""
    grey: Affine
    """Camera values to grey units, which all cameras share."""
    health: Health = Health()
    """Which frames and pixels are filled in."""
    photometry: Photometry = Photometry()
    """How its grey values are corrected."""
    noise: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of one pixel about the binned image of the sharp cameras, grey units."""
    blur: tuple[NotNegative, NotNegative] = (0.0, 0.0)
    """Standard deviation of the Gaussian, down and across in pixels, that blurs its images beyond those of the sharp
    cameras and the area of its pixels; 0 where that is not significant."""
    _stack: Stack | None = PrivateAttr(None)

    @classmethod
    def of(
        cls,
        stack: Stack,
        grey: Affine,
        *,
        clock: Clock,
        mapping: Mapping = Mapping(),  # noqa: B008 - frozen
        health: Health = Health(),  # noqa: B008 - frozen
        noise: float | None = None,
    ) -> Self:
        """The camera of an open sequence."""
        camera = cls(
            recording=stack.recording if isinstance(stack.recording, Recording) else None,
            source=_source(stack),
            shape=stack.shape,
            dtype=str(stack.dtype),
            pixel_size=stack.pixel_size,
            exposure_ns=stack.metadata.camera.exposure_ns or None,
            viewer=stack.metadata.viewer,
            clock=clock,
            mapping=mapping,
            grey=grey,
            health=health,
            noise=noise,
        )
        camera._stack = stack
        return camera

    def reading(self, stack: Stack) -> Self:
        """The camera with the same recording in another place, open."""
        recording = stack.recording if isinstance(stack.recording, Recording) else None
        camera = self.model_copy(update={"recording": recording, "source": _source(stack)})
        camera._stack = stack
        return camera

    def closed(self) -> Self:
        """The camera without its open recording."""
        camera = self.model_copy()
        camera._stack = None
        return camera

    def __len__(self) -> int:
        return self.shape[0]

    def exposure_in(self, clock: Clock) -> float:
        """Frames of a camera with ``clock`` during which a frame is exposed, at least 1; 1 where that is not known."""
        if clock.interval is None or self.exposure_ns is None:
            return 1.0
        return max(self.exposure_ns / (clock.interval * 1e9), 1.0)

    def frames(self) -> Stack:
        """The sequence with bad frames and pixels filled in; raises as ``open``."""
        return repaired(self.open(), self.health)

    def open(self) -> Stack:
        """The sequence; raises InputError where it is not there, damaged, or has another shape or dtype by now."""
        if self._stack is not None:
            return self._stack
        if self.recording is None:
            raise InputError(
                self.source,
                problem="this camera recorded into an array that is no longer in memory",
                hint="save the array as a TIFF stack and pair the cameras again",
            )
        stack = self.recording.open()
        if (stack.shape, stack.dtype) != (self.shape, np.dtype(self.dtype)):
            raise InputError(
                self.source,
                expected=f"a recording of shape {self.shape}, {self.dtype}, as in the rig",
                found=f"shape {stack.shape}, {stack.dtype}",
                hint="give the recording that the rig was made with",
            )
        return stack


def _source(stack: Stack) -> str:
    place = Path(stack.source)
    with suppress(OSError):  # a name may be too long to look for
        place = place.resolve() if place.exists() else place
    return str(place)

"""A rig: the cameras that recorded one event, on one clock, one pixel grid and one grey scale."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_xfusion.core.files import load_json, save_json
from napari_xfusion.core.grey import sample_frames
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import GreyRule, Plan
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.types import Image, Region, Stack
from napari_xfusion.core.value import Value
from napari_xfusion.errors import XFusionWarning


class Exposure(NamedTuple):
    """A frame of one of the sharp cameras."""

    camera: int
    """Number among ``Rig.sharp``."""
    frame: int


class Rig(Value):
    """One fast, coarse camera (LR) and one or more sharp ones (HR). Opens no file.

    The clock of the rig is LR's, the output grid that of the first sharp camera; further ones share it.
    ``FrameReader`` reads the frames.
    """

    schema_number: Annotated[Literal[1], Field(alias="schema")] = 1
    """Of the JSON; raised when its fields change."""
    fast: Camera
    sharp: Annotated[tuple[Camera, ...], Field(min_length=1)]
    grey_rule: GreyRule = "match"
    """How the grey scales were found; see ``Plan.grey``."""
    divisions: Annotated[int, Field(gt=0)] | None = None
    """Parts of an LR pixel along each axis on the grid on which methods fuse, for networks and where a rig file places
    LR; by the sizes of the frames when None."""
    correlation: float
    """Of LR with the binned HR images at common times; 1 is perfect."""
    warnings: Annotated[tuple[XFusionWarning, ...], Field(exclude=True)] = ()
    """What was odd about the recordings."""

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if any(c.mapping != Mapping() or c.shape[1:] != self.hr.shape[1:] for c in self.sharp):
            raise ValueError("all sharp cameras must have the same pixel grid")
        if not len(self.hr_times):
            raise ValueError("HR times must lie inside the LR recording")
        return self

    def __len__(self) -> int:
        """LR frames, each of which is a possible target."""
        return len(self.fast)

    @property
    def cameras(self) -> dict[str, Camera]:
        """All of them by name: ``lr``, ``hr``, and ``hr2``, ``hr3`` where there are several sharp ones."""
        names = ("hr", *(f"hr{number}" for number in range(2, len(self.sharp) + 1)))
        return {"lr": self.fast, **dict(zip(names, self.sharp, strict=True))}

    @property
    def hr(self) -> Camera:
        """The sharp camera whose pixel grid, grey values and dtype results have."""
        return self.sharp[0]

    def replaced(self, **fields: Any) -> Self:
        """The rig with other fields, which are validated."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | fields)

    def reading(self, lr: Stack, hr: Stack) -> Self:
        """The rig with the same recordings in other places, open; of the sharp cameras ``hr`` is the first."""
        return self.replaced(fast=self.fast.reading(lr), sharp=(self.hr.reading(hr), *self.sharp[1:]))

    def closed(self) -> Self:
        """The rig without open recordings."""
        return self.replaced(fast=self.fast.closed(), sharp=tuple(camera.closed() for camera in self.sharp))

    @property
    def lr_noise(self) -> float:
        """Standard deviation of one LR pixel about the binned HR image, grey units; 0 where it is not known."""
        return self.fast.noise or 0.0

    def compared(self, target: int, image: NDArray[Any]) -> Image:
        """A result (H, W) for an LR frame in grey units, as frames of both cameras are read: without flicker."""
        grey = self.hr.grey.to_grey(image)
        return self.fast.photometry.taken_off(target, grey).astype(np.float32, copy=False)

    @cached_property
    def grids(self) -> Grids:
        """The LR grid and the grid on which methods fuse; that is the output grid but for ``alignment``."""
        mapping, shapes = self.fast.mapping, (self.fast.shape[1:], self.hr.shape[1:])
        if self.divisions is None and mapping.is_scaling:
            return Grids(*shapes, mapping)
        return replace(Grids.of(*shapes, self.divisions), blur=self.fast.blur)

    @cached_property
    def alignment(self) -> Alignment:
        """The way of HR images to ``grids`` and of results to the output grid."""
        return Alignment(self.grids, self.fast.mapping, self.hr.shape[1:])

    def region(self, plan: Plan) -> Region | None:
        """The HR pixels that results of ``plan`` show; None for complete frames."""
        if plan.region is not None or plan.calibration is None or plan.extent == "hr":
            return plan.region
        seen = self.alignment.overlap
        return None if seen is None or seen.shape == self.hr.shape[1:] else seen

    def frame_shape(self, plan: Plan) -> tuple[int, int]:
        """Size (H, W) of the results of ``plan``."""
        region = self.region(plan)
        return self.hr.shape[1:] if region is None else region.shape

    @cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """The usable frames of all sharp cameras in the order of time, those during the LR recording."""
        return tuple(exposure for _, exposure in self._by_time)

    @cached_property
    def hr_times(self) -> NDArray[np.float64]:
        """(N,) their times in LR frame numbers."""
        return np.array([time for time, _ in self._by_time])

    def common_exposures(self, at_most: int) -> list[int]:
        """Numbers of up to ``at_most`` of ``exposures``, evenly spread, at whose times the cameras can be compared.

        See ``Health.comparable``, of LR.
        """
        found = self.fast.health.comparable(self.hr_times)
        return [int(found[j]) for j in sample_frames(len(found), at_most)]

    @cached_property
    def _by_time(self) -> list[tuple[float, Exposure]]:
        return sorted(
            (float(time), Exposure(number, frame))
            for number, camera in enumerate(self.sharp)
            for frame, time in enumerate(self.fast.clock.frames_of(camera.clock))
            if frame not in camera.health.frames and 0 <= time <= len(self.fast) - 1
        )

    @property
    def placement(self) -> list[dict[str, Any]]:
        """Where and when, as JSON: what of a rig, besides the recordings' content, decides the result."""
        return [
            camera.model_dump(mode="json", include={"clock", "mapping", "health", "photometry", "blur"})
            for camera in self.cameras.values()
        ]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the rig as JSON; raises WriteError."""
        save_json(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a rig from JSON; opens no recording. Raises InputError where there is none, or it is damaged."""
        return load_json(cls, path, expected="a rig file of schema 1", hint="make the rig file again")

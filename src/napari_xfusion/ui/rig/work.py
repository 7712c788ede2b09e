"""What the Rig panel does with a pair of layers: fits and pictures in the background, and the place of the layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np

from napari_xfusion.core.calibration import Calibration, ClockFit
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.rig.calibrate import Calibrated, calibrate, mean_frame
from napari_xfusion.core.rig.fit import Points
from napari_xfusion.core.rig.synchronise import synchronise
from napari_xfusion.core.rig.timing import times_by_clock
from napari_xfusion.core.types import Stack, Token
from napari_xfusion.ui.rig.clock_box import Timing
from napari_xfusion.ui.rig.geometry_box import CLICKED, Geometry
from napari_xfusion.ui.rig.overlay import Overlay
from napari_xfusion.ui.shared.job import Body, Tell, until
from napari_xfusion.ui.shared.layers import arrange, lie_upon
from napari_xfusion.ui.shared.provenance import METADATA, provenance_of

if TYPE_CHECKING:
    from napari.layers import Image, Layer

Kind = Literal["checkerboard", "difference"]


@dataclass(frozen=True, eq=False)
class Pair:
    """LR and HR as layers and as they were recorded."""

    layers: tuple[Image, Image]
    stacks: tuple[Stack, Stack]

    @property
    def are_sequences(self) -> bool:
        """Whether both have frames over time."""
        return all(layer.ndim == 3 for layer in self.layers)

    def check(self, calibration: Calibration) -> None:
        """Raise PairingError where ``calibration`` is of other cameras."""
        calibration.check_fits(*(stack.shape[1:] for stack in self.stacks))


def fitting(pair: Pair, entered: Geometry, points: tuple[Points, Points]) -> Body:
    """Fit the geometry; ``points`` are clicked pairs, for where these were chosen."""
    way = entered.way
    near = placement(pair) if entered.near else None

    def body(_stop: Token, _tell: Tell) -> Calibrated:
        return calibrate(
            *pair.stacks,
            way="auto" if way == CLICKED else way,
            points=points if way == CLICKED else None,
            model=entered.model,
            near=near,
            pixel_size_lr=entered.pixel_size_lr or None,
            pixel_size_hr=entered.pixel_size_hr or None,
        )

    return body


def placement(pair: Pair) -> Mapping:
    """LR pixels to HR pixels as the layers lie on each other now, wherever they were moved to."""
    lr, hr = pair.layers
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    ahead = np.zeros((3, lr.ndim - 2)), np.zeros((3, hr.ndim - 2))
    world = [lr.data_to_world(point)[-2:] for point in np.hstack([ahead[0], corners])]
    origin, down, right = (
        np.array(hr.world_to_data(np.concatenate([lead, point])))[-2:]
        for lead, point in zip(ahead[1], world, strict=True)
    )
    return Mapping(linear=np.stack([down - origin, right - origin], axis=1).tolist(), shift=origin.tolist())


def synchronising(pair: Pair, calibration: Calibration | None, entered: Timing) -> Body:
    """Fit the clock; None where that was stopped."""

    def body(stop: Token, _tell: Tell) -> ClockFit:
        return synchronise(
            *pair.stacks,
            calibration,
            source=entered.source,
            hr_step=entered.hr_step or None,
            exposure_ns=entered.exposure_ns or None,
            progress=until(stop),
        )

    return body


def overlaying(pair: Pair, calibration: Calibration, kind: Kind) -> Body:
    """Draw what both layers show at the same time, lazily, or the mean frames of targets."""
    lr, hr = pair.stacks
    overlay = Overlay(calibration.mapping, lr.shape[1:], hr.shape[1:])
    combine = overlay.checkerboard if kind == "checkerboard" else overlay.difference
    known = provenance_of(pair.layers[1])
    entries = None if known is None or not pair.are_sequences else known.entries

    def body(_stop: Token, _tell: Tell) -> Any:
        pair.check(calibration)
        if entries is None or len(entries) != len(lr):
            image = combine(mean_frame(lr).astype(np.float32), mean_frame(hr).astype(np.float32))
            return image if pair.layers[1].ndim == 2 else image[None]

        def frame(block_id: tuple[int, ...]) -> Any:
            number = block_id[0]
            return combine(lr.frame(number), hr.frame(entries[number]))[None]

        chunks = ((1,) * len(lr), *((n,) for n in hr.shape[1:]))
        return da.map_blocks(frame, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))

    return body


def place(pair: Pair, calibration: Calibration) -> None:
    """Show LR where the rig puts it, and HR at the times of its clock."""
    lr, hr = pair.layers
    if pair.are_sequences and calibration.clock is not None:
        times = tuple(times_by_clock(*pair.stacks, calibration.clock).tolist())
        if arrange(lr, hr, times, calibration) or _is_arranged(lr, calibration):
            return
    lie_upon(lr, hr, calibration.mapping.without_radial)
    for layer in pair.layers:
        known = provenance_of(layer)
        if known is not None:
            layer.metadata = {**layer.metadata, METADATA: replace(known, calibration=calibration)}


def _is_arranged(lr: Layer, calibration: Calibration) -> bool:
    known = provenance_of(lr)
    return known is not None and known.role == "lr" and known.calibration == calibration

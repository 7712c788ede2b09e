"""What a layer is and where it comes from; and the sequence, and its record, that stand behind it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from uuid import UUID
from weakref import WeakKeyDictionary

import dask.array as da
import numpy as np

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.inspect.places import Scale
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.recordings.describe import sequence_axis
from napari_xfusion.core.results.record import AnyRecord, FrameRecord, LayerRecord, RunRecord, SequenceRecord
from napari_xfusion.core.types import Reopenable, Stack
from napari_xfusion.errors import InputError

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_xfusion.core.calibration import Calibration
    from napari_xfusion.core.holdout.intervals import Intervals
    from napari_xfusion.core.plan import Plan
    from napari_xfusion.core.trust.sources import Shares

METADATA = "napari-xfusion"
"""Where a layer's metadata keep its ``Provenance``."""
LayerRole = Literal[
    "sequence",
    "lr",
    "hr",
    "truth",
    "fused",
    "difference",
    "baseline",
    "attention",
    "consistency",
    "std",
    "interval",
    "sources",
]


class Origin(NamedTuple):
    """A layer that another was made from."""

    name: str
    """As it was called then; the user may call it otherwise."""
    key: UUID
    """By which napari knows it."""
    recording: Reopenable | None = None
    """Its recording then, with flats and darks, which may be others by now; None where it comes from no file."""

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """The origin that ``layer`` is."""
        known = provenance_of(layer)
        sequence = None if known is None else known.sequence
        return cls(layer.name, layer.unique_id, None if sequence is None else sequence.recording)


@dataclass(frozen=True, eq=False)
class Provenance:
    """What a layer is and where it comes from."""

    role: LayerRole
    sequence: Stack | None = None
    """The sequence behind a lazy layer, as it was recorded."""
    shown: Any = None
    """The layer's data when it was made: ``sequence`` stands for the layer as long as it shows them."""
    times: tuple[float, ...] | None = None
    """Of an HR sequence that has a partner: the LR frame numbers of its frames, where they are known."""
    calibration: Calibration | None = None
    """Of LR and HR that lie upon each other through a rig file."""
    entries: tuple[int, ...] | None = None
    """The frame of ``sequence`` that each entry of the layer shows, where it is not simply the next one."""
    origins: tuple[Origin, ...] = ()
    """The layers it was made from."""
    plan: Plan | None = None
    """Of a result."""
    record: RunRecord | None = None
    """The run record of a finished result."""
    done: Container[int] | None = None
    """LR frame numbers that a run in progress has made so far, which it adds to; None where all are there."""

    shares: Mapping[int, Shares] | None = None
    """Of a result: where the detail of its frames comes from, by LR frame number, once that was computed."""
    intervals: Intervals | None = None
    """Of a result: the intervals of its pixels, once they were calibrated."""

    def origins_among(self, layers: Iterable[Layer]) -> list[Layer | None]:
        """The layers it was made from, each None where it is not one of ``layers``."""
        there = {layer.unique_id: layer for layer in layers}
        return [there.get(origin.key) for origin in self.origins]


_SEQUENCES: WeakKeyDictionary[Layer, tuple[Any, object, Stack]] = WeakKeyDictionary()
"""Of layers that others opened: data, place and the sequence that they make."""


def provenance_of(layer: Layer) -> Provenance | None:
    """What is known of a layer that this package made."""
    known = layer.metadata.get(METADATA)
    return known if isinstance(known, Provenance) else None


def learn(layer: Layer, **facts: Any) -> None:
    """Add what was found out about a layer that this package made to its ``Provenance``, whose fields ``facts`` are."""
    known = provenance_of(layer)
    if known is not None:
        layer.metadata = {**layer.metadata, METADATA: replace(known, **facts)}


def layers_of(viewer: Viewer, *roles: LayerRole) -> list[Layer]:
    """The viewer's layers that have one of the ``roles``, lowest first."""
    return [layer for layer in viewer.layers if (known := provenance_of(layer)) and known.role in roles]


def stack_of(layer: Layer) -> Stack:
    """The sequence behind a layer: as it was recorded, where it was opened by us, else the layer's data.

    Of other layers, times and pixel size are the scale's, where its units are those of time and length.
    The same object until the layer's data or place change. Raises InputError where the layer holds no sequence
    of grey frames.
    """
    source = content_of(layer)
    if isinstance(source, Stack):
        return source
    place = tuple(layer.scale), tuple(layer.units)
    kept = _SEQUENCES.get(layer)
    if kept is None or kept[0] is not source or kept[1] != place:
        kept = _SEQUENCES[layer] = (source, place, _sequence_of(layer, source))
    return kept[2]


def _sequence_of(layer: Layer, source: Any) -> Stack:
    if getattr(layer, "rgb", None) is not False:
        raise InputError(
            f"layer {layer.name}",
            expected="a greyscale image layer",
            found="colour" if getattr(layer, "rgb", False) else f"a {type(layer).__name__} layer",
            hint="select a greyscale sequence, or split the colour with Layers > Utilities",
        )
    sequence = as_stack(source, name=layer.name)
    axis = sequence_axis("?" * source.ndim, source.shape, layer.name)
    if axis is not None and axis != source.ndim - 3:
        raise InputError(
            f"layer {layer.name}",
            expected="frames along the third axis from the end",
            found=f"shape {tuple(source.shape)}",
            hint="remove the axis of length 1, or open the file with napari-xfusion, which does so",
        )
    down, across = (in_unit(layer, k, "um") for k in (-2, -1))
    square = down is not None and across is not None and isclose(down, across, rel_tol=1e-3)
    seconds = None if axis is None else in_unit(layer, axis, "s")
    clock = Clock.regular(len(sequence), seconds)
    return replace(sequence, pixel_size=down if square else None, clock=clock)


def content_of(layer: Layer) -> Any:
    """What the sequence of an image layer is read from: another object as soon as the layer shows other data."""
    known = provenance_of(layer)
    if known is not None and known.sequence is not None and _same(known.shown, layer.data):
        return known.sequence
    return pixels_of(layer)


def pixels_of(layer: Layer) -> Any:
    """The data of an image layer; of a pyramid those of full size."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def in_unit(layer: Layer, axis: int, unit: str) -> float | None:
    """Step of a layer along ``axis`` in seconds or micrometres, None where it is measured otherwise."""
    if not layer.units[axis].is_compatible_with(unit):
        return None
    return float((float(layer.scale[axis]) * layer.units[axis]).to(unit).magnitude)


def scale_of(layer: Layer) -> Scale:
    """Size of a pixel of a layer in the world: in micrometres where its units are lengths, else in world pixels."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    y, x = (
        float(np.linalg.norm(np.asarray(layer.data_to_world(np.eye(layer.ndim)[axis])) - origin))
        for axis in (-2, -1)
    )
    if in_unit(layer, -1, "um") is None:
        return Scale(y, x, "pixel")
    factor = float((1.0 * layer.units[-1]).to("um").magnitude)
    return Scale(y * factor, x * factor, "um")


def sequence_record(layer: Layer) -> AnyRecord:
    """What is written beside the sequence of a layer: the run record of a result, else where it comes from.

    A result that the user changed is no longer that of its run.
    """
    known = provenance_of(layer)
    made = known is not None and _same(known.shown, layer.data)
    if known is not None and made and known.record is not None:
        return known.record
    origins = tuple(origin.name for origin in known.origins) if known else ()
    role = known.role if known else "sequence"
    frames: tuple[FrameRecord, ...] = ()
    if known is not None and made and known.done is not None:
        first = known.plan.frames[0] if known.plan is not None and known.plan.frames else 0
        numbers = range(first, first + len(layer.data))
        frames = tuple(FrameRecord(frame=t, done=t in known.done) for t in numbers)
    return SequenceRecord(
        layer=LayerRecord(name=layer.name, role=role, made_from=origins),
        frames=frames,
    )


def fused_in(layer: Layer) -> Callable[[int], bool]:
    """Whether a result's layer contains an LR frame number: as its run knows, or its record; never by pixels."""
    known = provenance_of(layer)
    if known is None or not _same(known.shown, layer.data):
        return lambda _frame: True
    done = known.done if known.record is None else known.record.done
    return lambda frame: done is None or frame in done


def _same(a: Any, b: Any) -> bool:
    """Whether two layers' data are one, or one a copy of the other as napari makes it of a lazy layer."""
    return a is b or (isinstance(a, da.Array) and isinstance(b, da.Array) and a.name == b.name)

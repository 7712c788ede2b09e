"""Sequences as napari layers: the one place that knows where, when and in what grey a sequence is shown.

Every function returns what ``viewer.add_image`` takes and touches no viewer, except those that change a layer that
exists. World coordinates
are those of the output grid, in micrometres where the size of its pixels is known; where the pixels of a layer lie on
it is a ``Mapping``. All layers of one experiment have the same kinds of units, or napari drops them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.rig.pairing import place_lr
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Stack
from napari_xfusion.ui.shared.provenance import METADATA, LayerRole, Origin, Provenance, provenance_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_xfusion.core.calibration import Calibration
    from napari_xfusion.core.plan import Plan

CONTRAST_FRAMES = 4
"""Frames looked at for the contrast limits: more make opening a long sequence slow."""
_SHOWN_AS: dict[LayerRole, str] = {"lr": "LR", "hr": "HR"}
SAME = Mapping()
"""Of layers on the output grid."""
_CAMERAS = ("lr", "hr", "truth", "fused")


class LayerData(NamedTuple):
    """A sequence and how napari is to show it: ``viewer.add_image(layer.data, **layer.options)``."""

    data: Any
    """(T, y, x), lazy or an array."""
    options: dict[str, Any]


def sequence_layer(
    stack: Stack,
    *,
    role: LayerRole,
    name: str | None = None,
    mapping: Mapping = SAME,
    pixel_size: float | None = None,
    frame_interval: float | None = None,
    entries: tuple[int, ...] | None = None,
) -> LayerData:
    """A sequence as a lazy layer (t, y, x), one chunk a frame: showing a frame reads that frame.

    ``mapping`` places its pixels on the output grid, ``pixel_size`` is the side of a pixel of that grid in
    micrometres and ``frame_interval`` the seconds from one entry to the next, where the sequence itself does
    not know; without them the units are pixels and frames. ``entries`` are the frame numbers to show one
    after another (default: all).
    """
    pixel = pixel_size or output_pixel(stack, mapping)
    interval = frame_interval or (stack.clock.interval if entries is None else None)
    length = "um" if pixel else "pixel"
    grey, _ = percentile_map(stack, CONTRAST_FRAMES)
    data = lazy_frames(stack, entries)
    options = {
        "name": name or layer_name(sequence_title(stack) if role != "sequence" else _stem(stack), role),
        "axis_labels": ("t", "y", "x"),
        "units": ("s" if interval else "pixel", length, length),
        **_place(mapping, interval or 1.0, pixel or 1.0),
        "contrast_limits": (grey.zero, grey.zero + grey.span),
        "rgb": False,
        "metadata": {METADATA: Provenance(role, sequence=stack, shown=data, entries=entries)},
    }
    return LayerData(data, options)


def sequence_pair(
    lr: Stack,
    hr: Stack,
    hr_times: Iterable[float] | None = None,
    *,
    title: str | None = None,
    calibration: Calibration | None = None,
) -> tuple[LayerData, LayerData]:
    """LR and HR of one event as layers that lie upon each other, called by ``title`` or their files.

    ``hr_times`` are the times of the HR frames in LR frame numbers (default: those the HR file knows). HR
    gets one entry per LR frame, the last HR frame at or before it: napari would show a sparse sequence blank at
    its end. Where the times are not known, HR is spread over the sequence and its name says so. LR lies where the
    rig file ``calibration`` places it, without radial terms, which napari cannot show. Raises PairingError when the
    frame sizes do not fit.
    """
    mapping = place_lr(lr, hr, calibration).without_radial
    pixel = hr.pixel_size or output_pixel(lr, mapping)
    times = hr.metadata.hr_times if hr_times is None else tuple(hr_times)
    clock = np.linspace(0, len(lr) - 1, len(hr)) if times is None else np.asarray(times, dtype=np.float64)
    entries = tuple(min(neighbours(clock, t)[0], len(hr) - 1) for t in range(len(lr)))
    detail = "times not known" if times is None else ""
    low = sequence_layer(
        lr,
        role="lr",
        name=layer_name(title or sequence_title(lr), "lr"),
        mapping=mapping,
        pixel_size=pixel,
    )
    high = sequence_layer(
        hr,
        role="hr",
        name=layer_name(title or sequence_title(hr), "hr", detail),
        pixel_size=pixel,
        frame_interval=lr.clock.interval,
        entries=entries,
    )
    for made, when in ((low, None), (high, None if times is None else tuple(times))):
        metadata = made.options["metadata"]
        metadata[METADATA] = replace(metadata[METADATA], times=when, calibration=calibration)
    return low, high


def derived_layer(
    layer: Layer,
    data: Any,
    *,
    name: str,
    role: LayerRole,
    mapping: Mapping = SAME,
    first: int = 0,
    origins: Sequence[Layer | None] = (),
    plan: Plan | None = None,
    **options: Any,
) -> LayerData:
    """Something made from ``layer`` at exactly its place and time, in its units.

    ``data`` is an array (T, y, x) or (y, x), or a Stack, shown lazily. ``mapping`` places its pixels on those of
    ``layer``, ``first`` is the frame of ``layer`` that its first frame belongs to. ``origins`` are all layers it was
    made from (default: ``layer``), ``plan`` is the run that made it. Contrast limits are those of ``layer`` unless
    ``options`` (for ``viewer.add_image``) give others.
    """
    sequence = data if isinstance(data, Stack) else None
    data = data if sequence is None else lazy_frames(sequence)
    made_of = tuple(Origin.of(origin) for origin in origins or (layer,) if origin is not None)
    provenance = Provenance(role, sequence, data, origins=made_of, plan=plan)
    n = data.ndim
    return LayerData(
        data,
        {
            "name": name,
            "axis_labels": tuple(layer.axis_labels[-n:]),
            "units": tuple(layer.units[-n:]),
            "contrast_limits": tuple(layer.contrast_limits),
            "rgb": False,
            "metadata": {METADATA: provenance},
        }
        | _place_on(layer, mapping, first, n)
        | options,
    )


def redraw(layer: Layer, shown: LayerData) -> None:
    """Show ``shown`` in a layer that exists: data, name, place and provenance; its look stays."""
    layer.data = shown.data
    for key in ("name", "axis_labels", "units", *_PLACE):
        if key in shown.options:
            setattr(layer, key, shown.options[key])
    layer.metadata = {**layer.metadata, **shown.options["metadata"]}


def lie_upon(layer: Layer, below: Layer, mapping: Mapping = SAME) -> None:
    """Move ``layer`` so that ``mapping`` places its pixels on those of ``below``; its time stays.

    Its scale becomes the size of its pixels.
    """
    world = _world(below)[-2:, -2:]
    origin = np.asarray(below.data_to_world(np.zeros(below.ndim)))[-2:]
    steps = np.asarray(below.scale, dtype=float)[-2:] * mapping.scale
    n = layer.ndim
    linear, shift = np.eye(n), np.zeros(n)
    linear[-2:, -2:] = world @ np.asarray(mapping.linear) @ np.diag(1 / steps)
    shift[-2:] = world @ np.asarray(mapping.shift) + origin
    units = (*layer.units[:-2], *below.units[-2:])
    if units != tuple(layer.units):
        layer.units = units
    place = {
        "rotate": np.eye(n),
        "shear": np.zeros(n * (n - 1) // 2),
        "scale": np.array([*layer.scale[:-2], *steps]),
        "translate": np.array([*layer.translate[:-2], 0.0, 0.0]),
        "affine": homogeneous(linear, shift),
    }
    for key, value in place.items():
        if not np.allclose(np.asarray(getattr(layer, key)), value, rtol=1e-12, atol=1e-12):
            setattr(layer, key, value)  # napari draws anew even where nothing changes


def arrange(lr: Layer, hr: Layer, hr_times: Iterable[float], calibration: Calibration | None = None) -> bool:
    """Show LR and HR as the pair that a plan makes of them; whether something changed.

    Only sequences that this package opened: the layers of others, and a truth or a result, stay as they are.
    """
    times, known = tuple(hr_times), [provenance_of(layer) for layer in (lr, hr)]
    sequences = [k.sequence for k in known if k is not None and k.sequence is not None]
    low, high = known
    if (
        low is None
        or high is None
        or len(sequences) < 2
        or not {low.role, high.role} <= {"sequence", "lr", "hr"}
    ):
        return False
    if (low.role, high.role, high.times) == ("lr", "hr", times) and calibration == low.calibration:
        return False
    title = title_of(lr) if low.role == "lr" else None
    pair = sequence_pair(sequences[0], sequences[1], times, title=title, calibration=calibration)
    for layer, shown in zip((lr, hr), pair, strict=True):
        redraw(layer, shown)
    return True


def lazy_frames(stack: Stack, entries: Sequence[int] | None = None) -> da.Array:
    """The frames of a sequence (or those of the numbers ``entries``) as a dask array, one chunk a frame."""
    numbers = range(len(stack)) if entries is None else entries
    H, W = stack.shape[1:]

    def read(block_id: tuple[int, int, int]) -> NDArray[Any]:
        return stack.frame(numbers[block_id[0]])[None]

    array: da.Array = da.map_blocks(
        read,
        chunks=((1,) * len(numbers), (H,), (W,)),
        dtype=stack.dtype,
        meta=np.empty((0, 0, 0), stack.dtype),
        name=f"frames-{uuid4().hex}",  # else dask would look into the sequence to tell it from others
    )
    return array


def sequence_title(stack: Stack) -> str:
    """What a sequence is called: its file without ending and camera, or its folder: ``melt01``."""
    path = Path(stack.source)
    stem = _stem(stack)
    if stem.lower() in _CAMERAS:
        return path.parent.name or stem
    return re.sub(rf"[-_. ]({'|'.join(_CAMERAS)})$", "", stem, flags=re.IGNORECASE)


def _stem(stack: Stack) -> str:
    return Path(stack.source).name.split(".")[0]


def title_of(layer: Layer) -> str:
    """What the sequence of a layer is called, by the layer's name: the user may have changed it."""
    return str(layer.name).split(" · ")[0]


def layer_name(title: str, role: LayerRole, detail: str = "") -> str:
    """The name of a layer: ``melt01 · LR``, ``melt01 · fused (edvr-stf)``."""
    if role == "sequence":
        return title
    return f"{title} · {_SHOWN_AS.get(role, role)}" + (f" ({detail})" if detail else "")


_PLACE = ("scale", "translate", "rotate", "shear", "affine")
"""What napari knows of the place of a layer."""


def output_pixel(stack: Stack, mapping: Mapping) -> float | None:
    """Side in micrometres of a pixel of the output grid, from that of a camera's; None where it is not known."""
    return stack.pixel_size / math.sqrt(math.prod(mapping.scale)) if stack.pixel_size else None


def _place(mapping: Mapping, interval: float, pixel: float) -> dict[str, Any]:
    """A sequence on the output grid, whose pixels are ``pixel`` wide, frames ``interval`` from each other."""
    if not _along_axes(mapping):
        linear, shift = np.eye(3), np.zeros(3)
        linear[1:, 1:], shift[1:] = mapping.linear, pixel * np.array(mapping.shift)
        return {"scale": (interval, pixel, pixel), "affine": homogeneous(linear, shift)}
    (y, _), (_, x) = mapping.linear
    down, across = mapping.shift
    return {
        "scale": (interval, pixel * y, pixel * x),
        "translate": (0.0, pixel * down, pixel * across),
    }


def _place_on(layer: Layer, mapping: Mapping, first: int, n: int) -> dict[str, Any]:
    """The place of data with ``n`` axes whose pixels ``mapping`` places on those of ``layer``."""
    linear, shift = np.eye(n), np.zeros(n)
    linear[-2:, -2:], shift[-2:] = mapping.linear, mapping.shift
    if n > 2:
        shift[-3] = first
    steps = np.asarray(layer.scale, dtype=float)[-n:]
    if _along_axes(mapping):
        to_place = (
            np.diag(steps) if layer.ndim != n else np.linalg.solve(layer.affine.linear_matrix, _world(layer))
        )
        place = {
            "scale": tuple(steps * np.diag(linear)),
            "translate": tuple(np.asarray(layer.translate)[-n:] + to_place @ shift),
        }
        if layer.ndim == n:
            place |= {"rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine}
        return place
    world = np.diag(steps) if layer.ndim != n else _world(layer)
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))[-n:]
    return {
        "scale": tuple(steps),
        "affine": homogeneous(world @ linear @ np.diag(1 / steps), world @ shift + origin),
    }


def _along_axes(mapping: Mapping) -> bool:
    """Whether ``mapping`` neither turns, mirrors nor shears: napari's scale and translation describe it."""
    (yy, yx), (xy, xx) = mapping.linear
    return yx == xy == 0 and yy > 0 and xx > 0


def _world(layer: Layer) -> NDArray[np.float64]:
    """How a step of one data pixel along each axis moves in the world, (n, n)."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    steps = [np.asarray(layer.data_to_world(step)) - origin for step in np.eye(layer.ndim)]
    return np.stack(steps, axis=1)


def homogeneous(linear: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map ``linear`` (n, n) and ``shift`` (n,) as one matrix (n + 1, n + 1)."""
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = linear, shift
    return matrix

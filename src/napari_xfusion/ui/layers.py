"""Films as napari layers and back: the one place that knows where, when and in what grey a film is shown.

Every function returns what ``viewer.add_image`` takes and touches no viewer, except ``redraw``. The first
HR pixel has its centre at 0; a coarser film begins at the same *edge*, so its centre is half the difference
of the pixel sides further. All layers of one experiment bear the same kinds of units, or napari drops them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import uuid4

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_xfusion import __version__
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.io import as_stack
from napari_xfusion.core.io.describe import film_axis
from napari_xfusion.core.pairing.geometry import fit_geometry
from napari_xfusion.core.pairing.timing import neighbours
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, PairingError

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_xfusion.core.plan import Plan

METADATA = "napari-xfusion"
"""Where a layer's metadata keep its ``Provenance``."""
LayerRole = Literal[
    "film", "lr", "hr", "truth", "fused", "difference", "baseline", "attention", "consistency", "std"
]
CONTRAST_FRAMES = 4
"""Frames looked at for the contrast limits: more make opening a long film slow."""
_SHOWN_AS: dict[LayerRole, str] = {"lr": "LR", "hr": "HR"}
_CAMERAS = ("lr", "hr", "truth", "fused")


@dataclass(frozen=True, eq=False)
class Provenance:
    """What a layer is and where it comes from."""

    role: LayerRole
    film: Stack | None = None
    """The film behind a lazy layer, as it was recorded."""
    shown: Any = None
    """The layer's data when it was made: ``film`` stands for the layer as long as it shows them."""
    origins: tuple[str, ...] = ()
    """Names of the layers it was made from."""
    plan: Plan | None = None
    """Of a result."""
    record: Mapping[str, Any] | None = None
    """The run record of a finished result."""


class LayerData(NamedTuple):
    """A film and how napari is to show it: ``viewer.add_image(layer.data, **layer.options)``."""

    data: Any
    """(T, y, x), lazy or an array."""
    options: dict[str, Any]


def film_layer(
    stack: Stack,
    *,
    role: LayerRole,
    name: str | None = None,
    coarseness: float = 1.0,
    pixel_size: float | None = None,
    frame_interval: float | None = None,
    entries: Sequence[int] | None = None,
) -> LayerData:
    """A film as a lazy layer (t, y, x), one chunk a frame: showing a frame reads that frame.

    ``coarseness`` is the side of its pixel in HR pixels, ``pixel_size`` the side of an HR pixel in
    micrometres and ``frame_interval`` the seconds from one entry to the next, where the film itself does
    not know; without them the units are pixels and frames. ``entries`` are the frame numbers to show one
    after another (default: all).
    """
    pixel = pixel_size or (stack.pixel_size / coarseness if stack.pixel_size else None)
    interval = frame_interval or (stack.frame_interval if entries is None else None)
    side = (pixel or 1.0) * coarseness
    shift = (pixel or 1.0) * (coarseness - 1) / 2
    length = "um" if pixel else "pixel"
    grey, _ = percentile_map(stack, CONTRAST_FRAMES)
    data = lazy_frames(stack, entries)
    options = {
        "name": name or layer_name(film_title(stack), role),
        "axis_labels": ("t", "y", "x"),
        "units": ("s" if interval else "pixel", length, length),
        "scale": (interval or 1.0, side, side),
        "translate": (0.0, shift, shift),
        "contrast_limits": (grey.zero, grey.zero + grey.span),
        "rgb": False,
        "metadata": {METADATA: Provenance(role, film=stack, shown=data)},
    }
    return LayerData(data, options)


def film_pair(
    lr: Stack, hr: Stack, hr_times: Iterable[float] | None = None, *, title: str | None = None
) -> tuple[LayerData, LayerData]:
    """LR and HR of one event as layers that lie upon each other, called by ``title`` or their files.

    ``hr_times`` are the times of the HR frames in LR frame numbers (default: those the HR file knows). HR
    gets one entry per LR frame, the last HR frame at or before it: napari would show a sparse film blank at
    its end. Where the times are not known, HR is spread over the film and its name says so. Raises
    PairingError when the frame sizes do not fit.
    """
    scale = fit_geometry(lr.shape[1:], hr.shape[1:]).scale[0]
    pixel = hr.pixel_size or (lr.pixel_size / scale if lr.pixel_size else None)
    times = hr.metadata.get("hr_times") if hr_times is None else tuple(hr_times)
    clock = np.linspace(0, len(lr) - 1, len(hr)) if times is None else np.asarray(times, dtype=np.float64)
    entries = [min(neighbours(clock, t)[0], len(hr) - 1) for t in range(len(lr))]
    detail = "times not known" if times is None else ""
    return (
        film_layer(
            lr,
            role="lr",
            name=layer_name(title or film_title(lr), "lr"),
            coarseness=scale,
            pixel_size=pixel,
        ),
        film_layer(
            hr,
            role="hr",
            name=layer_name(title or film_title(hr), "hr", detail),
            pixel_size=pixel,
            frame_interval=lr.frame_interval,
            entries=entries,
        ),
    )


def beside(
    layer: Layer,
    data: Any,
    *,
    name: str,
    role: LayerRole,
    coarseness: float = 1.0,
    first: int = 0,
    corner: tuple[float, float] = (0.0, 0.0),
    film: Stack | None = None,
    plan: Plan | None = None,
    record: Mapping[str, Any] | None = None,
    **options: Any,
) -> LayerData:
    """Something made from ``layer`` at exactly its place and time, in its units.

    ``data`` is an array (T, y, x) or (y, x), or a Stack, shown lazily. ``coarseness`` is the side of its
    pixels in pixels of ``layer`` (4 for LR beside HR, 1/4 for HR beside LR), ``first`` the frame of
    ``layer`` that its first frame belongs to, ``corner`` the row and column of ``layer`` where its first
    pixel begins. ``film`` is what ``data`` show, where those are made while they are shown. Contrast limits
    are those of ``layer`` unless ``options`` (for ``viewer.add_image``) give others.
    """
    if isinstance(data, Stack):
        film, data = data, lazy_frames(data)
    n = data.ndim
    before = np.array([first, *corner][-n:], dtype=float)
    factor = np.array([1, coarseness, coarseness][-n:], dtype=float)
    shift = before + (factor - 1) / 2
    place = {
        "axis_labels": tuple(layer.axis_labels[-n:]),
        "units": tuple(layer.units[-n:]),
        "scale": tuple(np.asarray(layer.scale)[-n:] * factor),
        "translate": tuple(np.asarray(layer.translate)[-n:] + _linear(layer, n) @ shift),
    }
    if layer.ndim == n:
        place |= {"rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine}
    provenance = Provenance(role, film, data, (layer.name,), plan, record)
    return LayerData(
        data,
        {
            "name": name,
            "contrast_limits": tuple(layer.contrast_limits),
            "rgb": False,
            "metadata": {METADATA: provenance},
        }
        | place
        | options,
    )


def redraw(layer: Layer, shown: LayerData) -> None:
    """Show ``shown`` in a layer that exists: data, name, place and provenance; its look stays."""
    layer.data = shown.data
    for key in ("name", "axis_labels", "units", "scale", "translate"):
        setattr(layer, key, shown.options[key])
    layer.metadata = {**layer.metadata, **shown.options["metadata"]}


def stack_of(layer: Layer) -> Stack:
    """The film behind a layer: as it was recorded, where it was opened by us, else the layer's data.

    Of other layers, times and pixel size are the scale's, where its units are those of time and length.
    Raises InputError where the layer holds no film of grey frames.
    """
    known = provenance_of(layer)
    if known is not None and known.film is not None and _same(known.shown, layer.data):
        return known.film
    if getattr(layer, "rgb", None) is not False:
        raise InputError(
            f"layer {layer.name}",
            expected="an image layer of grey frames",
            found="colour" if getattr(layer, "rgb", False) else f"a {type(layer).__name__} layer",
            do="choose a grey film, or split the colour with Layers > Utilities",
        )
    data = layer.data[0] if layer.multiscale else layer.data
    film = as_stack(data, name=layer.name)
    axis = film_axis("?" * data.ndim, data.shape, layer.name)
    down, across = (_in_unit(layer, k, "um") for k in (-2, -1))
    square = down is not None and across is not None and isclose(down, across, rel_tol=1e-3)
    seconds = None if axis is None else _in_unit(layer, axis, "s")
    film = replace(film, pixel_size=down if square else None)
    return film if seconds is None else replace(film, times=film.times * seconds, time_unit="s")


def provenance_of(layer: Layer) -> Provenance | None:
    """What is known of a layer that this package made."""
    known = layer.metadata.get(METADATA)
    return known if isinstance(known, Provenance) else None


def film_record(layer: Layer) -> Mapping[str, Any]:
    """What is written beside the film of a layer: the run record of a result, else where it comes from.

    A result that the user changed is no longer that of its run.
    """
    known = provenance_of(layer)
    made = known is not None and _same(known.shown, layer.data)
    if known is not None and made and known.record is not None:
        return known.record
    origins = list(known.origins) if known else []
    return {
        "napari_xfusion": __version__,
        "layer": {"name": layer.name, "role": known.role if known else "film", "made_from": origins},
    }


def layers_of(viewer: Viewer, *roles: LayerRole) -> list[Layer]:
    """The viewer's layers that have one of the ``roles``, lowest first."""
    return [layer for layer in viewer.layers if (known := provenance_of(layer)) and known.role in roles]


def lr_and_hr(a: Stack, b: Stack) -> tuple[Stack, Stack] | None:
    """Which of two films is LR and which HR, or None where they are no such pair.

    HR has the smaller pixels and fewer frames, of the same field of view.
    """
    lr, hr = sorted((a, b), key=lambda film: film.shape[1] * film.shape[2])
    if len(hr) >= len(lr) or len(hr) < 2 or lr.shape[1:] == hr.shape[1:]:
        return None
    try:
        fit_geometry(lr.shape[1:], hr.shape[1:])
    except PairingError:
        return None
    return lr, hr


def lazy_frames(stack: Stack, entries: Sequence[int] | None = None) -> da.Array:
    """The frames of a film (or those of the numbers ``entries``) as a dask array, one chunk a frame."""
    numbers = range(len(stack)) if entries is None else entries
    H, W = stack.shape[1:]

    def read(block_id: tuple[int, int, int]) -> NDArray[Any]:
        return stack.frame(numbers[block_id[0]])[None]

    array: da.Array = da.map_blocks(
        read,
        chunks=((1,) * len(numbers), (H,), (W,)),
        dtype=stack.dtype,
        meta=np.empty((0, 0, 0), stack.dtype),
        name=f"frames-{uuid4().hex}",  # else dask would look into the film to tell it from others
    )
    return array


def film_title(stack: Stack) -> str:
    """What a film is called: its file without ending and camera, or its folder: ``melt01``."""
    path = Path(stack.source)
    stem = path.name.split(".")[0]
    if stem.lower() in _CAMERAS:
        return path.parent.name or stem
    return re.sub(rf"[-_. ]({'|'.join(_CAMERAS)})$", "", stem, flags=re.IGNORECASE)


def title_of(layer: Layer) -> str:
    """What the film of a layer is called, by the layer's name: the user may have changed it."""
    return str(layer.name).split(" · ")[0]


def layer_name(title: str, role: LayerRole, detail: str = "") -> str:
    """The name of a layer: ``melt01 · LR``, ``melt01 · fused (edvr-stf)``."""
    if role == "film":
        return title
    return f"{title} · {_SHOWN_AS.get(role, role)}" + (f" ({detail})" if detail else "")


def _same(a: Any, b: Any) -> bool:
    """Whether two layers' data are one, or one a copy of the other as napari makes it of a lazy layer."""
    return a is b or (isinstance(a, da.Array) and isinstance(b, da.Array) and a.name == b.name)


def _linear(layer: Layer, n: int) -> NDArray[np.float64]:
    """How a step of one data pixel moves in the space of ``layer.translate``, (n, n)."""
    if layer.ndim != n:
        return np.diag(np.asarray(layer.scale, dtype=float)[-n:])
    origin = np.asarray(layer.data_to_world(np.zeros(n)))
    moved = np.stack([np.asarray(layer.data_to_world(step)) - origin for step in np.eye(n)], axis=1)
    solved: NDArray[np.float64] = np.linalg.solve(layer.affine.linear_matrix, moved)
    return solved


def _in_unit(layer: Layer, axis: int, unit: str) -> float | None:
    """Step of a layer along ``axis`` in seconds or micrometres, None where it is measured otherwise."""
    if not layer.units[axis].is_compatible_with(unit):
        return None
    return float((float(layer.scale[axis]) * layer.units[axis]).to(unit).magnitude)

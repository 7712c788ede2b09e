"""Where the window looks: the frame under the slider, and rectangles in pixels of the HR grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Shapes

DOCKED = 200
"""Milliseconds after which a new dock has got its place."""
ZOOMED_IN = 0.7
"""Share of the frame below which only what is seen is fused."""


def frame_on_screen(viewer: napari.Viewer, layer: Image) -> int:
    """The frame of ``layer`` under the slider; the nearest one where it has none, 0 of a picture (y, x)."""
    if layer.ndim == 2:
        return 0
    world = np.asarray(viewer.dims.point)[-layer.ndim :]
    frame = round(float(np.asarray(layer.world_to_data(world))[-3]))
    return min(max(frame, 0), int(layer.data.shape[-3]) - 1)


def visible_region(lr: Image, mapping: Mapping, hr_shape: tuple[int, int]) -> Region | None:
    """The HR pixels that are on screen, None where that is most of the frame (or nothing of it).

    ``mapping`` places the pixels of the layer ``lr`` on the HR grid.
    """
    seen = np.asarray(lr.corner_pixels)[:, -2:]
    region = _to_hr(mapping, seen[0] - 0.5, seen[1] + 0.5, hr_shape)
    if not region.holds_pixels or math.prod(region.shape) > ZOOMED_IN * math.prod(hr_shape):
        return None
    return region


def region_of_shapes(shapes: Shapes, lr: Image, mapping: Mapping, hr_shape: tuple[int, int]) -> Region:
    """The HR pixels around the selected shapes of a layer, or around all of them where none is selected.

    ``mapping`` places the pixels of the layer ``lr`` on the HR grid. Raises InputError where there is
    no shape on the frame.
    """
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))
    corners: list[Any] = [shapes.data_to_world(corner)[-2:] for k in chosen for corner in shapes.data[k]]
    if corners:
        world = np.zeros((len(corners), lr.ndim))
        world[:, -2:] = corners
        pixels = np.array([lr.world_to_data(corner) for corner in world])[:, -2:]
        region = _to_hr(mapping, pixels.min(axis=0), pixels.max(axis=0), hr_shape)
        if region.holds_pixels:
            return region
    raise InputError(
        f"layer {shapes.name}",
        expected="a shape within the image",
        found="shapes outside the image" if corners else "no shape",
        hint="draw a rectangle around the area to fuse",
    )


def _to_hr(
    mapping: Mapping, first: NDArray[np.float64], last: NDArray[np.float64], hr_shape: tuple[int, int]
) -> Region:
    """A rectangle in LR coordinates (y, x) as whole HR pixels inside the frame."""
    corners = mapping.to_output([(y, x) for y in (first[0], last[0]) for x in (first[1], last[1])])
    low = np.floor(corners.min(axis=0) + 0.5 + 1e-6).clip(0, hr_shape).astype(int).tolist()
    high = np.ceil(corners.max(axis=0) + 0.5 - 1e-6).clip(0, hr_shape).astype(int).tolist()
    return Region(low[0], high[0], low[1], high[1])


def sampled(
    layer: Image, frame: NDArray[Any], centre: NDArray[np.float64], side: float, count: int
) -> NDArray[np.float32]:
    """The pixels of ``frame`` (y, x) of a layer in a square of the world, as ``count`` x ``count`` samples.

    ``centre`` is (y, x) and ``side`` the length in the units of the world. NaN outside of the frame.
    """
    steps = (np.arange(count) + 0.5) / count - 0.5
    world = np.stack(np.meshgrid(*(c + side * steps for c in centre), indexing="ij"), axis=-1)
    zero = np.zeros(layer.ndim)
    origin = np.asarray(layer.data_to_world(zero))[-2:]
    axes = np.eye(layer.ndim)[-2:]
    linear = np.stack([np.asarray(layer.data_to_world(axis))[-2:] - origin for axis in axes], axis=1)
    rows, columns = np.moveaxis(np.rint((world - origin) @ np.linalg.inv(linear).T).astype(int), -1, 0)
    inside = (rows >= 0) & (rows < frame.shape[0]) & (columns >= 0) & (columns < frame.shape[1])
    found = np.full(inside.shape, np.nan, np.float32)
    found[inside] = frame[rows[inside], columns[inside]]
    return found


def keep_in_view(viewer: napari.Viewer) -> None:
    """Before a dock takes a part of the canvas: if all of the images is in view, it will be afterwards, too."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari passes a proxy to plugins
    if not _all_in_view(viewer):
        return  # the user has zoomed in
    weak = ref(viewer)

    def fit() -> None:
        alive = weak()
        if alive is not None and not _all_in_view(alive):
            alive.reset_view()

    QTimer.singleShot(DOCKED, fit)


def _all_in_view(viewer: napari.Viewer) -> bool:
    """Whether the canvas shows all pixels of the visible images."""
    images = [x for x in viewer.layers if x.visible and x.ndim > 1 and type(x).__name__ == "Image"]
    shown = [np.diff(np.asarray(image.corner_pixels)[:, -2:], axis=0)[0] for image in images]
    sizes = [
        np.array(np.shape(image.data[0] if image.multiscale else image.data)[-2:]) - 1 for image in images
    ]
    return viewer.dims.ndisplay == 2 and all((a >= b).all() for a, b in zip(shown, sizes, strict=True))

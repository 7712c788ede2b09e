"""The sample film and its fused result in napari, each film exactly where and when it was."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.demo import sample_film
from napari_xfusion.core.doctor import examine_window
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.io import open_stack
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import DeviceError


class Layer(NamedTuple):
    """A film and how napari is to show it."""

    data: NDArray[Any]
    """(T, y, x)."""
    options: dict[str, Any]
    """For ``viewer.add_image``."""


def demo_layers(fused: Path) -> list[Layer]:
    """The sample's LR film, its truth and the fused film, lowest first, in micrometres and seconds."""
    lr, truth = open_stack(sample_film("lr")), open_stack(sample_film("truth"))
    pixel = truth.pixel_size or 1.0
    coarse = truth.shape[1] / lr.shape[1]
    films = (("LR", lr, coarse), ("truth", truth, 1.0), ("fused", open_stack(fused), 1.0))
    return [_layer(name, film, pixel, coarseness) for name, film, coarseness in films]


def show_demo(fused: Path) -> None:
    """Open a window on the sample and the fused film, and return when it is closed.

    Raises DeviceError where napari, a Qt binding or a screen is missing.
    """
    _require_window()
    import napari  # noqa: PLC0415 - the window is optional, and takes seconds to import

    viewer = napari.Viewer(title="napari-xfusion: sample film")
    for layer in demo_layers(fused):
        viewer.add_image(layer.data, **layer.options)
    viewer.dims.set_current_step(0, len(layer.data) // 2)  # between two HR frames
    napari.run()


def _layer(name: str, film: Stack, pixel: float, coarseness: float) -> Layer:
    side = pixel * coarseness
    # Whole numbers are pixel centres in napari: coarse pixels begin at the same edge, not the same centre.
    shift = pixel * (coarseness - 1) / 2
    grey, _ = percentile_map(film)
    options = {
        "name": name,
        "scale": (film.frame_interval or 1.0, side, side),
        "translate": (0.0, shift, shift),
        "axis_labels": ("t", "y", "x"),
        "units": ("s" if film.time_unit == "s" else "pixel", "um", "um"),
        "contrast_limits": (grey.zero, grey.zero + grey.span),
    }
    return Layer(np.stack([film.frame(i) for i in range(len(film))]), options)


def _require_window() -> None:
    window = examine_window()
    missing = [
        what
        for what, there in (
            ("napari", find_spec("napari") is not None),
            ("a Qt binding", window["qt"] is not None),
            ("a screen", window["screen"]),
        )
        if not there
    ]
    if missing:
        raise DeviceError(
            "the window",
            expected="napari, a Qt binding and a screen",
            found=f"no {', no '.join(missing).replace('no a ', 'no ')}",
            do='pip install "napari-xfusion[gui]", and start it where there is a screen',
        )

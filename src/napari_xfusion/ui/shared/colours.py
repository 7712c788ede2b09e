"""Colours that colour-blind people can distinguish, on light and on dark backgrounds.

Line colours follow Okabe and Ito (2008), lightened or darkened for the background. The diverging map runs from
blue through white to orange-brown, which differ in brightness for every type of colour vision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.utils import Colormap

LINES_ON_DARK = ("#56b4e9", "#e69f00", "#2fc79a", "#f0e442", "#d98cc0")
LINES_ON_LIGHT = ("#0072b2", "#c35500", "#00795a", "#8f6f00", "#a83f84")
BLUE_ORANGE = ("#0b2f6b", "#3f7fc6", "#b7d4ee", "#f7f7f7", "#f6c89a", "#cf6d12", "#6b2f00")


def diverging(chosen: str) -> Colormap | str:
    """The colormap for differences that the user selected: ``blue-orange`` or one of napari's.

    Blue is below the middle, white in it, orange above; NaN is transparent.
    """
    from napari.utils import Colormap  # noqa: PLC0415 - napari is loaded when a layer is created

    if chosen != "blue-orange":
        return chosen
    return Colormap(list(BLUE_ORANGE), name="xfusion-blue-orange", display_name=chosen)


def legible(colours: Sequence[str], on_dark: bool) -> tuple[str, ...]:
    """``colours`` (#rrggbb) as lines on a dark or a light background: a little lighter, or darker."""
    towards, part = (255, 0.25) if on_dark else (0, 0.3)
    found = []
    for colour in colours:
        channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        found.append("#" + "".join(f"{round(c + part * (towards - c)):02x}" for c in channels))
    return tuple(found)


def categories(colours: Sequence[str]) -> Colormap:
    """A colormap that shows number i, of values with limits (-0.5, n - 0.5), in colour i; NaN is transparent."""
    from napari.utils import Colormap  # noqa: PLC0415 - napari is loaded when a layer is created

    controls = np.linspace(0, 1, len(colours) + 1)
    return Colormap(list(colours), name="xfusion-categories", interpolation="zero", controls=controls)


def veil(colour: str) -> Colormap:
    """A colormap from transparent to ``colour`` (#rrggbb): what is below fades; NaN is transparent."""
    from napari.utils import Colormap  # noqa: PLC0415 - napari is loaded when a layer is created

    return Colormap([f"{colour}00", f"{colour}ff"], name="xfusion-veil")


def lines(on_dark: bool) -> tuple[str, ...]:
    """Line colours of a plot, in order of use."""
    return LINES_ON_DARK if on_dark else LINES_ON_LIGHT

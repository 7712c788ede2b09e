"""Style of figures: for print, colour-blind safe, and readable in greyscale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from napari_xfusion.core.files import write_whole

WIDTH = 7.2
"""Width in inches: two columns of a journal."""
RC: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "svg.hashsalt": "napari-xfusion",
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
}


class Look(NamedTuple):
    """Style of one series; marker and line suffice to distinguish series."""

    color: str
    marker: str
    line: Literal["-"] | tuple[float, tuple[float, ...]]


# Okabe and Ito's colours, ordered so that neighbours differ in lightness as well.
LOOKS = (
    Look("#DDDDDD", "s", (0, (1, 1))),
    Look("#D55E00", "v", (0, (4, 1.5))),
    Look("#56B4E9", "o", "-"),
    Look("#0072B2", "^", (0, (4, 1, 1, 1))),
    Look("#CC79A7", "D", (0, (2, 1))),
    Look("#000000", "*", "-"),
    Look("#F0E442", "P", (0, (6, 1))),
    Look("#009E73", "X", (0, (3, 1, 1, 1, 1, 1))),
    Look("#999999", "p", (0, (1, 2))),
    Look("#5A3E85", "h", (0, (5, 2, 1, 2))),
)


def looks(series: list[str]) -> dict[str, Look]:
    """Return a style for every series; the same order gives the same styles."""
    return {name: LOOKS[number % len(LOOKS)] for number, name in enumerate(series)}


@contextmanager
def styled() -> Iterator[None]:
    """Use this style for figures made inside the context."""
    with mpl.rc_context(RC):
        yield


def save(figure: Figure, place: Path) -> None:
    """Write ``figure`` as ``place``.svg and .png; the same figure gives the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out now; each file would do so again
    for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        path = place.with_name(f"{place.name}.{kind}")
        write_whole(path, partial(figure.savefig, format=kind, metadata=metadata))

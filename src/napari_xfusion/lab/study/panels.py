"""Panels of images: both cameras, results and truth at some times (paper, E2, E3); methods side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_xfusion.core.types import Image
from napari_xfusion.lab.study.pictures import Pictures
from napari_xfusion.lab.study.results import SequenceResults
from napari_xfusion.lab.study.style import WIDTH

TALLEST = 1.25
"""Largest ratio of height to width of a panel; taller frames are cropped to their middle."""
CROP = 96
"""Largest side, in HR pixels, of the region in which methods are compared."""


def shown_series(results: SequenceResults) -> list[str]:
    """Return the series shown in panels: the best network and the best method without weights."""
    networks = results.networks()
    others = [name for name in results.series if name not in networks]
    return [name for name in (results.best(networks), results.best(others)) if name is not None]


def draw_panels(results: SequenceResults, pictures: Pictures, divided: bool) -> Figure:
    """Draw rows LR, HR and results; columns i-10 ... i+10."""
    rows = pictures.rows(shown_series(results), divided)
    columns = len(pictures.moments)
    height, width = results.sequence.size
    shown = min(height, round(TALLEST * width))
    panel = (WIDTH - 0.3) / columns
    figure = Figure(figsize=(WIDTH, len(rows) * (panel * shown / width + 0.06) + 0.4))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, (images, limits)) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            _show(axis, _middle(image), limits)
        line[0].set_ylabel(name)
    for axis, moment in zip(axes[0], pictures.moments, strict=True):
        axis.set_title(_relative(moment, pictures.middle))
    if not divided:
        _write_attention(results, pictures, dict(zip(rows, axes, strict=True)))
    return figure


def draw_methods(results: SequenceResults, pictures: Pictures) -> Figure:
    """Draw, for every series, the region at frame i in which previous and next HR frame differ most."""
    moment, truth = pictures.middle, pictures.truth
    first, last = (pictures.grey.to_grey(truth[t]) for t in (pictures.moments[0], pictures.moments[-1]))
    top, left, side = _liveliest(np.abs(last - first))
    part, coarse = (
        (slice(top, top + side), slice(left, left + side)),
        tuple(slice(n // 4, (n + side) // 4) for n in (top, left)),
    )
    images = {
        f"LR, {_relative(moment, moment)}": pictures.lr_grey.to_grey(pictures.lr[moment])[coarse],
        f"HR, {_relative(pictures.moments[0], moment)}": first[part],
        f"HR, {_relative(pictures.moments[-1], moment)}": last[part],
        f"truth, {_relative(moment, moment)}": pictures.grey.to_grey(truth[moment])[part],
    }
    rows = results.table.where(condition=results.base, frame=moment)
    for name, frames in pictures.fused.items():
        psnr = rows.where(series=name)["psnr"]
        images[f"{name}\n{psnr[0]:.2f} dB"] = pictures.grey.to_grey(frames[moment])[part]
    columns = 4 if len(images) <= 12 else 5
    lines = -(-len(images) // columns)
    figure = Figure(figsize=(WIDTH, lines * (WIDTH / columns + 0.25)))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, image) in zip(axes, images.items(), strict=False):
        _show(axis, image, (0, 1))
        axis.set_title(name)
    return figure


def _show(axis: Axes, image: Image, limits: tuple[float, float]) -> None:
    axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest", aspect="auto")
    axis.set_box_aspect(image.shape[0] / image.shape[1])
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _middle(image: Image) -> Image:
    """Return the rows of ``image`` that fit into a panel."""
    rows = min(image.shape[0], round(TALLEST * image.shape[1]))
    top = (image.shape[0] - rows) // 2
    return image[top : top + rows]


def _relative(moment: int, middle: int) -> str:
    distance = moment - middle
    return f"$i$ = {moment}" if distance == 0 else f"$i$ {'+' if distance > 0 else '−'} {abs(distance)}"


def _write_attention(results: SequenceResults, pictures: Pictures, rows: dict[str, list[Axes]]) -> None:
    """Write normalised backward and forward attention below the panels of networks with HR inputs."""
    for name in results.networks():
        attention = results.attention(name)
        if name not in rows or attention is None:
            continue
        scores = zip(attention.frame.tolist(), attention.backward, attention.forward, strict=True)
        at = {frame: (back, ahead) for frame, back, ahead in scores}
        for axis, moment in zip(rows[name], pictures.moments, strict=True):
            if moment in at:
                back, ahead = at[moment]
                axis.set_xlabel(f"backward {back:.2f}, forward {ahead:.2f}", fontsize=6.5)


def _liveliest(change: Image) -> tuple[int, int, int]:
    """Return top, left and side of the square with the largest change; all are multiples of 4."""
    side = min(CROP, *(n // 4 * 4 for n in change.shape))
    sums = np.pad(change.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(total[::4, ::4])), total[::4, ::4].shape)
    return 4 * int(top), 4 * int(left), side

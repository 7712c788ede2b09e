"""Figures as in the paper: box plots, clusters, attention, times. SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from napari_xfusion.core.inspect.attention import NormalisedAttention, histogram
from napari_xfusion.lab.study.panels import draw_methods, draw_panels
from napari_xfusion.lab.study.pictures import Pictures
from napari_xfusion.lab.study.plan import Setting
from napari_xfusion.lab.study.results import METRICS, SETTINGS, TWO_CAMERAS, SequenceResults
from napari_xfusion.lab.study.style import LOOKS, WIDTH, Look, looks, save, styled
from napari_xfusion.lab.study.table import Table

Draw = Callable[[SequenceResults], Figure]


def draw_figures(results: SequenceResults, pictures: Pictures, place: Path) -> None:
    """Write every figure of a sequence into the folder ``place``; figures without data are skipped."""
    with styled():
        save(draw_panels(results, pictures, divided=False), place / "panels")
        save(draw_panels(results, pictures, divided=True), place / "divided")
        save(draw_methods(results, pictures), place / "methods")
        for setting in SETTINGS:
            if results.sweep(setting):
                save(draw_boxes(results, setting), place / setting)
        if len(results.clusters):
            save(draw_clusters(results.clusters), place / "clusters")
        attention = {name: results.attention(name) for name in results.networks(*TWO_CAMERAS)}
        known = {name: scores for name, scores in attention.items() if scores is not None}
        if known:
            save(draw_attention(known), place / "attention")
        if results.times:
            save(draw_times(results), place / "times")


def draw_boxes(results: SequenceResults, setting: Setting) -> Figure:
    """Draw box plots of PSNR, AAD and SSIM of the unseen frames against ``setting`` (paper, E4-E6).

    Boxes are quartiles with the median, whiskers the 5th and 95th percentile.
    """
    sweep, look = results.sweep(setting), looks(results.series)
    figure = Figure(figsize=(WIDTH, 6.0))
    axes = figure.subplots(len(METRICS), 1, sharex=True)
    for axis, (metric, label) in zip(axes, METRICS.items(), strict=True):
        for place, condition in enumerate(sweep.values()):
            for number, name in enumerate(results.series):
                width = 0.8 / len(results.series)
                x = place + (number + 0.5) * width - 0.4
                _box(axis, x, results.values(name, metric, condition), (width, look[name]))
        for place in range(len(sweep) - 1):
            axis.axvline(place + 0.5, color="#d9d9d9", linewidth=0.6)
        axis.set_ylabel(label)
        axis.grid(axis="y")
        axis.set_xlim(-0.5, len(sweep) - 0.5)
    axes[-1].set_xticks(range(len(sweep)), list(sweep))
    axes[-1].tick_params(axis="x", length=0)
    axes[-1].set_xlabel(SETTINGS[setting])
    _legend(figure, look)
    return figure


def draw_clusters(table: Table) -> Figure:
    """Plot medians and quartiles of ``bayesian-paper`` against its number of clusters (paper, E7)."""
    separations = sorted(set(table["separation"].tolist()))
    # The palest style is for boxes only: a line would not be visible.
    look = dict(zip((f"separation {s}" for s in separations), LOOKS[1:], strict=False))
    figure = Figure(figsize=(WIDTH, 2.4))
    axes = figure.subplots(1, len(METRICS))
    for axis, (metric, label) in zip(axes, METRICS.items(), strict=True):
        for (name, one), separation in zip(look.items(), separations, strict=True):
            rows = table.where(separation=separation)
            fractions = sorted(set(rows["clusters"].tolist()))
            values = [rows.where(clusters=fraction).finite(metric) for fraction in fractions]
            known = [(100 * f, *np.percentile(v, (25, 50, 75))) for f, v in zip(fractions, values) if v.size]  # noqa: B905 - pairs
            if known:
                x, low, middle, high = np.array(known).T
                axis.fill_between(x, low, high, color=one.color, alpha=0.15, linewidth=0)
                axis.plot(x, middle, color=one.color, marker=one.marker, linestyle=one.line, label=name)
        axis.set_xscale("log")
        ticks = sorted({100 * f for f in table["clusters"].tolist()})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel("clusters (% of LR pixels\nalong one axis)")
        axis.set_ylabel(label)
        axis.grid()
    _legend(figure, look, lines=True)
    return figure


def draw_attention(attention: Mapping[str, NormalisedAttention]) -> Figure:
    """Plot normalised attention along the sequence, and the two histograms of the paper (E8, M10)."""
    figure = Figure(figsize=(WIDTH, 4.3 * len(attention)))
    parts = figure.subfigures(len(attention), 1, squeeze=False)[:, 0]
    for part, (name, scores) in zip(parts, attention.items(), strict=True):
        axes = part.subplot_mosaic([["curve", "curve"], ["backward", "forward"]])
        curve = axes["curve"]
        curve.plot(scores.frame, scores.backward, color="#0072B2", label="backward (HR before)")
        curve.plot(scores.frame, scores.forward, color="#D55E00", linestyle="--", label="forward (HR after)")
        for frame in scores.frame[scores.relative == 0]:
            curve.axvline(frame, color="#bbbbbb", linewidth=0.6, zorder=0)
        curve.set(
            xlabel="LR frame (HR frames at the grey lines)", ylabel=f"normalised {scores.of}", title=name
        )
        curve.legend(loc="upper right", ncols=2)
        curve.margins(x=0.01)
        for which in ("backward", "forward"):
            _histogram(axes[which], scores.relative, getattr(scores, which))
            axes[which].xaxis.set_major_locator(MaxNLocator(integer=True))
            axes[which].set(ylabel=f"{which} attention", xlabel="LR frames since the previous HR frame")
    return figure


def draw_times(results: SequenceResults) -> Figure:
    """Plot median seconds per frame, with quartiles (paper, E9)."""
    times, look = list(results.times)[::-1], looks(results.series)
    figure = Figure(figsize=(WIDTH * 0.75, 0.3 * len(times) + 0.8))
    axis = figure.subplots()
    for place, time in enumerate(times):
        one = look.get(time.series, Look("#000000", "o", "-"))
        axis.plot([time.lower, time.upper], [place, place], color=one.color, linewidth=3, alpha=0.4)
        axis.plot(
            time.median,
            place,
            linestyle="none",
            marker=one.marker,
            markersize=6,
            markerfacecolor=one.color,
            markeredgecolor="#333333",
            markeredgewidth=0.6,
        )
        text = f"{time.median * 1e3:.3g} ms" if time.median < 1 else f"{time.median:.3g} s"
        axis.annotate(
            f"{text} ({time.runs} runs)", (time.upper, place), (6, 0), textcoords="offset points", va="center"
        )
    axis.set_yticks(range(len(times)), [time.series for time in times])
    axis.set_xscale("log")
    low, high = min(t.lower for t in times), max(t.upper for t in times)
    axis.set_xlim(low / 1.6, high * (high / low) ** 0.35 * 2)
    axis.set_ylim(-0.6, len(times) - 0.4)
    axis.set_xlabel(f"seconds per frame of {times[0].height} × {times[0].width} HR pixels")
    axis.grid(axis="x")
    return figure


def _box(axis: Axes, x: float, values: NDArray[np.float64], shape: tuple[float, Look]) -> None:
    """Draw one box with its median marked; ``shape`` is its width and style."""
    if not values.size:
        return
    width, look = shape
    axis.boxplot(
        values,
        positions=[x],
        widths=0.8 * width,
        whis=(5, 95),
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": look.color, "edgecolor": "#333333", "linewidth": 0.5},
        whiskerprops={"color": "#333333", "linewidth": 0.6},
        capprops={"color": "#333333", "linewidth": 0.6},
        medianprops={"color": "none"},
    )
    axis.plot(x, np.median(values), linestyle="none", **_median_mark(look))


def _median_mark(look: Look) -> dict[str, Any]:
    """Mark a median in white with a black edge, visible on every box."""
    return {
        "marker": look.marker,
        "markerfacecolor": "white",
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
        "markersize": 5,
    }


def _histogram(axis: Axes, relative: NDArray[np.int_], score: NDArray[np.float64]) -> None:
    counts, scores, frames = histogram(relative, score, bins=30)
    axis.pcolormesh(frames, scores, np.where(counts > 0, counts, np.nan), cmap="cividis_r", rasterized=True)


def _legend(figure: Figure, look: Mapping[str, Look], *, lines: bool = False) -> None:
    """Draw the legend of the series above the figure."""
    if lines:
        handles: list[Any] = [
            Line2D([], [], color=one.color, linestyle=one.line, marker=one.marker) for one in look.values()
        ]
    else:
        handles = [
            (
                Patch(facecolor=one.color, edgecolor="#333333", linewidth=0.5),
                Line2D([], [], linestyle="none", **_median_mark(one)),
            )
            for one in look.values()
        ]
    figure.legend(handles, list(look), loc="outside upper center", ncols=min(len(handles), 4))

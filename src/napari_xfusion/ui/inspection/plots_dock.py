"""The dock of plots: numbers per frame, computed in the background and linked to the time slider."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QTabWidget, QVBoxLayout

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.trust.sources import Shares
from napari_xfusion.core.types import Token
from napari_xfusion.errors import writing
from napari_xfusion.ui.inspection.measuring import SHAPE, MeasureTab, outline, shape_layer
from napari_xfusion.ui.inspection.numbers import (
    FrameNumbers,
    attention_of,
    evaluation_of,
    frame_numbers,
    hr_times_of,
)
from napari_xfusion.ui.inspection.plots import (
    FramePlots,
    HistogramPlots,
    Plots,
    ProfilePlot,
    SourcePlots,
    profile,
)
from napari_xfusion.ui.inspection.recipes import Recipes
from napari_xfusion.ui.inspection.sequences import Sequences, problem
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.job import Outcome, Tell, Worker
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.provenance import learn
from napari_xfusion.ui.shared.saving import CSV, SVG, ask_and_save
from napari_xfusion.ui.shared.widgets import Docked, Follower, Sentence, in_turns, listen, offer

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer, Shapes

QUALITY = (
    ("PSNR (dB)", "Peak signal-to-noise ratio against the truth; circles mark HR times."),
    ("AAD (of 255)", "Mean absolute difference from the truth, in 8-bit grey levels."),
    ("SSIM", "Structural similarity to the truth, 7x7 pixels."),
)
CONSISTENCY = (
    (
        "RMS",
        "Binned fused minus LR, root mean square in grey units: wrong structure, and noise. A result without errors "
        "has the noise of LR, the dashed line.",
    ),
    ("mean", "Binned fused minus LR, mean in grey units: brightness added (above 0) or lost."),
)
NOISE = "LR noise"
ATTENTION = (
    ("attention score", "Mean attention of the previous (backward) and next (forward) HR frame."),
    ("normalised attention", "Divided by the backward value at the previous HR time."),
)


class PlotsDock(Docked):
    """Tabs of numbers per frame, with buttons to compute, cancel and save them."""

    def __init__(self, viewer: Viewer, sequences: Callable[[], Sequences], recipes: Recipes) -> None:
        super().__init__()
        self._viewer, self._sequences, self._recipes = viewer, sequences, recipes
        self.numbers: list[FrameNumbers] = []
        self._shown = sequences()
        self._looks = Follower(self, ("visible", "contrast_limits"), self.draw_profile)
        self._drawn = Follower(self, ("set_data",), self._follow_shape)
        self._worker = Worker(self, "inspection numbers", on_news=self._take, ended=self._end, every=150)
        self.quality = FramePlots(viewer, QUALITY)
        self.consistency = FramePlots(viewer, CONSISTENCY)
        self.attention = FramePlots(viewer, ATTENTION)
        self.histograms = HistogramPlots(viewer)
        self.sources = SourcePlots(viewer)
        self.profile = ProfilePlot(viewer)
        self.measuring = MeasureTab(viewer, sequences, self)
        self.compute = QPushButton("Compute")
        self.cancel = QPushButton("Cancel", enabled=False, toolTip="Stop. Completed frames are kept.")
        self.save = QPushButton(
            "Save …", toolTip="Save what the tab shows, as a table (CSV) or a picture (SVG)."
        )
        self.line = QPushButton(
            "Draw a line", toolTip="Add a line on the canvas; drag its ends to change it."
        )
        self.region = QPushButton(
            "Draw a region", toolTip="Add a rectangle on the canvas; drag its corners to change it."
        )
        self.status = Sentence(self)
        self.tabs = QTabWidget(toolTip="Numbers per frame of the fused sequence, and values along a line.")
        self._lay_out()
        self._connect()
        self.update_buttons()
        self._slide()
        self._follow_layers()

    def update_buttons(self) -> None:
        """Enable or disable Compute for the selected sequences; its tooltip shows the reason."""
        reason = problem(self._sequences(), ("lr", "hr", "fused"))
        does = "Compute and draw the numbers of every frame of the fused sequence."
        offer(self.compute, does, reason, busy=self._worker.busy)
        if not self._worker.busy:
            self.status.setText(reason or self._in_words())
        self.measuring.ask()

    def compute_sources(self) -> None:
        """Show the tab of sources, and compute its curves."""
        self.tabs.setCurrentWidget(self.sources)
        self.compute.click()

    def start(self) -> None:
        """Compute the numbers of the selected sequences."""
        sequences = self._shown = self._sequences()
        self.numbers = []
        tabs = self.quality, self.consistency, self.attention, self.histograms, self.sources
        for tab in tabs:
            tab.clear()
        self.compute.setEnabled(False)
        self.cancel.setEnabled(True)
        in_turns(self, *(partial(getattr, tab, "plots") for tab in tabs))  # before there are numbers to draw

        def body(stop: Token, tell: Tell) -> None:
            plan = sequences.network()
            made = (lambda: self._recipes.sequence(plan, sequences)) if plan is not None else _no_sequence
            for each in frame_numbers(sequences, made):
                if stop.is_set():
                    return
                tell(each)

        self._worker.ask(body)
        self.status.setText("Pairing the sequences …")

    def _take(self, news: list[FrameNumbers]) -> None:
        self.numbers += news
        self.status.setText(f"frame {self.numbers[-1].frame} …")
        self._draw()

    def _end(self, outcome: Outcome) -> None:
        self.cancel.setEnabled(False)
        if self._shares() and self._shown.fused is not None:
            learn(self._shown.fused, shares=self._shares())
        self.update_buttons()
        error = outcome.in_words()
        self.status.setText(error or f"{'Stopped: ' if outcome.cancelled else ''}{self._in_words()}")
        self._draw()

    def _in_words(self) -> str:
        if not self.numbers:
            return "Nothing computed yet."
        missing = [] if self._shown.truth is not None else ["PSNR, AAD and SSIM require a truth"]
        if self._shown.method is None or not METHODS[self._shown.method].takes_weights:
            missing.append("attention requires a network")
        return "; ".join([f"{len(self.numbers)} frames{self._of_others()}", *missing])

    def _shares(self) -> dict[int, Shares]:
        """Shares of the sources by LR frame number, where they were computed."""
        return {each.frame: each.shares for each in self.numbers if each.shares is not None}

    def _of_others(self) -> str:
        """The sequence of the numbers, if another one is selected now."""
        fused = self._shown.fused
        return f" of {fused.name}" if fused is not None and fused is not self._sequences().fused else ""

    def _draw(self) -> None:
        numbers = self.numbers
        frames = np.array([each.frame for each in numbers])
        seen = np.array([each.seen for each in numbers], dtype=bool)

        def curve(values: list[float]) -> tuple[Any, Any]:
            return frames, np.array(values, dtype=float)

        rows = evaluation_of(numbers)
        if rows is not None:
            for k, name in enumerate(("psnr", "aad", "ssim")):
                values = [getattr(row.metrics, name) for row in rows.rows]
                finite = np.where(np.isinf(values), np.nan, values)  # of frames equal to the truth
                self.quality.show_curves(k, [(name.upper(), (frames, finite))], seen)
        for k, name in enumerate(("rms", "bias")):
            curves = [(name, curve([getattr(each.residual, name) for each in numbers]))]
            if name == "rms" and any(each.lr_noise for each in numbers):
                curves.append((NOISE, curve([each.lr_noise for each in numbers])))
            self.consistency.show_curves(k, curves, seen, levels=(NOISE,))
        if shares := self._shares():
            self.sources.show_shares(shares)
        self._draw_attention()
        self._update_save()

    def _draw_attention(self) -> None:
        normal = attention_of(self.numbers, hr_times_of(self._shown).tolist())
        if normal is None:
            return
        known = [each for each in self.numbers if each.scores]
        frames = np.array([each.frame for each in known])
        raw = [np.array([each.scores[role] for each in known if each.scores]) for role in ("hr-", "hr+")]
        self.attention.show_curves(0, [("backward", (frames, raw[0])), ("forward", (frames, raw[1]))])
        self.attention.show_curves(
            1, [("backward", (normal.frame, normal.backward)), ("forward", (normal.frame, normal.forward))]
        )
        self.histograms.show_scores(normal.relative, (normal.backward, normal.forward))

    def _slide(self) -> None:
        """Update cursors and profile to the displayed frame."""
        layer = self._sequences().lr or self._sequences().fused
        if layer is not None:
            for plots in self._over_frames:
                plots.show_frame(frame_on_screen(self._viewer, layer))
        self.draw_profile()

    def _go_to(self, frame: int) -> None:
        """Set the slider to the frame of the cursor."""
        layer = self._sequences().lr or self._sequences().fused
        if layer is not None:
            frame = min(max(frame, 0), layer.data.shape[0] - 1)
            self._viewer.dims.set_point(0, float(layer.data_to_world((frame, 0, 0))[0]))

    def draw_line(self) -> Shapes | None:
        """Add the layer with the line of the profile; None if no sequence is open, or in 3-D."""
        return self._draw_shape("line")

    def draw_region(self) -> Shapes | None:
        """Add the layer with the region to measure in; None if no sequence is open, or in 3-D."""
        return self._draw_shape("region")

    def _draw_shape(self, kind: str) -> Shapes | None:
        if self._viewer.dims.ndisplay != 2:
            self.status.setText("Switch to the 2-D view to draw.")
            return None
        layer = shape_layer(self._viewer)
        found = None if layer is None else outline(layer)
        if layer is None or found is None or found[0] != kind:
            sequence = self._sequences().lr or next(filter(is_sequence, self._viewer.layers), None)
            if sequence is None:
                self.status.setText("Open a sequence first.")
                return None
            layer = self._add_shape(sequence, layer, kind)
        layer.mode = "direct"
        self._viewer.layers.selection.active = layer
        self.draw_profile()
        return layer

    def _add_shape(self, sequence: Layer, layer: Shapes | None, kind: str) -> Shapes:
        """Add a line or a region in the middle of ``sequence`` to ``layer`` or a new layer, in place of another."""
        (top, left), (bottom, right) = sequence.extent.world[:, -2:]
        middle, centre, down, across = (
            (top + bottom) / 2,
            (left + right) / 2,
            (bottom - top) / 4,
            (right - left) / 4,
        )
        look = {"edge_color": "#e69f00", "edge_width": (bottom - top) / 100, "face_color": "transparent"}
        if layer is None:
            of = {"units": sequence.units[-2:], "axis_labels": sequence.axis_labels[-2:]}
            layer = self._viewer.add_shapes(ndim=2, name=SHAPE, **of, **look)
        elif layer.data:
            layer.data = []
        if kind == "line":
            layer.add_lines(np.array([[middle, centre - across], [middle, centre + across]]), **look)
        else:
            corners = np.array([[middle - down, centre - across], [middle + down, centre + across]])
            layer.add_rectangles(corners, **look)
        return layer

    def draw_profile(self) -> None:
        """Draw the values of the visible sequences along the line, from its first to its last point."""
        line, dims = shape_layer(self._viewer), self._viewer.dims
        found = None if line is None else outline(line)
        sequences = [layer for layer in self._viewer.layers if is_sequence(layer) and layer.visible]
        flat = dims.ndisplay == 2 and dims.ndim - 3 in dims.not_displayed  # one frame is displayed
        if found is None or found[0] != "line" or not sequences or not flat:
            self.profile.show_profiles([], "")
            return
        ends = found[1][[0, -1]]
        point = dims.point[-3:]
        curves = [
            (layer.name, profile(layer, ends, point)) for layer in sequences[-len(self.profile.colours) :]
        ]
        self.profile.show_profiles(curves, f"{sequences[-1].units[-1]:~P}" or "pixels")

    def _follow_layers(self) -> None:
        """Follow the open sequences and the shape, and draw the profiles of the visible ones."""
        shape = shape_layer(self._viewer)
        self._looks.follow(filter(is_sequence, self._viewer.layers))
        self._drawn.follow([] if shape is None else [shape])
        self._follow_shape()

    def _follow_shape(self) -> None:
        self.draw_profile()
        self.measuring.ask()

    @property
    def _over_frames(self) -> tuple[FramePlots, ...]:
        """The plots over LR frames, whose cursors are the slider."""
        return self.quality, self.consistency, self.sources, self.attention, self.measuring.curves

    @property
    def shown(self) -> Plots:
        """The plots of the present tab."""
        tab = self.tabs.currentWidget()
        return tab if isinstance(tab, Plots) else self.measuring.plots

    def _update_save(self) -> None:
        measured = self.shown is self.measuring.plots and bool(self.measuring.measured)
        self.save.setEnabled(measured or not self.shown.empty)
        self.cancel.setEnabled(self._worker.busy or self.measuring.finding)

    def write(self, path: Path) -> None:
        """Write what the tab shows to a table, or to a picture ``.svg``; raises OutputError if it cannot be written."""
        with writing(path):
            if path.suffix.lower() == ".svg":
                self.shown.write_svg(path)
            elif self.shown is self.measuring.plots:
                self.measuring.write_csv(path)
            elif self.shown is self.quality:
                self.write_csv(path)
            else:
                self.shown.write_csv(path)

    def write_csv(self, path: Path) -> None:
        """Write the comparison with the truth to a file; raises OutputError if it cannot be written."""
        rows = evaluation_of(self.numbers)
        if rows is not None:  # else the button is disabled
            with writing(path):
                rows.write_csv(path)

    def _save(self) -> None:
        name = self.tabs.tabText(self.tabs.currentIndex()).lower().replace(" ", "-")
        ask_and_save(self, "What the tab shows", f"{name}.csv", f"{CSV};;{SVG}", self.write)

    def _restyle(self) -> None:
        self._restyle_plots()
        self._draw()
        self.measuring.draw()
        self.draw_profile()

    def _restyle_plots(self) -> None:
        for plots in (*self._over_frames, self.histograms, self.profile, self.measuring.kymographs):
            plots.restyle()

    def _connect(self) -> None:
        self.compute.clicked.connect(self.start)
        self.cancel.clicked.connect(self._worker.cancel)
        self.save.clicked.connect(self._save)
        self.cancel.clicked.connect(self.measuring.cancel)
        self.line.clicked.connect(self.draw_line)
        self.region.clicked.connect(self.draw_region)
        self.measuring.changed.connect(self._update_save)
        self.tabs.currentChanged.connect(self._update_save)
        for plots in self._over_frames:
            plots.dragged.connect(self._go_to)
        listen(self, self._viewer.dims.events.current_step, self._slide)
        for emitter in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            listen(self, emitter, self._follow_layers)
        listen(self, self._viewer.events.theme, self._restyle)
        self.save.setEnabled(False)

    def _lay_out(self) -> None:
        for name, tab, tip in (
            ("Quality", self.quality, "Metrics against the truth, if available."),
            ("LR consistency", self.consistency, "Agreement of the binned result with LR."),
            (
                "Sources",
                self.sources,
                "Which HR frame the detail of each frame comes from.",
            ),
            ("Attention", self.attention, "Attention of a network to the HR frames."),
            ("Histograms", self.histograms, "Attention against the time since the previous HR frame."),
            ("Line profile", self.profile, "Grey values of the visible sequences along a line."),
            ("Measure", self.measuring, "A quantity of every frame along a line or in a region."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(tab, name), tip)
        self._restyle_plots()
        row = QHBoxLayout()
        for widget in (self.compute, self.cancel, self.save, self.line, self.region):
            row.addWidget(widget)
        row.addWidget(self.status, stretch=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self.tabs, stretch=1)
        self.setMinimumHeight(215)


def _no_sequence() -> Any:
    raise LookupError("only networks have attention")  # frame_numbers calls this for networks only

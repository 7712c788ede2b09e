"""The dock of plots: numbers per frame, computed in the background and linked to the time slider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QTabWidget, QVBoxLayout

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.types import Token
from napari_xfusion.errors import writing
from napari_xfusion.ui.inspection.numbers import (
    FrameNumbers,
    attention_of,
    evaluation_of,
    frame_numbers,
    hr_times_of,
)
from napari_xfusion.ui.inspection.plots import FramePlots, HistogramPlots, ProfilePlot, profile
from napari_xfusion.ui.inspection.recipes import Recipes
from napari_xfusion.ui.inspection.sequences import Sequences, problem
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.job import Outcome, Tell, Worker
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.saving import CSV, ask_and_save
from napari_xfusion.ui.shared.widgets import Docked, Follower, Sentence, listen, offer

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer, Shapes

LINE = "line of the profile"
QUALITY = (
    ("PSNR (dB)", "Peak signal-to-noise ratio against the truth; circles mark HR times."),
    ("AAD (of 255)", "Mean absolute difference from the truth, in 8-bit grey levels."),
    ("SSIM", "Structural similarity to the truth, 7x7 pixels."),
)
CONSISTENCY = (
    ("RMS", "Binned fused minus LR, root mean square in grey units: wrong structure, and noise."),
    ("mean", "Binned fused minus LR, mean in grey units: brightness added (above 0) or lost."),
)
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
        self._drawn = Follower(self, ("set_data",), self.draw_profile)
        self._worker = Worker(self, "inspection numbers", on_news=self._take, ended=self._end, every=150)
        self.quality = FramePlots(viewer, QUALITY)
        self.consistency = FramePlots(viewer, CONSISTENCY)
        self.attention = FramePlots(viewer, ATTENTION)
        self.histograms = HistogramPlots(viewer)
        self.profile = ProfilePlot(viewer)
        self.compute = QPushButton("Compute")
        self.cancel = QPushButton("Cancel", enabled=False, toolTip="Stop. Completed frames are kept.")
        self.save = QPushButton("Save CSV …", toolTip="Save PSNR, AAD and SSIM of every frame as a table.")
        self.line = QPushButton(
            "Draw a line", toolTip="Add a line on the canvas; drag its ends to change it."
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

    def start(self) -> None:
        """Compute the numbers of the selected sequences."""
        sequences = self._shown = self._sequences()
        self.numbers = []
        for plots in (self.quality, self.consistency, self.attention, self.histograms):
            plots.clear()
        self.compute.setEnabled(False)
        self.cancel.setEnabled(True)

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
        self.save.setEnabled(rows is not None)
        if rows is not None:
            for k, name in enumerate(("psnr", "aad", "ssim")):
                values = [getattr(row.metrics, name) for row in rows.rows]
                finite = np.where(np.isinf(values), np.nan, values)  # of frames equal to the truth
                self.quality.show_curves(k, [(name.upper(), (frames, finite))], seen)
        for k, name in enumerate(("rms", "bias")):
            values = [getattr(each.residual, name) for each in numbers]
            self.consistency.show_curves(k, [(name, curve(values))], seen)
        self._draw_attention()

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
            for plots in (self.quality, self.consistency, self.attention):
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
        if self._viewer.dims.ndisplay != 2:
            self.status.setText("Switch to the 2-D view to draw a line.")
            return None
        layer = self._line()
        if layer is None or not layer.data:
            sequence = self._sequences().lr or next(filter(is_sequence, self._viewer.layers), None)
            if sequence is None:
                self.status.setText("Open a sequence first.")
                return None
            layer = self._add_line(sequence, layer)
        layer.mode = "direct"
        self._viewer.layers.selection.active = layer
        self.draw_profile()
        return layer

    def _add_line(self, sequence: Layer, layer: Shapes | None) -> Shapes:
        """Add a line across the middle of ``sequence`` to ``layer`` or a new layer."""
        (top, left), (bottom, right) = sequence.extent.world[:, -2:]
        middle, quarter = (top + bottom) / 2, (right - left) / 4
        if layer is None:
            look = {"units": sequence.units[-2:], "axis_labels": sequence.axis_labels[-2:]}
            layer = self._viewer.add_shapes(ndim=2, name=LINE, **look)
        layer.add_lines(
            np.array([[middle, left + quarter], [middle, right - quarter]]),
            edge_color="#e69f00",
            edge_width=(bottom - top) / 100,
        )
        return layer

    def draw_profile(self) -> None:
        """Draw the values of the visible sequences along the line, from its first to its last point."""
        line, dims = self._line(), self._viewer.dims
        sequences = [layer for layer in self._viewer.layers if is_sequence(layer) and layer.visible]
        flat = dims.ndisplay == 2 and dims.ndim - 3 in dims.not_displayed  # one frame is displayed
        if line is None or not line.data or not sequences or not flat:
            self.profile.show_profiles([], "")
            return
        ends = np.array([line.data_to_world(end)[-2:] for end in (line.data[0][0], line.data[0][-1])])
        point = dims.point[-3:]
        curves = [
            (layer.name, profile(layer, ends, point)) for layer in sequences[-len(self.profile.colours) :]
        ]
        self.profile.show_profiles(curves, f"{sequences[-1].units[-1]:~P}" or "pixels")

    def _line(self) -> Shapes | None:
        shapes = (layer for layer in self._viewer.layers if type(layer).__name__ == "Shapes")
        return next((layer for layer in shapes if layer.name == LINE), None)

    def _follow_layers(self) -> None:
        """Follow the open sequences and the line, and draw the profiles of the visible ones."""
        line = self._line()
        self._looks.follow(filter(is_sequence, self._viewer.layers))
        self._drawn.follow([] if line is None else [line])
        self.draw_profile()

    def write_csv(self, path: Path) -> None:
        """Write the comparison with the truth to a file; raises OutputError if it cannot be written."""
        rows = evaluation_of(self.numbers)
        if rows is not None:  # else the button is disabled
            with writing(path):
                rows.write_csv(path)

    def _save(self) -> None:
        ask_and_save(self, "Numbers of every frame", "numbers.csv", CSV, self.write_csv)

    def _restyle(self) -> None:
        for plots in (self.quality, self.consistency, self.attention, self.histograms, self.profile):
            plots.restyle()
        self._draw()
        self.draw_profile()

    def _connect(self) -> None:
        self.compute.clicked.connect(self.start)
        self.cancel.clicked.connect(self._worker.cancel)
        self.save.clicked.connect(self._save)
        self.line.clicked.connect(self.draw_line)
        for plots in (self.quality, self.consistency, self.attention):
            plots.dragged.connect(self._go_to)
        listen(self, self._viewer.dims.events.current_step, self._slide)
        for emitter in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            listen(self, emitter, self._follow_layers)
        listen(self, self._viewer.events.theme, self._restyle)
        self.save.setEnabled(False)

    def _lay_out(self) -> None:
        for name, plots, tip in (
            ("Quality", self.quality, "Metrics against the truth, if available."),
            ("LR consistency", self.consistency, "Agreement of the binned result with LR."),
            ("Attention", self.attention, "Attention of a network to the HR frames."),
            ("Histograms", self.histograms, "Attention against the time since the previous HR frame."),
            ("Line profile", self.profile, "Grey values of the visible sequences along a line."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(plots, name), tip)
            plots.restyle()
        row = QHBoxLayout()
        for widget in (self.compute, self.cancel, self.save, self.line):
            row.addWidget(widget)
        row.addWidget(self.status, stretch=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self.tabs, stretch=1)
        self.setMinimumHeight(215)


def _no_sequence() -> Any:
    raise LookupError("only networks have attention")  # frame_numbers calls this for networks only

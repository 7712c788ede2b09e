"""The Inspect panel: layers that show the reliability of a fused sequence, and tools to compare layers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtWidgets import (
    QDockWidget,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.plan import Plan
from napari_xfusion.ui.inspection.background import Background
from napari_xfusion.ui.inspection.comparing import ComparingBox
from napari_xfusion.ui.inspection.lazy import LazySequence
from napari_xfusion.ui.inspection.recipes import Kind, Recipes
from napari_xfusion.ui.inspection.sequences import (
    Sequences,
    guess,
    method_problem,
    network_problem,
    problem,
)
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import is_fused, is_recorded
from napari_xfusion.ui.shared.layers import LayerData
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.provenance import METADATA, content_of, provenance_of
from napari_xfusion.ui.shared.widgets import (
    Follower,
    LayerCombo,
    Panel,
    Sentence,
    add_row,
    form,
    listen,
    offer,
    scale_bar_in_2d,
)
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_xfusion.ui.inspection.plots_dock import PlotsDock

Recipe = Callable[[Sequences, int], list[LayerData]]
SEQUENCE_TIPS = {
    "fused": "The fused sequence to inspect. Its LR and HR are selected with it.",
    "lr": "The fast, low-resolution sequence.",
    "hr": "The slow, high-resolution sequence.",
    "truth": "The true sequence of a virtual experiment, if available: the reference of PSNR, AAD and SSIM.",
}


class InspectPanel(Panel):
    """Add layers that show the reliability of a fused sequence, compare layers, and open the plots.

    A frame of a layer is computed when it is displayed; no sequence is loaded completely.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        scale_bar_in_2d(self, viewer)
        self._recipes = recipes = Recipes()
        self._background = Background(self)
        self._making: list[Future[list[LayerData]]] = []
        self._buttons: list[tuple[QPushButton, Callable[[Sequences], str]]] = []
        self.destroyed.connect(partial(Recipes.close, recipes))
        self._plots: PlotsDock | None = None
        self.boxes = {
            name: LayerCombo(viewer, is_fused if name == "fused" else is_recorded, none="none", parent=self)
            for name in _WORDS
        }
        self.status = Sentence(self)
        self.scores = Sentence(self)
        self._run = Follower(self, ("set_data",), self._follow_run)
        self._cancelled = 0
        """Number of cancellations; layers requested before the last one are not added."""
        self._attended: Plan | None = None
        """The plan whose attention is among the layers."""
        self._displayed: tuple[Layer | None, int] = (None, 0)
        self.cancel = QPushButton("Cancel", toolTip="Stop computing new layers. Completed layers are kept.")
        self._build()
        for box in self.boxes.values():
            box.chosen.connect(self._update_buttons)
        self.boxes["fused"].chosen.connect(self._select_inputs)
        listen(self, viewer.layers.events.inserted, self._select_new)
        listen(self, viewer.dims.events.current_step, self._show_scores)
        self.cancel.clicked.connect(self._cancel)
        self._choose(guess(viewer.layers))
        self._show_scores()

    @property
    def sequences(self) -> Sequences:
        """The selected layers."""
        return Sequences(**{name: box.layer() for name, box in self.boxes.items()})

    @property
    def frame(self) -> int:
        """The LR frame under the slider."""
        layer = self.sequences.lr or self.sequences.fused
        return 0 if layer is None else frame_on_screen(self._viewer, layer)

    def add(self, recipe: Recipe) -> None:
        """Compute the layers of ``recipe`` in the background and add them when they are ready."""
        sequences, frame = self.sequences, self.frame
        add = partial(self._add, sequences, self._cancelled)
        future = self._background.ask(lambda: recipe(sequences, frame), add, self._show_error)
        self._making.append(future)
        self._show_status()

    def show_plots(self) -> PlotsDock:
        """Show the dock of plots below the canvas; pyqtgraph is loaded on first use."""
        from napari_xfusion.ui.inspection.plots_dock import PlotsDock  # noqa: PLC0415

        window = self._viewer.window
        if self._plots is None:
            main = self.main_window()
            for old in main.findChildren(PlotsDock) if main is not None else ():
                if isinstance(old.parent(), QDockWidget):  # of a closed panel
                    window.remove_dock_widget(old)
            self._plots = PlotsDock(self._viewer, lambda: self.sequences, self._recipes)
            self._plots.destroyed.connect(self._forget_plots)
        if self._plots.parent() is None:  # new, or its dock was just closed
            window.add_dock_widget(self._plots, name="Plots", area="bottom")
        self._plots.parent().show()
        return self._plots

    def _forget_plots(self) -> None:
        self._plots = None

    def _add(self, sequences: Sequences, cancelled: int, made: list[LayerData]) -> None:
        gone = any(
            sequence is not None and sequence not in self._viewer.layers
            for sequence in vars(sequences).values()
        )
        if gone or cancelled != self._cancelled:
            made = []  # a closing viewer removes its layers first
        for _, options in made:
            known = options["metadata"][METADATA]
            origins = [x for x in known.origins_among(self._viewer.layers) if x is not None]
            made_as = options["name"], known.plan, *(id(content_of(x)) for x in origins)
            if not self._shown_already(made_as):
                sequence = LazySequence(known.sequence, self._background, self._arrived, self._show_error)
                options["metadata"][METADATA] = replace(known, shown=sequence)
                layer = Image(sequence, **options)
                sequence.awake, sequence.made_as = True, made_as
                self._viewer.add_layer(layer)
                self._attended = known.plan if known.role == "attention" else self._attended
                layer.name_overlay.visible = compat.grid(self._viewer).enabled
                if known.role != "baseline" and layer.visible:  # one bar for all attention maps
                    compat.show_colorbar(layer)
        self._show_scores()
        self._show_status()

    def _shown_already(self, made_as: tuple[Any, ...]) -> bool:
        """Whether a layer already shows the same of the same data; if so, make it visible and select it."""
        layer = next((x for x in self._viewer.layers if getattr(x.data, "made_as", ()) == made_as), None)
        if layer is None:
            return False
        layer.visible = True
        self._viewer.layers.selection.active = layer
        return True

    def _arrived(self, sequence: LazySequence) -> None:
        """Draw the layers whose frame is ready."""
        for layer in self._viewer.layers:
            if sequence is layer.data or sequence is getattr(layer.data, "data", None):  # in a wipe
                layer.refresh(extent=False)
        if self._plots is not None:
            self._plots.draw_profile()
        self._show_scores()

    def _show_scores(self) -> None:
        """Show the attention scores of the displayed frame, if they are known."""
        plan, sequences = self._attended, self.sequences
        ready = None not in (plan, sequences.lr, sequences.hr)
        frame = self._recipes.known(plan, sequences, self.frame) if plan and ready else None
        scores = {} if frame is None else frame.scores
        words = {"hr-": "backward", "hr+": "forward"}
        parts = [f"{words[role]} {score.raw:.3f}" for role, score in scores.items() if role in words]
        self.scores.setText(f"frame {self.frame}: {', '.join(parts)}" if parts else "")
        self.scores.setVisible(bool(parts))

    def _follow_run(self) -> None:
        """Recompute layers derived from the fused sequence after its displayed frame has changed."""
        fused, before, self._displayed = (
            self.sequences.fused,
            self._displayed,
            (self.sequences.fused, self.frame),
        )
        if fused is None or before != self._displayed:
            return  # only the slider has changed
        for layer in self._viewer.layers:
            known = provenance_of(layer)
            derived = known is not None and fused in known.origins_among([fused])
            if derived and isinstance(layer.data, LazySequence):
                layer.data.forget()
                layer.refresh(extent=False, thumbnail=False)

    def _show_error(self, error: Exception) -> None:
        show_error(in_window_words(error))
        self._show_status()

    def _cancel(self) -> None:
        self._cancelled += 1
        for future in self._making:
            future.cancel()
        self._making.clear()
        self._show_status()

    def _show_status(self) -> None:
        self._making = [future for future in self._making if not future.done()]
        self.cancel.setVisible(bool(self._making))
        reason = problem(self.sequences, ("lr", "hr"))
        if self._making:
            self.status.setText("Computing layers: pairing the sequences, first frame …")
        else:
            self.status.setText(reason or self._pairing())

    def _pairing(self) -> str:
        lr, hr = self.sequences.stacks()
        method = ""
        if self.sequences.fused is not None:
            by = self.sequences.method
            method = f", fused by {by}" if by else ", method not known"
        return f"{len(lr)} LR and {len(hr)} HR frames{method}. New layers are aligned with these."

    def _select_new(self) -> None:
        """Select new sequences where none is selected."""
        found = guess(self._viewer.layers)
        for name, box in self.boxes.items():
            if box.layer() is None:
                box.choose(getattr(found, name))
        self._update_buttons()

    def _select_inputs(self) -> None:
        """Select LR and HR of the selected fused sequence."""
        fused = self.boxes["fused"].layer()
        self._run.follow([] if fused is None else [fused])
        if fused is not None:
            found = guess([*(x for x in self._viewer.layers if x is not fused), fused])
            for name in ("lr", "hr"):
                self.boxes[name].choose(getattr(found, name) or self.boxes[name].layer())
        self._displayed = fused, self.frame

    def _choose(self, sequences: Sequences) -> None:
        for name, box in self.boxes.items():
            box.choose(getattr(sequences, name))
        self._select_inputs()
        self._update_buttons()

    def _update_buttons(self) -> None:
        """Enable or disable the buttons; tooltips show the reason."""
        sequences = self.sequences
        for button, reason_of in self._buttons:
            offer(button, button.statusTip(), reason_of(sequences))
        self._show_status()
        if self._plots is not None:
            self._plots.update_buttons()

    def _build(self) -> None:
        plots = QPushButton("Plots …", toolTip="Numbers per frame, attention histograms and a line profile.")
        plots.clicked.connect(self.show_plots)
        parts = (
            self._sequences_box(),
            self._division_box(),
            self._baselines_box(),
            self._reliability_box(),
            ComparingBox(self._viewer),
            plots,
        )
        self.lay_out(parts, self.status, self.cancel)

    def _sequences_box(self) -> QGroupBox:
        group = QGroupBox("Sequences")
        rows = form(group)
        for name, box in self.boxes.items():
            add_row(rows, _WORDS[name], box, SEQUENCE_TIPS[name])
        return group

    def _division_box(self) -> QGroupBox:
        group = QGroupBox("Frame division")
        group.setToolTip("Each frame divided by the previous one: static parts are 1, changes stand out.")
        row = QHBoxLayout(group)
        for kind in ("lr", "hr", "fused", "truth"):
            row.addWidget(
                self._button(
                    kind.upper() if len(kind) == 2 else kind,
                    f"Add a layer: {_WORDS[kind]}, each frame divided by the previous one.",
                    partial(self._division, kind=kind),
                    partial(problem, needed=(kind,)),
                )
            )
        return group

    def _division(self, sequences: Sequences, _frame: int, kind: Kind) -> list[LayerData]:
        return self._recipes.frame_division(sequences, kind)

    def _baselines_box(self) -> QGroupBox:
        group = QGroupBox("Other methods")
        grid = QGridLayout(group)
        grid.setColumnStretch(0, 1)
        for row, method in enumerate(METHODS):
            title = QElidingLabel(METHODS[method].title)
            title.setToolTip(METHODS[method].summary)
            grid.addWidget(title, row, 0)
            sequence = self._button(
                "sequence",
                f"Add a layer: the same two sequences fused by {METHODS[method].title}.",
                partial(self._baseline, method=method),
                partial(method_problem, method=method, needed=("lr", "hr")),
            )
            minus = self._button(
                "difference",
                f"Add a layer: the fused sequence minus {METHODS[method].title}; blue is darker, orange brighter.",
                partial(self._difference, method=method),
                partial(method_problem, method=method, needed=("lr", "hr", "fused")),
            )
            grid.addWidget(sequence, row, 1)
            grid.addWidget(minus, row, 2)
        return group

    def _baseline(self, sequences: Sequences, _frame: int, method: str) -> list[LayerData]:
        return self._recipes.baseline(sequences, method)

    def _difference(self, sequences: Sequences, frame: int, method: str) -> list[LayerData]:
        return self._recipes.difference(sequences, method, frame)

    def _reliability_box(self) -> QGroupBox:
        group = QGroupBox("Reliability")
        column = QVBoxLayout(group)
        for text, tip, recipe, reason in (
            (
                "LR consistency",
                "Add a layer: the fused sequence binned to LR, minus LR: invented or lost structure, and noise.",
                self._recipes.consistency,
                partial(problem, needed=("lr", "hr", "fused")),
            ),
            (
                "Standard deviation",
                "Add a layer: the standard deviation of each pixel by the Bayesian method, in HR grey values.",
                self._recipes.std,
                partial(problem, needed=("lr", "hr")),
            ),
            (
                "Attention",
                "Add a layer for each input frame of a network: its attention, the agreement with the target LR frame.",
                self._recipes.attention,
                network_problem,
            ),
        ):
            column.addWidget(self._button(text, tip, recipe, reason))
        self.scores.setToolTip(
            "Mean attention of the previous (backward) and next (forward) HR frame for the displayed frame, "
            "before the sigmoid, as in the curves of the paper."
        )
        column.addWidget(self.scores)
        return group

    def _button(self, text: str, tip: str, recipe: Recipe, reason: Callable[[Sequences], str]) -> QPushButton:
        button = QPushButton(text)
        button.setStatusTip(tip)
        button.clicked.connect(lambda: self.add(recipe))
        self._buttons.append((button, reason))
        return button


_WORDS = {"fused": "fused", "lr": "LR", "hr": "HR", "truth": "truth"}

"""The Inspect panel: what the fused sequence is made of, where it may be wrong, and sequences beside each other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

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
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.layers import LayerData
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.provenance import METADATA, content_of, provenance_of
from napari_xfusion.ui.shared.widgets import LayerCombo, Panel, Sentence, add_row, form, listen
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_xfusion.ui.inspection.plots_dock import PlotsDock

Recipe = Callable[[Sequences, int], list[LayerData]]
SEQUENCE_TIPS = {
    "fused": "The result to look into; sequences that it was fused from are chosen with it",
    "lr": "The fast, coarse sequence",
    "hr": "The slow, sharp sequence",
    "truth": "The sharp fast sequence of a virtual experiment, if there is one: gives PSNR, AAD and SSIM",
}


class InspectPanel(Panel):
    """Adds layers that show how far to trust a fused sequence, compares layers, and opens the plots.

    Layers are computed one frame at a time, when the slider reaches it; nothing is loaded whole.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._recipes = recipes = Recipes()
        self._background = Background(self)
        self._making: list[Future[list[LayerData]]] = []
        self._buttons: list[tuple[QPushButton, Callable[[Sequences], str]]] = []
        self.destroyed.connect(partial(Recipes.close, recipes))
        self._plots: PlotsDock | None = None
        self.boxes = {
            name: LayerCombo(viewer, is_sequence, none=f"no {_WORDS[name]}", parent=self) for name in _WORDS
        }
        self.status = Sentence(self)
        self.scores = Sentence(self)
        self._heard: WeakSet[Layer] = WeakSet()
        self._cancelled = 0
        """How often layers were cancelled: those that were asked for before are not added."""
        self._attended: Plan | None = None
        """The run whose attention is among the layers."""
        self._looked_at: tuple[Layer | None, int] = (None, 0)
        self.cancel = QPushButton("Cancel", toolTip="Stop making layers; those that are there stay")
        self._lay_out()
        for box in self.boxes.values():
            box.chosen.connect(self._look_again)
        self.boxes["fused"].chosen.connect(self._take_origins)
        listen(self, viewer.layers.events.inserted, self._take_new)
        listen(self, viewer.dims.events.current_step, self._show_scores)
        self.cancel.clicked.connect(self._cancel)
        self._choose(guess(viewer.layers))
        self._show_scores()

    @property
    def sequences(self) -> Sequences:
        """The layers that are chosen."""
        return Sequences(**{name: box.layer() for name, box in self.boxes.items()})

    @property
    def frame(self) -> int:
        """The LR frame under the slider."""
        layer = self.sequences.lr or self.sequences.fused
        return 0 if layer is None else frame_on_screen(self._viewer, layer)

    def add(self, recipe: Recipe) -> None:
        """Make the layers of ``recipe`` in the background, and add them when they are ready."""
        sequences, frame = self.sequences, self.frame
        add = partial(self._add, sequences, self._cancelled)
        future = self._background.ask(lambda: recipe(sequences, frame), add, self._tell)
        self._making.append(future)
        self._show_status()

    def show_plots(self) -> PlotsDock:
        """The dock with the plots, below the sequences; pyqtgraph is loaded when it is first wanted."""
        from napari_xfusion.ui.inspection.plots_dock import PlotsDock  # noqa: PLC0415

        window = self._viewer.window
        if self._plots is None:
            main = self.main_window()
            for old in main.findChildren(PlotsDock) if main is not None else ():
                if isinstance(old.parent(), QDockWidget):  # of a panel that was closed
                    window.remove_dock_widget(old)
            self._plots = PlotsDock(self._viewer, lambda: self.sequences, self._recipes)
            self._plots.destroyed.connect(self._forget_plots)
        if self._plots.parent() is None:  # new, or its dock was closed just now
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
            made = []  # a closing viewer removes its sequences first
        for _, options in made:
            known = options["metadata"][METADATA]
            origins = [x for x in known.origins_among(self._viewer.layers) if x is not None]
            made_as = options["name"], known.plan, *(id(content_of(x)) for x in origins)
            if not self._shown_already(made_as):
                sequence = LazySequence(known.sequence, self._background, self._arrived, self._tell)
                options["metadata"][METADATA] = replace(known, shown=sequence)
                layer = Image(sequence, **options)
                sequence.awake, sequence.made_as = True, made_as
                self._viewer.add_layer(layer)
                self._attended = known.plan if known.role == "attention" else self._attended
                layer.name_overlay.visible = compat.grid(self._viewer).enabled
        self._show_scores()
        self._show_status()

    def _shown_already(self, made_as: tuple[Any, ...]) -> bool:
        """Whether a layer shows the same already, of the same data; it is shown again if it was hidden."""
        layer = next((x for x in self._viewer.layers if getattr(x.data, "made_as", ()) == made_as), None)
        if layer is None:
            return False
        layer.visible = True
        self._viewer.layers.selection.active = layer
        return True

    def _arrived(self, sequence: LazySequence) -> None:
        """Draw layers whose frame has come."""
        for layer in self._viewer.layers:
            if sequence is layer.data or sequence is getattr(layer.data, "data", None):  # wiped
                layer.refresh(extent=False)
        if self._plots is not None:
            self._plots.draw_profile()
        self._show_scores()

    def _show_scores(self) -> None:
        """The attention scores of the frame on screen, where they are known."""
        plan, sequences = self._attended, self.sequences
        ready = None not in (plan, sequences.lr, sequences.hr)
        frame = self._recipes.known(plan, sequences, self.frame) if plan and ready else None
        scores = {} if frame is None else frame.scores
        words = {"hr-": "backward", "hr+": "forward"}
        said = [f"{words[role]} {score.raw:.3f}" for role, score in scores.items() if role in words]
        self.scores.setText(f"frame {self.frame}: {', '.join(said)}" if said else "")
        self.scores.setVisible(bool(said))

    def _follow_run(self) -> None:
        """The fused sequence changed under the slider: what is made from it is made anew."""
        fused, before, self._looked_at = (
            self.sequences.fused,
            self._looked_at,
            (self.sequences.fused, self.frame),
        )
        if fused is None or before != self._looked_at:
            return  # only the slider was moved
        for layer in self._viewer.layers:
            known = provenance_of(layer)
            made_of_it = known is not None and fused in known.origins_among([fused])
            if made_of_it and isinstance(layer.data, LazySequence):
                layer.data.forget()
                layer.refresh(extent=False, thumbnail=False)

    def _tell(self, error: Exception) -> None:
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
            self.status.setText("Making layers: pairing the sequences, first frame …")
        else:
            self.status.setText(reason or self._pairing())

    def _pairing(self) -> str:
        lr, hr = self.sequences.stacks()
        made = f", fused by {self.sequences.plan.method}" if self.sequences.fused is not None else ""
        return f"{len(lr)} LR and {len(hr)} HR frames{made}. New layers lie exactly upon these."

    def _take_new(self) -> None:
        """Sequences that have just come are chosen where nothing was."""
        found = guess(self._viewer.layers)
        for name, box in self.boxes.items():
            if box.layer() is None:
                box.choose(getattr(found, name))
        self._look_again()

    def _take_origins(self) -> None:
        """With a fused sequence, the sequences it was fused from."""
        fused = self.boxes["fused"].layer()
        if fused is not None:
            self._hear(fused)
            found = guess([*(x for x in self._viewer.layers if x is not fused), fused])
            for name in ("lr", "hr"):
                self.boxes[name].choose(getattr(found, name) or self.boxes[name].layer())

    def _hear(self, fused: Layer) -> None:
        """Hear when frames of a fused sequence come, once for each sequence."""
        if fused not in self._heard:
            self._heard.add(fused)
            self._looked_at = fused, self.frame
            listen(self, fused.events.set_data, self._follow_run)

    def _choose(self, sequences: Sequences) -> None:
        for name, box in self.boxes.items():
            box.choose(getattr(sequences, name))
        self._take_origins()
        self._look_again()

    def _look_again(self) -> None:
        """Turn buttons on and off by what is chosen, each with its reason."""
        sequences = self.sequences
        for button, reason_of in self._buttons:
            reason = reason_of(sequences)
            button.setEnabled(not reason)
            button.setToolTip(f"{button.statusTip()}\n\nNot now: {reason}" if reason else button.statusTip())
        self._show_status()
        if self._plots is not None:
            self._plots.look_again()

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        for box in (
            self._sequences_box(),
            self._division_box(),
            self._baselines_box(),
            self._trust_box(),
            ComparingBox(self._viewer),
        ):
            column.addWidget(box)
        plots = QPushButton("Plots …")
        plots.setToolTip("Numbers per frame, attention histograms and a line profile, below the sequences")
        plots.clicked.connect(self.show_plots)
        column.addWidget(plots)
        column.addStretch()
        scroll = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        scroll.setWidget(inner)
        bottom = QHBoxLayout()
        bottom.addWidget(self.status, stretch=1)
        bottom.addWidget(self.cancel)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll, stretch=1)
        whole.addLayout(bottom)

    def _sequences_box(self) -> QGroupBox:
        group = QGroupBox("Sequences")
        rows = form(group)
        for name, box in self.boxes.items():
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            add_row(rows, _WORDS[name], box, SEQUENCE_TIPS[name])
        return group

    def _division_box(self) -> QGroupBox:
        group = QGroupBox("Frame division")
        group.setToolTip("Each frame divided by the one before: what stands still is 1, what moves shows")
        row = QHBoxLayout(group)
        for kind in ("lr", "hr", "fused", "truth"):
            row.addWidget(
                self._button(
                    kind.upper() if len(kind) == 2 else kind,
                    f"Add a layer: {_WORDS[kind]}, each frame divided by its previous one",
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
            grid.addWidget(QLabel(METHODS[method].title), row, 0)
            sequence = self._button(
                "sequence",
                f"Add a layer: what {METHODS[method].title} makes of the same two sequences",
                partial(self._baseline, method=method),
                partial(method_problem, method=method, needed=("lr", "hr")),
            )
            minus = self._button(
                "difference",
                f"Add a layer: the fused sequence minus {METHODS[method].title}; blue is darker, orange brighter",
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

    def _trust_box(self) -> QGroupBox:
        group = QGroupBox("How far to trust it")
        column = QVBoxLayout(group)
        for text, tip, recipe, reason in (
            (
                "LR consistency",
                "Add a layer: the fused sequence binned to LR, minus LR: what was invented or lost, and noise",
                self._recipes.consistency,
                partial(problem, needed=("lr", "hr", "fused")),
            ),
            (
                "Standard deviation",
                "Add a layer: how sure the Bayesian method is of each pixel, in HR grey values",
                self._recipes.std,
                partial(problem, needed=("lr", "hr")),
            ),
            (
                "Attention",
                "Add one layer for each input of a network: where it agrees with the reference LR frame",
                self._recipes.attention,
                network_problem,
            ),
        ):
            column.addWidget(self._button(text, tip, recipe, reason))
        self.scores.setToolTip(
            "Mean attention of the HR frame before (backward) and after (forward) in the frame on screen, "
            "before the sigmoid, as in the paper's curves"
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

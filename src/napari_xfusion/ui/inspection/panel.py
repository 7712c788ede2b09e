"""The Inspect panel: a layer that shows the reliability of a fused sequence, and tools to compare layers."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_xfusion.ui.inspection.background import Background
from napari_xfusion.ui.inspection.comparing import ComparingBox
from napari_xfusion.ui.inspection.contents import Content, Recipe, contents
from napari_xfusion.ui.inspection.lazy import LazySequence
from napari_xfusion.ui.inspection.magnifier import Magnifier
from napari_xfusion.ui.inspection.recipes import Recipes
from napari_xfusion.ui.inspection.sequences import Sequences, guess, problem
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import is_fused, is_recorded
from napari_xfusion.ui.shared.help import HelpButton
from napari_xfusion.ui.shared.keys import KEYS, bind
from napari_xfusion.ui.shared.layers import LayerData, redraw
from napari_xfusion.ui.shared.place import frame_on_screen, keep_in_view
from napari_xfusion.ui.shared.provenance import (
    METADATA,
    LayerRole,
    content_of,
    layers_of,
    learn,
    provenance_of,
)
from napari_xfusion.ui.shared.widgets import (
    Follower,
    LayerCombo,
    Panel,
    Sentence,
    add_row,
    form,
    in_turns,
    listen,
    offer,
    scale_bar_in_2d,
)
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_xfusion.ui.inspection.plots_dock import PlotsDock

SEQUENCE_TIPS = {
    "fused": "The fused sequence to inspect. Its LR and HR are selected with it.",
    "lr": "The fast, low-resolution sequence.",
    "hr": "The slow, high-resolution sequence.",
    "truth": "The true sequence of a virtual experiment, if available: the reference of PSNR, AAD and SSIM.",
}


class InspectPanel(Panel):
    """Show the reliability of a fused sequence in one layer, compare layers, and open the plots.

    What the inspection layer shows is selected; it can be left as a layer of its own. A frame of a layer is computed
    when it is displayed; no sequence is loaded completely.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        scale_bar_in_2d(self, viewer)
        self._recipes = recipes = Recipes()
        self._background = Background(self)
        self._making: list[Future[LayerData]] = []
        self.contents: list[Content] = []
        """What the rows of ``content`` show; the first row shows nothing."""
        self._inspected: Layer | None = None
        """The layer whose content is selected."""
        self.destroyed.connect(partial(Recipes.close, recipes))
        self._plots: PlotsDock | None = None
        self.magnifier: Magnifier | None = None
        self.boxes = {
            name: LayerCombo(viewer, is_fused if name == "fused" else is_recorded, none="none", parent=self)
            for name in _WORDS
        }
        self.status = Sentence(self)
        self.scores = Sentence(self)
        self._run = Follower(self, ("set_data",), self._follow_run)
        self._doing = ""
        """What takes time until the selected content is shown."""
        self._cancelled = 0
        """Number of cancellations; layers requested before the last one are not added."""
        self._displayed: tuple[Layer | None, int] = (None, 0)
        self.cancel = QPushButton("Cancel", toolTip="Stop computing what is to be shown.")
        self.content = QComboBox(maxVisibleItems=30)
        self.opacity = QSlider(Qt.Orientation.Horizontal, maximum=100, value=100)
        self.keep = QPushButton("Keep as layer")
        self._build()
        self._renewal = QTimer(self, singleShot=True, interval=0)
        self._renewal.timeout.connect(self._renew)
        for box in self.boxes.values():
            box.chosen.connect(self._update_buttons)
            box.chosen.connect(self._renewal.start)
        self.boxes["fused"].chosen.connect(self._select_inputs)
        listen(self, viewer.layers.events.inserted, self._select_new)
        listen(self, viewer.layers.events.removed, self._follow_removal)
        listen(self, viewer.dims.events.current_step, self._show_scores)
        self.cancel.clicked.connect(self._cancel)
        self.cancel.clicked.connect(self._select_nothing)
        self.content.currentIndexChanged.connect(self._show_content)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.keep.clicked.connect(self.keep_layer)
        self._choose(guess(viewer.layers))
        self._renewal.stop()
        self._update_layer_tools()
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

    def show_named(self, name: str) -> None:
        """Show the content with this name, see ``show_content``; anew if it is shown already."""
        index = self.content.findText(name)
        if index == self.content.currentIndex():
            self._show_content()
        self.content.setCurrentIndex(index)

    def show_content(self, content: Content) -> None:
        """Show ``content`` in the inspection layer, as if it had been selected."""
        self.content.setCurrentIndex(self.content.findData(content))

    def keep_layer(self) -> None:
        """Leave the inspection layer as it is; what is selected next gets a layer of its own."""
        self._inspected = None
        self._select_nothing()

    def add(self, recipe: Recipe) -> None:
        """Compute what ``recipe`` makes in the background and show it in the inspection layer when it is ready."""
        sequences, frame = self.sequences, self.frame
        add = partial(self._add, sequences, self._cancelled)
        future = self._background.ask(lambda: recipe(sequences, frame), add, self._show_error)
        self._making.append(future)
        self._show_status()

    def _show_content(self) -> None:
        """Show what is selected, in place of what was being computed."""
        content: Content | None = self.content.currentData()
        self._cancel()
        rows: Any = self.content.model()
        if content is not None and not rows.item(self.content.currentIndex()).isEnabled():
            self.status.setText(content.reason(self.sequences))
        elif content is not None:
            self._doing = content.doing
            self.add(content.recipe)
        elif self._inspected is not None:
            self._viewer.layers.remove(self._inspected)

    def _renew(self) -> None:
        """Show the same content of the sequences that are selected now; nothing where that is not possible."""
        content: Content | None = self.content.currentData()
        if content is None:
            return
        if not content.reason(self.sequences):
            self._show_content()
        elif self._inspected is not None:
            self._viewer.layers.remove(self._inspected)
        else:
            self._cancel()
            self._select_nothing()

    def _select_nothing(self) -> None:
        with signals_blocked(self.content):
            self.content.setCurrentIndex(0)
        self._update_layer_tools()

    def _follow_removal(self) -> None:
        """Nothing is inspected after the layer was removed."""
        if self._inspected is not None and self._inspected not in self._viewer.layers:
            self.keep_layer()

    def _set_opacity(self, percent: int) -> None:
        if self._inspected is not None:
            self._inspected.opacity = percent / 100

    def _update_layer_tools(self) -> None:
        layer = self._inspected
        reason = "" if layer is not None else "Select above what to show."
        offer(self.keep, "Leave this layer as it is; what is selected next gets a layer of its own.", reason)
        self.opacity.setEnabled(layer is not None)
        with signals_blocked(self.opacity):
            self.opacity.setValue(100 if layer is None else round(100 * layer.opacity))

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
            keep_in_view(self._viewer)
            window.add_dock_widget(self._plots, name="Plots", area="bottom")
        self._plots.parent().show()
        return self._plots

    def _forget_plots(self) -> None:
        self._plots = None

    def toggle_magnifier(self) -> None:
        """Show the dock with the same place of all sequences, or close it."""
        if self.magnifier is not None:
            self._viewer.window.remove_dock_widget(self.magnifier)
            return
        self.magnifier = Magnifier(self._viewer, lambda: self.sequences)
        self.magnifier.destroyed.connect(self._forget_magnifier)
        keep_in_view(self._viewer)
        self._viewer.window.add_dock_widget(self.magnifier, name="Magnifier", area="bottom")

    def _forget_magnifier(self) -> None:
        self.magnifier = None

    def _hold_place(self) -> None:
        if self.magnifier is not None:
            self.magnifier.hold.toggle()

    def _delete(self) -> None:
        """Close the docks of this panel with it."""
        if self.parent() is None:
            for dock in (self._plots, self.magnifier):
                if dock is not None and dock.parent() is not None:
                    self._viewer.window.remove_dock_widget(dock)
        super()._delete()

    def _add(self, sequences: Sequences, cancelled: int, made: LayerData) -> None:
        gone = any(
            sequence is not None and sequence not in self._viewer.layers
            for sequence in vars(sequences).values()
        )  # a closing viewer removes its layers first
        if not gone and cancelled == self._cancelled:
            self._show_made(made)
            intervals = made.options["metadata"][METADATA].intervals
            if intervals is not None and sequences.fused is not None:
                learn(sequences.fused, intervals=intervals)
        self._show_scores()
        self._show_status()

    def _show_made(self, made: LayerData) -> None:
        """Show ``made`` in the inspection layer, unless another layer shows it already."""
        known = made.options["metadata"][METADATA]
        origins = [x for x in known.origins_among(self._viewer.layers) if x is not None]
        made_as = made.options["name"], known.plan, *(id(content_of(x)) for x in origins)
        if self._shown_already(made_as):
            if self._inspected is not None and getattr(self._inspected.data, "made_as", ()) != made_as:
                self._viewer.layers.remove(self._inspected)  # it shows what is not selected any more
            return
        sequence = LazySequence(known.sequence, self._background, self._arrived, self._show_error)
        made.options["metadata"][METADATA] = replace(known, shown=sequence)
        shown = LayerData(sequence, made.options)
        if self._inspected is None:
            layer = self._inspected = Image(sequence, **made.options)
            compat.show_colorbar(layer, on=False)  # places it: later, each change of its place is drawn
            sequence.awake = True
            self._viewer.add_layer(layer)
        else:
            layer, sequence.awake = self._inspected, True
            redraw(layer, shown)
            for name, default in LOOK.items():
                setattr(layer, name, made.options.get(name, default))
            layer.contrast_limits_range = layer.contrast_limits
        sequence.made_as = made_as
        # Layer, colour bar and name take napari 0.1 s each.
        in_turns(self, *(partial(show, layer, known.role) for show in (self._show_colorbar, self._show_name)))
        self._update_layer_tools()

    def _show_colorbar(self, layer: Layer, role: LayerRole) -> None:
        if layer in self._viewer.layers:
            compat.show_colorbar(layer, role != "baseline")

    def _show_name(self, layer: Layer, role: LayerRole) -> None:
        """Show the name where it contains a unit, and in a grid."""
        if layer in self._viewer.layers:
            layer.name_overlay.visible = role != "baseline" or compat.grid(self._viewer).enabled

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
        attended = [provenance_of(layer) for layer in layers_of(self._viewer, "attention")]
        plan, sequences = next((x.plan for x in attended if x is not None), None), self.sequences
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
        self._recipes.cancel()
        for future in self._making:
            future.cancel()
        self._making.clear()
        self._show_status()

    def _show_status(self) -> None:
        self._making = [future for future in self._making if not future.done()]
        self.cancel.setVisible(bool(self._making))
        reason = problem(self.sequences, ("lr", "hr"))
        if self._making:
            self.status.setText(f"Computing: {self._doing} …")
        else:
            self.status.setText(reason or self._pairing())

    def _pairing(self) -> str:
        lr, hr = self.sequences.stacks()
        method = ""
        if self.sequences.fused is not None:
            by = self.sequences.method
            settings = self.sequences.settings
            method = f", fused by {by}" if by else ", method not known"
            method += f" ({settings})" if settings else ""
        return f"{len(lr)} LR and {len(hr)} HR frames{method}. New layers are aligned with these."

    def _select_new(self) -> None:
        """Select new sequences where none is selected, and a new result of the selected LR and HR."""
        found = guess(self._viewer.layers)
        for name, box in self.boxes.items():
            if box.layer() is None or (name == "fused" and self._is_new_result(found.fused)):
                box.choose(getattr(found, name))
        self._update_buttons()

    def _is_new_result(self, fused: Layer | None) -> bool:
        """Whether ``fused`` was just added, and is fused from the selected LR and HR."""
        known = None if fused is None or fused != self._viewer.layers[-1] else provenance_of(fused)
        selected = {self.sequences.lr, self.sequences.hr}
        return known is not None and set(known.origins_among(self._viewer.layers)) == selected

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
        """Enable or disable what can be shown; tooltips show the reason."""
        sequences = self.sequences
        for k in range(self.content.count()):
            content: Content | None = self.content.itemData(k)
            if content is not None:
                reason = content.reason(sequences)
                row: Any = self.content.model()
                row.item(k).setEnabled(not reason)
                tip = f"{content.tip}\n\nNot available: {reason}" if reason else content.tip
                self.content.setItemData(k, tip, Qt.ItemDataRole.ToolTipRole)
        self._show_status()
        if self._plots is not None:
            self._plots.update_buttons()

    def _build(self) -> None:
        plots = QPushButton("Plots …", toolTip="Numbers per frame, attention histograms and a line profile.")
        plots.clicked.connect(self.show_plots)
        keys = KEYS["magnifier"].keys
        tip = "The same place of all sequences, enlarged and side by side; it follows the mouse."
        magnifier = QPushButton(f"Magnifier ({keys})", toolTip=tip)
        more = QWidget(self)
        line = QHBoxLayout(more)
        line.setContentsMargins(0, 0, 0, 0)
        for button in (magnifier, plots, HelpButton(self._viewer, more)):
            line.addWidget(button)
        magnifier.clicked.connect(lambda _: self.toggle_magnifier())
        bind(self, self._viewer, "magnifier", self.toggle_magnifier)
        bind(self, self._viewer, "hold", self._hold_place)
        parts = (
            self._sequences_box(),
            self._layer_box(),
            ComparingBox(self._viewer),
            more,
        )
        self.lay_out(parts, self.status, self.cancel)

    def _sequences_box(self) -> QGroupBox:
        group = QGroupBox("Sequences")
        rows = form(group)
        for name, box in self.boxes.items():
            add_row(rows, _WORDS[name], box, SEQUENCE_TIPS[name])
        return group

    def _layer_box(self) -> QGroupBox:
        group = QGroupBox("Inspection layer")
        rows = form(group)
        self.content.addItem("nothing", None)
        for some in contents(self._recipes):
            self.content.insertSeparator(self.content.count())
            for content in some:
                self.content.addItem(content.name, content)
                self.contents.append(content)
        add_row(rows, "Show", self.content, "What the inspection layer shows; its name contains the unit.")
        add_row(rows, "Opacity", self.opacity, "Opacity of the inspection layer over the sequence below.")
        self.scores.setToolTip(
            "Mean attention of the previous (backward) and next (forward) HR frame for the displayed frame, "
            "before the sigmoid, as in the curves of the paper."
        )
        self.scores.setWordWrap(False)  # one line, which does not widen the panel
        self.scores.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        rows.addRow(self.scores)
        rows.addRow(self.keep)
        return group


LOOK = {"colormap": "gray", "contrast_limits": (0.0, 1.0), "opacity": 1.0, "interpolation2d": "nearest"}
"""Properties that another content changes, with napari's defaults."""
_WORDS = {"fused": "fused", "lr": "LR", "hr": "HR", "truth": "truth"}

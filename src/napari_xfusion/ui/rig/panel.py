"""The Rig panel: fit where LR lies on HR and when HR frames were taken, look at it, save it, and fuse with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QGroupBox, QHBoxLayout, QPushButton

from napari_xfusion.core.calibration import Calibration, ClockFit
from napari_xfusion.core.files import require_apart
from napari_xfusion.core.rig.calibrate import Calibrated
from napari_xfusion.core.rig.synchronise import with_clock
from napari_xfusion.errors import InputError, XFusionError
from napari_xfusion.ui.fusion.data_box import is_input
from napari_xfusion.ui.rig.clock_box import ClockBox
from napari_xfusion.ui.rig.geometry_box import CLICKED, GeometryBox
from napari_xfusion.ui.rig.pairs import PointPairs
from napari_xfusion.ui.rig.words import clock_words, geometry_words
from napari_xfusion.ui.rig.work import Kind, Pair, fitting, overlaying, place, synchronising
from napari_xfusion.ui.shared.history import UndoButtons
from napari_xfusion.ui.shared.job import Body, Outcome, Worker
from napari_xfusion.ui.shared.layers import derived_layer
from napari_xfusion.ui.shared.preferences import preferences
from napari_xfusion.ui.shared.provenance import stack_of
from napari_xfusion.ui.shared.saving import ask_and_save
from napari_xfusion.ui.shared.widgets import LayerCombo, Panel, Sentence, add_row, form, listen, offer
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

EVERY = 50
"""Milliseconds between two looks for an answer."""
KIND = "Rig file (*.json)"


class RigPanel(Panel):
    """Calibrate and synchronise two layers of a viewer; the rig stays when other layers are selected."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.calibration: Calibration | None = None
        """What was fitted or loaded last."""
        self.made: Calibrated | None = None
        """The fit of the geometry, where it was made here."""
        self.saved: Path | None = None
        """Where ``calibration`` is saved as it is."""
        self.lr = LayerCombo(viewer, is_input, none="select the LR camera", parent=self)
        self.hr = LayerCombo(viewer, is_input, none="select the HR camera", parent=self)
        self.geometry_box = GeometryBox(self)
        self.clock_box = ClockBox(viewer, self)
        self.load, self.save = QPushButton("Load …", self), QPushButton("Save …", self)
        self.fuse = QPushButton("Fuse …", self)
        self.status = Sentence(self)
        self.pairs = PointPairs(viewer, self)
        self._worker = Worker(self, "rig", ended=self._on_ended, every=EVERY)
        self._selected: tuple[Layer, ...] = ()
        """The layers of the last pair."""
        self._overlays: dict[str, Layer] = {}
        """The newest of each kind."""
        self._then: Any = None
        """What to do with the answer of the worker."""
        self._build()
        self._connect()
        self._guess()
        self.update_buttons()

    # What is selected.

    def pair(self) -> Pair:
        """The selected layers; raises InputError where there is no pair."""
        lr, hr = self.lr.layer(), self.hr.layer()
        if lr is None or hr is None or lr is hr:
            problem = (
                "LR and HR are the same layer" if lr is not None and lr is hr else "LR or HR is not selected"
            )
            raise InputError("Cameras", problem=problem, hint="select one layer of each camera")
        return Pair((lr, hr), (stack_of(lr), stack_of(hr)))

    def update_buttons(self) -> None:
        """Enable or disable the buttons; tooltips show the reason."""
        busy, reason = self._worker.busy, self._missing()
        rig = "" if self.calibration is not None else "Fit or load a rig first."
        box, clock = self.geometry_box, self.clock_box
        offer(
            box.fit, "Find where LR pixels lie on HR pixels, and move the LR layer there.", reason, busy=busy
        )
        offer(box.click, "Click a point on LR, then the same one on HR, and so on.", reason)
        offer(box.undo, "Remove the last point.", "" if box.click.isChecked() else "No pairs are clicked.")
        offer(box.flicker, "Show HR and LR in turn. Press again to stop.", reason)
        offer(box.checkerboard, "Add a layer: LR and HR in turn as squares.", reason or rig, busy=busy)
        offer(box.difference, "Add a layer: HR, as blurred as LR, minus LR.", reason or rig, busy=busy)
        static = (
            "" if reason or self.pair().are_sequences else "Select recordings of an event, not of a target."
        )
        offer(
            clock.synchronise,
            "Fit when HR frames were taken, on the clock of LR.",
            reason or static,
            busy=busy,
        )
        offer(
            self.save,
            "Save geometry and clock as a rig file, for all recordings of these cameras.",
            rig,
            busy=busy,
        )
        offer(self.load, "Load a rig file, and move the LR layer where it says.", busy=busy)
        offer(
            self.fuse,
            "Open the Fusion panel with these layers and this rig file.",
            reason or rig or static,
            busy=busy,
        )
        for cancel in (box.cancel, clock.cancel):
            cancel.setEnabled(busy)

    def _missing(self) -> str:
        try:
            self.pair()
        except XFusionError as error:
            return in_window_words(error)
        return ""

    def _guess(self) -> None:
        """Select the two visible images of different size that lie on top; the smaller one is LR."""
        images = [x for x in reversed(self._viewer.layers) if is_input(x) and x.visible]
        for k, first in enumerate(images):
            for second in images[k + 1 :]:
                lr, hr = sorted((first, second), key=_pixels)
                if _pixels(lr) < _pixels(hr):
                    self.lr.choose(lr)
                    self.hr.choose(hr)
                    return

    def _on_inserted(self) -> None:
        if self.lr.layer() is None or self.hr.layer() is None:
            self._guess()

    def _on_chosen(self) -> None:
        """Another pair: the rig that is there applies to it, if it is of these cameras."""
        self.geometry_box.click.setChecked(False)
        self.geometry_box.flicker.setChecked(False)
        try:
            pair = self.pair()
        except XFusionError:
            self.clock_box.clear()
        else:
            self._show_instead(pair.layers)
            self._show(pair)
        self.update_buttons()

    def _show_instead(self, layers: tuple[Image, Image]) -> None:
        """Show the selected layers, and hide those that were selected before and what was made of them."""
        made = (self.pairs.arrows.layer, *self._overlays.values())
        for layer in (*self._selected, *made):
            if layer is not None and layer not in layers:
                layer.visible = False
        for layer in layers:
            layer.visible = True
        self._selected = layers

    # Geometry.

    def fit(self) -> None:
        """Fit the geometry as set, in the background."""
        try:
            pair = self.pair()
        except XFusionError as error:
            self.geometry_box.found.setText(in_window_words(error))
            return
        self.geometry_box.click.setChecked(False)
        body = fitting(pair, self.geometry_box.value(), self.pairs.pairs)
        self._ask(body, lambda made: self._on_fitted(pair, made), self.geometry_box.found, "Fitting …")

    def _on_fitted(self, pair: Pair, made: Calibrated) -> None:
        fitted, earlier = made.calibration, self.calibration
        if earlier is not None and fitted.is_of_cameras_of(earlier):
            fitted = fitted.with_rest_of(earlier)
        self.calibration, self.made, self.saved = fitted, made, None
        self._show(pair)
        self.history.record()
        self.pairs.arrows.show(made.fit, pair.layers[1])
        self._viewer.reset_view()

    def _show(self, pair: Pair) -> None:
        """Show the pair by the rig, and in words what is known; the layers stay where the rig is of other cameras."""
        calibration, clock = self.calibration, None
        if calibration is not None:
            try:
                pair.check(calibration)
            except XFusionError as error:
                self.geometry_box.found.setText(in_window_words(error))
                self.clock_box.found.setText("")
                self.clock_box.clear()
                return
            clock = calibration.clock
            place(pair, calibration)
            self.pairs.place()
            self.geometry_box.found.setText(geometry_words(calibration, self.made))
        self.clock_box.found.setText("" if clock is None else clock_words(clock))
        if pair.are_sequences:
            self.clock_box.show_clock(*pair.stacks, clock)
        else:
            self.clock_box.clear()

    def _on_click(self, on: bool) -> None:
        if on:
            self.geometry_box.flicker.setChecked(False)
            self.geometry_box.settings["way"].value = CLICKED
            self.pairs.model = self.geometry_box.value().model
            self.pairs.begin(*self.pair().layers)
        else:
            self.pairs.end()
        self.update_buttons()

    def _on_pairs(self, words: str) -> None:
        self.geometry_box.found.setText(words)

    # Both cameras in one picture.

    def _on_flickered(self, show_hr: bool) -> None:
        layer = self.hr.layer()
        if layer is not None:
            layer.visible = show_hr

    def add_overlay(self, kind: Kind) -> None:
        """Add the ``checkerboard`` or the ``difference`` of both cameras as a layer."""
        pair, calibration = self.pair(), self.calibration
        if calibration is not None:
            body = overlaying(pair, calibration, kind)
            self._ask(body, lambda data: self._add_layer(pair, kind, data), self.status, "Computing …")

    def _add_layer(self, pair: Pair, kind: Kind, data: Any) -> None:
        hr = pair.layers[1]
        options: dict[str, Any] = {"colormap": hr.colormap}
        if kind == "difference":
            low, high = hr.contrast_limits
            options = {"colormap": _colormap(), "contrast_limits": ((low - high) / 4, (high - low) / 4)}
        made = derived_layer(
            hr, data, name=f"rig · {kind}", role="difference", origins=pair.layers, **options
        )
        old = self._overlays.get(kind)
        if old is not None and old in self._viewer.layers:
            self._viewer.layers.remove(old)
        layer = Image(made.data, **made.options)
        self._viewer.add_layer(layer)
        self._overlays[kind] = layer
        self.status.setText("")

    # The clock.

    def fit_clock(self) -> None:
        """Fit the clock as set, in the background."""
        try:
            pair = self.pair()
        except XFusionError as error:
            self.clock_box.found.setText(in_window_words(error))
            return
        body = synchronising(pair, self.calibration, self.clock_box.value())
        self._ask(
            body,
            lambda clock: self._set_clock(pair, clock),
            self.clock_box.found,
            "Comparing the recordings …",
        )

    def _on_moved(self, clock: ClockFit) -> None:
        try:
            self._set_clock(self.pair(), clock)
        except XFusionError as error:
            self.clock_box.found.setText(in_window_words(error))

    def _set_clock(self, pair: Pair, clock: ClockFit) -> None:
        self.calibration, self.saved = with_clock(*pair.stacks, self.calibration, clock), None
        self._show(pair)
        self.history.record()
        self.update_buttons()

    # The rig file.

    def _show_calibration(self, calibration: Calibration | None) -> None:
        """Take an earlier rig; without one the LR layer stays where it is."""
        self.calibration, self.made, self.saved = calibration, None, None
        pair = self._pair_or_none()
        if pair is not None:
            self._show(pair)
        if calibration is None:
            self.geometry_box.found.setText("")
        self.update_buttons()

    def load_rig(self, path: str | Path) -> None:
        """Take the rig of a file; one of other cameras than those that are selected is refused with the reason."""
        try:
            loaded = Calibration.load(path)
            pair = self._pair_or_none()
            if pair is not None:
                pair.check(loaded)
        except XFusionError as error:
            self.status.setText(in_window_words(error))
            return
        self.calibration, self.made, self.saved = loaded, None, Path(path)
        self.status.setText(f"Loaded {Path(path).name}, made {loaded.made} from {loaded.way}.")
        if pair is not None:
            self._show(pair)
            self._viewer.reset_view()
        self.history.record()
        self.update_buttons()

    def save_rig(self, path: Path) -> None:
        """Write the rig file; raises WriteError, and OutputError for the name of a recording."""
        if self.calibration is None:
            raise InputError("Rig file", problem="there is no rig yet", hint="fit or load one")
        pair = self._pair_or_none()
        require_apart([file for stack in pair.stacks for file in stack.files] if pair else [], [path])
        self.calibration.save(path)
        self.saved = path
        self.status.setText(f"Saved {path.name}.")

    def open_fusion(self) -> None:
        """Open the Fusion panel on this pair and rig file; one that is not saved is saved first."""
        if self.saved is None:
            self._ask_save()
        if self.saved is not None:
            _, panel = self._viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
            panel.choose_pair(*self.pair().layers, str(self.saved))

    def _pair_or_none(self) -> Pair | None:
        try:
            return self.pair()
        except XFusionError:
            return None

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load rig file", "", KIND)
        if path:
            self.load_rig(path)

    def _ask_save(self) -> None:
        error = ask_and_save(self, "Save rig file", "rig.json", KIND, self.save_rig)
        if error:
            self.status.setText(error)

    # Work in the background.

    def _ask(self, body: Body, then: Any, says: Sentence, words: str) -> None:
        self._then = then, says, says.text()
        says.setText(words)
        self._worker.ask(body)
        self.update_buttons()

    def _on_ended(self, outcome: Outcome) -> None:
        then, says, before = self._then
        if outcome.error is not None:
            says.setText(outcome.in_words())
        elif outcome.value is None:
            says.setText(before)
        else:
            try:
                then(outcome.value)
            except XFusionError as error:
                says.setText(in_window_words(error))
        self.update_buttons()

    def _cancel(self) -> None:
        """Forget the work; what cannot be stopped ends by itself, unseen."""
        self._worker.cancel()
        self._worker.forget()
        _, says, before = self._then
        says.setText(before)
        self.update_buttons()

    # The widgets.

    def _delete(self) -> None:
        """Leave no timer and no hidden layer behind when the dock is closed."""
        if self.parent() is None:
            self.geometry_box.flicker.setChecked(False)
            self.geometry_box.click.setChecked(False)
        super()._delete()

    def _connect(self) -> None:
        box, clock = self.geometry_box, self.clock_box
        for combo in (self.lr, self.hr):
            combo.chosen.connect(self._on_chosen)
        box.fit.clicked.connect(lambda _: self.fit())
        box.click.toggled.connect(self._on_click)
        box.undo.clicked.connect(lambda _: self.pairs.undo())
        box.flickered.connect(self._on_flickered)
        box.checkerboard.clicked.connect(lambda _: self.add_overlay("checkerboard"))
        box.difference.clicked.connect(lambda _: self.add_overlay("difference"))
        clock.synchronise.clicked.connect(lambda _: self.fit_clock())
        clock.moved.connect(self._on_moved)
        for cancel in (box.cancel, clock.cancel):
            cancel.clicked.connect(lambda _: self._cancel())
        self.pairs.changed.connect(self._on_pairs)
        self.load.clicked.connect(lambda _: self._ask_load())
        self.save.clicked.connect(lambda _: self._ask_save())
        self.fuse.clicked.connect(lambda _: self.open_fusion())
        listen(self, self._viewer.layers.events.inserted, self._on_inserted)

    def _build(self) -> None:
        cameras = QGroupBox("Cameras", self)
        layout = form(cameras)
        add_row(layout, "LR", self.lr, "The fast, coarse camera: its target, or its recording of an event.")
        add_row(layout, "HR", self.hr, "The slow, sharp camera: its target, or its recording of an event.")
        file = QGroupBox("Rig file", self)
        rows = form(file)
        line = QHBoxLayout()
        for button in (self.load, self.save, self.fuse):
            line.addWidget(button)
        rows.addRow(line)
        self.history = UndoButtons(self, lambda: self.calibration, self._show_calibration, _difference)
        rows.addRow(self.history)
        rows.addRow(self.status)
        self.lay_out((cameras, self.geometry_box, self.clock_box), file)


def _difference(now: Calibration | None, then: Calibration | None) -> str:
    """What differs between two rigs."""
    if now is None or then is None:
        return "no rig" if then is None else "the rig"
    if then.mapping == now.mapping:
        return "no clock" if then.clock is None else clock_words(then.clock)
    return "another geometry"


def _pixels(layer: Layer) -> int:
    return int(np.prod(layer.data.shape[-2:]))


def _colormap() -> Any:
    from napari_xfusion.ui.shared.colours import diverging  # noqa: PLC0415 - see there

    return diverging(preferences().difference)

"""How the sequences are fused: method, weights, and the device of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGroupBox, QLabel, QPushButton, QWidget

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.doctor import devices_in_words
from napari_xfusion.core.networks.cards import SUFFIX, models_of
from napari_xfusion.core.plan import Plan
from napari_xfusion.ui.shared.preferences import computing_events, keep_computing, preferences
from napari_xfusion.ui.shared.widgets import Sentence, add_row, form, listen


class MethodBox(QGroupBox):
    """Method and model; device and precision, for networks."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Method", parent)
        self.method = QComboBox(self)
        self.model = QComboBox(self)
        self.file = QPushButton("File...", self)
        self.device = QComboBox(self)
        self.precision = QComboBox(self)
        self.there: QLabel = Sentence(self)
        self._build()
        self.method.setCurrentText(DEFAULT_METHOD)
        self._list_models()
        self.method.currentIndexChanged.connect(lambda _: self._list_models())
        for combo in (self.method, self.model, self.device, self.precision):
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
        for combo in (self.device, self.precision):
            combo.currentIndexChanged.connect(lambda _: self._keep_computing())
        events = computing_events()
        for emitter in (events.device, events.precision):
            listen(self, emitter, self._take_computing)
        listen(self, events.memory, self.changed.emit)
        self.file.clicked.connect(lambda _: self._choose_file())

    def values(self) -> dict[str, Any]:
        """The settings of a plan."""
        return {
            "method": self.method.currentText(),
            "model": self.model.currentData() if self._takes_weights() else None,
            "device": self.device.currentText(),
            "precision": self.precision.currentText(),
        }

    def saved(self) -> dict[str, Any]:
        """What to remember; device and precision are kept in napari's preferences."""
        return {key: self.values()[key] for key in ("method", "model")}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Set what was remembered, where it can be."""
        index = self.method.findText(str(saved.get("method")))
        if index >= 0:
            self.method.setCurrentIndex(index)
        if saved.get("model"):
            self.choose_model(str(saved["model"]))

    def choose_model(self, model: str) -> None:
        """Choose weights by name or file."""
        index = self.model.findData(model)
        if index < 0:
            self.model.addItem(model, model)
            index = self.model.count() - 1
        self.model.setCurrentIndex(index)

    def say_what_is_there(self) -> None:
        """Write the devices and their free memory."""
        self.there.setText(devices_in_words())

    def _takes_weights(self) -> bool:
        return METHODS[self.method.currentText()].takes_weights

    def _take_computing(self) -> None:
        """What is chosen on the Preferences page is chosen here, too."""
        chosen = preferences()
        self.device.setCurrentText(chosen.device)
        self.precision.setCurrentText(chosen.precision)

    def _keep_computing(self) -> None:
        keep_computing(self.device.currentText(), self.precision.currentText())

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Weights of a network", "", f"Weights (*{SUFFIX})")
        if path:
            self.choose_model(path)

    def _list_models(self) -> None:
        """The available models of the chosen method."""
        method = self.method.currentText()
        before = self.model.currentData()
        self.model.blockSignals(True)
        self.model.clear()
        if self._takes_weights():
            for name in models_of(method):
                self.model.addItem(name, name)
            self.model.setCurrentIndex(max(self.model.findData(before), 0))
        else:
            self.model.addItem("needs none", None)
        self.model.blockSignals(False)
        for widget in (self.model, self.file, self.device, self.precision):
            widget.setEnabled(self._takes_weights())

    def _build(self) -> None:
        layout = form(self)
        for method in METHODS.values():
            self.method.addItem(method.name)
            self.method.setItemData(self.method.count() - 1, method.summary, 3)
        for combo, field in ((self.device, "device"), (self.precision, "precision")):
            combo.addItems(get_args(Plan.model_fields[field].annotation))
        self._take_computing()
        for label, widget, tip in (
            (
                "Method",
                self.method,
                "\n".join(f"{method.name}: {method.summary}" for method in METHODS.values()),
            ),
            ("Model", self.model, "The weights of a network"),
            ("", self.file, "Take weights from a file"),
            ("Device", self.device, "Where a network runs; auto takes a GPU where there is one"),
            ("Precision", self.precision, "Numbers a network computes with; auto is float32"),
            ("", self.there, "What this machine has"),
        ):
            add_row(layout, label, widget, tip)
            if isinstance(widget, QComboBox):
                widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.say_what_is_there()

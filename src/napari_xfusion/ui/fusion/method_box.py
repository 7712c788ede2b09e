"""The box for the fusion method: method, model, and advanced options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGroupBox, QPushButton, QWidget
from superqt.utils import signals_blocked

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.doctor import devices_in_words
from napari_xfusion.core.networks.cards import SUFFIX, models_of
from napari_xfusion.core.plan import FLAWS, Flaw
from napari_xfusion.ui.shared.form import Form, row
from napari_xfusion.ui.shared.preferences import (
    Device,
    Precision,
    computing_events,
    preferences,
    save_computing,
)
from napari_xfusion.ui.shared.widgets import Section, Sentence, add_row, form, listen


@dataclass(frozen=True)
class Options:
    """The advanced options of a plan."""

    separation: Annotated[int, row("Separation", "LR frames between neighbouring input frames.", 1, 1000)] = 1
    correct: Annotated[
        bool,
        row(
            "Correct flaws",
            "Fill in bad frames and pixels, and correct brightness, where they are significant.",
        ),
    ] = True
    align: Annotated[
        bool,
        row(
            "Correct placement",
            "Fuse with LR where it lies on HR by what both show, where it does not fit.",
        ),
    ] = False
    retime: Annotated[
        bool,
        row(
            "Correct HR times",
            "Take HR frames for as early or late as LR shows, where their times do not fit.",
        ),
    ] = False
    keep_flicker: Annotated[
        bool, row("Keep flicker", "Give results the brightness of each LR frame where it flickers.")
    ] = False
    hr_frames: Annotated[
        Literal["fuse", "keep"],
        row("HR frames", "Results at their times: fused, with less noise, or the HR frames as recorded."),
    ] = "fuse"
    device: Annotated[Device, row("Device", "Device for networks. auto prefers a GPU.")] = "auto"
    precision: Annotated[Precision, row("Precision", "Number format of networks. auto is float32.")] = "auto"
    tile: Annotated[int, row("Tile size", "Network tiles in LR pixels. 0: from free memory.", 0, 4096)] = 0


MISFITS_BY: dict[str, tuple[Flaw, ...]] = {"align": ("shift", "turn", "scale"), "retime": ("time",)}
"""Fields of the options that correct a misfit of the cameras."""


class MethodBox(QGroupBox):
    """Method, model and options of a plan."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Method", parent)
        self.method = QComboBox(self)
        self.model = QComboBox(self)
        self.file = QPushButton("File …", self)
        self.hardware = Sentence(self)
        self._build()
        self.method.setCurrentText(DEFAULT_METHOD)
        self._use_preferences()
        self._list_models()
        self.method.currentIndexChanged.connect(lambda _: self._list_models())
        for combo in (self.method, self.model):
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
        events = computing_events()
        for emitter in (events.device, events.precision):
            listen(self, emitter, self._use_preferences)
        listen(self, events.memory, self.changed.emit)
        self.file.clicked.connect(lambda _: self._choose_file())

    def values(self) -> dict[str, Any]:
        """The settings of a plan."""
        options = asdict(self.options.value())
        misfits = [flaw for name, flaws in MISFITS_BY.items() if options.pop(name) for flaw in flaws]
        return {
            "method": self.method.currentText(),
            "model": self.model.currentData() if self._takes_weights() else None,
            **options,
            "correct": (*(FLAWS if options["correct"] else ()), *misfits),
            "tile": options["tile"] or None,
        }

    def field(self, setting: str) -> QWidget | None:
        """The field of a setting; None where it is not here."""
        own = {"method": self.method, "model": self.model}
        own |= {name: self.options[name].native for name in asdict(Options())}
        return own.get(setting)

    def saved(self) -> dict[str, Any]:
        """The values to save for the next session; device and precision are saved in napari's preferences."""
        return {name: self.values()[name] for name in ("method", "model")}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Set saved values, if they are valid; options other than the defaults are displayed."""
        index = self.method.findText(str(saved.get("method")))
        if index >= 0:
            self.method.setCurrentIndex(index)
        if saved.get("model"):
            self.choose_model(str(saved["model"]))
        if self.options.value() != Options():
            self.advanced.expand()

    def reset_pair(self) -> None:
        """Set what belongs to one pair of sequences to its default: separation, and the correction of a misfit."""
        self.options.restore({name: getattr(Options, name) for name in ("separation", *MISFITS_BY)})

    def correct(self, flaws: Collection[Flaw]) -> None:
        """Have a misfit corrected, and show the options that say so."""
        self.advanced.expand()
        self.options.restore({name: True for name, of in MISFITS_BY.items() if set(of) <= set(flaws)})

    def choose_method(self, method: str) -> None:
        """Select a method by name."""
        self.method.setCurrentText(method)

    def use_model(self, path: str) -> None:
        """Select weights of the default network, and the network."""
        self.choose_method(DEFAULT_METHOD)
        self.choose_model(path)

    def choose_model(self, model: str) -> None:
        """Select a model by name or file."""
        index = self.model.findData(model)
        if index < 0:
            self.model.addItem(model, model)
            index = self.model.count() - 1
        self.model.setCurrentIndex(index)

    def show_hardware(self) -> None:
        """Show the devices and their free memory."""
        self.hardware.setText(devices_in_words())

    def _takes_weights(self) -> bool:
        return METHODS[self.method.currentText()].takes_weights

    def _use_preferences(self) -> None:
        chosen = preferences()
        self.options.restore({"device": chosen.device, "precision": chosen.precision})

    def _on_option(self) -> None:
        options = self.options.value()
        save_computing(options.device, options.precision)
        self.changed.emit()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model of a network", "", f"Weights (*{SUFFIX})")
        if path:
            self.choose_model(path)

    def _list_models(self) -> None:
        """List the available models of the selected method."""
        before = self.model.currentData()
        takes_weights = self._takes_weights()
        with signals_blocked(self.model):
            self.model.clear()
            for name in models_of(self.method.currentText()) if takes_weights else ():
                self.model.addItem(name, name)
            if not takes_weights:
                self.model.addItem("not required", None)
            self.model.setCurrentIndex(max(self.model.findData(before), 0) if self.model.count() else -1)
        for widget in (self.model, self.file):
            widget.setEnabled(takes_weights)
        for name in ("device", "precision", "tile"):
            self.options[name].enabled = takes_weights

    def _build(self) -> None:
        layout = form(self)
        for method in METHODS.values():
            self.method.addItem(method.name)
            self.method.setItemData(self.method.count() - 1, method.summary, 3)
        methods = "\n".join(f"{method.name}: {method.summary}" for method in METHODS.values())
        add_row(layout, "Method", self.method, methods)
        add_row(layout, "Model", self.model, "The weights file of the network.")
        add_row(layout, "", self.file, "Select a weights file.")
        self.advanced = Section("Advanced options", self)
        self.options = Form(Options, self.advanced.rows, self._on_option)
        self.advanced.rows.addRow(self.hardware)
        layout.addRow(self.advanced)
        self.show_hardware()

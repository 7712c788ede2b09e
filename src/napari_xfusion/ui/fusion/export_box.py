"""The Export box of the Fusion panel: sequences, movies, views, numbers and commands."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_xfusion.core.results.movie_writer import RATE, write_movie
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.errors import OutputError, XFusionError, writing
from napari_xfusion.ui.fusion import export
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.provenance import layers_of, provenance_of
from napari_xfusion.ui.shared.saving import CSV, ask_and_save
from napari_xfusion.ui.shared.steps import link
from napari_xfusion.ui.shared.widgets import LayerCombo, Sentence, WrappedLabel, listen, offer
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_NAME_RIG = f", with the path of the rig file for {export.RIG_FILE}"
SEQUENCE = "TIFF (*.tif);;OME-TIFF (*.ome.tif);;OME-Zarr (*.zarr);;NeXus (*.nxs)"


class ExportBox(QGroupBox):
    """Save the selected sequence, a movie of the layers, the view or the numbers; copy the command of the run."""

    ended = Signal()
    """Something was saved, or was not."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Export", parent)
        self._viewer = viewer
        self.sequence = LayerCombo(viewer, is_sequence, parent=self)
        self.save_sequence = QPushButton("Sequence …", self)
        self.save_movie = QPushButton("Movie …", self)
        self.save_view = QPushButton("View …", self)
        self.save_numbers = QPushButton("Numbers …", self)
        self.save_report = QPushButton("Report …", self)
        self.rate = QSpinBox(self, minimum=1, maximum=120, value=RATE, suffix=" frames/s")
        self.scale_bar = QCheckBox("Scale bar", self, checked=True)
        self.copy_command = QPushButton("Copy command", self)
        self.cancel = QPushButton("Cancel", self)
        self.status = Sentence(self)
        self.page = WrappedLabel(self)
        """A link to the report that was written last."""
        self.saved = False
        """Whether the newest fused sequence was saved."""
        self._worker = Worker(self, "export", on_news=self._on_progress, ended=self._on_ended, every=100)
        self._lay_out()
        for button, *dialog in (
            (self.save_sequence, "Save sequence", "{}.tif", SEQUENCE, self.export_sequence),
            (self.save_movie, "Save movie", "movie.mp4", "MP4 (*.mp4)", self.export_movie),
            (self.save_view, "Save view", "view.png", "PNG (*.png)", self.export_view),
            (self.save_numbers, "Save numbers", "numbers.csv", CSV, self.export_numbers),
            (self.save_report, "Save report", "report.html", "Page (*.html)", self.export_report),
        ):
            button.clicked.connect(lambda _, dialog=dialog: self._save(*dialog))
        self.copy_command.clicked.connect(lambda _: self._copy_command())
        self.cancel.clicked.connect(lambda _: self._worker.cancel())
        self.sequence.chosen.connect(self._on_chosen)
        listen(self, viewer.layers.events.removed, self.update_buttons)
        listen(self, viewer.layers.events.inserted, self._choose_newest)
        self.update_buttons()

    def export_sequence(self, path: Path) -> None:
        """Write the selected sequence to ``path``."""
        layer = self._layer()

        def body(stop: Token, tell: Tell) -> str:
            complete = export.save_sequence(layer, path, stop=stop, progress=_frames(tell))
            if not complete:
                return "Stopped. Save to the same file again to resume."
            missing = export.frames_missing(layer)
            return f"saved {path.name}" + (
                f"; {missing} frames not fused yet are saved as 0" if missing else ""
            )

        self._begin(body)

    def export_movie(self, path: Path) -> None:
        """Write the selected layers (all visible ones if fewer than two) side by side to ``path``."""
        _check_ending(path, ".mp4")
        chosen = [layer for layer in self._viewer.layers if layer in self._viewer.layers.selection]
        if len(chosen) < 2:
            chosen = [layer for layer in self._viewer.layers if layer.visible]
        panes = [export.pane(layer) for layer in chosen if is_sequence(layer)]
        if not panes:
            raise OutputError(
                path,
                problem="no sequence to write",
                hint="select one or more sequences, or make them visible",
            )

        rate, bar = self.rate.value(), self.scale_bar.isChecked()
        bare = bar and all(pane.pixel is None for pane in panes)

        def body(stop: Token, tell: Tell) -> str:
            frames = export.side_by_side(panes, scale_bar=bar, progress=_frames(tell))
            if not write_movie(frames, path, rate=rate, stop=stop):
                return "stopped"
            return f"saved {path.name}" + (
                "; without a scale bar, as pixel sizes are not known" if bare else ""
            )

        self._begin(body)

    def export_numbers(self, path: Path) -> None:
        """Write the numbers of the selected sequence to ``path``, with metrics if its truth is a layer."""
        layer = self._layer()
        truth = self._truth_of(layer)

        def body(_stop: Token, _tell: Tell) -> str:
            export.save_numbers(layer, path, truth)
            return f"saved {path.name}"

        self._begin(body)

    def export_report(self, path: Path) -> None:
        """Write a report about the selected result to ``path``, and its metadata as RO-Crate next to it."""
        _check_ending(path, ".html")
        layer = self._layer()

        def body(stop: Token, tell: Tell) -> Path | str:
            written = export.report(layer, path, stop=stop, progress=_frames(tell, "scoring the method …"))
            return "Stopped; nothing was written." if written is None else written.page

        self.page.hide()  # it may lead to another report
        self._begin(body)

    def export_view(self, path: Path) -> None:
        """Write the canvas to ``path``."""
        _check_ending(path, ".png")
        with writing(path):
            self._viewer.screenshot(str(path), canvas_only=True, flash=False)
        self.status.setText(f"saved {path.name}")

    def command(self) -> str:
        """The command line for the selected sequence; raises InputError if its inputs are not files."""
        made = export.made_from(self._layer(), self._viewer.layers)
        if made is None:
            raise LookupError("this sequence is not the result of a run")  # the button is disabled then
        return export.command_line(*made, "fused.tif")

    def _layer(self) -> Image:
        layer = self.sequence.layer()
        if layer is None:
            raise LookupError("no sequence is selected")  # the buttons are disabled then
        return layer

    def _truth_of(self, layer: Image) -> Image | None:
        """The newest truth layer that the layer can be compared with."""
        truths = [x for x in layers_of(self._viewer, "truth") if export.comparable(x, layer)]
        return truths[-1] if truths else None

    # Progress.

    def _begin(self, body: Body) -> None:
        self._worker.ask(body)
        self.update_buttons()

    def _on_progress(self, news: list[str]) -> None:
        self.status.setText(news[-1])

    def _on_ended(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            show_error(outcome.in_words())
        made = outcome.value
        if isinstance(made, Path):
            self._show_page(made)
            made = f"saved {made.name}"
        self.status.setText(outcome.in_words() or str(made))
        self.saved = self.saved or outcome.error is None
        self.update_buttons()
        self.ended.emit()

    def _show_page(self, page: Path) -> None:
        """Show a link that opens a report."""
        self.page.setText(link(page.resolve().as_uri(), "Open the report"))
        self.page.show()

    def _on_chosen(self) -> None:
        """Clear the message about the previous sequence."""
        if not self._worker.busy:
            self.status.setText("")
        self.update_buttons()

    def _choose_newest(self) -> None:
        """Select a new fused sequence."""
        newest = self._viewer.layers[-1]
        known = provenance_of(newest)
        if known is not None and known.role == "fused":
            self.sequence.choose(newest)
            self.saved = False

    def update_buttons(self) -> None:
        """Enable or disable the buttons; tooltips show the reason."""
        layer, busy = self.sequence.layer(), self._worker.busy
        from_run = layer is not None and export.made_from(layer, self._viewer.layers) is not None
        numbers = layer is not None and (export.has_numbers(layer) or self._truth_of(layer) is not None)
        movie = find_spec("av") is not None
        none = "" if layer is not None else "No sequence is selected."
        for button, able, does, why in (
            (self.save_sequence, True, "Write the sequence as TIFF, OME-TIFF or OME-Zarr.", ""),
            (
                self.save_movie,
                movie,
                "Write the selected layers side by side as an MP4 movie.",
                'It requires pip install "napari-xfusion[movie]".',
            ),
            (
                self.save_numbers,
                numbers,
                "Write a CSV file with one row per frame.",
                "Select the result of a completed run, or a fused sequence whose truth is a layer. "
                "Other layers have frames at other times, or no grey values of the truth.",
            ),
            (
                self.save_report,
                layer is not None and export.has_numbers(layer),
                "Write a page about the result: score, where its detail comes from, worst frames, warnings.",
                "Select the result of a completed run.",
            ),
            (
                self.copy_command,
                from_run,
                "Copy the command line that computes this sequence.",
                "Select a fused sequence whose LR and HR are open, or that has its record.",
            ),
        ):
            offer(button, does, none or ("" if able else why), busy=busy)
        self.cancel.setEnabled(busy)

    def _save(self, title: str, name: str, kinds: str, save: Callable[[Path], object]) -> None:
        error = ask_and_save(self, title, name.format(self.sequence.currentText()), kinds, save)
        if error:
            self.status.setText(error)

    def _copy_command(self) -> None:
        try:
            QApplication.clipboard().setText(self.command())
        except XFusionError as error:
            show_error(in_window_words(error))
            self.status.setText(in_window_words(error))
        else:
            rig = "" if f"--rig {export.RIG_FILE}" not in QApplication.clipboard().text() else _NAME_RIG
            self.status.setText(f"Copied. Paste it into a terminal{rig}.")

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 2, 6, 2)
        grid.setSpacing(2)
        self.sequence.setToolTip("The sequence to export.")
        self.save_view.setToolTip("Write the canvas as a PNG image.")
        self.cancel.setToolTip("Stop saving.")
        grid.addWidget(self.sequence, 0, 0, 1, 3)
        buttons = (self.save_sequence, self.save_movie, self.save_view)
        more = (self.save_numbers, self.save_report, self.copy_command)
        for row, group in enumerate((buttons, more), start=1):
            for column, button in enumerate(group):
                grid.addWidget(button, row, column)
        self.page.setTextFormat(Qt.TextFormat.RichText)
        self.page.setOpenExternalLinks(True)
        self.page.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.page.hide()
        self.rate.setToolTip("Of a movie: frames per second at which it is played.")
        self.scale_bar.setToolTip(
            "In a movie: draw a scale bar into each sequence whose pixel size is known."
        )
        movie = QHBoxLayout()
        for widget, stretch in ((QLabel("Movie:", self), 0), (self.rate, 1)):
            movie.addWidget(widget, stretch)
        grid.addLayout(movie, 3, 0, 1, 3)  # next to the check box, the rate would have no space for its unit
        grid.addWidget(self.scale_bar, 4, 0, 1, 2)
        grid.addWidget(self.cancel, 4, 2)
        grid.addWidget(self.status, 5, 0, 1, 3)
        grid.addWidget(self.page, 6, 0, 1, 3)


def _frames(tell: Tell, then: str = "") -> Progress:
    """Tell how many frames are done, and what comes ``then``, when all are."""

    def progress(done: int, total: int) -> None:
        tell(f"{done} of {total} frames" + (f", {then}" if then and done == total else ""))

    return progress


def _check_ending(path: Path, ending: str) -> None:
    if path.suffix.lower() != ending:
        raise OutputError(
            path, expected=f"a name ending with {ending}", found=path.name, hint="change the name"
        )

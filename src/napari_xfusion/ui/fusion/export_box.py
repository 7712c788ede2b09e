"""The box of the Fusion panel from which sequences, movies, numbers and commands leave the window."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QApplication, QGridLayout, QGroupBox, QPushButton, QWidget

from napari_xfusion.core.results.movie_writer import write_movie
from napari_xfusion.core.types import Token
from napari_xfusion.errors import OutputError, XFusionError, writing
from napari_xfusion.ui.fusion import export
from napari_xfusion.ui.shared.compare import is_sequence
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.provenance import layers_of, provenance_of
from napari_xfusion.ui.shared.saving import CSV, ask_and_save
from napari_xfusion.ui.shared.widgets import LayerCombo, Sentence, listen
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

SEQUENCE = "TIFF (*.tif);;OME-TIFF (*.ome.tif);;OME-Zarr (*.zarr)"


class ExportBox(QGroupBox):
    """Save the chosen sequence, a movie of the layers, the view, the numbers; copy the command of the run."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__("Export", parent)
        self._viewer = viewer
        self.sequence = LayerCombo(viewer, is_sequence, parent=self)
        self.save_sequence = QPushButton("Sequence...", self)
        self.save_movie = QPushButton("Movie...", self)
        self.save_view = QPushButton("View...", self)
        self.save_numbers = QPushButton("Numbers...", self)
        self.copy_command = QPushButton("Copy command", self)
        self.cancel = QPushButton("Cancel", self)
        self.said = Sentence(self)
        self._worker = Worker(self, "export", told=self._on_told, ended=self._on_ended, every=100)
        self._lay_out()
        for button, work in (
            (self.save_sequence, self._save_sequence),
            (self.save_movie, self._save_movie),
            (self.save_view, self._save_view),
            (self.save_numbers, self._save_numbers),
            (self.copy_command, self._copy_command),
            (self.cancel, self._worker.cancel),
        ):
            button.clicked.connect(lambda _, work=work: work())
        self.sequence.chosen.connect(self.look_again)
        listen(self, viewer.layers.events.removed, self.look_again)
        listen(self, viewer.layers.events.inserted, self._choose_newest)
        self.look_again()

    def export_sequence(self, path: Path) -> None:
        """Write the chosen sequence to ``path``."""
        layer = self._layer()

        def body(stop: Token, tell: Tell) -> str:
            whole = export.save_sequence(layer, path, stop=stop, progress=lambda *count: tell(count))
            if not whole:
                return "stopped; save the same again to resume"
            missing = export.frames_missing(layer)
            return f"saved {path.name}" + (
                f"; {missing} frames that are not fused yet are 0" if missing else ""
            )

        self._begin(body)

    def export_movie(self, path: Path) -> None:
        """Write the selected layers (all that are shown, if fewer than two) side by side to ``path``."""
        _check_ending(path, ".mp4")
        chosen = [layer for layer in self._viewer.layers if layer in self._viewer.layers.selection]
        if len(chosen) < 2:
            chosen = [layer for layer in self._viewer.layers if layer.visible]
        panes = [export.pane(layer) for layer in chosen if is_sequence(layer)]
        if not panes:
            raise OutputError(
                path,
                problem="no sequence to show",
                hint="select or show one or more sequences first",
            )

        def body(stop: Token, tell: Tell) -> str:
            frames = export.side_by_side(panes, progress=lambda *count: tell(count))
            return f"saved {path.name}" if write_movie(frames, path, stop=stop) else "stopped"

        self._begin(body)

    def export_numbers(self, path: Path) -> None:
        """Write the numbers of the chosen sequence to ``path``; with metrics where its truth is a layer."""
        layer = self._layer()
        truth = self._truth_of(layer)

        def body(_stop: Token, _tell: Tell) -> str:
            export.save_numbers(layer, path, truth)
            return f"saved {path.name}"

        self._begin(body)

    def export_view(self, path: Path) -> None:
        """Write what the canvas shows to ``path``."""
        _check_ending(path, ".png")
        with writing(path):
            self._viewer.screenshot(str(path), canvas_only=True, flash=False)
        self.said.setText(f"saved {path.name}")

    def command(self) -> str:
        """The command line that makes the chosen sequence; raises InputError where its sequences are no files."""
        made = export.made_from(self._layer(), self._viewer.layers)
        if made is None:
            raise LookupError("no run made this sequence")  # the button is off then
        return export.command_line(*made, "fused.tif")

    def _layer(self) -> Image:
        layer = self.sequence.layer()
        if layer is None:
            raise LookupError("no sequence is chosen")  # the buttons are off then
        return layer

    def _truth_of(self, layer: Image) -> Image | None:
        """The newest truth among the layers that a sequence can be compared with, itself not counted."""
        size = layer.data.shape[-2:]
        truths = [x for x in layers_of(self._viewer, "truth") if x is not layer and x.data.shape[-2:] == size]
        return truths[-1] if truths else None

    # What happens on the way.

    def _begin(self, body: Body) -> None:
        self._worker.ask(body)
        self.look_again()

    def _on_told(self, news: list[tuple[int, int]]) -> None:
        done, total = news[-1]
        self.said.setText(f"{done} of {total} frames")

    def _on_ended(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            show_error(outcome.in_words())
        self.said.setText(outcome.in_words() or str(outcome.value))
        self.look_again()

    def _choose_newest(self) -> None:
        """A sequence that is being fused is what the user will want to save."""
        newest = self._viewer.layers[-1]
        known = provenance_of(newest)
        if known is not None and known.role == "fused":
            self.sequence.choose(newest)

    def look_again(self) -> None:
        """Turn buttons on and off, each with its reason."""
        layer, busy = self.sequence.layer(), self._worker.busy
        made = layer is not None and export.made_from(layer, self._viewer.layers) is not None
        told = layer is not None and (export.has_numbers(layer) or self._truth_of(layer) is not None)
        movie = find_spec("av") is not None
        for button, able, tip, why in (
            (self.save_sequence, True, "Write the sequence as TIFF, OME-TIFF or OME-Zarr", ""),
            (
                self.save_movie,
                movie,
                "Write the selected layers side by side as MP4",
                'needs pip install "napari-xfusion[movie]"',
            ),
            (
                self.save_numbers,
                told,
                "Write a CSV with a row for each frame",
                "for sequences that a run has finished, or whose truth is a layer",
            ),
            (
                self.copy_command,
                made,
                "Copy the command line that makes this sequence without a window",
                "for fused sequences whose LR and HR are open",
            ),
        ):
            usable = layer is not None and not busy
            button.setEnabled(usable and able)
            button.setToolTip(tip if able else f"{tip}: {why}")
        self.cancel.setEnabled(busy)

    # Dialogs.

    def _save_sequence(self) -> None:
        ask_and_save(self, "Save sequence", f"{self._layer().name}.tif", SEQUENCE, self.export_sequence)

    def _save_movie(self) -> None:
        ask_and_save(self, "Save movie", "movie.mp4", "MP4 (*.mp4)", self.export_movie)

    def _save_view(self) -> None:
        ask_and_save(self, "Save view", "view.png", "PNG (*.png)", self.export_view)

    def _save_numbers(self) -> None:
        ask_and_save(self, "Save numbers", "numbers.csv", CSV, self.export_numbers)

    def _copy_command(self) -> None:
        try:
            QApplication.clipboard().setText(self.command())
        except XFusionError as error:
            show_error(in_window_words(error))
            self.said.setText(in_window_words(error))
        else:
            self.said.setText("copied; paste it into a terminal")

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 2, 6, 2)
        grid.setSpacing(2)
        self.sequence.setToolTip("The sequence to save")
        self.save_view.setToolTip("Write what the canvas shows as a picture")
        self.cancel.setToolTip("Stop saving")
        grid.addWidget(self.sequence, 0, 0, 1, 3)
        buttons = (self.save_sequence, self.save_movie, self.save_view)
        more = (self.save_numbers, self.copy_command, self.cancel)
        for row, group in enumerate((buttons, more), start=1):
            for column, button in enumerate(group):
                grid.addWidget(button, row, column)
        grid.addWidget(self.said, 3, 0, 1, 3)


def _check_ending(path: Path, ending: str) -> None:
    if path.suffix.lower() != ending:
        raise OutputError(
            path, expected=f"a name ending with {ending}", found=path.name, hint="choose such a name"
        )

"""The dialog for saving a file, the same in every panel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.shared.words import in_window_words

CSV = "CSV (*.csv)"
SVG = "SVG (*.svg)"
_ENDING = re.compile(r"\.[A-Za-z]\w*$")
"""A file name extension; ``melt 1.5us`` has none."""


def ask_and_save(parent: QWidget, title: str, name: str, kinds: str, save: Callable[[Path], object]) -> str:
    """Ask for a file, proposing ``name``, and ``save`` to it; an XFusionError is shown and returned as a sentence.

    A name without an extension gets that of the file type selected among ``kinds``. The dialog does not know
    the completed name, so this function asks before an existing file of that name is overwritten.
    """
    path, kind = QFileDialog.getSaveFileName(parent, title, name.replace("/", "-"), kinds)
    if not path:
        return ""
    chosen = Path(path)
    if not _ENDING.search(chosen.name):
        chosen = Path(path + kind[kind.find("*") + 1 : -1])
        question = f"{chosen.name} already exists. Overwrite it?"
        if (
            chosen.exists()
            and QMessageBox.question(parent, title, question) != QMessageBox.StandardButton.Yes
        ):
            return ""
    try:
        save(chosen)
    except XFusionError as error:
        show_error(in_window_words(error))
        return in_window_words(error)
    return ""

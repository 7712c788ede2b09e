"""Asking where to save, in the same way in every panel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.shared.words import in_window_words

CSV = "CSV (*.csv)"
_ENDING = re.compile(r"\.[A-Za-z]\w*$")
"""The end of a name that says what is in the file; that of ``melt 1.5us`` does not."""


def ask_and_save(parent: QWidget, title: str, name: str, kinds: str, save: Callable[[Path], object]) -> None:
    """Ask for a file, proposing ``name``, and ``save`` to it; an XFusionError is shown.

    A name without an ending gets that of the kind chosen of ``kinds``. The dialog knows nothing of that, so
    what would be replaced then is asked for here.
    """
    path, kind = QFileDialog.getSaveFileName(parent, title, name.replace("/", "-"), kinds)
    if not path:
        return
    chosen = Path(path)
    if not _ENDING.search(chosen.name):
        chosen = Path(path + kind[kind.find("*") + 1 : -1])
        if chosen.exists() and not _may_replace(parent, title, chosen):
            return
    try:
        save(chosen)
    except XFusionError as error:
        show_error(in_window_words(error))


def _may_replace(parent: QWidget, title: str, path: Path) -> bool:
    said = QMessageBox.question(parent, title, f"{path.name} already exists. Do you want to replace it?")
    return bool(said == QMessageBox.StandardButton.Yes)

"""What holds of an installed napari-xfusion: run by the Python that has it (package.sh).

Without a Qt binding everything but the window works. ``--window`` opens the sample in a real one.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import napari_xfusion

BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def main() -> None:
    """Raise RuntimeError where something does not hold."""
    place = Path(napari_xfusion.__file__).parent
    _require("site-packages" in place.parts, f"{place} is not an installed package")
    if sys.argv[1:] == ["--window"]:
        _open_sample()
        return
    _require(not any(map(find_spec, BINDINGS)), "a Qt binding came with the package")
    for name in napari_xfusion.__all__:
        getattr(napari_xfusion, name)
    _require(not set(BINDINGS) & set(sys.modules), "importing the public names pulls in Qt")


def _open_sample() -> None:
    import napari  # noqa: PLC0415 - not there without a Qt binding
    from napari.qt import get_qapp  # noqa: PLC0415 - the same

    viewer = napari.Viewer()
    viewer.open_sample("napari-xfusion", "two-cameras")
    viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
    get_qapp().processEvents()
    _require(len(viewer.layers) == 3, f"the sample has three layers, found {list(viewer.layers)}")
    viewer.close()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RuntimeError(otherwise)


if __name__ == "__main__":
    main()

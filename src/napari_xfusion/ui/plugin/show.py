"""Show the sample and its fused result in napari, aligned in space and time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from napari_xfusion.core.catalogue import DEFAULT_METHOD
from napari_xfusion.core.doctor import examine_window
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import DeviceError
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.plugin.sample import TITLE
from napari_xfusion.ui.shared.layers import LayerData, layer_name, sequence_layer, sequence_pair


def demo_layers(fused: Path) -> list[LayerData]:
    """LR, HR, truth and fused sequence of the sample, lowest layer first, in micrometres and seconds."""
    lr, hr, truth = (open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))
    return [
        *sequence_pair(lr, hr, title=TITLE),
        sequence_layer(truth, role="truth", name=layer_name(TITLE, "truth")),
        sequence_layer(open_stack(fused), role="fused", name=layer_name(TITLE, "fused", DEFAULT_METHOD)),
    ]


def show_demo(fused: Path) -> None:
    """Show the sample and the fused sequence in napari, and return when the window is closed.

    Raises DeviceError if napari, a Qt binding or a screen is missing.
    """
    _require_window()
    import napari  # noqa: PLC0415 - optional, and takes seconds to import

    viewer = napari.Viewer(title="napari-xfusion: sample sequence")
    for layer in demo_layers(fused):
        viewer.add_image(layer.data, **layer.options)
    viewer.dims.set_current_step(0, len(layer.data) // 2)  # between two HR frames
    napari.run()


def _require_window() -> None:
    window = examine_window()
    missing = [
        what
        for what, there in (
            ("napari", find_spec("napari") is not None),
            ("a Qt binding", window["qt"] is not None),
            ("a screen", window["screen"]),
        )
        if not there
    ]
    if missing:
        raise DeviceError(
            "the window",
            expected="napari, a Qt binding and a screen",
            found=f"no {', no '.join(missing).replace('no a ', 'no ')}",
            hint='run pip install "napari-xfusion[gui]", and run it on a machine with a screen',
        )

"""Two sequences in a window with the Fusion panel, and waiting for it."""

from __future__ import annotations

import threading

import numpy as np
import tifffile

from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.ui.shared.layers import sequence_pair
from tests.sequences import binned, moving_discs
from tests.ui.samples import wait

STEP = 4


def write_sequences(folder, frames=24, shape=(128, 192)):
    """lr.tif and hr.tif in ``folder``, uint16, HR every 4th frame; the file knows it."""
    sequence = moving_discs(frames, shape) * 20000 + 3000
    folder.mkdir(exist_ok=True)
    times = ",".join(str(float(t)) for t in range(0, frames, STEP))
    for name, part, extra in (
        ("lr.tif", binned(sequence), {}),
        ("hr.tif", sequence[::STEP], {"hr_times": times}),
    ):
        tifffile.imwrite(
            folder / name,
            part.astype(np.uint16)[:, None, None, :, :, None],
            imagej=True,
            metadata={"axes": "TZCYXS", "finterval": 1e-4, "unit": "um", **extra},
            resolution=(1, 1),
        )
    return folder / "lr.tif", folder / "hr.tif"


def open_sequences(viewer, paths):
    """The two sequences as layers."""
    for layer in sequence_pair(*map(open_stack, paths)):
        viewer.add_image(layer.data, **layer.options)
    viewer.dims.set_current_step(0, 0)


def open_panel(viewer, qtbot):
    """The panel in its dock as napari opens it, on a proxy of the viewer; when it has looked at the sequences."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
    settled(panel, qtbot)
    return panel


def settled(panel, qtbot):
    """Wait until the panel has looked at what was asked for."""
    wait(qtbot, lambda: not panel._settle.isActive() and not panel._checks.busy)


def ended(panel, qtbot):
    """Wait until a run has ended and the panel is ready again."""
    wait(qtbot, lambda: not panel.runner.busy)
    settled(panel, qtbot)


def fused_layer(viewer):
    """The newest layer with a whole fused sequence."""
    return [layer for layer in viewer.layers if "fused" in layer.name and "preview" not in layer.name][-1]


class Pace:
    """Lets frames be made only as they are allowed; the method itself is the real one.

    By default those of ``flow``: ``place`` and ``name`` say which function waits for a permit at each call.
    """

    def __init__(self, monkeypatch, place=FlowStream, name="combine"):
        function, self._allowed = getattr(place, name), threading.Semaphore(0)
        self.begun = threading.Event()
        """Set when the first call waits, or has waited, for its permit."""

        def paced(*arguments, **named):
            self.begun.set()
            if not self._allowed.acquire(timeout=1200):
                raise TimeoutError(f"no permit for {name} came")
            return function(*arguments, **named)

        monkeypatch.setattr(place, name, paced)

    def allow(self, frames=1000):
        """Let so many more frames be made."""
        self._allowed.release(frames)

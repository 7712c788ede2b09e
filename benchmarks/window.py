"""How quick the window is: to the first fused frame, to later ones, and to the hand while a run is at work.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py [--method flow]

One process, from nothing: the sample is opened, the Fusion panel, and one frame is previewed. Then a sequence of
256x512 pixels (HR) with an HR frame every 10th of 300 frames: ten previews; the beat of a 5 ms timer through
the click and the first three seconds of five runs, while nothing else happens; and redraws a second while the
slider moves by one frame after each redraw, for three seconds idle and three during a run. At last the panel
is closed, and redraws and a new layer show what napari itself takes on this machine. A redraw is a draw event
of the canvas (under Xvfb, Mesa draws in software). Takes about a minute. The load average is printed because
a busy machine is slower.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from time import perf_counter

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import QEventLoop, QTimer

from napari_xfusion.core.catalogue import DEFAULT_METHOD
from speed import STEP, two_cameras

SIZE, FRAMES = (256, 512), 300
Row = tuple[str, str, str]


def live(until: Callable[[], bool], seconds: float) -> float:
    """Let the window live until ``until()``, for ``seconds`` at most; the seconds it took."""
    began, loop, watch = perf_counter(), QEventLoop(), QTimer()
    watch.timeout.connect(lambda: loop.quit() if until() or perf_counter() - began > seconds else None)
    watch.start(1)
    loop.exec()
    watch.stop()
    return perf_counter() - began


class Window:
    """A viewer with the panel."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1366, 768)
        self.draws = 0
        self.canvas = self.viewer.window._qt_viewer.canvas._scene_canvas
        self.canvas.events.draw.connect(self._drawn)
        live(lambda: False, 1)

    def _drawn(self, _: object) -> None:
        self.draws += 1

    def open_panel(self, method: str) -> float:
        """Seconds until the panel is there and drawn."""
        began = perf_counter()
        self.dock, self.panel = self.viewer.window.add_plugin_dock_widget("napari-xfusion", "Fusion")
        live(lambda: True, 1)
        seconds = perf_counter() - began
        self.panel.method.method.setCurrentText(method)
        return seconds

    def close_panel(self) -> None:
        """Leave napari with its layers."""
        self.viewer.window.remove_dock_widget(self.dock)
        live(lambda: False, 1)

    def ready(self) -> None:
        """Wait until the sequences were looked at."""
        live(self.panel.run_box.run.isEnabled, 30)

    def preview(self) -> float:
        """Seconds from the click to the frame on screen."""
        layers = [layer.data for layer in self.viewer.layers]
        began = perf_counter()
        self.panel.run_box.preview.click()
        live(lambda: len(layers) < len(self.viewer.layers) or self._shows_another(layers), 60)
        draws = self.draws
        self.canvas.update()
        live(lambda: self.draws > draws, 5)
        return perf_counter() - began

    def _shows_another(self, before: list[object]) -> bool:
        return any(layer.data is not data for layer, data in zip(self.viewer.layers, before, strict=False))

    def beat_of_a_run(self, seconds: float) -> list[float]:
        """Milliseconds between the ticks of a 5 ms timer, from before the click on Run."""
        ticks: list[float] = []
        timer = QTimer()
        timer.timeout.connect(lambda: ticks.append(perf_counter()))
        timer.start(5)
        live(lambda: bool(ticks), 1)
        self.panel.run_box.run.click()
        live(lambda: not self.panel.runner.busy, seconds)
        timer.stop()
        self.stop()
        return [1000 * (b - a) for a, b in pairwise(ticks)]

    def scrub(self, seconds: float) -> float:
        """Redraws a second while the slider moves."""
        began, first = perf_counter(), self.draws
        while perf_counter() - began < seconds:
            draws = self.draws
            self.viewer.dims.set_current_step(0, (self.viewer.dims.current_step[0] + 1) % FRAMES)
            live(lambda draws=draws: self.draws > draws, 1)
        return (self.draws - first) / (perf_counter() - began)

    def add_layer(self) -> float:
        """Milliseconds that napari takes to add a sequence, median of 5."""
        took = []
        for _ in range(5):
            layer = Image(np.zeros((FRAMES, *SIZE), np.uint16), contrast_limits=(0, 22000))
            began = perf_counter()
            self.viewer.add_layer(layer)
            took.append(1000 * (perf_counter() - began))
            live(lambda: False, 0.2)
            self.viewer.layers.remove(layer)
            live(lambda: False, 0.2)
        return statistics.median(took)

    def stop(self) -> None:
        """End the run, and take its layer away."""
        self.panel.run_box.cancel.click()
        live(lambda: not self.panel.runner.busy, 30)
        self.viewer.layers.remove(self.viewer.layers[-1])
        self.ready()


def of_the_sample(window: Window, method: str) -> list[Row]:
    """From File > Open Sample to a fused frame."""
    began = perf_counter()
    window.viewer.open_sample("napari-xfusion", "two-cameras")
    opened = window.open_panel(method)
    torch = "torch" in sys.modules
    window.ready()
    window.preview()
    return [
        ("sample to first fused frame", f"{perf_counter() - began:.2f} s", "3 s"),
        ("panel opens", f"{opened:.2f} s", "1 s"),
        ("torch loaded before", "yes" if torch else "no", "no"),
    ]


def of_a_larger_sequence(window: Window) -> list[Row]:
    """Previews, the beat and scrubbing at 256x512."""
    viewer, panel = window.viewer, window.panel
    viewer.layers.clear()
    lr, hr = two_cameras(FRAMES, SIZE)
    half = (4 - 1) / 2
    for name, sequence, place in (
        ("LR", lr, {"scale": (1, 4, 4), "translate": (0, half, half)}),
        ("HR", hr, {}),
    ):
        viewer.add_image(sequence, name=name, contrast_limits=(0, 22000), **place)
    panel.data.lr.choose(viewer.layers["LR"])
    panel.data.hr.choose(viewer.layers["HR"])
    panel.alignment.pairing["hr_step"].value = STEP
    live(lambda: False, 0.5)
    window.ready()
    previews = []
    for frame in np.linspace(3, FRAMES - 3, 10).astype(int):
        viewer.dims.set_current_step(0, int(frame))
        live(lambda: False, 0.2)
        previews.append(window.preview())
    viewer.layers.remove(viewer.layers[-1])
    idle = window.scrub(3)
    ticks = [tick for _ in range(5) for tick in window.beat_of_a_run(3)]
    panel.run_box.run.click()
    live(lambda: len(viewer.layers) > 2, 30)
    running = window.scrub(3)
    window.stop()
    window.close_panel()
    alone, adding = window.scrub(3), window.add_layer()
    return [
        ("later previews, median", f"{statistics.median(previews[1:]):.2f} s", "0.5 s"),
        ("later previews, longest", f"{max(previews[1:]):.2f} s", ""),
        ("5 ms timer during a run, median", f"{statistics.median(ticks):.0f} ms", "20 ms"),
        ("5 ms timer during a run, longest", f"{max(ticks):.0f} ms", "100 ms; 300 when torch is imported"),
        ("redraws a second, idle", f"{idle:.0f}", "20"),
        ("redraws a second, during a run", f"{running:.0f}", "12"),
        ("napari adds a layer, after the panel was closed", f"{adding:.0f} ms", ""),
        ("redraws a second, idle, after the panel was closed", f"{alone:.0f}", ""),
    ]


@contextmanager
def own_settings() -> Iterator[None]:
    """The user's settings stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        yield


def asked_for() -> argparse.ArgumentParser:
    """What all benchmarks of a napari window can be asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", default=DEFAULT_METHOD)
    return parser


def main() -> None:
    """Print a table."""
    method = asked_for().parse_args().method
    with own_settings():
        measure(method)


def measure(method: str) -> None:
    """Print the table."""
    window = Window()
    rows = of_the_sample(window, method)
    rows += of_a_larger_sequence(window)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"| {method} | measured | target |\n|---|---|---|")
    for row in rows:
        print("| {} | {} | {} |".format(*row))
    window.viewer.close()


if __name__ == "__main__":
    main()

"""How soon each action in napari is answered, and how long it keeps the window from reacting.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/responses.py [--method flow]

The sample (51 LR frames, HR of 144x240) in a window of 1366x768. For each action: seconds from the click, or the call
of the menu command, until its result is there and drawn; the longest gap between two ticks of a 10 ms timer in
that time and half a second after it; and the most processor time that the GUI thread took between two ticks,
which is nearly the same on a busy machine, but without what drawing in software (Mesa) and other threads take. The
actions happen in the order of the table, in one process: the first preview includes the import of torch. Takes
about a minute. The load average is printed because a busy machine is slower.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import perf_counter, thread_time
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer

from napari_xfusion.ui.shared import compat
from window import asked_for, live, own_settings

LONGEST = 120
"""Seconds that an action is waited for."""
AFTER = 0.5
"""Seconds after the answer in which gaps count, too."""
SHOWN = (
    "LR, frame-divided",
    "LR consistency",
    "standard deviation",
    "fused − bicubic",
    "attention, HR before",
)
GRIDS = (4, 8, 13)
Row = tuple[str, float, float, float]


class Actions:
    """A window, and the actions of a user."""

    def __init__(self, method: str) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1366, 768)
        self.method = method
        self.fusion: Any = None
        self.inspect: Any = None
        live(lambda: False, 1)

    def timed(self, name: str, act: Callable[[], object], until: Callable[[], bool] = lambda: True) -> Row:
        """One row of the table."""
        ticks: list[tuple[float, float]] = []
        timer = QTimer()
        timer.timeout.connect(lambda: ticks.append((perf_counter(), thread_time())))
        timer.start(10)
        live(lambda: len(ticks) > 2, 5)
        began = perf_counter()
        act()
        live(until, LONGEST)
        answer = perf_counter() - began
        live(lambda: False, AFTER)
        timer.stop()
        gap, own = (max(b[k] - a[k] for a, b in pairwise(ticks)) for k in (0, 1))
        return name, answer, gap, own

    def open(self, name: str) -> Any:
        """Open a panel."""
        return self.viewer.window.add_plugin_dock_widget("napari-xfusion", name)[1]

    def ready(self) -> bool:
        """Whether a run can start."""
        return bool(self.fusion.run_box.run.isEnabled())

    def rows(self) -> Iterator[Row]:
        """All actions, in order."""
        viewer = self.viewer
        yield self.timed("open the sample", lambda: viewer.open_sample("napari-xfusion", "two-cameras"))
        yield self.timed("open the Fusion panel, checked", self._open_fusion, self.ready)
        box = self.fusion.run_box
        self.fusion.method.method.setCurrentText(self.method)
        live(self.ready, LONGEST)
        idle = self._previewed
        yield self.timed("first preview", box.preview.click, idle)
        viewer.dims.set_current_step(0, 13)
        yield self.timed("next preview", box.preview.click, idle)
        box.live.click()
        live(idle, LONGEST)
        yield self.timed("Live: a step of the slider", lambda: viewer.dims.set_current_step(0, 14), idle)
        box.live.click()
        separation = self.fusion.method.options["separation"]
        yield self.timed("change a setting, checked", lambda: setattr(separation, "value", 2), self.ready)
        separation.value = 1
        live(self.ready, LONGEST)
        yield from self._run()
        yield from self._look_closer()
        yield self.timed("close the Fusion panel", lambda: viewer.window.remove_dock_widget(self.fusion))

    def _open_fusion(self) -> None:
        self.fusion = self.open("Fusion")

    def _previewed(self) -> bool:
        return not self.fusion.previews.busy and "preview" in str(
            [layer.name for layer in self.viewer.layers]
        )

    def _run(self) -> Iterator[Row]:
        runner, box = self.fusion.runner, self.fusion.run_box

        def begun() -> bool:
            return runner._result is not None and bool(runner._result.done - kept)

        def ended() -> bool:
            return not runner.busy and self.ready()

        kept: set[int] = set()
        yield self.timed("Run, first frame", box.run.click, begun)
        yield self.timed("Cancel", box.cancel.click, ended)
        kept = set(runner._result.done)
        yield self.timed("Resume, to the end", box.run.click, ended)

    def _look_closer(self) -> Iterator[Row]:
        viewer = self.viewer

        def open_inspect() -> None:
            self.inspect = self.open("Inspect")

        def made() -> bool:
            return self.inspect.cancel.isHidden() and not self.inspect._background._asked

        yield self.timed("open the Inspect panel", open_inspect)
        for name in SHOWN:
            content = next(each for each in self.inspect.contents if each.name == name)
            yield self.timed(
                f"show: {name}", lambda content=content: self.inspect.show_content(content), made
            )
            self.inspect.keep_layer()
        yield self.timed("open the magnifier", self.inspect.toggle_magnifier)
        yield self.timed("magnifier: another place", lambda: self.inspect.magnifier.look_at(100, 200))
        yield self.timed("open the plots", self.inspect.show_plots)
        plots = self.inspect._plots
        yield self.timed("compute the plots", plots.compute.click, lambda: not plots.cancel.isEnabled())
        yield self.timed(f"slider, {len(viewer.layers)} layers", lambda: viewer.dims.set_current_step(0, 30))
        for count in GRIDS:
            yield self._grid(count)
        yield self.timed("3-D on", lambda: setattr(viewer.dims, "ndisplay", 3))
        viewer.dims.ndisplay = 2

    def _grid(self, count: int) -> Row:
        viewer = self.viewer
        while len(viewer.layers) < count:
            hr = viewer.layers["sample · HR"]
            place = {"scale": hr.scale, "units": hr.units, "axis_labels": hr.axis_labels}
            viewer.add_image(np.zeros(hr.data.shape, np.uint16), contrast_limits=(0, 1), **place)
        for k, layer in enumerate(viewer.layers):
            layer.visible = k < count
        live(lambda: False, 0.5)
        grid = compat.grid(viewer)
        row = self.timed(f"grid on, {count} layers", lambda: setattr(grid, "enabled", True))
        grid.enabled = False
        return row


def main() -> None:
    """Print a table."""
    method = asked_for().parse_args().method
    with own_settings():
        before = os.getloadavg()[0]
        actions = Actions(method)
        print(f"| {method} | answer, s | longest gap, s | of the GUI thread, s |\n|---|---|---|---|")
        for name, *seconds in actions.rows():
            print(f"| {name} | {' | '.join(f'{each:.2f}' for each in seconds)} |", flush=True)
        print(
            f"\nload average {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
        )
        actions.viewer.close()


if __name__ == "__main__":
    main()

"""What runs in one window leave behind: memory, threads, timers, layers, widgets.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window_leaks.py [--method flow] [--runs 20]

The sample is opened with the Fusion and the Inspect panel. Each round runs the fusion, shows three contents of the
inspection layer, moves the slider through the result and removes what was added. After each round, garbage is
collected and everything counted. The first rounds fill caches; the table says how the last round differs from the
fifth.
"""

from __future__ import annotations

import gc
import threading

import psutil
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from window import Window, asked_for, live, own_settings

WARM = 5
"""Rounds after which caches are full."""
SHOWN = (1, 3, 4)
"""Rows of the contents of the inspection layer, apart from separators and what is not available."""


def counted(window: Window) -> dict[str, float]:
    """Megabytes, and numbers of things."""
    gc.collect()
    timers = [each for each in gc.get_objects() if issubclass(type(each), QTimer)]
    return {
        "RSS (MB)": psutil.Process().memory_info().rss / 1e6,
        "threads": threading.active_count(),
        "system threads": psutil.Process().num_threads(),
        "timers": len(timers),
        "widgets": len(QApplication.allWidgets()),
        "layers": len(window.viewer.layers),
    }


def one_round(window: Window, inspect: object) -> None:
    """Run, inspect, scrub, remove."""
    viewer, panel = window.viewer, window.panel
    before = list(viewer.layers)
    window.ready()
    panel.run_box.run.click()
    live(lambda: not panel.runner.busy and panel.runner._result.finished, 600)
    contents = [content for content in inspect.contents if not content.reason(inspect.sequences)]
    for content in [contents[row] for row in SHOWN if row < len(contents)]:
        inspect.show_content(content)
        live(lambda: inspect._inspected is not None and not inspect._making, 60)
    for frame in range(0, 51, 5):
        viewer.dims.set_current_step(0, frame)
        live(lambda: False, 0.05)
    inspect.content.setCurrentIndex(0)
    for layer in [layer for layer in viewer.layers if layer not in before]:
        viewer.layers.remove(layer)
    live(lambda: False, 1)


def main() -> None:
    """Print a table, a line a round."""
    parser = asked_for()
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    with own_settings():
        measure(arguments.method, arguments.runs)


def measure(method: str, runs: int) -> None:
    """Print the table."""
    window = Window()
    window.viewer.open_sample("napari-xfusion", "two-cameras")
    window.open_panel(method)
    _, inspect = window.viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    rounds = []
    for number in range(1, runs + 1):
        one_round(window, inspect)
        rounds.append(counted(window))
        if number == 1:
            print(f"| round | {' | '.join(rounds[0])} |\n|---|{'---|' * len(rounds[0])}")
        print(f"| {number} | {' | '.join(f'{x:.0f}' for x in rounds[-1].values())} |", flush=True)
    warm, last = rounds[min(WARM, runs) - 1], rounds[-1]
    change = 100 * (last["RSS (MB)"] / warm["RSS (MB)"] - 1)
    more = {name: last[name] - warm[name] for name in warm if name != "RSS (MB)" and last[name] != warm[name]}
    print(f"\nfrom round {min(WARM, runs)} to {runs}: RSS {change:+.1f} %, more things: {more or 'none'}")
    window.viewer.close()


if __name__ == "__main__":
    main()

"""The real command, held where a test wants it, so that no machine is too fast or too slow for the test.

``HOLD`` in the environment says ``what count path``: once so many frames, cells of a study or iterations of a
training are kept, the next one waits until the file ``path`` is there. The processes of a study's pool
import this module too, as their parent's main module.
"""

import os
import sys
import time
from pathlib import Path

from napari_xfusion.cli import main
from napari_xfusion.core.methods.base import GroupStream


def hold_frames(count: int, release: Path) -> None:
    fuse = GroupStream.fuse

    def held(targets):
        for number, target in enumerate(targets):
            if number == count:
                wait_for(release)
            yield target

    GroupStream.fuse = lambda stream, targets, stop, region=None: fuse(stream, held(targets), stop, region)


def hold_cells(count: int, release: Path) -> None:
    from napari_xfusion.lab.study import cells

    write = cells.write_cell

    def held(path, *arguments):
        if len(list(path.parent.glob("[!.]*"))) >= count:
            wait_for(release)
        write(path, *arguments)

    cells.write_cell = held


def hold_iterations(count: int, release: Path) -> None:
    from napari_xfusion.lab.train.log import Log

    note = Log.loss

    def held(log, iteration, *figures):
        note(log, iteration, *figures)
        if iteration >= count:
            wait_for(release)

    Log.loss = held


def wait_for(release: Path) -> None:
    while not release.exists():
        time.sleep(0.001)


if "HOLD" in os.environ:
    what, number, path = os.environ["HOLD"].split(" ", 2)
    {"frames": hold_frames, "cells": hold_cells, "iterations": hold_iterations}[what](int(number), Path(path))

if __name__ == "__main__":
    sys.exit(main())

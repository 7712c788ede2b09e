"""The sequence that shows what fusing gave: LR, the last HR frame, and the result, side by side (paper, E10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.results.movie_writer import write_movie
from napari_xfusion.core.results.sheet import labelled, sheet
from napari_xfusion.core.types import Token
from napari_xfusion.lab.study.cells import StoppedError, fused
from napari_xfusion.lab.study.results import SequenceResults

GAP = 6
"""Pixels between panels."""
RATE = 12
"""Frames per second."""


def write_side_by_side(results: SequenceResults, place: Path, stop: Token, done: Callable[[], None]) -> Path:
    """Write side-by-side.mp4 (.gif without PyAV) of the best series in the base condition into ``place``.

    Raises StoppedError when ``stop`` is set; the file is whole or not there.
    """
    sheets = _sheets(results, stop, done)
    if find_spec("av"):
        path = place / "side-by-side.mp4"
        write_movie((np.repeat(sheet[..., None], 3, axis=2) for sheet in sheets), path, rate=RATE)
    else:
        path = place / "side-by-side.gif"
        write_whole(path, lambda part: write_gif(sheets, part))
    return path


def write_gif(frames: Iterator[NDArray[np.uint8]], path: Path) -> None:
    """Grey frames (H, W) as an endless GIF, one at a time."""
    pictures = (Picture.fromarray(frame) for frame in frames)
    next(pictures).save(
        path, "GIF", save_all=True, append_images=pictures, duration=round(1000 / RATE), loop=0
    )


def _sheets(results: SequenceResults, stop: Token, done: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
    cell = results.cell(results.best() or results.series[0])
    experiment, sequence = fused(cell)
    scale = experiment.truth.shape[1] // experiment.lr.shape[1]
    grey, lr_grey = experiment.grey, sequence.rig.fast.grey
    try:
        for target in cell.targets:
            if stop.is_set():
                raise StoppedError
            last = max(k for k, time in enumerate(experiment.hr_times) if time <= target)
            age = target - experiment.hr_times[last]
            coarse = experiment.lr.frame(target).repeat(scale, axis=0).repeat(scale, axis=1)
            yield in_panels(
                {
                    f"LR, frame {target}": lr_grey.to_8bit(coarse),
                    "HR, now" if age == 0 else f"HR, {age} frames ago": grey.to_8bit(
                        experiment.hr.frame(last)
                    ),
                    f"fused by {cell.series.name}": grey.to_8bit(sequence.frame(target).image),
                }
            )
            done()
    finally:
        sequence.close()


def in_panels(panels: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels (H, W) with their titles in one image: beside each other, or one below the other if wide."""
    height, width = next(iter(panels.values())).shape
    across = 1 if width > 1.5 * height else len(panels)
    return sheet([labelled(panel, title) for title, panel in panels.items()], across, (0, GAP))

"""The film that shows what fusing gave: LR, the last HR frame, and the result, side by side (paper, E10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from napari_xfusion.core.grey import Affine
from napari_xfusion.core.io.movie_writer import best_suffix, write_movie
from napari_xfusion.core.study.cells import StoppedError, fuser_of, set_up
from napari_xfusion.core.study.results import FilmResults
from napari_xfusion.core.types import Token

BAR, GAP = 22, 6
"""Pixels: of the titles, and between panels."""


def write_side_by_side(results: FilmResults, place: Path, stop: Token, done: Callable[[], None]) -> Path:
    """Write side-by-side.mp4 (.gif without PyAV) of the best series in the base condition into ``place``.

    Raises StoppedError when ``stop`` is set; the file is whole or not there.
    """
    path = place / f"side-by-side{best_suffix()}"
    part = path.with_name(f".part{path.suffix}")
    try:
        write_movie(part, _sheets(results, stop, done))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _sheets(results: FilmResults, stop: Token, done: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
    best = results.best()
    cell = results.cell(best or results.series[0])
    experiment, pair = set_up(cell)
    scale = experiment.truth.shape[1] // experiment.lr.shape[1]
    with fuser_of(cell).open(pair) as stream:
        for target in cell.targets:
            frame = next(iter(stream.fuse([target], stop)), None)
            if frame is None:
                raise StoppedError
            last = max(k for k, time in enumerate(experiment.hr_times) if time <= target)
            coarse = experiment.lr.frame(target).repeat(scale, axis=0).repeat(scale, axis=1)
            age = target - experiment.hr_times[last]
            fused = _shades(pair.grey.hr.from_grey(frame.image), experiment.grey)
            yield sheet(
                {
                    f"LR, frame {target}": _shades(coarse, pair.grey.lr),
                    "HR, now" if age == 0 else f"HR, {age} frames ago": _shades(
                        experiment.hr.frame(last), experiment.grey
                    ),
                    f"fused by {cell.series.name}": fused,
                }
            )
            done()


def sheet(panels: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels (H, W) with their titles in one image: beside each other, or one below the other if wide."""
    height, width = next(iter(panels.values())).shape
    across = 1 if width > 1.5 * height else len(panels)
    down = -(-len(panels) // across)
    size = across * (width + GAP) - GAP, down * (height + BAR)
    image = Picture.new("L", size, 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for number, (title, panel) in enumerate(panels.items()):
        x, y = number % across * (width + GAP), number // across * (height + BAR)
        draw.text((x + 4, y + 3), title, fill=0, font=font)
        image.paste(Picture.fromarray(panel), (x, y + BAR))
    return np.asarray(image)


def _shades(frame: NDArray[Any], grey: Affine) -> NDArray[np.uint8]:
    return (np.clip(grey.to_grey(frame), 0, 1) * 255).astype(np.uint8)

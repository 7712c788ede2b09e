"""Writes a virtual experiment: lr.tif, hr.tif, truth.tif and experiment.json, frame by frame."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_xfusion._version import __version__
from napari_xfusion.core.files import replacing, require_apart
from napari_xfusion.core.results.tiff_settings import tiff_settings
from napari_xfusion.core.types import Progress, Stack
from napari_xfusion.errors import OutputError, writing
from napari_xfusion.lab.virtual.experiment import Experiment

RECORD = "experiment.json"


def write_experiment(
    experiment: Experiment,
    folder: str | Path,
    *,
    compression: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """Write ``experiment`` into ``folder`` and return what experiment.json says.

    Files appear under their names only when all four are complete. ``progress(done, all)`` is called
    after every frame written; what it raises stops the writing and leaves nothing behind.
    Raises OutputError where the folder cannot be written or holds such files of another origin.
    """
    folder = Path(folder)
    sequences = {"lr.tif": experiment.lr, "hr.tif": experiment.hr, "truth.tif": experiment.truth}
    _may_write(folder, sequences, experiment.movie.source)
    done, frames = count(1), sum(map(len, sequences.values()))
    expected, do = "a folder to write into, with enough space", "choose another folder"
    with writing(folder, expected=expected, hint=do), ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        # The first one entered is the last one to appear: the record.
        parts = {
            name: stack.enter_context(replacing(folder / name)) for name in (RECORD, *reversed(sequences))
        }
        for name, sequence in sequences.items():
            write_tiff(
                sequence, parts[name], compression=compression, each=lambda: progress(next(done), frames)
            )
        record = _record(experiment)
        parts[RECORD].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def write_tiff(
    sequence: Stack, path: Path, *, compression: str | None = None, each: Callable[[], None] = lambda: None
) -> None:
    """Write ``sequence`` as one TIFF of shape (T, H, W), reading a frame at a time; ``each`` is called after it.

    ImageJ's metadata where ImageJ knows the dtype and the size, else tifffile's JSON. Pixel size, seconds
    per frame (if even) and ``sequence.metadata.hr_times`` (LR frame numbers, ``0.0,20.0,40.0``) go with it.
    """
    settings = tiff_settings(
        sequence.shape,
        sequence.dtype,
        pixel_size=sequence.pixel_size,
        interval=sequence.clock.interval if sequence.clock.is_regular else None,
        hr_times=[*(sequence.metadata.hr_times or ())],
        viewer=sequence.metadata.viewer,
        compressed=compression is not None,
    )
    tifffile.imwrite(
        path,
        _frames(sequence, each),
        dtype=sequence.dtype,
        compression=compression,
        buffersize=2**24,  # else 256 MB of frames are gathered before they are compressed
        **settings,
    )


def _frames(sequence: Stack, each: Callable[[], None]) -> Iterator[NDArray[Any]]:
    for i in range(len(sequence)):
        yield np.ascontiguousarray(sequence.frame(i))
        each()


def _record(experiment: Experiment) -> dict[str, Any]:
    """What is needed to tell, and to repeat, how the sequences were made."""
    movie, truth = experiment.movie, experiment.truth
    return {
        "napari_xfusion": __version__,
        "movie": movie.source,
        "movie_sha256": movie.digest(),
        "shape": list(truth.shape),
        "dtype": truth.dtype.name,
        "hr_times": list(experiment.hr_times),
        "binning": experiment.binning,
        "grey": [experiment.grey.zero, experiment.grey.zero + experiment.grey.span],
        "lr_factor": experiment.lr_factor,
        "lr_psnr": experiment.lr_psnr,
        "b0": experiment.b0,
        "seed": experiment.seed,
        "disturbances": experiment.disturbances.model_dump(mode="json", exclude_defaults=True),
        "rig": None
        if experiment.calibration is None
        else experiment.calibration.model_dump(mode="json", by_alias=True),
        "notes": list(map(str, experiment.notes)),
    }


def _may_write(folder: Path, names: Iterable[str], movie: str) -> None:
    """Results of an earlier simulation may be replaced; anything else of these names may be raw data."""
    places = [folder / name for name in (*names, RECORD)]
    require_apart([movie], places)
    there = [path for path in places if os.path.lexists(path)]
    if there and not _is_simulated(folder / RECORD):
        raise OutputError(
            there[0],
            problem="a file that was not simulated has this name",
            hint="choose another folder",
        )


def _is_simulated(path: Path) -> bool:
    """Whether ``path`` is the record of a simulation."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and {"napari_xfusion", "movie_sha256"} <= values.keys()

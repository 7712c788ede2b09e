"""What an HDF5 file says about its sequence: axes, times, pixel size, HR times, which frames are projections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import PICOSECONDS, Clock
from napari_xfusion.core.recordings.describe import (
    attribute_warnings,
    length,
    parse_hr_times,
    seconds,
    square,
)
from napari_xfusion.core.recordings.hdf5_tree import follow, link_of, words
from napari_xfusion.core.recordings.recorded import KEY, Recorded
from napari_xfusion.errors import InputError, XFusionError, XFusionWarning

PROJECTION, FLAT, DARK = 0, 1, 2
"""Of NXtomo's ``image_key``; 3 marks an invalid frame."""
FIELD_NAMES = {FLAT: ("data_white", "data_flat"), DARK: ("data_dark",)}
"""Of Data Exchange."""
FIELD_WORDS = {FLAT: "flats", DARK: "darks"}
_LONGEST = 10**8
"""Values of the longest 1-D dataset, and bytes of the longest text, that are read."""


class Beside(NamedTuple):
    """The groups that contain a dataset, under all its names."""

    groups: tuple[Any, ...]
    dataset: Any

    @classmethod
    def of(cls, file: Any, paths: list[str], dataset: Any) -> Beside:
        """The groups of ``paths`` in an open file, and those of NXtomo that describe the detector."""
        groups = [file[path.rsplit("/", 1)[0] or "/"] for path in paths]
        detectors = [group.parent.get("instrument/detector", default=None) for group in groups]
        return cls((*groups, *(x for x in detectors if hasattr(x, "keys"))), dataset)

    def find(self, name: str) -> Any:
        """The first dataset called ``name`` in one of the groups; None where there is none."""
        for group in self.groups:
            try:
                found = group.get(name, default=None)
            except (KeyError, OSError, RuntimeError):
                continue
            if hasattr(found, "shape"):
                return found
        return None

    def axis_datasets(self) -> list[Any]:
        """One dataset or None per axis, as the NXdata names them."""
        ndim = self.dataset.ndim
        for group in self.groups:
            names = axis_names(group, ndim)
            if names is not None:
                return [_child(group, name) for name in names]
        return [None] * ndim


def axis_names(group: Any, ndim: int) -> list[str] | None:
    """Names of the axes that a group NXdata gives, None where it gives none for all of ``ndim`` axes."""
    axes = group.attrs.get("axes")
    if words(group.attrs.get("NX_class")) != "NXdata" or axes is None:
        return None
    names = [words(x) for x in np.atleast_1d(axes)]
    if len(names) == 1 and ":" in names[0]:
        names = names[0].split(":")
    return names if len(names) == ndim else None


def numbers(dataset: Any) -> NDArray[Any] | None:
    """The values of a 1-D dataset of numbers; None of anything else."""
    if dataset is None or dataset.ndim != 1 or dataset.dtype.kind not in "uif" or dataset.size > _LONGEST:
        return None
    values: NDArray[Any] = dataset[()]
    return values


def image_key(beside: Beside) -> NDArray[Any] | None:
    """(T,) which frames are projections, flats and darks; None where the file does not say."""
    values = numbers(beside.find("image_key"))
    return None if values is None else values.astype(np.int64)


def unused_fields(beside: Beside, where: str) -> list[XFusionWarning]:
    """A warning about flats and darks in the same file, for a sequence that is read as stored."""
    keys = image_key(beside)
    found = []
    for key, word in FIELD_WORDS.items():
        marked = 0 if keys is None else int((keys == key).sum())
        other = next(filter(None, map(beside.find, FIELD_NAMES[key])), None)
        count = marked or (0 if other is None else int(other.shape[0] if other.ndim > 2 else 1))
        found += [f"{count} {word}"] if count else []
    text = f"The file contains {' and '.join(found)} that are not applied. Give own as flat and dark to apply them."
    return [XFusionWarning("unused-fields", text, where)] if found else []


def corrected(beside: Beside) -> str:
    """What NXdetector says was corrected; see ``Metadata.corrected``."""
    found = beside.find("flatfield_applied")
    applied = found is not None and found.size == 1 and bool(np.ravel(found[()])[0])
    return "a flat was applied (flatfield_applied)" if applied else ""


def recorded(beside: Beside, frames: int) -> Recorded | None:
    """Times and camera of the recording that the file was converted from; None where it has no such text."""
    for group in beside.groups:
        note = group.parent.get(f"{KEY}/data", default=None)
        is_text = getattr(note, "shape", None) == () and note.dtype.kind in "SO"
        found = Recorded.read(words(note[()])) if is_text and note.dtype.itemsize <= _LONGEST else None
        if found is not None and len(found.clock) == frames:
            return found
    return None


def pixel_size(beside: Beside) -> float | None:
    """Side of a pixel in micrometres by the axes of an NXdata, or by an NXdetector."""
    sides = [_step(x) for x in beside.axis_datasets()[-2:]]
    if None in sides:
        sides = [_length(beside.find(f"{k}_pixel_size")) for k in "yx"]
    return square(sides[1], sides[0])


def interval(beside: Beside) -> float | None:
    """Seconds from frame to frame as an NXdetector gives them."""
    found = beside.find("frame_time")
    if found is None or found.size != 1 or found.dtype.kind not in "uif":
        return None
    return seconds(float(np.ravel(found[()])[0]), unit_of(found) or "s")


def hr_times(beside: Beside, where: object) -> tuple[float, ...] | None:
    """HR times in LR frame numbers, which a result of this package has."""
    values = numbers(beside.find("hr_times"))
    return None if values is None else parse_hr_times(values.tolist(), where)


def unit_of(dataset: Any) -> str:
    """The unit in a dataset's attributes, '' where there is none."""
    return words(dataset.attrs.get("units", dataset.attrs.get("unit")))


class Times(NamedTuple):
    """The time of every frame, and what is odd about it."""

    picoseconds: tuple[int, ...] | None
    warnings: tuple[XFusionWarning, ...] = ()

    def clock(self, frames: list[int], interval: float | None) -> Clock:
        """The clock of these frames."""
        if self.picoseconds is None:
            return Clock.regular(len(frames), interval)
        return Clock(times_ps=tuple(self.picoseconds[i] for i in frames), source="stamps")


def given_times(dataset: Any, frames: list[int], where: object) -> Times:
    """The times that a dataset gives ``frames``; raises InputError unless it gives increasing ones to all of them."""
    values = numbers(dataset) if hasattr(dataset, "shape") else None
    if values is None or len(values) <= max(frames):
        found = f"shape {dataset.shape}, {dataset.dtype}" if hasattr(dataset, "shape") else "a group"
        expected = f"a 1-D dataset of at least {max(frames) + 1} times"
        raise InputError(where, expected=expected, found=found, hint="give the dataset of the frame times")
    unit, said = unit_of(dataset), []
    second = seconds(1, unit or "s")
    if second is None:
        raise InputError(
            where,
            expected="a unit of time such as s, ms, us or ns",
            found=unit,
            hint="correct the attribute units of the dataset",
        )
    if not unit:
        text = "Its frame times have no unit and are taken as seconds. Give the dataset an attribute units."
        said.append(XFusionWarning("times-unit", text, str(where)))
    times = _picoseconds(values, second)
    problem = _disorder([times[i] for i in frames])
    if problem is not None:
        k, _ = problem
        raise InputError(
            where,
            expected="times that increase from frame to frame",
            found=f"{values[frames[k]]} at frame {frames[k]}, {values[frames[k + 1]]} at frame {frames[k + 1]}",
            hint="give the dataset of the frame times, or correct it",
        )
    return Times(times, (*said, *_coarse(values, second, str(where))))


def own_times(beside: Beside, axis: int, frames: list[int], where: object) -> Times:
    """The times that the axis of frames of an NXdata gives; none where it is no axis of time."""
    dataset = beside.axis_datasets()[axis]
    if dataset is None or not unit_of(dataset) or seconds(1, unit_of(dataset)) is None:
        return Times(None)
    try:
        return given_times(dataset, frames, where)
    except XFusionError as error:
        remedy = f"{error.hint[:1].upper()}{error.hint[1:]}"
        text = f"The times in {dataset.name} are not used: {error.problem}. {remedy}."
        return Times(None, (XFusionWarning("times-unused", text, str(where)),))


def notes(dataset: Any, where: object) -> Iterator[XFusionWarning]:
    """Warnings about attributes that change the meaning of the values."""
    known = {
        x: _plain(dataset.attrs.get(x)) for x in ("scale_factor", "add_offset", "_FillValue", "missing_value")
    }
    yield from attribute_warnings({k: v for k, v in known.items() if v is not None}, str(where))


def _plain(value: object) -> object:
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "size", 1) == 1 else value


def _child(group: Any, name: str) -> Any:
    try:
        found = None if link_of(group, name) is None else follow(group, name, name)
    except (XFusionError, ValueError):
        return None
    return found if hasattr(found, "shape") else None


def _step(dataset: Any) -> float | None:
    values = numbers(dataset)
    if values is None or len(values) < 2:
        return None
    steps = np.diff(values.astype(np.float64))
    regular = bool(np.allclose(steps, steps[0], rtol=1e-3, atol=0))
    return length(abs(steps[0]), unit_of(dataset)) if regular else None


def _length(dataset: Any) -> float | None:
    if dataset is None or dataset.size != 1 or dataset.dtype.kind not in "uif":
        return None
    return length(float(np.ravel(dataset[()])[0]), unit_of(dataset))


def _picoseconds(values: NDArray[Any], second: float) -> tuple[int, ...]:
    """Picoseconds as integers: exact for integers; of fractions, from the first time on."""
    unit = round(second * PICOSECONDS)
    if values.dtype.kind in "ui":
        return tuple(int(x) * unit for x in values.tolist())
    finite = np.where(np.isfinite(values), values, np.inf).astype(np.longdouble)
    first = finite[0] if isfinite(finite[0]) else np.longdouble(0)
    origin = int(np.floor(first)) * unit
    rest = (finite - np.floor(first)) * unit
    return tuple(origin + int(np.rint(x)) if abs(x) < 2**62 else -(2**63) for x in rest)


def _disorder(times: list[int]) -> tuple[int, int] | None:
    """The first frame that does not come before the next one, None where times increase."""
    return next(((k, b - a) for k, (a, b) in enumerate(pairwise(times)) if b <= a), None)


def _coarse(values: NDArray[Any], second: float, where: str) -> Iterator[XFusionWarning]:
    """A warning where the numbers cannot resolve a hundredth of the frame interval."""
    if values.dtype.kind != "f" or len(values) < 2:
        return
    step = float(np.median(np.diff(values.astype(np.float64))))
    quantum = float(np.spacing(np.abs(values).max()))
    if quantum > step / 100:
        text = (
            f"The frame times are {values.dtype} numbers with steps of {quantum * second:.2g} s, "
            f"the frame interval is {step * second:.3g} s. Store them as integer nanoseconds."
        )
        yield XFusionWarning("times-resolution", text, where)

"""What a file says about its sequence in words: number of frames, axes, pixel size, frame interval, HR times.

The words come from ImageJ, OME, tifffile's JSON or OME-Zarr; each function returns one ``Said``.
A calibration that is absent or absurd is left out; a number of frames or HR times that cannot be true
raise InputError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, prod
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings.recorded import KEY, Recorded
from napari_xfusion.core.recordings.source import damaged, told
from napari_xfusion.core.recordings.viewer import calibration_of, viewer_of
from napari_xfusion.core.types import CameraFacts, Metadata
from napari_xfusion.errors import InputError, XFusionWarning

_MICROMETRES = {
    **dict.fromkeys(("µm", "um", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("inch", "inches", "in"), 25_400.0),
}
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond"), 1e-3),
    **dict.fromkeys(("µs", "us", "usec", "microsecond"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("ps", "picosecond", "picoseconds"), 1e-12),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
}


@dataclass(frozen=True)
class Said:
    """A file's description of its sequence; None where it says nothing."""

    frames: int | None = None
    axes: str = "TYX"
    pixel_size: float | None = None
    """Micrometres."""
    interval: float | None = None
    """Seconds from frame to frame."""
    hr_times: tuple[float, ...] | None = None
    viewer: tuple[tuple[str, str], ...] = ()
    """See ``Metadata.viewer``."""
    planned: int | None = None
    """Frames of the recording that a file with fewer frames is a part of."""
    warnings: tuple[XFusionWarning, ...] = ()
    recorded: Recorded | None = None
    """Times and camera of the recording that the file was converted from."""


@dataclass(frozen=True)
class Resolution:
    """The resolution tags of a TIFF: pixels per unit in x and y, and the unit (2 inch, 3 cm)."""

    x: float | None = None
    y: float | None = None
    unit: int = 1

    def pixel_size(self, unit: str, y_unit: str | None = None) -> float | None:
        """Return the side of a pixel in micrometres where a pixel is square and the units are lengths."""
        if not self.x or not self.y:
            return None
        return square(length(1 / self.x, unit), length(1 / self.y, unit if y_unit is None else y_unit))


def square(x: float | None, y: float | None) -> float | None:
    """Return the side of a square pixel, or None where there is no one such number."""
    return x if x is not None and y is not None and abs(x - y) <= 1e-3 * abs(x) else None


def length(value: object, unit: str) -> float | None:
    """Return a length above 0 in micrometres, or None."""
    return _positive(value, _MICROMETRES.get(_unit(unit)))


def seconds(value: object, unit: str) -> float | None:
    """Return a time above 0 in seconds, or None."""
    return _positive(value, _SECONDS.get(_unit(unit)))


class Axes(NamedTuple):
    """Which axes of an array are frames, rows and columns."""

    frames: int | None
    """None for a single frame."""
    rows: int
    columns: int
    letters: str
    """One per axis, such as TYX; see ``Metadata.axes``."""

    @property
    def sequence(self) -> str:
        """The letters of frames, rows and columns, I for a single frame."""
        return ("I" if self.frames is None else self.letters[self.frames]) + "YX"


_LETTERS = {
    **dict.fromkeys(("t", "time", "times", "frame", "frames"), "T"),
    **dict.fromkeys(("z", "slice", "slices", "depth", "plane"), "Z"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "band", "wavelength"), "C"),
    **dict.fromkeys(("y", "row", "rows", "height", "dim_y", "axis_y"), "Y"),
    **dict.fromkeys(("x", "col", "cols", "column", "columns", "width", "dim_x", "axis_x"), "X"),
}


def arrange(names: Sequence[str], sizes: Sequence[int], where: object) -> Axes:
    """Return which axes are frames, rows and columns by their names, and by their order where names say nothing.

    Raises InputError that names axes and sizes where more than one axis besides rows and columns is longer
    than 1, and where rows and columns are not two of them.
    """
    letters = [_LETTERS.get(x.strip().lower(), (x.strip()[:1] or "?").upper()) for x in names]
    known = [_LETTERS.get(x.strip().lower(), "?") for x in names]
    pixels = [i for i, x in enumerate(known) if x in "YX"]
    if sorted(known[i] for i in pixels) not in (["X", "Y"], ["X"], ["Y"], []):
        raise _no_pixels(names, sizes, where)
    # The pixels that no name gives are the last axes that are neither time nor channel.
    free = [i for i, x in enumerate(known) if x not in "TCYX"]
    missing = 2 - len(pixels)
    chosen = free[len(free) - missing :] if len(free) >= missing else []
    if len(pixels) + len(chosen) != 2:
        raise _no_pixels(names, sizes, where)
    first, second = sorted([*pixels, *chosen])
    rows, columns = (second, first) if known[first] == "X" or known[second] == "Y" else (first, second)
    long = [i for i, size in enumerate(sizes) if size != 1 and i not in (rows, columns)]
    if len(long) > 1:
        raise _many_axes([(names[i] if known[i] == "?" else letters[i], sizes[i]) for i in long], where)
    return Axes(long[0] if long else None, rows, columns, "".join(letters))


def sequence_axis(axes: str, sizes: Sequence[int], where: object) -> int | None:
    """Return which of the axes before Y and X runs along the sequence, None for a single frame.

    ImageJ saves time as slices or channels too, so any single axis longer than 1 is taken.
    """
    long = [i for i, size in enumerate(sizes[:-2]) if size != 1]
    if len(long) < 2:
        return long[0] if long else None
    raise _many_axes([(axes[i], sizes[i]) for i in long], where)


def _many_axes(long: Sequence[tuple[str, int]], where: object) -> InputError:
    return InputError(
        where,
        expected="one axis besides Y and X",
        found=", ".join(f"{name} = {size}" for name, size in long),
        hint="save one channel and one slice as a sequence of its own",
    )


def _no_pixels(names: Sequence[str], sizes: Sequence[int], where: object) -> InputError:
    return InputError(
        where,
        expected="axes time, y and x",
        found=", ".join(f"{name} = {size}" for name, size in zip(names, sizes, strict=True)),
        hint="correct the names of the axes, or save the sequence with axes in the order time, y, x",
    )


def stack_fields(said: Said, T: int) -> dict[str, Any]:
    """Return the fields ``clock``, ``pixel_size`` and ``metadata`` of a Stack of T frames."""
    recorded = said.recorded if said.recorded is not None and len(said.recorded.clock) == T else None
    return {
        "clock": Clock.regular(T, said.interval) if recorded is None else recorded.clock,
        "pixel_size": said.pixel_size,
        "metadata": Metadata(
            axes=said.axes,
            hr_times=said.hr_times,
            viewer=said.viewer,
            warnings=said.warnings,
            camera=CameraFacts() if recorded is None else recorded.camera,
            corrected="" if recorded is None else recorded.corrected,
        ),
    }


def parse_hr_times(value: object, where: object) -> tuple[float, ...]:
    """Return HR times from a list of numbers or text "0.0,20.0"; raises InputError unless they increase."""
    items = value.split(",") if isinstance(value, str) else value
    items = items if isinstance(items, Sequence) else ()
    try:
        times = tuple(float("" if isinstance(x, bool) else x) for x in items)
    except (TypeError, ValueError, OverflowError):
        times = ()
    if not times or not all(map(isfinite, times)) or any(b <= a for a, b in pairwise(times)):
        raise InputError(
            where,
            expected="hr_times as increasing numbers, 0.0,20.0,40.0 for instance",
            found=repr(value)[:60],
            hint="correct them in the file's metadata",
        )
    return times


def describe_tiff(
    text: str, page: tuple[int, int], resolution: Resolution, where: object, *, part: bool = False
) -> Said:
    """Return what the description of a TIFF's first page says; ``page`` is its (H, W).

    With ``part`` the file is one of several, of which OME describes all.
    """
    if text.startswith("ImageJ="):
        return _imagej(text, resolution, where)
    if "<OME" in text[:4096]:
        return _ome(text, page, where, part=part)
    size = resolution.pixel_size("cm") if resolution.unit == 3 else None
    if text.startswith("{") and '"shape": [' in text:  # tifffile before 2026.3 puts other keys first
        return _shaped(text, page, size, where)
    return Said(pixel_size=size, hr_times=_hr_times_line(text, where))


def _imagej(text: str, resolution: Resolution, where: object) -> Said:
    keys = _lines(text)
    sizes = [_count(keys, key, where) for key in ("frames", "slices", "channels")]
    frames = _count(keys, "images", where)
    axis = sequence_axis("TZC", [*sizes, 1, 1], where)
    if axis is not None and frames != sizes[axis]:
        raise damaged(where, f"{sizes[axis]} frames as its description says", f"images={frames}")
    rate = _number(keys.get("fps"))
    interval = seconds(keys.get("finterval"), keys.get("tunit", "s")) or seconds(
        1 / rate if rate else None, "s"
    )
    return Said(
        frames=frames,
        axes="IYX" if axis is None else "TZC"[axis] + "YX",
        pixel_size=resolution.pixel_size(keys.get("unit", ""), keys.get("yunit")),
        interval=interval,
        hr_times=_hr_times_line(text, where),
        viewer=calibration_of(keys),
        recorded=Recorded.read(keys.get(KEY)),
    )


def _shaped(text: str, page: tuple[int, int], pixel_size: float | None, where: object) -> Said:
    with told(where, "a description in JSON"):
        said = json.loads(text)
    shape = [int(n) for n in said["shape"]]
    if len(shape) > 2 and tuple(shape[-2:]) != page and shape[-1] == 1:
        shape.pop()
    if tuple([1, *shape][-2:]) != page or min(shape) < 1:
        raise damaged(
            where, f"pages for a sequence of shape {said['shape']}", f"pages of {page[0]} x {page[1]} pixels"
        )
    names = said.get("axes")
    axes = names if isinstance(names, str) and len(names) == len(shape) else "Q" * (len(shape) - 2) + "YX"
    if axes[-2:] != "YX" and {"Y", "X"} & {*axes}:
        raise _no_pixels(axes, shape, where)
    axis = sequence_axis(axes, shape, where)
    times = said.get("hr_times")
    return Said(
        frames=prod(shape[:-2]),
        axes="IYX" if axis is None else axes[axis] + "YX",
        pixel_size=pixel_size,
        hr_times=None if times is None else parse_hr_times(times, where),
        recorded=Recorded.read(said.get(KEY)),
        viewer=calibration_of(said),
    )


def plane_order(planes: Sequence[bytes], where: object) -> tuple[list[int], tuple[XFusionWarning, ...]]:
    """Return the order of pages by what Micro-Manager or NDTiff says about each, JSON or b"".

    Raises InputError that names axes and sizes where more than one is longer than 1, and for frames that occur
    twice; numbers that are absent are a warning.
    """
    places = [_plane(x) for x in planes]
    same = list(range(len(planes))), tuple[XFusionWarning, ...]()
    if len(planes) < 2 or not all(places):
        return same
    names = list(dict.fromkeys(name for x in places for name in x))
    values = {name: [x.get(name, 0) for x in places] for name in names}
    long = {name: x for name, x in values.items() if len(set(x)) > 1}
    if len(long) > 1:
        raise _many_axes([(name, len(set(x))) for name, x in long.items()], where)
    for name, numbers in long.items():
        if len(set(numbers)) < len(numbers):
            twice = next(x for x in numbers if numbers.count(x) > 1)
            raise damaged(where, "one page per frame", f"{name} {twice} on two pages")
        if all(isinstance(x, int) for x in numbers):
            order = sorted(same[0], key=lambda i: numbers[i])
            ordered = [numbers[i] for i in order]
            absent = sorted({*range(ordered[0], ordered[-1])} - {*ordered}) if ordered[-1] < 10**7 else []
            step = min(b - a for a, b in pairwise(ordered))
            if step == 1 and absent:
                named = ", ".join(map(str, absent[:5])) + (", ..." if absent[5:] else "")
                text = f"{len(absent)} frames are absent: {name} {named}. Frames are taken as equally spaced in time."
                return order, (XFusionWarning("uneven-numbers", text, str(where)),)
            return order, ()
    return same


def _plane(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text.rstrip(b"\0") or b"{}")
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    axes = said.get("Axes")
    if isinstance(axes, dict):
        return {str(k): v for k, v in axes.items() if isinstance(v, int | str)}
    old = {"FrameIndex": "time", "SliceIndex": "z", "ChannelIndex": "channel", "PositionIndex": "position"}
    return {name: said[key] for key, name in old.items() if isinstance(said.get(key), int)}


def shaped_frames(text: str) -> int | None:
    """Return how many frames tifffile's JSON declares from its page on, None where it is none."""
    match = re.search(r'"shape": \[([\d, ]{1,200})\]', text) if text.startswith("{") else None
    return prod(int(n) for n in match[1].split(",")[:-2]) if match else None


def _ome(text: str, page: tuple[int, int], where: object, *, part: bool) -> Said:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise damaged(where, "plain OME-XML", "XML with entities of its own")
    root = ET.fromstring(text)  # noqa: S314 - entities, the way to a bomb, are refused above
    images = root.findall("{*}Image")
    pixels = root.find("{*}Image/{*}Pixels")
    others = {x.get("FileName") for x in root.findall(".//{*}UUID")} - {None}
    elsewhere = root.find("{*}BinaryOnly")
    if part and (elsewhere is not None or pixels is None or len(images) > 1):
        return Said()
    if elsewhere is not None:
        raise InputError(
            where,
            problem=f"it is one part of a recording that {elsewhere.get('MetadataFile', 'another file')} describes",
            hint="open the folder of the parts, or the files as a stack",
        )
    if (len(images) != 1 or pixels is None or len(others) > 1) and not (part and pixels is not None):
        raise InputError(
            where,
            expected="OME-XML with one sequence in one file",
            found=f"{len(images)} images, {len(others)} files",
            hint="open the folder of the files"
            if len(others) > 1
            else "save the sequence as one OME-TIFF, one image per file",
        )
    keys = pixels.attrib
    sizes = [_count(keys, key, where) for key in ("SizeT", "SizeZ", "SizeC")]
    if (_count(keys, "SizeY", where), _count(keys, "SizeX", where)) != page:
        raise damaged(where, f"pages of {keys['SizeY']} x {keys['SizeX']} pixels", f"{page[0]} x {page[1]}")
    if part and len(others) > 1:  # pages count in such files
        return Said(
            planned=prod(sizes) if sum(x > 1 for x in sizes) < 2 else None, pixel_size=_ome_side(keys)
        )
    axis = sequence_axis("TZC", [*sizes, 1, 1], where)
    _check_order(pixels, where)
    words = "\n".join(x.text for x in root.iter() if x.text and "=" in x.text)
    recorded = re.search(rf"^{KEY}=(.*)$", words, re.MULTILINE)
    return Said(
        frames=prod(sizes),
        axes="IYX" if axis is None else "TZC"[axis] + "YX",
        pixel_size=_ome_side(keys),
        interval=seconds(keys.get("TimeIncrement"), keys.get("TimeIncrementUnit", "s")),
        hr_times=_hr_times_line(words, where),
        recorded=Recorded.read(recorded[1]) if recorded else None,
        viewer=calibration_of(_lines(words)),
    )


def _ome_side(keys: Mapping[str, str]) -> float | None:
    units = [keys.get(f"PhysicalSize{k}Unit", "µm") for k in "XY"]
    x, y = (length(keys.get(f"PhysicalSize{k}"), unit) for k, unit in zip("XY", units, strict=True))
    return square(x, y)


def _check_order(pixels: ET.Element, where: object) -> None:
    """Raise InputError where OME puts the frames on pages in another order than their own."""
    for block in pixels.findall("{*}TiffData"):
        if "IFD" in block.attrib:
            first = sum(int(block.get(f"First{k}", "0")) for k in "TZC")  # one axis is longer than 1
            if int(block.attrib["IFD"]) != first:
                raise InputError(
                    where,
                    expected="OME frames in the order of their pages",
                    found=f"frame {first} on page {block.attrib['IFD']}",
                    hint="save the sequence again in order of time",
                )


def describe_zarr(
    attributes: Mapping[str, Any], names: Sequence[str] | None, shape: Sequence[int], where: object
) -> tuple[Axes, Said]:
    """Return the axes, and what the attributes of a group say of level 0, or of an array, with its ``shape``.

    ``names`` are those of the array's own axes, where it has any; those of OME precede them.
    """
    scales = attributes.get("ome", attributes).get("multiscales", [{}])[0]
    named = scales.get("axes") or names or [{"name": x} for x in "tczyx"[-len(shape) :]]
    described = [x if isinstance(x, Mapping) else {"name": str(x)} for x in named]
    titles = [str(x.get("name", "?")) for x in described]
    if len(titles) != len(shape):
        raise damaged(where, f"axes for shape {tuple(shape)}", ", ".join(titles))
    axes = arrange(titles, shape, where)
    steps = np.ones(len(shape))
    levels = scales.get("datasets", [{}])[0]
    for place in (levels, scales):
        for change in place.get("coordinateTransformations", []):
            if change.get("type") == "scale":
                steps = steps * np.asarray(change["scale"], dtype=np.float64)
    units = [str(x.get("unit", "")) for x in described]
    own = attributes.get("napari_xfusion")
    own = own if isinstance(own, Mapping) else {}
    times, viewer = own.get("hr_times"), own.get("viewer")
    return axes, Said(
        axes=axes.sequence,
        pixel_size=square(*(length(steps[i], units[i]) for i in (axes.columns, axes.rows))),
        interval=None if axes.frames is None else seconds(steps[axes.frames], units[axes.frames]),
        hr_times=None if times is None else parse_hr_times(times, where),
        recorded=Recorded.read(own.get(KEY)),
        viewer=viewer_of(viewer) if isinstance(viewer, Mapping) else (),
    )


def _lines(text: str) -> dict[str, str]:
    """Return what lines such as ``unit=um`` give."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value for key, value in pairs}


def attribute_warnings(attributes: Mapping[str, Any], where: str) -> Iterator[XFusionWarning]:
    """Warnings about attributes of an array that give its stored values another meaning."""
    packed = [f"{x} = {attributes[x]}" for x in ("scale_factor", "add_offset") if x in attributes]
    if packed:
        text = f"Its attributes give {' and '.join(packed)}; values are read as stored, and so are results."
        yield XFusionWarning("calibration", text, where)
    marks = {x: attributes[x] for x in ("_FillValue", "missing_value") if _is_finite(attributes.get(x))}
    if marks:
        mark = ", ".join(f"{name} = {value}" for name, value in marks.items())
        text = f"Its attributes give {mark} for pixels without a value; such pixels are read as stored."
        yield XFusionWarning("missing-values", text, where)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _hr_times_line(text: str, where: object) -> tuple[float, ...] | None:
    match = re.search(r"^\s*hr_times=(.*)$", text, re.MULTILINE)
    return parse_hr_times(match[1], where) if match else None


def _count(keys: Mapping[str, str], key: str, where: object) -> int:
    text = keys.get(key, "1").strip()
    if not re.fullmatch(r"0*[1-9]\d{0,8}", text):
        raise damaged(where, f"a number of frames as {key}", text[:40])
    return int(text)


def _unit(text: str) -> str:
    return text.replace("\\u00B5", "µ").replace("μ", "µ").strip(' "').lower()


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if isfinite(number) and number > 0 else None


def _positive(value: object, factor: float | None) -> float | None:
    number = _number(value)
    return _number(number * factor) if number is not None and factor is not None else None

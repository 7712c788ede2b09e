"""Photron recordings: frames without a header (.mraw), described by a text (.cih) or an XML file (.cihx) next to them.

Photron publishes no specification; the layout is that of files of FASTCAM SA-Z, Nova S16 and others. The files have
no time stamps: times are calculated from record rate, save step and start frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import LONGEST, PICOSECONDS, Clock
from napari_xfusion.core.recordings.packed import packed_bytes, unpack
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.sidecar import Sidecar, check_count
from napari_xfusion.core.recordings.source import FileBytes, check_frames, damaged, digest_files, told
from napari_xfusion.core.types import CameraFacts, Metadata, Region, Stack
from napari_xfusion.errors import DamagedFileError, InputError, XFusionWarning

_MOST_HEADER = 1 << 24
_FIELDS = {
    "frames": ("Total Frame", "frameInfo/totalFrame"),
    "start": ("Start Frame", "frameInfo/startFrame"),
    "step": ("Save Step", "frameInfo/skipFrame"),
    "rate": ("Record Rate(fps)", "recordInfo/recordRate"),
    "width": ("Image Width", "imageDataInfo/resolution/width"),
    "height": ("Image Height", "imageDataInfo/resolution/height"),
    "colour": ("Color Type", "imageDataInfo/colorInfo/type"),
    "bits": ("Color Bit", "imageDataInfo/colorInfo/bit"),
    "depth": ("EffectiveBit Depth", "imageDataInfo/effectiveBit/depth"),
    "side": ("EffectiveBit Side", "imageDataInfo/effectiveBit/side"),
    "shutter_ns": ("Shutter Type2(nsec)", "recordInfo/shutterSpeedNsec"),
    "shutter": ("Shutter Speed(s)", "recordInfo/shutterSpeed"),
    "camera": ("Camera Type", "deviceInfo/deviceName"),
    "shading": ("Shading", ""),
    "processed": ("", "imageDataInfo/applyImageProc"),
    "left": ("", "imageDataInfo/segmentPos/sensorXpos"),
    "top": ("", "imageDataInfo/segmentPos/sensorYpos"),
}
"""Keys in a .cih and elements in a .cihx; '' where no file is known to have one."""


@dataclass(frozen=True)
class CihHeader:
    """A .cih or .cihx: texts by the names of ``_FIELDS``."""

    path: Path
    texts: Mapping[str, str]

    def number(self, name: str, least: int, default: int | None = None) -> int:
        """A field as an integer of at least ``least``; raises InputError where it is none, and no ``default``."""
        text = self.texts.get(name, "")
        if not text and default is not None:
            return default
        key = " or ".join(_FIELDS[name])
        if not re.fullmatch(r"[+-]?\d{1,15}", text) or int(text) < least:
            raise damaged(self.path, f"{key} as an integer of at least {least}", repr(text[:40]))
        return int(text)

    @property
    def clock(self) -> tuple[Fraction, int] | None:
        """Seconds between saved frames and the number of the first, of recorded frames from the trigger."""
        rate, step = _fraction(self.texts.get("rate", "")), self.number("step", 1, 1)
        return (step / rate, self.number("start", -(10**12), 0)) if rate else None

    @property
    def facts(self) -> CameraFacts:
        """What it says about the camera."""
        bits, depth = self.number("bits", 1), self.number("depth", 1, 0) or None
        higher = self.texts.get("side", "").lower() == "higher"
        white = None
        if depth is not None:
            known = min(depth, bits)
            white = ((1 << known) - 1) << (bits - known if higher else 0)
        return CameraFacts(
            name=self.texts.get("camera") or None,
            bits=depth if depth is None else min(depth, bits),
            exposure_ns=self._exposure(),
            black=None,
            white=white,
            first_number=self.number("start", -(10**12), 0),
            from_trigger=True,
            timing="record rate, save step and start frame of the header, relative to the trigger",
            corrected=self._corrected(),
            region=self._region(),
        )

    def _corrected(self) -> str:
        """The offsets by the camera (Shading, measured with the lens covered), or whatever the program applied."""
        shading = self.texts.get("shading", "").lower() == "on"
        processed = self.texts.get("processed", "0") not in ("", "0")
        return ", ".join(["shading"] * shading + ["image processing by PFV"] * processed)

    def _region(self) -> Region | None:
        """The pixels of the sensor; None where the file does not say."""
        places = [self.texts.get(x, "") for x in ("top", "left")]
        if not all(re.fullmatch(r"\d{1,6}", x) for x in places):
            return None
        top, left = map(int, places)
        return Region(top, top + self.number("height", 1), left, left + self.number("width", 1))

    def _exposure(self) -> int | None:
        """Nanoseconds; the older field has seconds or their reciprocal: "1/800000", "0.5" or "119149.0"."""
        if re.fullmatch(r"\d{1,15}", self.texts.get("shutter_ns", "")):
            return int(self.texts["shutter_ns"])
        value = _fraction(self.texts.get("shutter", ""))
        return round((1 / value if value > 1 else value) * 10**9) or None if value else None


def _fraction(text: str) -> Fraction | None:
    """A number above 0 such as "30000", "0.5" or "1/800000", or None."""
    plain = re.fullmatch(r"\d{1,12}(\.\d{1,12})?|\d{1,12}/[1-9]\d{0,11}", text)
    return Fraction(text) or None if plain else None


def read_cih(path: Path, data: bytes, frames: int) -> Sidecar:
    """Times and camera by ``data``, the content of a .cih or .cihx next to ``frames`` frames exported as TIFF.

    Raises InputError where it is damaged or describes another number of frames.
    """
    header = _header(path, data)
    check_count(path, header.number("frames", 1), frames)
    clock, warnings = _clock(header)
    camera = replace(header.facts, bits=None, white=None)  # an export may have scaled the values
    return Sidecar(path, clock, camera, warnings)


def read_header(path: Path) -> CihHeader:
    """Read a .cih or .cihx; raises InputError where it is none."""
    with told(path, "a Photron header"):
        file = FileBytes(path)
        return _header(path, file.read(0, min(file.size, _MOST_HEADER)))


def _header(path: Path, data: bytes) -> CihHeader:
    with told(path, "a Photron header"):
        found = dict(_xml(data, path) if b"<cih>" in data else _lines(data))
    if not {"width", "height", "frames", "bits"} <= found.keys():
        raise damaged(
            path, "a Photron header with width, height, frames and bits", f"{len(found)} of its fields"
        )
    return CihHeader(path, found)


def _lines(data: bytes) -> Iterator[tuple[str, str]]:
    """Fields of a .cih: "Key : Value" up to the first empty line, the first of equal keys."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").lstrip("\ufeff").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    found = {key.strip(): value.strip() for key, value in pairs if key.strip()}
    return ((name, found[key]) for name, (key, _) in _FIELDS.items() if key in found)


def _xml(data: bytes, where: Path) -> Iterator[tuple[str, str]]:
    """Fields of a .cihx: the XML between bytes of no known meaning."""
    start, end = data.find(b"<cih>"), data.rfind(b"</cih>")
    if end < start or b"<!DOCTYPE" in data[start:end] or b"<!ENTITY" in data[start:end]:
        raise damaged(where, "XML from <cih> to </cih>", "none")
    try:
        root = ET.fromstring(data[start : end + 6].decode("utf-8", "replace"))  # noqa: S314 - no entities, see above
    except ET.ParseError as error:
        raise damaged(where, "XML from <cih> to </cih>", str(error)) from error
    found = {name: root.findtext(place) for name, (_, place) in _FIELDS.items() if place}
    return ((name, text.strip()) for name, text in found.items() if text is not None)


def open_mraw(path: Path, _options: Options) -> Stack:
    """Open a Photron recording by its .mraw, .cih or .cihx as a Stack of uint8 or uint16, values as stored.

    Times are relative to the trigger. Raises InputError where one of the two files is missing or the other does not
    fit, and for colour.
    """
    frames_file, header_file = _pair(path)
    header = read_header(header_file)
    with told(path, "a Photron recording"):
        file = FileBytes(frames_file)
        layout = _layout(header, file)
        clock, warnings = _clock(header)
        facts = header.facts
    shape = (layout.height, layout.width)

    def read(i: int) -> NDArray[Any]:
        with told(f"{frames_file} frame {i}", f"a frame {shape} of {layout.dtype}"):
            return layout.read(file, i)

    return Stack(
        shape=(layout.frames, *shape),
        dtype=layout.dtype,
        read=read,
        digest=digest_files([frames_file, header_file], names=False),
        source=str(path),
        clock=clock,
        metadata=Metadata(camera=facts, warnings=(*warnings, *layout.warnings(frames_file))),
    )


def _pair(path: Path) -> tuple[Path, Path]:
    """The files of frames and header; raises InputError where the other one is missing."""
    headers = [path.with_suffix(x) for x in (".cihx", ".cih", ".CIHX", ".CIH")]
    frames = [path.with_suffix(x) for x in (".mraw", ".MRAW")]
    given = path.suffix.lower() == ".mraw"
    other = next((x for x in (headers if given else frames) if x.is_file()), None)
    if other is not None:
        return (path, other) if given else (other, path)
    wanted = f"{headers[1].name} or {headers[0].name}" if given else frames[0].name
    hint = (
        "copy the header to the same folder, under the same name"
        if given
        else "copy the frames to the same folder; of a TIFF export, open the folder of the frames"
    )
    raise InputError(path, expected=f"{wanted} next to it", found="no such file", hint=hint)


@dataclass(frozen=True)
class _Layout:
    """Where the pixels of a .mraw are."""

    frames: int
    height: int
    width: int
    bits: int
    padded: bool
    """Whether each row of packed pixels ends at a multiple of 16 bytes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a frame as it is read."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row with padding."""
        return -(-packed_bytes(self.width, self.bits) // 16) * 16

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        if self.padded:
            return self.height * self.row_bytes
        return packed_bytes(self.height * self.width, self.bits)

    def read(self, file: FileBytes, i: int) -> NDArray[Any]:
        """Frame ``i``, (H, W)."""
        if self.bits in (8, 16):
            image = np.empty((self.height, self.width), self.dtype.newbyteorder("<"))
            file.read_into(image.reshape(-1).view(np.uint8).data, i * self.frame_bytes)
            return image.astype(self.dtype, copy=False)
        data = np.empty(self.frame_bytes, np.uint8)
        file.read_into(data.data, i * self.frame_bytes)
        if not self.padded:
            return unpack(data.data, self.bits, self.height * self.width).reshape(self.height, self.width)
        row, pixels = packed_bytes(self.width, self.bits), -(-self.width // 4) * 4  # four end with a byte
        rows = np.zeros((self.height, packed_bytes(pixels, self.bits)), np.uint8)
        rows[:, :row] = data.reshape(self.height, -1)[:, :row]
        return unpack(rows.reshape(-1).data, self.bits, rows.shape[0] * pixels).reshape(-1, pixels)[
            :, : self.width
        ]

    def warnings(self, where: Path) -> Iterator[XFusionWarning]:
        """What is not certain about it."""
        if self.bits == 10:
            text = "Its pixels are packed to 10 bits, which was not verified with a file of a camera. Compare a frame."
            yield XFusionWarning("unverified", text, str(where))


def _layout(header: CihHeader, file: FileBytes) -> _Layout:
    """Where the pixels are, by header and size of the file; raises InputError where these do not fit together."""
    colour, bits = header.texts.get("colour", "Mono"), header.number("bits", 1)
    if colour.lower() not in ("mono", "raw", "") or bits not in (8, 10, 12, 16):
        raise InputError(
            header.path,
            expected="grey frames (Mono or Raw) of 8, 10, 12 or 16 bits",
            found=f"{colour} of {bits} bits",
            hint="save it in Photron FASTCAM Viewer as grey TIFF of 16 bits",
        )
    frames, height, width = (header.number(x, 1) for x in ("frames", "height", "width"))
    layouts = [
        _Layout(frames, height, width, bits, padded)
        for padded in (False, True)
        if not (padded and bits % 8 == 0)
    ]
    if bits % 8 and width * bits % 8:  # a row that ends within a byte is not known to continue in it
        layouts = [x for x in layouts if x.padded]
    fitting = next((x for x in layouts if x.frames * x.frame_bytes == file.size), None)
    if fitting is None:
        wanted = " or ".join(str(x.frames * x.frame_bytes) for x in layouts)
        raise DamagedFileError(
            file.path,
            expected=f"{wanted} bytes: {frames} frames of {height} x {width} pixels of {bits} bits by "
            f"{header.path.name}",
            found=f"{file.size} bytes, {file.size / layouts[0].frame_bytes:.6g} frames",
            hint=f"copy both files again from the original, {header.path.name} can be of another recording",
        )
    check_frames(frames, header.path)
    return fitting


def _rounded(first: Fraction, step: Fraction, count: int) -> list[int]:
    """``first + i * step`` as the nearest integers; in integers, which takes a tenth of the time of fractions."""
    unit = 2 * first.denominator * step.denominator
    start = int(first * unit) + unit // 2
    return [x // unit for x in range(start, start + int(step * unit) * count, int(step * unit))]


def _clock(header: CihHeader) -> tuple[Clock, tuple[XFusionWarning, ...]]:
    """The clock by record rate, save step and start frame."""
    count, found = header.number("frames", 1), header.clock
    if found is not None:
        step, start = found[0] * PICOSECONDS, found[1]
        first = start * step / header.number("step", 1, 1)
        times = _rounded(first, step, count) if step >= 1 else []
        if times and times[-1] - times[0] <= LONGEST:
            return Clock.model_construct(times_ps=tuple(times), source="rate", uncertainty_ps=None), ()
    rate = header.texts.get("rate", "")[:40]
    text = (
        f"Its header gives no frame rate ({_FIELDS['rate'][0]} is {rate!r}); times are unknown. "
        "Correct it there, or give the HR frames in LR frame numbers."
    )
    return Clock.regular(count), (XFusionWarning("unsure-times", text, str(header.path)),)

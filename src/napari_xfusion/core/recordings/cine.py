"""Phantom .cine files: grey, of 8 to 16 bits or packed, with the time of each frame.

Cine File Format manual 13.8.804.6 (Vision Research, 2023). All places are checked when the file is opened; reading a
frame reads its bytes only. Fields of the SETUP block exist up to the length that it states: old files end early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import LONGEST, PICOSECONDS, Clock
from napari_xfusion.core.recordings.packed import P10, packed_bytes, unpack
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.sidecar import Sidecar, check_count
from napari_xfusion.core.recordings.source import FileBytes, check_frames, damaged, digest_files, told
from napari_xfusion.core.recordings.stamps import stamped
from napari_xfusion.core.types import CameraFacts, Metadata, Region, Stack
from napari_xfusion.errors import InputError, XFusionWarning

_LEAST = 44 + 40 + 808
"""Bytes of the three blocks of a header."""
_MOST_ANNOTATION = 1 << 16
"""Bytes before a frame's pixels; 8 in all files that are known."""
_TIMES, _EXPOSURES, _OLD_TIMES = 1002, 1003, 1001
"""Types of the tagged blocks: one TIME64 or exposure per saved frame, one TIME64 per recorded frame."""
_FLAGS = 3
"""The lowest bits of TIME64: 1 where no time code is locked, 2 where the event input is open."""


_HEADER, _BITMAP = struct.Struct("<2sHHHiIiIIIIQ"), struct.Struct("<IiiHHIIiiII")


class _Header(NamedTuple):
    """CINEFILEHEADER."""

    mark: bytes
    size: int
    compression: int
    version: int
    first_recorded: int
    recorded: int
    first: int
    frames: int
    bitmap: int
    setup: int
    places: int
    trigger: int


class _Bitmap(NamedTuple):
    """BITMAPINFOHEADER."""

    size: int
    width: int
    height: int
    planes: int
    bits: int
    packing: int
    frame_bytes: int
    x_per_metre: int
    y_per_metre: int
    used: int
    levels: int


@dataclass(frozen=True)
class _Packing:
    """How pixels are stored."""

    bits: int
    """Of a stored pixel."""
    bottom_up: bool
    table: NDArray[np.uint16] | None = None
    """The grey value of each stored one, where that differs."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)


_PACKINGS = {
    (8, 0): _Packing(8, bottom_up=True),
    (16, 0): _Packing(16, bottom_up=True),
    (16, 256): _Packing(10, bottom_up=False, table=P10),
    (16, 1024): _Packing(12, bottom_up=False),
}
"""By biBitCount and biCompression. The manual also allows 8 bits with packed pixels; none is known."""
_FIELDS = {
    "mark": (140, "2s"),
    "length": (142, "H"),
    "columns": (737, "H"),
    "rows": (739, "H"),
    "serial": (743, "H"),
    "flip_h": (756, "I"),
    "flip_v": (760, "I"),
    "rate": (768, "I"),
    "camera_version": (792, "I"),
    "cfa": (808, "I"),
    "rotate": (884, "i"),
    "bits": (896, "I"),
    "black_version": (1028, "I"),
    "white_version": (1032, "I"),
    "session": (1504, "I"),
    "shutter_ns": (1568, "I"),
    "edr_ns": (1572, "I"),
    "acquired": (1580, "4I"),
    "black": (5732, "I"),
    "white": (5736, "I"),
    "model": (10128, "256s"),
    "decimation": (10388, "f"),
    "exact_rate": (10400, "d"),
}
"""Offset in SETUP and type of the fields that are used. ``Decimation`` at 1556 is not among them: files with 3
there have frames at the full rate."""


class _Setup:
    """The SETUP block."""

    def __init__(self, file: FileBytes, start: int) -> None:
        head = file.read(start, 144)
        self._data = head
        mark, length = self["mark"], int(self["length"])
        if mark != b"ST" or length < _LEAST - 84:
            raise damaged(file.path, "a SETUP block", f"the mark {mark!r} and {length} bytes")
        self._data, self.end = file.read(start, length), start + length

    def __getitem__(self, name: str) -> Any:
        """A field; None where the block ends before it."""
        offset, kind = _FIELDS[name]
        fits = offset + struct.calcsize("<" + kind) <= len(self._data)
        values = struct.unpack_from("<" + kind, self._data, offset) if fits else (None,)
        return values[0] if len(values) == 1 else values


def open_cine(path: Path, _options: Options) -> Stack:
    """Open a .cine as a Stack of uint8 or uint16, values as stored; P10, which is companded, is made linear.

    Times are those of the time stamps relative to the trigger; whether a stamp is the start or the end of the exposure
    is not documented. Where there are none, the frame rate gives times from the first frame. Raises InputError where
    the file is damaged, cut, in colour or compressed.
    """
    with told(path, "a Phantom cine"):
        file = FileBytes(path)
        header, bitmap, setup = _head(file)
        packing = _packing(header, bitmap, setup, path)
        places = _places(file, header, bitmap, packing)
        clock, camera, warnings = _facts(file, header, bitmap, setup, packing, end=header.places)
    shape = (bitmap.height, bitmap.width)

    def read(i: int) -> NDArray[Any]:
        with told(f"{path} frame {i}", f"a frame {shape} of {packing.dtype}"):
            return _read(file, int(places[i]), shape, packing)

    return Stack(
        shape=(header.frames, *shape),
        dtype=packing.dtype,
        read=read,
        digest=digest_files([path], names=False),
        source=str(path),
        clock=clock,
        metadata=Metadata(camera=camera, warnings=warnings),
    )


def read_chd(path: Path, _data: bytes, frames: int) -> Sidecar:
    """Times and camera by a .chd: the header of a .cine whose ``frames`` frames were exported to another format.

    Raises InputError where it is damaged or describes another number of frames.
    """
    file = FileBytes(path)
    header, bitmap, setup = _head(file)
    check_count(path, header.frames, frames)
    end = header.places if setup.end < header.places <= file.size else file.size
    clock, camera, warnings = _facts(file, header, bitmap, setup, _PACKINGS[16, 0], end=end)
    camera = replace(camera, bits=None, black=None, white=None)  # an export may have scaled the values
    return Sidecar(path, clock, camera, warnings)


def _head(file: FileBytes) -> tuple[_Header, _Bitmap, _Setup]:
    if file.size < _LEAST:
        raise damaged(file.path, "a Phantom cine", f"{file.size} bytes")
    header = _Header(*_HEADER.unpack(file.read(0, _HEADER.size)))
    bitmap = _Bitmap(*_BITMAP.unpack(file.read(header.bitmap, _BITMAP.size)))
    return header, bitmap, _Setup(file, header.setup)


def _packing(header: _Header, bitmap: _Bitmap, setup: _Setup, where: Path) -> _Packing:
    """How pixels are stored; raises InputError where that is colour, compressed or unknown."""
    if header.compression == 1:
        raise _refused(where, "JPEG-compressed frames")
    if header.compression == 2 or setup["cfa"] or bitmap.bits in (24, 48):
        raise _refused(where, "a recording in colour")
    packing = _PACKINGS.get((bitmap.bits, bitmap.packing))
    if header.compression or packing is None:
        found = f"compression {header.compression}, biBitCount {bitmap.bits}, biCompression {bitmap.packing}"
        raise _refused(where, found)
    return packing


def _refused(where: Path, found: str) -> InputError:
    return InputError(
        where,
        expected="grey frames of 8, 10, 12, 14 or 16 bits",
        found=found,
        hint="save it in Phantom Camera Control (PCC) as grey TIFF of 16 bits",
    )


def _places(file: FileBytes, header: _Header, bitmap: _Bitmap, packing: _Packing) -> NDArray[np.int64]:
    """(T,) places of the frames, which must lie in the file without overlap and leave no space for another one."""
    pixels = bitmap.height * bitmap.width
    check_frames(header.frames, file.path)
    if bitmap.height < 1 or bitmap.width < 1:
        raise damaged(file.path, "frames of one pixel at least", f"{bitmap.height} x {bitmap.width}")
    size = packed_bytes(pixels, packing.bits)
    if bitmap.frame_bytes != size:
        raise damaged(
            file.path,
            f"{size} bytes for {bitmap.height} x {bitmap.width} pixels of {packing.bits} bits",
            f"biSizeImage {bitmap.frame_bytes}",
        )
    if header.version > 1 or header.frames < 1:
        raise damaged(file.path, "frames in version 0 or 1", f"{header.frames} in version {header.version}")
    kind = np.dtype("<u8" if header.version else "<u4")
    most = (file.size - header.places) // (size + 8 + kind.itemsize)
    if header.frames > most:
        raise damaged(file.path, f"{header.frames} frames as it declares", f"bytes for {max(most, 0)}")
    table = np.frombuffer(file.read(header.places, header.frames * kind.itemsize), kind)
    start = header.places + table.nbytes
    ordered = np.sort(table)
    if ordered[0] < start or ordered[-1] > file.size - size - 8:
        raise damaged(
            file.path, f"frames from {start} to {file.size}", f"places {ordered[0]} to {ordered[-1]}"
        )
    places = ordered.astype(np.int64)
    ends = places + size + 8
    gaps = np.append(places, file.size) - np.insert(ends, 0, start)
    if gaps.min() < 0:
        raise damaged(file.path, "frames with bytes of their own", "two that share bytes")
    if gaps.max() >= size + 8:
        text = f"bytes for {header.frames + int(gaps.max() // (size + 8))}"
        raise damaged(file.path, f"bytes for as many frames as it declares, {header.frames}", text)
    for place in (places[0], places[-1]):
        _pixels(file, int(place), size)
    return table.astype(np.int64)


def _pixels(file: FileBytes, place: int, size: int) -> int:
    """Where the pixels of the frame at ``place`` begin, after its annotation."""
    length = int.from_bytes(file.read(place, 4), "little")
    if not 8 <= length <= _MOST_ANNOTATION:
        raise damaged(file.path, "a frame with its annotation", f"an annotation of {length} bytes")
    found = int.from_bytes(file.read(place + length - 4, 4), "little")
    if found != size:
        raise damaged(file.path, f"a frame of {size} bytes", f"one of {found} bytes")
    return place + length


def _read(file: FileBytes, place: int, shape: tuple[int, int], packing: _Packing) -> NDArray[Any]:
    """The frame whose annotation begins at ``place``, (H, W), the highest row first."""
    count = shape[0] * shape[1]
    size = packed_bytes(count, packing.bits)
    start = _pixels(file, place, size)
    if packing.bottom_up:
        image = np.empty(shape, packing.dtype.newbyteorder("<"))
        file.read_into(image.reshape(-1).view(np.uint8).data, start)
        return image.astype(packing.dtype, copy=False)[::-1]
    data = memoryview(bytearray(size))
    file.read_into(data, start)
    return unpack(data, packing.bits, count, packing.table).reshape(shape)


def _facts(
    file: FileBytes, header: _Header, bitmap: _Bitmap, setup: _Setup, packing: _Packing, *, end: int
) -> tuple[Clock, CameraFacts, tuple[XFusionWarning, ...]]:
    """The clock, what is known of the camera, and what is odd; tagged blocks are before ``end``."""
    path = file.path
    tags = dict(_tags(file, setup.end, end))
    stamps = _stamps(tags, header)
    fallback = Clock.regular(header.frames, _interval(setup))
    clock, odd, apart = fallback, list(_setup_warnings(setup, packing, path)), ""
    if stamps is None:
        odd.append(_no_stamps(fallback, setup, path))
    else:
        since, apart = _since_trigger(stamps, header)
        clock, warnings = stamped(since, fallback, path)
        odd += [*warnings, *_compare(clock, fallback, path)]
        odd += [XFusionWarning("unset-clock", apart, str(path))] if apart else []
    levels = [None if x is None else int(x) for x in (setup["black"], setup["white"])]
    if packing.table is not None:
        levels = [None if x is None else int(packing.table[min(x, 1023)]) for x in levels]
    camera = CameraFacts(
        name=_model(setup),
        serial=str(setup["serial"]) if setup["serial"] else None,
        bits=_bits(setup, bitmap, packing),
        exposure_ns=_exposure(tags, setup, header.frames),
        black=levels[0],
        white=levels[1],
        pitch=_pitch(bitmap),
        first_number=header.first,
        started=None if stamps is None else ((stamps[0] & ~_FLAGS) * PICOSECONDS) >> 32,
        events=() if stamps is None else _events(stamps),
        locked=None if stamps is None else not bool(stamps[0] & 1),
        from_trigger=clock.source == "stamps" and not apart,
        timing=_TIMING[clock.source],
        corrected=_corrected(setup),
    )
    return clock, camera, tuple(odd)


_TIMING = {
    "stamps": "time stamps of the frames, relative to the trigger; start or end of the exposure is not documented",
    "rate": "the frame rate of the header, from the first frame on",
    "none": "",
}


def _tags(file: FileBytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of the tagged blocks; what follows an impossible one is not read."""
    while start + 8 <= end:
        size, kind, _ = struct.unpack("<IHH", file.read(start, 8))
        if size < 8 or start + size > end:
            return
        yield kind, file.read(start + 8, size - 8)
        start += size


def _stamps(tags: dict[int, bytes], header: _Header) -> list[int] | None:
    """TIME64 of each frame; None where the file has none."""
    for kind, skipped, count in (
        (_TIMES, 0, header.frames),
        (_OLD_TIMES, header.first - header.first_recorded, header.recorded),
    ):
        found = tags.get(kind, b"")
        if len(found) == 8 * count and 0 <= skipped <= count - header.frames:
            stamps = np.frombuffer(found, "<u8")[skipped : skipped + header.frames].tolist()
            return stamps if any(stamps) else None
    return None


def _since_trigger(stamps: list[int], header: _Header) -> tuple[list[int], str]:
    """Picoseconds from the trigger, from the first frame where the trigger is years away; and a text that says so."""
    origin = header.trigger & ~_FLAGS
    middle = sorted(stamps)[len(stamps) // 2] & ~_FLAGS
    days = abs(middle - origin) / 2**32 / 86_400
    apart = ""
    if abs(middle - origin) * PICOSECONDS >> 32 > LONGEST:
        apart = f"The trigger time is {days:.0f} days from the times of the frames; these count from the first frame."
        origin = stamps[0] & ~_FLAGS
    return [((x & ~_FLAGS) - origin) * PICOSECONDS + (1 << 31) >> 32 for x in stamps], apart


def _events(stamps: list[int]) -> tuple[int, ...]:
    """Frames at which the event input closes."""
    closed = (np.array(stamps, np.uint64) & np.uint64(2)) == 0
    return tuple(np.flatnonzero(closed & ~np.insert(closed[:-1], 0, False)).tolist())


def _interval(setup: _Setup) -> float | None:
    """Seconds between saved frames by the header: the rate is that of recording, of which some frames are saved."""
    rate = setup["exact_rate"] or setup["rate"]
    factor = setup["decimation"] or 1.0
    known = rate is not None and 0 < rate < 1e12 and 1 <= factor < 1e9
    return factor / rate if known else None


def _compare(clock: Clock, header: Clock, where: Path) -> Iterator[XFusionWarning]:
    """A warning where frame times contradict the frame rate of the header."""
    if clock.source != "stamps" or clock.interval is None or header.interval is None:
        return
    usual = float(np.median(np.diff(clock.since_start))) / PICOSECONDS
    if not 0.95 < usual / header.interval < 1.05:
        text = f"Its time stamps give {1 / usual:.6g} frames a second, its header {1 / header.interval:.6g}."
        yield XFusionWarning("frame-rate", text, str(where))


def _no_stamps(fallback: Clock, setup: _Setup, where: Path) -> XFusionWarning:
    rate = setup["exact_rate"] or setup["rate"] or 0
    instead = (
        "its frame rate gives the times"
        if fallback.known
        else f"its times are unknown, as its frame rate is {rate:g}. Save it again in PCC with the time stamps"
    )
    return XFusionWarning("unsure-times", f"It has no time stamps; {instead}.", str(where))


def _setup_warnings(setup: _Setup, packing: _Packing, where: Path) -> Iterator[XFusionWarning]:
    if packing.table is not None:
        text = "Its values (P10) are companded to 10 bits; they are read as linear values of 12 bits."
        yield XFusionWarning("linearised", text, str(where))
    turned = [name for name in ("flip_h", "flip_v", "rotate") if setup[name]]
    if turned:
        named = ", ".join({"flip_h": "bFlipH", "flip_v": "bFlipV", "rotate": "Rotate"}[x] for x in turned)
        text = f"Its header sets {named}: a viewer may show it flipped or turned. It is read as stored."
        yield XFusionWarning("orientation", text, str(where))
    if 0 < (setup["edr_ns"] or 0) < (setup["shutter_ns"] or 0):
        text = f"It was recorded with extended dynamic range ({setup['edr_ns']} ns): bright greys are not linear."
        yield XFusionWarning("dynamic-range", text, str(where))

    left, top, columns, rows = setup["acquired"] or (0, 0, 0, 0)
    image, frame = Region(top, top + rows, left, left + columns), (setup["rows"], setup["columns"])
    inside = image.holds_pixels and image.bottom <= frame[0] and image.right <= frame[1]
    if inside and image.shape != frame:
        text = f"Its frames have a border with text: the image is rows and columns {image}."
        yield XFusionWarning("border", text, str(where))


_SESSION = ((1, "black_version", "black reference"), (2, "white_version", "white calibration"))
"""Bits of CICalib, a calibration of the current session (CSR); the field with the version of one by the maker."""


def _corrected(setup: _Setup) -> str:
    """What the camera corrected, in words; of the current session or not, because the two give other values."""
    session, found = setup["session"] or 0, []
    for bit, version, name in _SESSION:
        if session & bit:
            found.append(f"{name} of the session (CSR)")
        elif setup[version]:
            found.append(name)
    return ", ".join(found)


def _model(setup: _Setup) -> str | None:
    named = (setup["model"] or b"").split(b"\0")[0].decode("latin-1").strip()
    if named and named.isprintable():
        return str(named)
    version = setup["camera_version"]
    return f"Phantom, camera version {version}" if version else None


def _bits(setup: _Setup, bitmap: _Bitmap, packing: _Packing) -> int | None:
    """Bits with grey of a stored value, by SETUP, or by the number of levels."""
    found = setup["bits"] or max(0, bitmap.levels - 1).bit_length()
    return int(found) if 0 < found <= packing.bits else None


def _exposure(tags: dict[int, bytes], setup: _Setup, frames: int) -> int | None:
    """Nanoseconds, the median of the frames' exposures, else the shutter's setting."""
    found = tags.get(_EXPOSURES, b"")
    if len(found) == 4 * frames:
        middle = float(np.median(np.frombuffer(found, "<u4")))
        if middle > 0:
            return round(middle * 1e9 / 2**32)
    return int(setup["shutter_ns"]) if setup["shutter_ns"] else None


def _pitch(bitmap: _Bitmap) -> float | None:
    """Micrometres of the sensor's pixels."""
    square = bitmap.x_per_metre == bitmap.y_per_metre > 0
    return round(1e6 / bitmap.x_per_metre, 3) if square else None

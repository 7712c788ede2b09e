"""Synthetic files of cameras, written from the formats' specifications, and the place of real ones."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

ORIGINALS = Path(__file__).parent / "core" / "recordings" / "cameras"
"""Files of cameras that are part of the repository."""
SHARED = Path(__file__).parents[2] / "shared" / "data" / "cameras"
"""More of them, which are not."""

SECOND = 1 << 32
"""Of TIME64."""
SETUP = {
    140: ("2s", b"ST"),
    743: ("H", 4711),
    768: ("I", 1000),
    896: ("I", 12),
    1568: ("I", 9_000),
    5732: ("I", 64),
    5736: ("I", 4064),
    10128: ("13s", b"Phantom v2012"),
    10388: ("f", 1.0),
    10400: ("d", 1000.0),
}
"""Offset, type and value of fields of the SETUP block."""


def packed(values: np.ndarray, bits: int) -> bytes:
    """Values in a row without gaps, high bits first."""
    digits = (np.asarray(values, np.uint32).reshape(-1, 1) >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.astype(np.uint8)).tobytes()


def cine_pixels(frame: np.ndarray, packing: str) -> bytes:
    """The pixels of a frame as a .cine has them: "8", "16", "p10" (stored values) or "p12l"."""
    if packing in ("p10", "p12l"):
        return packed(frame, int(packing[1:3]))
    return np.ascontiguousarray(frame[::-1], "u1" if packing == "8" else "<u2").tobytes()


def write_cine(
    path: Path,
    frames: np.ndarray,
    packing: str = "16",
    *,
    version: int = 1,
    length: int = 10412,
    setup: Mapping[int, tuple[str, object]] | None = None,
    stamps: Sequence[int] | None = (),
    trigger: int = 1_600_000_000 * SECOND,
    exposures: Iterable[int] = (),
    compression: int = 0,
    bitmap: Mapping[int, int] | None = None,
    annotation: int = 8,
    first: int = -2,
) -> Path:
    """Write a .cine after the manual. ``stamps`` are TIME64, a millisecond apart from the trigger on where it is
    empty, absent where it is None; ``setup`` and ``bitmap`` (by index) change fields.
    """
    T, H, W = frames.shape
    block = bytearray(length)
    for offset, (kind, value) in {**SETUP, **(setup or {}), 142: ("H", length)}.items():
        if offset + struct.calcsize("<" + kind) <= length:
            struct.pack_into("<" + kind, block, offset, *(value if isinstance(value, tuple) else (value,)))
    times = [trigger + i * SECOND // 1000 | 3 for i in range(T)] if stamps == () else stamps
    tags = b"" if times is None else struct.pack(f"<IHH{T}Q", 8 + 8 * T, 1002, 1, *times)
    each = list(exposures)
    tags += struct.pack(f"<IHH{len(each)}I", 8 + 4 * len(each), 1003, 1, *each) if each else b""
    data = [cine_pixels(frame, packing) for frame in frames]
    bits, kind = {"8": (8, 0), "16": (16, 0), "p10": (16, 256), "p12l": (16, 1024)}[packing]
    fields = [40, W, H, 1, bits, kind, len(data[0]), 35714, 35714, 0, 4096]
    for index, value in (bitmap or {}).items():
        fields[index] = value
    places = 84 + length + len(tags)
    wide = 8 if version else 4
    begin = places + wide * T
    offsets = [begin + i * (len(data[0]) + annotation) for i in range(T)]
    head = (b"CI", 44, compression, version, -100, 1000, first, T, 44, 84, places, trigger)
    before = struct.pack("<I", annotation) + bytes(annotation - 8) + struct.pack("<I", len(data[0]))
    path.write_bytes(
        struct.pack("<2sHHHiIiIIIIQ", *head)
        + struct.pack("<IiiHHIIiiII", *fields)
        + bytes(block)
        + tags
        + struct.pack(f"<{T}{'Q' if version else 'I'}", *offsets)
        + b"".join(before + x for x in data)
    )
    return path


def write_b16(path: Path, frame: np.ndarray, *, header: int = 1024, colour: int = 0) -> Path:
    """Write a PCO .b16, as the one of a camera: a header of 1024 bytes and the pixels."""
    H, W = frame.shape
    head = struct.pack("<4siiiiii", b"PCO-", header + 2 * H * W, header, W, H, -1, colour)
    path.write_bytes(head.ljust(header, b"\0") + frame.astype("<u2").tobytes())
    return path


CIH = {
    "Date": "2016/4/21",
    "Camera Type": "FASTCAM SA-Z",
    "Record Rate(fps)": "60000",
    "Shutter Speed(s)": "1/800000",
    "Total Frame": "{T}",
    "Start Frame": "-3",
    "Save Step": "36",
    "Image Width": "{W}",
    "Image Height": "{H}",
    "Color Type": "Mono",
    "Color Bit": "{bits}",
    "EffectiveBit Depth": "12",
    "EffectiveBit Side": "Lower",
    "Shutter Type2(nsec)": "1250",
    "Shading": "Off",
}
CIHX = """<?xml version='1.0' encoding='UTF-8'?>
<cih><imageDataInfo><resolution><width>{W}</width><height>{H}</height></resolution><colorInfo><type>Mono</type>
<bit>{bits}</bit></colorInfo><effectiveBit><depth>12</depth><side>Lower</side></effectiveBit></imageDataInfo>
<frameInfo><totalFrame>{T}</totalFrame><startFrame>-3</startFrame><skipFrame>36</skipFrame></frameInfo><recordInfo>
<recordRate>60000</recordRate><shutterSpeedNsec>1250</shutterSpeedNsec></recordInfo><deviceInfo>
<deviceName>FASTCAM SA-Z</deviceName></deviceInfo></cih>"""


def write_mraw(
    path: Path,
    frames: np.ndarray,
    bits: int,
    *,
    header: str = ".cih",
    padding: int = 1,
    **changes: str | None,
) -> Path:
    """Write frames as .mraw with rows that end at multiples of ``padding`` bytes, and their header beside them.

    ``changes`` are other values of the header's keys, None for an absent key; spaces and brackets are omitted.
    """
    T, H, W = frames.shape
    sizes = {"T": T, "H": H, "W": W, "bits": bits}
    if bits in (8, 16):
        data = frames.astype(f"<u{bits // 8}").tobytes()
    elif padding == 1:
        data = b"".join(packed(frame, bits) for frame in frames)
    else:
        rows = [packed(row, bits) for frame in frames for row in frame]
        data = b"".join(row + bytes(-len(row) % padding) for row in rows)
    path.write_bytes(data)
    if header == ".cihx":
        text = "!!! This file can not be edited. !!!" + "\0" * 220 + CIHX.format(**sizes) + "\0\xff"
        path.with_suffix(".cihx").write_bytes(text.encode("latin-1"))
        return path
    plain = {key: "".join(x for x in key if x.isalnum()) for key in CIH}
    values = {key: changes.get(plain[key], value) for key, value in CIH.items()}
    lines = [f"{key} : {value.format(**sizes)}" for key, value in values.items() if value is not None]
    text = "\r\n".join(["#Camera Information Header", *lines, "", "Image Width : 7", ""])
    path.with_suffix(".cih").write_bytes(text.encode())
    return path


def write_ini(path: Path, times: Sequence[int], *, frames: int | None = None, **changes: str) -> Path:
    """Write a Shimadzu .ini, ``times`` in nanoseconds; ``changes`` are other values of [REC_INFO]."""
    recording = {
        "RecModeUI": "HP",
        "RecFrame": str(len(times) if frames is None else frames),
        "RecSpeed": "10,000 ns",
        "RecExpose": "300 ns",
        "TriggerDelay": "500 ns",
        **changes,
    }
    lines = ["[SYSTEM]", "Comment=100% full", "[PLAY_INFO]", "Gamma=1.0", "[REC_INFO]"]
    lines += [f"{key}={value}" for key, value in recording.items()]
    for number, time in enumerate(times, 1):
        lines += [f"[IMAGE_INFO_{number}]", f"ImageRelative={time:,} ns"]
    path.write_bytes("\r\n".join(lines).encode())
    return path


def write_hpvx(path: Path, frames: np.ndarray, *, period: str = "10000", exposure: str = "300") -> Path:
    """Write a Shimadzu .dat, as three programs read it: blocks of a tag, the number of values and these."""
    blocks = [(b"\x30\x30\x07\x30", period.encode()), (b"\x30\x30\x08\x30", exposure.encode())]
    head = b"".join(tag + bytes(2) + struct.pack("<I", len(text)) + bytes(4) + text for tag, text in blocks)
    pixels = frames[:, ::-1].astype("<i2").tobytes()
    tag = b"\xa0\xa0\x01\xa0" + bytes(2) + struct.pack("<I", frames.size) + bytes(4)
    path.write_bytes(bytes(70) + head + tag + pixels)
    return path

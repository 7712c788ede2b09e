"""Pixels without a header (name.raw), described by a text file of the same name (name.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from napari_xfusion.core.clock import LONGEST, PICOSECONDS, Clock
from napari_xfusion.core.recordings.packed import packed_bytes, unpack
from napari_xfusion.core.recordings.readers import RAW_ENDINGS, Options
from napari_xfusion.core.recordings.source import FileBytes, check_frames, digest_files, told
from napari_xfusion.core.types import CameraFacts, Metadata, Stack
from napari_xfusion.core.value import Value
from napari_xfusion.errors import DamagedFileError, InputError

_MOST = 1 << 20
_PACKED = {"packed10": 10, "packed12": 12}
Count = Annotated[int, Field(ge=1, le=10**9)]
Bytes = Annotated[int, Field(ge=0, le=2**50)]


class RawDescription(Value):
    """The content of the .toml file."""

    width: Count
    height: Count
    dtype: Literal[
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "float32",
        "float64",
        "packed10",
        "packed12",
    ]
    """packed10 and packed12 are pixels without gaps, high bits first."""
    frames: Count | None = None
    """As many as the file has, where it is absent."""
    offset: Bytes = 0
    """Bytes before the first frame."""
    gap: Bytes = 0
    """Bytes between two frames."""
    byte_order: Literal["little", "big"] = "little"
    bottom_up: bool = False
    """Whether the first row is the lowest."""
    bits: Annotated[int, Field(ge=1, le=32)] | None = None
    frame_rate: Annotated[float, Field(gt=1e-6, lt=1e12)] | None = None
    """Frames per second."""
    first_ns: Annotated[int, Field(ge=-(10**18), le=10**18)] = 0
    """Time of the first frame in nanoseconds, from the trigger for instance."""
    exposure_ns: Count | None = None
    pixel_size_um: Annotated[float, Field(gt=0, lt=1e9)] | None = None
    camera: str | None = None
    serial: str | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype of a frame in the file; uint16 of packed pixels."""
        name = "uint16" if self.dtype in _PACKED else self.dtype
        return np.dtype(name).newbyteorder("<" if self.byte_order == "little" else ">")

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame without the gap after it."""
        pixels = self.height * self.width
        return (
            packed_bytes(pixels, _PACKED[self.dtype])
            if self.dtype in _PACKED
            else pixels * self.stored.itemsize
        )

    def count(self, size: int) -> int | None:
        """Frames in a file of ``size`` bytes, None where it does not end with a frame or the gap after it."""
        step = self.frame_bytes + self.gap
        rest = size - self.offset
        found = next((n // step for n in (rest, rest + self.gap) if n > 0 and n % step == 0), None)
        return found if self.frames in (None, found) else None

    def clock(self, frames: int) -> Clock:
        """Times of the frames."""
        regular = Clock.regular(frames, None if self.frame_rate is None else 1 / self.frame_rate)
        if self.frame_rate is None or not regular.known:
            return regular
        step = PICOSECONDS / self.frame_rate
        if step * frames > LONGEST:
            return regular
        times = tuple(self.first_ns * 1000 + t for t in regular.times_ps)
        return Clock.model_construct(times_ps=times, source="rate", uncertainty_ps=None)


def open_raw(path: Path, _options: Options) -> Stack:
    """Open raw pixels by their file or its description as a Stack; raises InputError where the two do not fit."""
    frames_file, text_file = _pair(path)
    said = read_description(text_file)
    with told(path, "raw pixels as described"):
        file = FileBytes(frames_file)
        frames = said.count(file.size)
    if frames is None:
        step = said.frame_bytes + said.gap
        wanted = f"{said.frames} frames" if said.frames else "complete frames"
        raise DamagedFileError(
            frames_file,
            expected=f"{wanted} of {said.frame_bytes} bytes by {text_file.name}",
            found=f"{file.size} bytes, {max(file.size - said.offset, 0) / step:.6g} frames",
            hint=f"correct {text_file.name}, or copy the frames again from the original",
        )
    check_frames(frames, text_file)
    dtype = said.stored.newbyteorder("=")

    def read(i: int) -> NDArray[Any]:
        with told(f"{frames_file} frame {i}", f"a frame {said.shape} of {dtype}"):
            image = _read(file, said, i)
            return image[::-1] if said.bottom_up else image

    return Stack(
        shape=(frames, *said.shape),
        dtype=dtype,
        read=read,
        digest=digest_files([frames_file, text_file], names=False),
        source=str(path),
        clock=said.clock(frames),
        pixel_size=said.pixel_size_um,
        metadata=Metadata(
            camera=CameraFacts(
                name=said.camera,
                serial=said.serial,
                bits=said.bits or _PACKED.get(said.dtype),
                exposure_ns=said.exposure_ns,
                timing="" if said.frame_rate is None else f"frame_rate and first_ns of {text_file.name}",
            )
        ),
    )


def read_description(path: Path) -> RawDescription:
    """Read a .toml that describes raw pixels; raises InputError that names the field which is wrong."""
    hint = "write width, height and dtype as the page Cameras describes"
    with told(path, "a description of raw pixels"):
        file = FileBytes(path)
        data = file.read(0, min(file.size, _MOST)).decode("utf-8-sig", "replace")
    try:
        return RawDescription.model_validate(tomllib.loads(data))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(path, expected="TOML", found=str(error), hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        field, given = ".".join(map(str, first["loc"])), first["input"]
        value = f" = {str(given)[:40]}" if isinstance(given, str | int | float) else ""
        raise InputError(path, problem=f"{field}{value}: {first['msg']}", hint=hint) from error


def _pair(path: Path) -> tuple[Path, Path]:
    """The files of frames and description; raises InputError where the other one is missing."""
    if path.suffix.lower() != ".toml":
        return path, path.with_suffix(".toml")
    frames = next((x for x in map(path.with_suffix, RAW_ENDINGS) if x.is_file()), None)
    if frames is None:
        named = " or ".join(path.with_suffix(x).name for x in RAW_ENDINGS)
        hint = "copy the frames to the same folder, under the same name"
        raise InputError(path, expected=f"{named} next to it", found="no such file", hint=hint)
    return frames, path


def _read(file: FileBytes, said: RawDescription, i: int) -> NDArray[Any]:
    """Frame ``i`` in the order of the file."""
    place = said.offset + i * (said.frame_bytes + said.gap)
    if said.dtype in _PACKED:
        data = memoryview(bytearray(said.frame_bytes))
        file.read_into(data, place)
        return unpack(data, _PACKED[said.dtype], said.height * said.width).reshape(said.shape)
    image = np.empty(said.shape, said.stored)
    file.read_into(image.reshape(-1).view(np.uint8).data, place)
    return image.astype(said.stored.newbyteorder("="), copy=False)

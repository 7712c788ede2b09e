"""A run as a value: what was asked for, checked once, saved as JSON next to every output.

A plan knows no data and no fuser; pairing reports whether it fits two stacks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from napari_xfusion.core.calibration import Calibration, ClockFit
from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.types import Region
from napari_xfusion.core.value import Value
from napari_xfusion.errors import InputError, PairingError, XFusionError, reason_of

GreyRule = Literal["match", "percentile", "none"]
Flaw = Literal[
    "frames", "pixels", "brightness", "shading", "response", "pattern", "shift", "turn", "scale", "time"
]
"""What pairing looks for and can correct."""
MISFITS: tuple[Flaw, ...] = ("shift", "turn", "scale", "time")
"""What it corrects where that is asked for only: where LR lies on HR, and HR times."""
FLAWS: tuple[Flaw, ...] = tuple(flaw for flaw in get_args(Flaw) if flaw not in MISFITS)
"""What it corrects by default."""
MENDED_BY: dict[str, tuple[Flaw, ...]] = {"misplaced": ("shift", "turn", "scale"), "delayed": ("time",)}
"""By code of a warning, what corrects it."""


def _in_order(flaws: tuple[Flaw, ...]) -> tuple[Flaw, ...]:
    """Each once, so that equal plans are equal."""
    return tuple(flaw for flaw in get_args(Flaw) if flaw in flaws)


def _known(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"Input should be {', '.join(METHODS)}")
    return name


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError("Input should be auto, cpu, cuda, cuda:N for GPU number N, or mps")
    return name


DeviceName = Annotated[str, AfterValidator(_device)]
"""``auto``, ``cpu``, ``mps``, ``cuda`` (the first NVIDIA GPU) or ``cuda:N``."""
MethodName = Annotated[str, AfterValidator(_known)]
"""The name of a method in the catalogue."""
Nanoseconds = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
"""At most 11 days."""
M = TypeVar("M", bound=BaseModel)
_UNIT = re.compile(
    r"(?<![a-z])(s|secs?|seconds?|[mnuµμ]s|msec|milliseconds?|microseconds?|min|minutes?)(?![a-z])",
    re.IGNORECASE,
)
"""A unit of time in a header such as "time [s]"."""


class Plan(Value):
    """How two stacks become one; frozen, and enough to repeat a run.

    HR times come from ``hr_times``, from ``hr_step``, from the clock of ``calibration``, or from the HR file's own
    metadata; never from a guess. HR frame k lies at LR frame ``hr_start + k * hr_step``. ``lr_time_offset`` and
    ``hr_time_offset`` move them.
    """

    method: MethodName = DEFAULT_METHOD
    """How to fuse."""
    model: str | None = None
    """Name or file of a network's weights; the bundled ones of the method when None."""
    hr_times: tuple[float, ...] | None = None
    """Times of the HR frames in LR frame numbers."""
    hr_step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """LR frames from one HR frame to the next; may be a fraction."""
    hr_start: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """LR frame of the first HR frame, with ``hr_step``."""
    lr_time_offset: Nanoseconds = 0.0
    """Nanoseconds to add to the times of the LR frames: to the centre of the exposure, for a delay of the trigger."""
    hr_time_offset: Nanoseconds = 0.0
    """Nanoseconds to add to the times of the HR frames, wherever these come from."""
    separation: Annotated[int, Field(ge=1)] = 1
    """LR frames from one of the three LR inputs to the next (paper, D5)."""
    frames: tuple[int, int] | None = None
    """Targets A..B-1; every LR frame when None."""
    region: Region | None = None
    """The rectangle of HR pixels to fuse; all of ``extent`` when None."""
    calibration: Calibration | None = None
    """The rig file: where LR lies on HR. When None both show the same field, and the sizes of the frames tell."""
    extent: Literal["overlap", "hr"] = "overlap"
    """Of the results where a rig file is given: the HR pixels that LR sees, or complete HR frames."""
    grey: GreyRule = "match"
    """One grey scale: LR matched to binned HR, each sequence's own percentiles, or values as they are."""
    correct: Annotated[tuple[Flaw, ...], AfterValidator(_in_order)] = FLAWS
    """What is corrected where it is significant: frames and pixels that show nothing of the event, brightness that
    changes from frame to frame, uneven illumination between the cameras, a response that is no straight line; where
    that is named, a shift or turn between the cameras and HR times that are off."""
    keep_flicker: bool = False
    """Whether results have the brightness of each LR frame where it flickers."""
    hr_frames: Literal["fuse", "keep"] = "fuse"
    """Results at the times of HR frames: as the method makes them of all frames, or those HR frames, noise included."""
    dtype: Literal["hr", "float32"] = "hr"
    """Of the files that are written: the HR sequence's, or float32."""
    device: DeviceName = "auto"
    """Where networks run; a GPU where there is one by default."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numbers that networks compute with; float32 by default."""
    tile: Annotated[int, Field(ge=16)] | None = None
    """Side of a network's tiles in LR pixels; from the free memory when None."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model is not None and not METHODS[self.method].takes_weights:
            raise ValueError(f"{self.method} takes no model")
        if self.hr_start and self.hr_step is None:
            raise ValueError("{hr_start} has no effect without {hr_step}")
        if self.hr_times is not None:
            if self.hr_step is not None:
                raise ValueError("{hr_times} and {hr_step} exclude each other")
            if not all(map(math.isfinite, self.hr_times)):
                raise ValueError("{hr_times} must be finite numbers")
            if any(b <= a for a, b in pairwise(self.hr_times)):
                k = next(k for k, (a, b) in enumerate(pairwise(self.hr_times)) if b <= a)
                near = ", ".join(f"{t:g}" for t in self.hr_times[max(k - 1, 0) : k + 3])
                raise ValueError(f"{{hr_times}} must increase from frame to frame, found {near}")
        if self.frames is not None and not 0 <= self.frames[0] < self.frames[1]:
            raise ValueError(f"frames {self.frames[0]}:{self.frames[1]} hold no frame")
        if self.region is not None and not self.region.holds_pixels:
            raise ValueError(f"region {self.region} holds no pixel")
        return self

    @property
    def clock(self) -> ClockFit | None:
        """The clock of the rig file where HR times come from it."""
        given = self.hr_times is not None or self.hr_step is not None
        return None if given or self.calibration is None else self.calibration.clock

    def targets(self, count: int) -> range:
        """The LR frames to fuse of a sequence of ``count``."""
        return range(*(self.frames or (0, count)))

    def frame_shape(self, hr_shape: tuple[int, int]) -> tuple[int, int]:
        """Size (H, W) of the results' frames, for HR frames of that size."""
        return hr_shape if self.region is None else self.region.shape

    def regular_times(self, count: int) -> tuple[float, ...]:
        """HR times by step and start that lie inside a sequence of ``count`` LR frames."""
        step = self.hr_step or 1.0
        number = math.floor((count - 1 - self.hr_start) / step + 1e-6) + 1  # steps are rounded
        return tuple(min(self.hr_start + step * k, count - 1.0) for k in range(number))


def make_plan(**settings: object) -> Plan:
    """A plan from settings by name; raises PairingError that names the setting that cannot be."""
    return validated(Plan, settings, PairingError)


def validated(kind: type[M], settings: Mapping[str, object], raises: type[XFusionError]) -> M:
    """A value of ``kind`` from settings by name; raises ``raises`` that names the setting that cannot be."""
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = first["msg"].removeprefix("Value error, ")
        rule = wrong.removeprefix("Input should be ")
        broken = rule != wrong  # of one setting; else settings contradict each other
        raise raises(
            setting=".".join(map(str, first["loc"])) or None,
            expected=rule,
            found=repr(first["input"]),
            problem="" if broken else wrong,
            hint="correct the setting",
        ) from None


def parse_times(text: str | None) -> tuple[float, ...] | None:
    """HR times from a list such as ``0,10,20`` or from a file that holds one; None where nothing is given.

    A file is text in UTF-8, UTF-16 or Latin-1: numbers separated by line breaks, spaces, commas or semicolons, the
    last with decimal commas too. Header lines and what follows ``#`` or ``%`` are skipped. Raises InputError where it
    cannot be read, contains no number or anything else, and where its header names a unit of time.
    """
    if text is None or not text.strip():
        return None
    if re.fullmatch(r"[-+.,;\s\deE]+", text):
        return _numbers([text], None)
    path = Path(text.strip())
    try:
        content = _decoded(path.read_bytes())
    except FileNotFoundError as error:  # more often a list with an error than a file
        raise _no_times(None, f"'{text.strip()[:60]}' (no such file)") from error
    except (OSError, ValueError) as error:
        raise _no_times(path, reason_of(error)) from error
    lines = [
        re.split(r"[#%]|//", line)[0].replace('"', "").strip("[](), \t") for line in content.splitlines()
    ]
    header = list(takewhile(lambda line: not _begins_with_number(line), lines))
    for line in header:
        if unit := _UNIT.search(line):
            raise InputError(
                path,
                setting="hr_times",
                problem=f"the column '{line[:60]}' names a unit of time ({unit[0]}), LR frame numbers are needed",
                hint="divide the times by LR's frame interval",
            )
    return _numbers(lines[len(header) :], path)


def _begins_with_number(line: str) -> bool:
    return re.match(r"[-+]?\.?\d|[-+]?(nan|inf)", line, re.I) is not None


def _decoded(data: bytes) -> str:
    """Text of a file; raises ValueError where it is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if len(data) > 1 and 0 in (data[0], data[1]):  # UTF-16 without a mark
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le")
    if 0 in data:
        raise ValueError("a file that is no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _numbers(lines: Sequence[str], where: Path | None) -> tuple[float, ...]:
    """The numbers in ``lines``; commas are decimal ones where semicolons separate."""
    decimal_commas = any(";" in line for line in lines) and any(re.search(r"\d,\d", line) for line in lines)
    separator = r"[\s;]+" if decimal_commas else r"[\s,;]+"
    rows = [list(filter(None, re.split(separator, line))) for line in lines]
    found = []
    for number, words in enumerate(rows, 1):
        for word in words:
            try:
                found.append(_number(word.replace(",", ".") if decimal_commas else word))
            except ValueError:
                raise _no_times(where, f"'{word[:40]}' in line {number} of the numbers") from None
    if not found:
        raise _no_times(where, "no number")
    if len(rows) > 1 and {len(words) for words in rows if words} == {2} and not _increase(found):
        raise _no_times(where, f"two columns, '{lines[0][:40]}'")
    return tuple(found)


def _number(word: str) -> float:
    """As ``float``, which also takes 1_0 for 10."""
    if "_" in word:
        raise ValueError(word)
    return float(word)


def _increase(numbers: Sequence[float]) -> bool:
    return all(a < b for a, b in pairwise(numbers))


def _no_times(where: Path | None, found: str) -> InputError:
    return InputError(
        where,
        setting="hr_times",
        expected="numbers such as 0,10,20, or a text file with one number per line",
        found=found,
        hint="give one LR frame number for each HR frame",
    )

"""A run as a value: what was asked for, checked once, saved as JSON next to every output.

A plan knows no data and no fuser; pairing reports whether it fits two stacks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from napari_xfusion.core.types import Region
from napari_xfusion.core.value import Value
from napari_xfusion.errors import InputError, PairingError, XFusionError

GreyRule = Literal["match", "percentile", "none"]


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
M = TypeVar("M", bound=BaseModel)


class Plan(Value):
    """How two stacks become one; frozen, and enough to repeat a run.

    HR times come from ``hr_times``, from ``hr_step``, or from the HR file's own metadata; never from
    a guess. HR frame k lies at LR frame ``hr_start + k * hr_step``.
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
    separation: Annotated[int, Field(ge=1)] = 1
    """LR frames from one of the three LR inputs to the next (paper, D5)."""
    frames: tuple[int, int] | None = None
    """Targets A..B-1; every LR frame when None."""
    region: Region | None = None
    """The rectangle of HR pixels to fuse; whole frames when None."""
    grey: GreyRule = "match"
    """One grey scale: LR matched to binned HR, each sequence's own percentiles, or values as they are."""
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
                raise ValueError("HR times must be finite numbers")
            if any(b <= a for a, b in zip(self.hr_times, self.hr_times[1:], strict=False)):
                raise ValueError("HR times must increase from frame to frame")
        if self.frames is not None and not 0 <= self.frames[0] < self.frames[1]:
            raise ValueError(f"frames {self.frames[0]}:{self.frames[1]} hold no frame")
        if self.region is not None and not self.region.holds_pixels:
            raise ValueError(f"region {self.region} holds no pixel")
        return self

    def targets(self, count: int) -> range:
        """The LR frames to fuse of a sequence of ``count``."""
        return range(*(self.frames or (0, count)))

    def frame_shape(self, hr_shape: tuple[int, int]) -> tuple[int, int]:
        """Size (H, W) of the results' frames, for HR frames of that size."""
        return hr_shape if self.region is None else self.region.shape

    def regular_times(self, count: int) -> tuple[float, ...]:
        """HR times by step and start that lie inside a sequence of ``count`` LR frames."""
        step = self.hr_step or 1.0
        number = math.floor((count - 1 - self.hr_start) / step) + 1
        return tuple(self.hr_start + step * k for k in range(number))


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
    """HR times from a list such as ``0,10,20`` or from a file that holds one; None where nothing is given."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    is_list = re.fullmatch(r"[-+.,;\s\deE]+", text)
    try:
        content = (text if is_list else Path(text).read_text(encoding="utf-8")).strip()
        separators = {found.strip() for found in re.findall(r"\s*[,;]\s*|\s+", content)}
        decimal_commas = re.search(r"\d,\d", content) is not None and len(separators) > 1
        words = [content] if decimal_commas else re.split(r"[\s,;]+", content)
        return tuple(float(word) for word in words if word)
    except (OSError, ValueError) as error:
        raise InputError(
            setting="hr_times",
            expected="numbers such as 0, 9.5, 19, or a file with one number per line",
            found=repr(text) if isinstance(error, FileNotFoundError) else shorten(str(error), 80),
            hint="give LR frame numbers with decimal points",
        ) from error

"""Core data types. Imports nothing of the package but the errors and the clock.

Shape legend, used in every docstring:
    B batch · T frames · C channels · H W pixels of the HR grid · h w pixels of the LR grid
Images inside are float32 in grey units, where the sequence's darkest and brightest percentiles are 0 and 1.
Times are float64 in LR frame numbers ("the LR clock") unless seconds are named. Lengths are micrometres.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.errors import InputError, XFusionWarning

Image = NDArray[np.float32]
"""One float32 frame, (H, W) or (h, w)."""
Role = Literal["lr-", "lr", "lr+", "hr-", "hr+"]
"""The inputs of the paper's network: LR at t-s, t, t+s, and the previous and next HR frame."""
ROLES: tuple[Role, ...] = ("lr-", "lr", "lr+", "hr-", "hr+")
SCALE = 4
"""HR pixels per LR pixel and axis, of networks, of virtual experiments, and where a rig file places LR; else pairing
takes any scale."""
Progress = Callable[[int, int], None]
"""Called with how many are done, frames for instance, and of how many."""


@dataclass(frozen=True)
class CameraFacts:
    """What a file says about the camera and how it recorded; None where it says nothing."""

    name: str | None = None
    serial: str | None = None
    bits: int | None = None
    """Bits of a stored value that carry grey."""
    exposure_ns: int | None = None
    """Nanoseconds; the median where each frame has its own."""
    black: int | None = None
    white: int | None = None
    """Values of no light and of full scale."""
    pitch: float | None = None
    """Micrometres from one pixel of the sensor to the next, without magnification."""
    first_number: int | None = None
    """The camera's number of the first frame."""
    started: int | None = None
    """Time stamp of the first frame in picoseconds since 1970, by a clock that may not be set."""
    events: tuple[int, ...] = ()
    """Frames in which a signal at the camera's event input begins."""
    locked: bool | None = None
    """Whether its clock follows an external time code (IRIG)."""
    from_trigger: bool | None = None
    """Whether frame times count from the camera's trigger, not from the first frame."""
    timing: str = ""
    """Where the times come from and what they are relative to, in words."""
    corrected: str = ""
    """What the camera corrected in the values before they were written, in words; '' where the file says nothing."""
    region: Region | None = None
    """The pixels of the sensor that the frames show."""


@dataclass(frozen=True)
class Metadata:
    """What a file says about its sequence besides shape, dtype, times and pixel size."""

    axes: str = "TYX"
    """One letter per axis, as the file names them: T time, Z slices, C channels, I or Q unknown."""
    hr_times: tuple[float, ...] | None = None
    """Of an HR sequence: the time of each frame in LR frame numbers, where the file knows them."""
    warnings: tuple[XFusionWarning, ...] = ()
    """What is odd about the recording but does not stop a run, with ``source`` as the subject."""
    viewer: tuple[tuple[str, str], ...] = ()
    """What a viewer needs to show stored values as the writer meant them, by the name that ImageJ or TIFF gives
    it: ``cf``, ``c0``, ``c1`` ..., ``vunit``, ``orientation``, ``photometric``. Results have it as well."""
    camera: CameraFacts = CameraFacts()
    """The camera, where the file names it."""
    dataset: str = ""
    """Path inside the file, in formats whose files contain several sequences."""
    files: tuple[str, ...] = ()
    """Absolute paths of further files that the frames depend on, such as the targets of links."""
    fields: tuple[tuple[str, str], ...] = ()
    """The flats and darks that were applied: path or description, and sha256 of the content."""
    corrected: str = ""
    """Flats or darks that the file says were applied to its frames, to follow "says that"; '' for nothing. What the
    camera itself corrected is in ``camera``."""


class Reopenable(Protocol):
    """A picklable reference to a sequence, see ``core.recordings.Recording``."""

    @property
    def path(self) -> Path:
        """Absolute path of the file or folder."""
        ...

    def open(self) -> Stack:
        """Open the sequence; raises InputError where it is not there or damaged."""
        ...


@dataclass(frozen=True, eq=False)
class Stack:
    """A sequence of grey frames, read one frame at a time.

    ``read(i)`` gives frame i as an (H, W) array in ``dtype``, native byte order, and touches no other
    frame; it must be safe to call from several threads. ``digest`` gives the sha256 of the content.
    """

    shape: tuple[int, int, int]
    """(T, H, W)."""
    dtype: np.dtype[Any]
    read: Callable[[int], NDArray[Any]]
    digest: Callable[[], str]
    source: str
    """The file or folder, or a name for an array; for messages and the run record."""
    clock: Clock
    """Start of each frame, as the file knows it."""
    pixel_size: float | None = None
    """Side of a pixel in micrometres, where the file knows it."""
    metadata: Metadata = Metadata()
    """What else the file says."""
    recording: Reopenable | None = None
    """Opens the same frames again, also in another process; None where they do not come from a path."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def files(self) -> tuple[str, ...]:
        """``source`` and all further files that the frames depend on."""
        return (self.source, *self.metadata.files)

    def __reduce__(self) -> tuple[Callable[[Reopenable], Stack], tuple[Reopenable]]:
        """Pickle as the recording, which is opened again in the other process; TypeError for arrays."""
        if self.recording is None:
            raise TypeError(f"{self.source} comes from no file and cannot be sent to another process")
        return _reopen, (self.recording,)

    def frame(self, i: int) -> NDArray[Any]:
        """Frame ``i`` as stored, (H, W); raises InputError outside 0..T-1."""
        if not 0 <= i < len(self):
            raise InputError(
                self.source,
                expected=f"a frame number from 0 to {len(self) - 1}",
                found=str(i),
                hint="choose a frame of the sequence",
            )
        return self.read(i)

    def derive(
        self,
        read: Callable[[int], NDArray[Any]],
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **changes: Any,
    ) -> Stack:
        """A sequence of other frames, made when they are read, which keeps what else this one knows but
        metadata and recording.

        ``shape`` is (T, H, W); ``changes`` are other fields of the new sequence. Where it has another number of frames,
        its clock is a regular one of the same interval.
        """
        changes = {
            "metadata": Metadata(),
            "recording": None,
            "digest": digest_frames(shape, dtype, read),
            **changes,
        }
        if "clock" not in changes and shape[0] != len(self.clock):
            changes["clock"] = Clock.regular(shape[0], self.clock.interval)
        return replace(self, read=read, shape=shape, dtype=dtype, **changes)


def _reopen(recording: Reopenable) -> Stack:
    return recording.open()


def digest_frames(
    shape: tuple[int, int, int], dtype: np.dtype[Any], read: Callable[[int], NDArray[Any]]
) -> Callable[[], str]:
    """A cached function: the sha256 of ``shape`` (T, H, W), ``dtype`` and the bytes of all frames."""

    @cache
    def digest() -> str:
        total = hashlib.sha256(f"{shape} {dtype.str}".encode())
        for i in range(shape[0]):
            total.update(np.ascontiguousarray(read(i)).data)
        return total.hexdigest()

    return digest


class Region(NamedTuple):
    """A rectangle of HR pixels, ``image[top:bottom, left:right]``."""

    top: int
    bottom: int
    left: int
    right: int

    def __str__(self) -> str:
        return f"{self.top}:{self.bottom},{self.left}:{self.right}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The region ``A:B,C:D``, rows A to B-1 and columns C to D-1; raises ValueError."""
        match = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", "".join(text.split()))
        if match is None:
            raise ValueError(f"expected A:B,C:D such as 0:256,128:512, found {text}")
        return cls(*map(int, match.groups()))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def holds_pixels(self) -> bool:
        """Whether it is a rectangle at all."""
        return 0 <= self.top < self.bottom and 0 <= self.left < self.right


class Score(NamedTuple):
    """Spatial means of one input's temporal attention against the reference LR frame (paper, M9)."""

    raw: float
    """Of the dot product before the sigmoid, unbounded: what the paper's curves are drawn from."""
    sigmoid: float
    """After the sigmoid, 0..1: what the heat-maps show."""


@dataclass(frozen=True, eq=False)
class FusedFrame:
    """One result. A fuser gives grey units; ``run.fuse`` hands on the HR camera's units."""

    index: int
    image: NDArray[Any]
    """(H, W) float32; float64 in the units of cameras of 32-bit integers or float64."""
    std: Image | None = None
    """(H, W) standard deviation in the units of ``image``, by methods that know it."""
    interval: Image | None = None
    """(H, W) half width of the calibrated interval in the units of ``image``, in runs that give one."""
    attention: Mapping[Role, Image] = field(default_factory=dict)
    """(h, w) attention maps after the sigmoid, by networks."""
    scores: Mapping[Role, Score] = field(default_factory=dict)
    seconds: float = 0.0
    """Time this frame took, reading included."""


class Token(Protocol):
    """A request to stop, such as ``threading.Event``."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

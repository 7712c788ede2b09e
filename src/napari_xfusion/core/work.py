"""The work of a run on its frames, as a value that other processes can do: recordings and outputs as references.

A worker opens the recordings, the method and the outputs once, at its first frame, and keeps them for all frames of the
run. It writes frames to their places in the outputs where it sees these, and hands them back where not. Nothing here
knows what sends the work to workers.
"""

from __future__ import annotations

import os
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout.intervals import Intervals
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.results.file_sink import Claim, FileSink
from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import stored
from napari_xfusion.core.rig import Rig, seen_targets
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import FusedFrame, Region, Token
from napari_xfusion.errors import InputError, XFusionError, XFusionWarning

Pixels = NDArray[Any]
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "tifffile", "torch")
"""Whose versions the run record contains, because they can change a result."""


@dataclass(frozen=True)
class Work:
    """What is done for each frame of a run. Can be pickled; opens no file before ``Bench.fuse``."""

    plan: Plan
    rig: str
    """As JSON."""
    region: Region | None
    intervals: Intervals | None = None
    claims: Mapping[str, Claim] = field(default_factory=dict)
    """The outputs: of the fused sequence ``image``, ``std`` and ``interval``."""
    ends: tuple[int, ...] = ()
    """Checksums of the first and last frame of each camera, by which a worker knows the recordings."""
    hr_times: frozenset[float] = frozenset()
    """In LR frame numbers."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        rig: Rig,
        claims: Mapping[str, Claim],
        *,
        region: Region | None = None,
        intervals: Intervals | None = None,
    ) -> Work:
        """The work of ``plan`` on ``rig``; raises InputError where a camera recorded into an array."""
        for camera in rig.cameras.values():
            if not isinstance(camera.recording, Recording):
                raise InputError(
                    camera.source,
                    problem="an array in memory cannot be opened by other processes",
                    hint="save it as a TIFF stack, or fuse it without workers",
                )
        times = frozenset(rig.hr_times.tolist())
        text = rig.model_dump_json(by_alias=True)
        return cls(plan, text, region, intervals, dict(claims), _ends(rig), times)

    @property
    def frame_bytes(self) -> int:
        """Bytes that one frame has in all outputs."""
        return sum(claim.spec.frame_bytes for claim in self.claims.values())

    def benches(self) -> Benches:
        """The place of a worker process for it."""
        return Benches(self)

    def open_rig(self) -> Rig:
        """The rig; its recordings are opened when frames are read."""
        return Rig.model_validate_json(self.rig)


@dataclass(frozen=True)
class Made:
    """A frame that a worker has made."""

    index: int
    notes: Mapping[str, Any]
    stored: Mapping[str, int]
    """crc32 of the bytes by output that the worker has written."""
    pixels: Mapping[str, Pixels]
    """(H, W) by output that it does not see, in the output's dtype."""


@dataclass(frozen=True)
class Report:
    """What a worker made of some frames, in their order."""

    host: str
    seconds: float
    """From the first to the last frame."""
    frames: tuple[Made, ...] = ()
    failed: int | None = None
    """The frame at which it ended with ``error``; those after it were not begun."""
    error: XFusionError | None = None
    filled: Mapping[str, int] = field(default_factory=dict)
    """Of all frames that the worker has read so far, see ``FrameReader.invalid``."""
    notes: tuple[XFusionWarning, ...] = ()
    used: Mapping[str, Any] = field(default_factory=dict)
    """See ``Stream.used``."""


class Look(NamedTuple):
    """What a worker sees of the files of a run."""

    host: str
    outputs: bool
    """Whether it writes frames itself."""
    problem: XFusionError | None
    """With a recording or an output."""


class Workers(Protocol):
    """Other processes that do the work of a run."""

    def reports(self, work: Work, missing: Sequence[int], stop: Token) -> Iterator[Report]:
        """Have ``missing`` made, once each, in any order; ends early when ``stop`` is set.

        Raises XFusionError, for a frame that cannot be made when all others are done.
        """
        ...


def frames_of(
    session: Session,
    intervals: Intervals | None,
    region: Region | None,
    targets: Iterable[int],
    stop: Token,
) -> Iterator[tuple[FusedFrame, dict[str, Any]]]:
    """Fuse ``targets``: each frame with its interval, where there are any, and what its record says."""
    seen = seen_targets(session.rig.hr_times, len(session.rig))
    for made in session.frames(targets, stop):
        yield completed(made, session, intervals, region, seen=bool(seen[made.index]))


def completed(
    made: FusedFrame, session: Session, intervals: Intervals | None, region: Region | None, *, seen: bool
) -> tuple[FusedFrame, dict[str, Any]]:
    """A fused frame with its interval, where there are any, and what its record says."""
    frame = made
    if intervals is not None:
        frame = replace(made, interval=intervals.half_widths(made, session.reader, region))
    scores = {role: score._asdict() for role, score in frame.scores.items()}
    notes = {"seen": seen, "seconds": round(frame.seconds, 6)}
    return frame, notes | ({"scores": scores} if scores else {})


class Bench:
    """A worker's place for the work of one run: its open recordings, method and outputs. Belongs to one thread."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._session: Session | None = None
        self._sinks: dict[str, FileSink] = {}

    def look(self) -> Look:
        """Whether the files of the run are seen here."""
        host = socket.gethostname()
        try:
            if _ends(self._work.open_rig()) != self._work.ends:
                raise InputError(
                    "the recordings",
                    problem="they have other content than those of the run",
                    hint="copy the recordings again, or put them on a disk that all machines see",
                )
            self._join()
        except XFusionError as error:
            return Look(host, False, error)
        else:
            return Look(host, len(self._sinks) == len(self._work.claims), None)
        finally:
            self.close()

    def fuse(self, targets: Sequence[int], stop: Token) -> Report:
        """Make ``targets``; those that are not begun when ``stop`` is set, or one fails, are not in the report."""
        began, done = perf_counter(), list[Made]()
        failed: XFusionError | None = None
        try:
            for frame, notes in self._frames(targets, stop):
                done.append(self._made(frame, notes))
            self._flush()
        except Exception as error:  # any error is reported with its frame, and others are made
            failed = _as_told(error)
        report = Report(
            socket.gethostname(),
            perf_counter() - began,
            tuple(done),
            None if failed is None else targets[min(len(done), len(targets) - 1)],
            failed,
            *self._said(),
        )
        if failed is not None:
            self.close()  # the state of the method is not known
        return report

    def close(self) -> None:
        """Close all; the next frame opens it again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        while self._sinks:
            self._sinks.popitem()[1].close()

    def _frames(self, targets: Sequence[int], stop: Token) -> Iterator[tuple[FusedFrame, dict[str, Any]]]:
        self._join()
        if self._session is None:
            self._session = Session(self._work.plan, self._work.open_rig())
        return frames_of(self._session, self._work.intervals, self._work.region, targets, stop)

    def _join(self) -> None:
        """Open the outputs that are seen here; they are looked for again each time, as a run may have ended."""
        for name, claim in self._work.claims.items():
            known = self._sinks.pop(name, None)
            if known is not None and known.seen(claim):
                self._sinks[name] = known
                continue
            if known is not None:
                known.close()
            sink = open_sink(claim.path)
            if isinstance(sink, FileSink) and sink.join(claim):
                self._sinks[name] = sink

    def _made(self, frame: FusedFrame, notes: dict[str, Any]) -> Made:
        checksums, pixels = dict[str, int](), dict[str, Pixels]()
        for name, claim in self._work.claims.items():
            image = getattr(frame, name)
            if image is None:
                continue
            if name in self._sinks:
                checksums[name] = self._sinks[name].store(frame.index, image)
            else:
                pixels[name] = stored(image, claim.spec.dtype)
        return Made(frame.index, notes, checksums, pixels)

    def _flush(self) -> None:
        for name, sink in self._sinks.items():
            if self._work.claims[name].host != socket.gethostname():
                sink.flush()

    def _said(self) -> tuple[Mapping[str, int], tuple[XFusionWarning, ...], Mapping[str, Any]]:
        if self._session is None:
            return {}, (), {}
        return dict(self._session.reader.invalid), self._session.said, dict(self._session.used)


class Benches:
    """The benches of one run in a worker process, one for each of its threads, and how to stop them."""

    def __init__(self, work: Work) -> None:
        self._work, self._free = work, list[Bench]()
        self._stop = threading.Event()

    def look(self) -> Look:
        """See ``Bench.look``."""
        return Bench(self._work).look()

    def fuse(self, targets: Sequence[int]) -> Report:
        """See ``Bench.fuse``; ends early when stopped."""
        try:
            bench = self._free.pop()
        except IndexError:
            bench = Bench(self._work)
        report = bench.fuse(targets, self._stop)
        self._free.append(bench)
        if self._stop.is_set():
            self.stop()
        return report

    def stop(self) -> None:
        """End after the frames at work, and close all; a bench at work closes itself at its end."""
        self._stop.set()
        with suppress(IndexError):
            while True:
                self._free.pop().close()


def collect(said: Mapping[int, Report]) -> tuple[dict[str, int], list[XFusionWarning], dict[str, Any]]:
    """What workers said about the recordings, the run and its settings, from reports by their first target.

    In the order of the targets, as one process would have said it; of numbers such as the tile, the smallest.
    """
    filled, notes, used = dict[str, int](), dict[XFusionWarning, None](), dict[str, Any]()
    for _, report in sorted(said.items()):
        filled |= report.filled
        notes |= dict.fromkeys(report.notes)
        for name, value in report.used.items():
            known = used.get(name)
            used[name] = min(known, value) if isinstance(known, int) and isinstance(value, int) else value
    return filled, list(notes), used


def chunk_after(missing: Sequence[int], size: int, hr_times: frozenset[float]) -> int:
    """How many of ``missing``, which are in order, make the next chunk: ``size``, or a little less.

    It ends where the frames are not consecutive, or else before an HR frame, so that what neighbouring targets share is
    computed by one worker.
    """
    count = min(size, len(missing))
    for number in range(1, count):
        if missing[number] != missing[number - 1] + 1:
            return number
    if count < len(missing):
        return next((n for n in range(count, count // 2, -1) if missing[n] in hr_times), count)
    return count


def _ends(rig: Rig) -> tuple[int, ...]:
    stacks = [camera.open() for camera in rig.cameras.values()]
    return tuple(_crc(stack.frame(i)) for stack in stacks for i in (0, len(stack) - 1))


def _crc(image: Pixels) -> int:
    return zlib.crc32(np.ascontiguousarray(image).data.cast("B"))


def _as_told(error: Exception) -> XFusionError:
    """An error as data that can be sent, naming this machine."""
    host = socket.gethostname()
    if isinstance(error, XFusionError):
        problem = f"on {host}: {error.problem}"
        return type(error)(error.subject, setting=error.setting, problem=problem, hint=error.hint)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return XFusionError(
        f"process {os.getpid()} on {host}", problem=text, hint="look into the log of the worker"
    )

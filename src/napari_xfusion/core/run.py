"""From two stacks to one fused stack: a session whose frames go into sinks, with a record."""

from __future__ import annotations

import hashlib
import json
import platform
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_xfusion.core.catalogue import METHODS, Method, giving
from napari_xfusion.core.files import replacing, require_apart, require_name, require_table
from napari_xfusion.core.holdout.intervals import COVERAGE, Intervals, calibrate_intervals, require_calibrated
from napari_xfusion.core.holdout.left_out import judged
from napari_xfusion.core.inspect.attention import ATTENTION_COLUMNS, write_attention
from napari_xfusion.core.methods import Fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.recordings.state import State, state_of
from napari_xfusion.core.results import OutputSpec, Sink, open_sink
from napari_xfusion.core.results.file_sink import FileSink
from napari_xfusion.core.results.inputs import inputs_of, other_recording
from napari_xfusion.core.results.journal import Entry
from napari_xfusion.core.results.outcome import Outcome
from napari_xfusion.core.results.record import (
    FORMAT,
    ChoiceRecord,
    InputRecord,
    IntervalRecord,
    RunRecord,
    record_path,
)
from napari_xfusion.core.rig import Camera, Rig, given_hr_times, seen_targets
from napari_xfusion.core.session import Session, filled_in, rig_of
from napari_xfusion.core.types import FusedFrame, Progress, Region, Token
from napari_xfusion.core.work import PACKAGES, Made, Report, Work, Workers, collect, completed
from napari_xfusion.errors import ModelError, OutputError, XFusionError, XFusionWarning, writing

if TYPE_CHECKING:
    from napari_xfusion.core.holdout.score import Score  # takes time to import

Order = Callable[[Sequence[int]], Iterable[int]]
"""The order in which missing targets are wanted; what it returns is pulled as frames are begun."""
ATTEMPTS = 3
"""Times that frames are made which another machine wrote and this one does not find on the disk."""


class Files(NamedTuple):
    """The files that a run writes; None what is not wanted."""

    output: Path | str | None
    std: Path | str | None = None
    interval: Path | str | None = None
    attention: Path | str | None = None


def fuse(
    plan: Plan,
    lr: object,
    hr: object,
    *,
    targets: Iterable[int] | None = None,
    stop: Token | None = None,
    region: Region | None = None,
) -> Iterator[FusedFrame]:
    """Fuse two stacks frame by frame, in the HR camera's units (not clipped).

    Images are float32; float64 of HR recordings of 32-bit integers or float64.
    ``lr`` (T, h, w) and ``hr`` (N, H, W) are paths, arrays or Stacks. ``targets`` are LR frame numbers
    in the order they are wanted (default: those of the plan) and are pulled one at a time, ``region`` is
    the plan's by default. Setting ``stop`` ends the iteration early. Raises XFusionError at the call when
    the stacks do not fit.
    """
    session = Session(plan, rig_of(plan, lr, hr))
    wanted = plan.targets(len(session.rig)) if targets is None else targets

    def frames() -> Iterator[FusedFrame]:
        with session:
            yield from session.frames(wanted, stop or threading.Event(), region)

    return frames()


class Run:
    """A plan on its two stacks, with its way into sinks: ``begin``, ``frames``, ``commit``.

    The same walk serves files and windows, and gives the same bytes in whatever order frames are made.
    Raises XFusionError as ``Session`` does.
    """

    def __init__(self, plan: Plan, lr: object, hr: object) -> None:
        stacks = as_stack(lr, name="LR"), as_stack(hr, name="HR")
        self._plan = plan
        self._before = [state_of(stack) for stack in stacks]
        rig = rig_of(plan, *stacks)
        self._session = Session(plan, rig)
        self.rig, self.fuser = rig, self._session.fuser
        self.inputs = {name: _input(camera) for name, camera in rig.cameras.items()}
        self._paired = [state_of(stack) for stack in stacks]
        """The files when their checksums were known, which may be those of other content than was paired."""
        self.spec, self.settled = _describe(plan, rig, self.fuser, self.inputs)
        self._seen = seen_targets(rig.hr_times, len(rig))
        self.resumed = 0
        """Frames that all sinks had already when the run began."""
        self.done: set[int] = set()
        """Targets that all sinks keep."""
        self.notes: list[XFusionWarning] = self._session.notes
        """What was odd about the sequences; complete when ``frames`` has ended."""
        self.choice: ChoiceRecord | None = None
        """Why it is this method, where a score has chosen it."""
        self.intervals: Intervals | None = None
        """The calibration of the intervals, once ``frames`` needs it."""
        self._sinks: dict[str, tuple[Sink, Mapping[int, Any]]] = {}
        self._coverage = 0.0

    @property
    def finished(self) -> bool:
        """Whether every frame is kept."""
        return len(self.done) == len(self.spec.frames)

    def begin(
        self,
        output: Sink,
        std: Sink | None = None,
        interval: Sink | None = None,
        *,
        coverage: float = COVERAGE,
    ) -> None:
        """Claim the sinks of the fused sequence, its standard deviation and its intervals; see ``Sink.begin``.

        ``coverage`` is that of the intervals.
        """
        beside = replace(self.spec, dtype=np.dtype(np.float32))
        claimed = {"image": (output, self.spec)}
        if std is not None:
            claimed["std"] = (std, beside)
        if interval is not None:
            self._coverage = coverage
            claimed["interval"] = (
                interval,
                replace(beside, identity=_with_coverage(beside.identity, coverage)),
            )
        self._sinks = {name: (sink, sink.begin(spec)) for name, (sink, spec) in claimed.items()}
        self.done = set.intersection(*(set(kept) for _, kept in self._sinks.values()))
        self.resumed = len(self.done)

    def frames(
        self, stop: Token, order: Order = iter, ready: Iterable[FusedFrame] = ()
    ) -> Iterator[FusedFrame]:
        """Fuse what is missing, in the HR camera's units; each frame is kept before it is handed on.

        Ends when all is done, or early when ``stop`` is set. Intervals are calibrated before the first frame.
        ``ready`` are frames that a session of the same plan on the same recordings has fused: they come first.
        """
        missing = self._missing()
        if not self._ready(missing, stop):
            return
        with self._session as session:
            for made in ready:
                if made.index in missing:
                    missing.remove(made.index)
                    yield self._put(made)
            for made in session.frames(order(missing), stop):
                yield self._put(made)
            self.notes = [*session.notes, *self._of_intervals]
            self.settled = self.settled.model_copy(update=dict(session.used))

    def _put(self, made: FusedFrame) -> FusedFrame:
        """Put a frame into the sinks that miss it; the frame with its interval."""
        seen = bool(self._seen[made.index])
        frame, notes = completed(made, self._session, self.intervals, self.settled.region, seen=seen)
        for name, (sink, kept) in self._sinks.items():
            image = getattr(frame, name)
            if frame.index not in kept and image is not None:
                sink.put(frame.index, image, notes)
        self.done.add(frame.index)
        return frame

    def shared(self, workers: Workers, stop: Token) -> Iterator[None]:
        """Have ``workers`` fuse what is missing; one step of the iteration per report, whose frames are saved.

        This process alone writes the journal: an entry is written when a worker has reported a frame on the disk.
        Frames that other machines wrote are compared with their checksums at the end, and those that differ are made
        again. Ends as ``frames``; raises XFusionError.
        """
        if not self._ready(self._missing(), stop):
            return
        said: dict[int, Report] = {}
        for _ in range(ATTEMPTS):
            missing, elsewhere = self._missing(), dict[str, dict[int, int]]()
            if not missing or stop.is_set():
                break
            for report in workers.reports(self._work(), missing, stop):
                for made in report.frames:
                    self._keep(made)
                    if report.host != socket.gethostname():
                        for name, checksum in made.stored.items():
                            elsewhere.setdefault(name, {})[made.index] = checksum
                if report.frames:
                    said[report.frames[0].index] = report
                yield
            self.done -= {t for name, sums in elsewhere.items() for t in self._file(name).lost(sums)}
        if not stop.is_set() and not self.finished:
            raise OutputError(
                f"frames {', '.join(map(str, self._missing()[:8]))}",
                problem="what another machine wrote is not found on the disk",
                hint="use workers of one machine, or a disk that is the same for all; rerun the same command to resume",
            )
        filled, notes, used = collect(said)
        self.notes = [*self.rig.warnings, *filled_in(filled), *notes, *self._of_intervals]
        self.settled = self.settled.model_copy(update=used)

    @property
    def _of_intervals(self) -> tuple[XFusionWarning, ...]:
        return () if self.intervals is None else self.intervals.warnings

    def _missing(self) -> list[int]:
        return [t for t in self.spec.frames if t not in self.done]

    def _work(self) -> Work:
        claims = {
            name: self._file(name).claim() for name, (sink, _) in self._sinks.items() if not sink.finished
        }
        return Work.of(self._plan, self.rig, claims, region=self.settled.region, intervals=self.intervals)

    def _file(self, name: str) -> FileSink:
        sink, _ = self._sinks[name]
        if not isinstance(sink, FileSink):
            raise OutputError(name, expected="a file", found="memory", hint="fuse without workers")
        return sink

    def _keep(self, made: Made) -> None:
        """Keep a frame that a worker has made."""
        for name, (_, kept) in self._sinks.items():
            sink = self._file(name)
            if made.index in kept:
                continue
            if name in made.stored:
                sink.keep(Entry(made.index, made.stored[name], made.notes))
            elif name in made.pixels:
                sink.put(made.index, made.pixels[name], made.notes)
        self.done.add(made.index)

    def _ready(self, missing: Sequence[int], stop: Token) -> bool:
        """Calibrate what the outputs need; return whether that came to its end."""
        return "interval" not in self._sinks or not missing or self._calibrate(stop)

    def _calibrate(self, stop: Token) -> bool:
        """Calibrate the intervals; return whether that came to its end."""
        plan, rig = judged(self.settled), self.rig
        if self.settled.keep_flicker:
            rig = rig_of(plan, rig.fast.open(), rig.hr.open())
        self.intervals = calibrate_intervals(plan, rig, self.fuser, coverage=self._coverage, stop=stop)
        return self.intervals is not None

    def commit(self) -> None:
        """Turn the frames into results with their record; see ``Sink.commit``.

        A recording that has changed since the run began is a warning, which the record contains.
        """
        if len(self.done) > self.resumed:
            self.notes = [*self.notes, *_changed(self.rig, self.inputs, (self._before, self._paired))]
        facts = self._record().facts()
        for sink, _ in reversed(self._sinks.values()):  # the fused sequence last: where it stands, all stands
            sink.commit(facts)

    def _record(self) -> RunRecord:
        return RunRecord(
            format=FORMAT,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            plan=self.settled,
            weights=self.fuser.settings.get("weights"),
            rig=self.rig,
            inputs=self.inputs,
            versions=versions(PACKAGES),
            frames_resumed=self.resumed,
            outside_lr=_outside_lr(self.rig, self.settled.region),
            choice=self.choice,
            interval=None if self.intervals is None else _interval_record(self.intervals),
            warnings=tuple(map(str, self.notes)),
        )


def _with_coverage(identity: str, coverage: float) -> str:
    """The identity of the intervals of a run."""
    return hashlib.sha256(json.dumps([identity, "interval", coverage]).encode()).hexdigest()


def _interval_record(found: Intervals) -> IntervalRecord:
    return IntervalRecord(**found.model_dump(include=set(IntervalRecord.model_fields)))


def choice_record(score: Score) -> ChoiceRecord:
    """What the record of a run keeps of the score that chose its method."""
    choice = score.choice
    return ChoiceRecord(
        method=choice.method,
        margin=choice.margin,
        margin_error=choice.margin_error,
        clear=choice.clear,
        expected={each.method: each.expected for each in score.methods},
        frames=len(score.best.frames),
    )


def _outside_lr(rig: Rig, region: Region | None) -> int:
    align = rig.alignment
    return int(align.unseen(region).sum()) if align.needed else 0


def _input(camera: Camera) -> InputRecord:
    stack = camera.open()
    return InputRecord(source=camera.source, sha256=stack.digest(), fields=dict(stack.metadata.fields))


def _changed(
    rig: Rig, inputs: Mapping[str, InputRecord], states: tuple[list[State], list[State]]
) -> list[XFusionWarning]:
    """Warnings about recordings whose files have changed since they were opened.

    ``states`` are those of the files when they were opened and when the checksums of ``inputs`` were known. What has
    changed since then may have the same content.
    """
    found = []
    now = [state_of(camera.open()) for camera in rig.cameras.values()]
    for (name, camera), opened, paired, last in zip(rig.cameras.items(), *states, now, strict=True):
        if camera.recording is None or opened == paired == last:
            continue
        what = "has changed"
        try:
            if opened == paired and camera.recording.open().digest() == inputs[name].sha256:
                continue
        except XFusionError:
            what = "has changed or was removed"
        text = f"the recording {what} since the run began; frames may come from both versions. Fuse it again."
        found.append(XFusionWarning("input-changed", text, camera.source))
    return found


def fuse_files(
    plan: Plan,
    lr: object,
    hr: object,
    output: Path | str,
    *,
    std: Path | str | None = None,
    interval: Path | str | None = None,
    coverage: float = COVERAGE,
    attention: Path | str | None = None,
    score: Score | None = None,
    overwrite: bool = False,
    workers: Workers | None = None,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Outcome:
    """Fuse two stacks into the file ``output`` (TIFF, OME-Zarr or NeXus), with its run record beside it.

    A stopped or killed run resumes; a finished one is left alone. ``std``
    receives the standard deviation (float32) of the methods that know it, ``interval`` the half widths (float32) of
    intervals that contain the pixels of a new HR frame with the probability ``coverage``, calibrated on this recording
    (``core.holdout.intervals``), ``attention`` (CSV) the scores of networks. The record names the ``score`` that chose
    the plan's method. ``workers`` are other processes that fuse the frames (``core.cluster``); the recordings must be
    files then. Raises XFusionError; what was done by then is kept.
    """
    began = perf_counter()
    run = Run(plan, lr, hr)
    run.choice = None if score is None else choice_record(score)
    files = Files(output, std, interval, attention)
    _into_files(
        run, files, coverage=coverage, overwrite=overwrite, workers=workers, stop=stop, progress=progress
    )
    return _outcome(run, output, began)


def repeat(
    record: RunRecord,
    output: Path | str,
    *,
    lr: object = None,
    hr: object = None,
    overwrite: bool = False,
    workers: Workers | None = None,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Outcome:
    """Repeat the run of a record into ``output``; see ``RunRecord.run``."""
    began = perf_counter()
    run = Run(record.plan, *inputs_of(record, lr, hr))
    _check_same(record, run)
    run.choice = record.choice
    _into_files(run, Files(output), overwrite=overwrite, workers=workers, stop=stop, progress=progress)
    outcome = _outcome(run, output, began)
    if record.format == FORMAT:
        return outcome
    other = XFusionWarning("format", "another version made the recorded result, its values may differ")
    return replace(outcome, notes=(*outcome.notes, other))


def _check_same(record: RunRecord, run: Run) -> None:
    """Raise InputError or ModelError where the content of recordings or weights is not that of the record."""
    for name, mine in run.inputs.items():
        if mine.sha256 != record.inputs[name].sha256:
            raise other_recording(name.upper(), mine.source)
    if run.fuser.settings.get("weights") != record.weights:
        raise ModelError(
            record.plan.model or record.plan.method,
            problem="the weights are not those of the repeated run",
            hint=f"restore the model file with sha256 {record.weights}",
        )


def _outcome(run: Run, output: Path | str, began: float) -> Outcome:
    seconds = perf_counter() - began
    found = run.intervals
    return Outcome(
        Path(output),
        len(run.done),
        len(run.spec.frames),
        run.resumed,
        seconds,
        tuple(run.notes),
        (found.reached, found.reached_error) if found is not None and found.frames else None,
    )


def _into_files(
    run: Run,
    files: Files,
    *,
    coverage: float = COVERAGE,
    overwrite: bool,
    workers: Workers | None = None,
    stop: Token | None,
    progress: Progress,
) -> None:
    stop = stop or threading.Event()
    check_places(run.settled, run.rig, files, overwrite=overwrite)
    total = len(run.spec.frames)
    with ExitStack() as opened:
        sinks = {
            name: opened.enter_context(open_sink(path, overwrite))
            for name, path in files._asdict().items()
            if path is not None and name != "attention"
        }
        run.begin(**sinks, coverage=coverage)
        progress(run.resumed, total)
        for _ in run.frames(stop) if workers is None else run.shared(workers, stop):
            progress(len(run.done), total)
        if run.finished:
            run.commit()
            if files.attention is not None and files.output is not None:
                _write_attention(Path(files.attention), files.output, run.rig)


def _write_attention(path: Path, output: Path | str, rig: Rig) -> None:
    """The scores of all frames, those of earlier runs too, from the record of ``output``."""
    with writing(path, hint="the sequence is complete; run the same again with another {attention}"):
        frames = [each.model_dump() for each in RunRecord.load(record_path(output)).frames]
        with replacing(path) as part:
            write_attention(part, frames, rig.hr_times.tolist())


def check_outputs(inputs: Iterable[str], outputs: Sequence[Path | str]) -> None:
    """Raise OutputError when an output has no folder, or would touch one of the ``inputs`` or another output.

    See ``require_apart``.
    """
    for path in outputs:
        require_name(Path(path))
        if not Path(path).resolve().parent.is_dir():
            raise OutputError(path, problem="its folder does not exist", hint="create the folder first")
    require_apart(inputs, outputs)


def check_places(plan: Plan, rig: Rig, files: Files, *, overwrite: bool = False) -> None:
    """Raise OutputError when the outputs of a run cannot be written there, or its method does not give them.

    InputError where there are too few HR frames for intervals.
    """
    outputs = [path for path in files if path is not None]
    inputs = [file for c in rig.cameras.values() for file in (c.source, *c.open().metadata.files)]
    if plan.model is not None and Path(plan.model).is_file():
        inputs.append(plan.model)
    check_outputs(inputs, outputs)
    _check_abilities(METHODS[plan.method], files.std, files.attention)
    if files.attention is not None:
        require_table(Path(files.attention), ATTENTION_COLUMNS[:3], overwrite=overwrite)
    if files.interval is not None:
        require_calibrated(plan, rig)


def _check_abilities(method: Method, std: Path | str | None, attention: Path | str | None) -> None:
    """Raise OutputError when the method cannot give what an output is to hold."""
    if std is not None and "std" not in method.gives:
        raise OutputError(
            setting="std",
            problem=f"method '{method.name}' does not provide a standard deviation",
            hint=f"use {{method}} with one of {giving('std')}, or omit {{std}}",
        )
    if attention is not None and "attention" not in method.gives:
        raise OutputError(
            setting="attention",
            problem=f"method '{method.name}' does not provide attention",
            hint=f"use {{method}} with one of {giving('attention')}, or omit {{attention}}",
        )


def _describe(
    plan: Plan, rig: Rig, fuser: Fuser, inputs: Mapping[str, InputRecord]
) -> tuple[OutputSpec, Plan]:
    """What will be written, and the plan with everything settled that it left open."""
    targets, region = plan.targets(len(rig)), rig.region(plan)
    resolved = plan.model_dump(mode="json") | {
        "hr_step": None,
        "hr_start": 0.0,
        "frames": [targets.start, targets.stop],
        "region": region,
        **fuser.settings,
    }
    if plan.clock is None:
        # As given: pairing moves, corrects and leaves out times again when the run is repeated.
        resolved["hr_times"] = given_hr_times(rig.fast.open(), rig.hr.open(), plan).tolist()
    weights = resolved.pop("weights", None)
    # Neither where the weights lie nor how frames are cut into tiles makes another result; what a rig file says is in
    # the placement.
    same = {
        name: value
        for name, value in resolved.items()
        if name not in ("model", "tile", "calibration", "extent")
    }
    content = [each.sha256 for each in inputs.values()]
    identity = json.dumps([FORMAT, same, weights, content, rig.placement], sort_keys=True)
    spec = OutputSpec(
        frames=tuple(targets),
        shape=rig.frame_shape(plan),
        dtype=np.dtype(rig.hr.dtype if plan.dtype == "hr" else np.float32),
        identity=hashlib.sha256(identity.encode()).hexdigest(),
        pixel_size=rig.hr.pixel_size,
        frame_interval=rig.fast.clock.interval,
        hr_times=tuple(rig.hr_times.tolist()),
        viewer=rig.hr.viewer,
        times_ps=rig.fast.clock.times_of(targets),
    )
    if plan.model is not None and Path(plan.model).suffix and Path(plan.model).is_file():
        resolved["model"] = str(Path(plan.model).resolve())  # the record is read in other folders, too
    return spec, Plan.model_validate(resolved)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of Python and of ``packages``; "unknown" where one came otherwise than by an installer."""
    known = {"python": platform.python_version()}
    for name in packages:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "unknown"
    return known

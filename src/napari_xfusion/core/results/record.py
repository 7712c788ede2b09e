"""The record that stands beside every result: ``fused.tif.json`` for ``fused.tif``.

The only place that knows its fields. A run writes a ``RunRecord``; a sequence that no run made, such as a saved
layer, has a ``SequenceRecord``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, ValidationError

from napari_xfusion._version import __version__
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.results.outcome import Outcome
from napari_xfusion.core.rig import Rig
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.core.value import Value
from napari_xfusion.errors import InputError

SCHEMA = 1
"""Of the record's fields; raised when they change."""
FORMAT = 1
"""Part of a run's identity; raised by hand when a method or a file format gives other bytes than before."""


class ScoreRecord(Value):
    """Attention of one input frame; see ``Score``."""

    raw: float
    sigmoid: float


class FrameRecord(Value):
    """What is known of one frame beside its pixels."""

    frame: int
    """LR frame number of the target."""
    done: bool = True
    """Whether the file holds the frame; its pixels say nothing of that."""
    seen: bool | None = None
    """Whether an HR frame was given at its time; None of a sequence that no run made."""
    seconds: float | None = None
    """Time it took to fuse."""
    scores: dict[str, ScoreRecord] = Field(default_factory=dict)
    """By input, of networks."""

    def notes(self) -> dict[str, Any]:
        """What a sink remembers of the frame; see ``Sink.put``."""
        left_out = {"frame", "done"} if self.done else {"frame"}
        return self.model_dump(mode="json", exclude=left_out, exclude_unset=True)


class InputRecord(Value):
    """A recording that was fused."""

    source: str
    """Absolute path, or a name for an array."""
    sha256: str
    """Of its content."""
    fields: dict[str, str] = Field(default_factory=dict)
    """The flats and darks that were applied: sha256 of the content by path or description."""


class LayerRecord(Value):
    """The layer that a sequence was saved from."""

    name: str
    role: str
    made_from: tuple[str, ...] = ()
    """Names of the layers it was made from."""


class ChoiceRecord(Value):
    """Why a run has its method: the score of the recording itself, see ``core.holdout``."""

    method: str
    margin: float | None
    """dB above the best of the others; None where there was no other."""
    margin_error: float | None
    clear: bool
    """Whether the difference is more than the uncertainty."""
    expected: dict[str, float]
    """Expected PSNR in dB of unseen targets, by method."""
    frames: NonNegativeInt
    """HR frames that were left out."""


class IntervalRecord(Value):
    """The intervals that were written with the result."""

    coverage: float
    """Share of the pixels of a new HR frame that are to lie in their interval."""
    reached: float
    """Mean coverage on an HR frame that was left out, by intervals from the others; else on simulated scenes."""
    reached_error: float
    """Its standard error; else its standard deviation among these scenes."""
    frames: NonNegativeInt
    """HR frames that were left out; 0 where the intervals are those of simulated shots."""


class _Record(Value):
    """What both kinds of records contain."""

    schema_number: Annotated[int, Field(alias="schema")] = SCHEMA
    napari_xfusion: str = Field(default_factory=lambda: __version__)
    """Version of this package."""
    identity: str = ""
    """See ``OutputSpec.identity``; added by the sink, as are ``frames``."""
    frames: tuple[FrameRecord, ...] = ()
    """In the order of the file."""

    @cached_property
    def done(self) -> frozenset[int]:
        """Targets that the file holds."""
        return frozenset(each.frame for each in self.frames if each.done)

    def facts(self) -> dict[str, Any]:
        """The record as JSON without what a sink adds; for ``Sink.commit``."""
        return self.model_dump(mode="json", by_alias=True, exclude={"identity", "frames"})


class SequenceRecord(_Record):
    """The record of a sequence that no run made, or that was changed since."""

    layer: LayerRecord


class ConversionRecord(_Record):
    """The record of a recording that was converted to another format."""

    source: InputRecord
    first: NonNegativeInt
    """Number in the recording of the first frame that was converted."""
    facts_of_source: dict[str, Any]
    """What the recording says of itself, as ``napari-xfusion info`` reports it."""


class RunRecord(_Record):
    """What made a result: the settled plan, the rig, weights and versions, and a table of its frames."""

    format: int
    """``FORMAT`` of the version that made the result."""
    finished: str
    """Date and time, ISO 8601 in UTC."""
    plan: Plan
    """With everything settled that was left open: HR times, frames, and the device, precision and tile used."""
    weights: str | None = None
    """sha256 of the network's weights; None of methods without."""
    rig: Rig
    inputs: dict[str, InputRecord]
    """The recording of each camera, by its name in the rig."""
    versions: dict[str, str]
    """Of Python and of the packages that can change a result."""
    frames_resumed: NonNegativeInt = 0
    """Frames that an earlier, interrupted run had made."""
    outside_lr: NonNegativeInt = 0
    """Pixels of each frame that LR does not see; they are interpolated between HR frames."""
    choice: ChoiceRecord | None = None
    """Where the method was the best of a score; None where it was given."""
    interval: IntervalRecord | None = None
    """None where no interval was written, or an earlier run had completed it."""
    warnings: tuple[str, ...] = ()
    """What was odd about the recordings and the run."""

    @property
    def hr_times(self) -> tuple[float, ...]:
        """Times of the HR frames in LR frame numbers."""
        return tuple(self.rig.hr_times.tolist())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The record at ``path``, the result's path or the record's own.

        Raises InputError where there is none, where it is damaged, of another schema, or of no run.
        """
        place = Path(path) if Path(path).suffix == ".json" else record_path(path)
        return cls.of(_read(place), place)

    def run(
        self,
        output: Path | str,
        *,
        lr: object = None,
        hr: object = None,
        overwrite: bool = False,
        workers: object = None,
        stop: Token | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> Outcome:
        """Repeat the run into the file ``output``, with the same bytes on the same class of device.

        ``lr`` and ``hr`` (paths, arrays or Stacks) are needed where the recordings are no longer at the recorded
        paths, ``workers`` as of ``fuse_files``. Raises InputError where a recording is missing or its content differs,
        ModelError where the weights differ, and else what ``fuse_files`` raises.
        """
        repeat = resolve_name("napari_xfusion.core.run:repeat")  # which itself needs the record
        settings = {"overwrite": overwrite, "workers": workers, "stop": stop, "progress": progress}
        outcome: Outcome = repeat(self, output, lr=lr, hr=hr, **settings)
        return outcome

    @classmethod
    def of(cls, values: Mapping[str, Any], where: object = "the record") -> Self:
        """The record from JSON ``values``; raises InputError that names ``where``."""
        schema = values.get("schema")
        if "plan" in values and schema != SCHEMA:
            raise InputError(
                where,
                expected=f"a run record of schema {SCHEMA}",
                found=f"schema {schema}" if schema is not None else "no schema number",
                hint="read it with the version of napari-xfusion that wrote it, or fuse again",
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise _damaged(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


AnyRecord = RunRecord | SequenceRecord | ConversionRecord


@dataclass(frozen=True)
class RecordedTimes:
    """What a comparison needs of a record."""

    first: int
    """LR frame number of the result's first frame."""
    hr_times: tuple[float, ...]
    """Times of the HR frames that were given, in LR frame numbers."""


def read_times(result: str | PathLike[str]) -> RecordedTimes | None:
    """Times from the record beside ``result``, or None where there is none, or one of no run.

    Raises InputError when something stands there that is no record.
    """
    path = record_path(result)
    if not path.is_file():
        return None
    try:
        values = _read(path)
        if "plan" not in values:
            return None
        record = RunRecord.of(values, path)
    except InputError as error:
        hint = "remove it and give {hr_step} or {hr_times}"
        raise InputError(path, expected=error.expected, found=error.found, hint=hint) from error
    return RecordedTimes(record.plan.frames[0] if record.plan.frames else 0, record.hr_times)


def record_path(result: str | PathLike[str]) -> Path:
    """Where the record of ``result`` stands."""
    return Path(f"{result}.json")


def with_frames(
    facts: Mapping[str, Any], identity: str, frames: Iterable[int], notes: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """The record with what a sink adds: the identity, and each frame's notes in the order of the file."""
    table = [{"frame": t, "done": True, **notes[t]} for t in frames]
    return {**facts, "identity": identity, "frames": table}


def recorded_notes(path: Path, identity: str) -> dict[int, dict[str, Any]] | None:
    """Notes of all frames, from the record at ``path``; None where it is of another identity, or damaged."""
    try:
        values = _read(path)
        if values["identity"] != identity:
            return None
        frames = [FrameRecord.model_validate(each) for each in values["frames"]]
    except (InputError, ValidationError, KeyError, TypeError):
        return None
    return {each.frame: each.notes() for each in frames}


def is_record(path: Path) -> bool:
    """Whether ``path`` is a record that this program wrote, of any version."""
    try:
        values = _read(path)
    except InputError:
        return False
    return {"identity", "frames"} <= values.keys()


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(values, dict):
        raise _damaged(path, type(values).__name__)
    return values


def _damaged(where: object, found: str) -> InputError:
    hint = "give a result that has its record next to it, or the record"
    return InputError(where, expected="the record of a run", found=found, hint=hint)

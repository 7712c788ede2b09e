"""What the sections of the Fusion panel show of their steps, from what is known; no widget."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.quantities import duration, moment
from napari_xfusion.ui.fusion.judge_box import in_words
from napari_xfusion.ui.fusion.known_section import as_read
from napari_xfusion.ui.fusion.request import Findings, Place, Request
from napari_xfusion.ui.shared.steps import Fact, State, Step
from napari_xfusion.ui.shared.words import field as label_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_xfusion.core.calibration import Calibration
    from napari_xfusion.core.holdout.score import Score
    from napari_xfusion.core.plan import Plan
    from napari_xfusion.core.types import Stack

WRONG_BY: dict[str, frozenset[str]] = {
    "frames": frozenset({"planned-frames", "unfinished-frame", "bad-frames", "unlike", "hr-coverage"}),
    "size": frozenset({"axes-scale", "border", "orientation", "orientations-differ", "same-recording"}),
    "interval": frozenset(
        {"hr-interval", "frame-rate", "uneven-times", "unsure-times", "times-resolution", "times-unit"}
    ),
    "pixel": frozenset({"pixel-sizes"}),
}
"""By row of the table of recordings, the warnings that are about it."""
LONGEST_NAME = 17
"""Characters of a file or camera name in the table."""


@dataclass(frozen=True)
class Situation:
    """What the sections are about, as far as it is now."""

    sequences: tuple[Stack, Stack] | None = None
    """LR and HR; None where there are not two of them."""
    empty: bool = False
    """Whether no image is open."""
    foreign: bool = False
    """Whether one of them was opened by another reader."""
    request: Request | None = None
    findings: Findings = field(default_factory=Findings)
    checking: bool = False
    rig_file: str = ""
    calibration: Calibration | None = None
    running: bool = False
    finished: bool = False
    """Whether the result of ``request`` is complete."""
    result: Image | None = None
    """The layer of that result."""
    score: Score | None = None
    scored: Plan | None = None
    """What ``score`` was made by."""
    scoring: bool = False

    @property
    def ready(self) -> bool:
        """Whether a run can start."""
        return self.request is not None and not self.findings.problem and not self.checking

    def problem_at(self, place: Place) -> Step | None:
        """The step of the section in which the problem can be corrected."""
        if not self.findings.problem or self.findings.place != place:
            return None
        setting = self.findings.setting
        words = "look at the field" if setting else "see the reason below"
        return Step(State.ATTENTION, words, setting, label_of(setting) if setting else "")


def steps(now: Situation) -> tuple[Step, Step, Step, Step, Step]:
    """Recordings, Alignment, Check, Fuse and Judge."""
    return (
        recordings_step(now),
        alignment_step(now),
        check_step(now),
        fuse_step(now),
        judge_step(now),
    )


def recordings_step(now: Situation) -> Step:
    """Whether two recordings are there."""
    if now.empty:
        return Step(words="open LR and HR, or drop both files on the window")
    if now.sequences is None:
        return now.problem_at("recordings") or Step()
    lr, hr = now.sequences
    if now.foreign:
        return Step(State.ATTENTION, "opened by another reader, without the sizes and times of the files")
    return now.problem_at("recordings") or Step(State.DONE, f"{len(lr)} LR frames, {len(hr)} HR frames")


def alignment_step(now: Situation) -> Step:
    """Which rig is used."""
    problem = now.problem_at("alignment")
    if problem is not None or now.sequences is None or now.findings.rig is None:
        return problem or Step()
    used = now.calibration
    if used is None:
        down, across = now.findings.rig.grids.scale
        return Step(State.DONE, f"no rig file: same field of view, scale {down:g} x {across:g}")
    return Step(State.DONE, f"{_short(Path(now.rig_file).name)}: {', '.join(_rig_words(used))}")


def _rig_words(used: Calibration) -> Iterator[str]:
    if used.residuals is not None:
        yield f"residual {used.residuals.rms:.2f} HR pixels"
    clock = used.clock
    if clock is None:
        yield "no clock"
    else:
        interval = clock.lr_interval_ns
        yield f"clock {clock.offset_ns / interval:.2f} ± {clock.uncertainty_ns / interval:.2f} LR frames"


def check_step(now: Situation) -> Step:
    """What the check has found."""
    if now.sequences is None or now.findings.rig is None:
        return Step(words="checking …" if now.checking and now.sequences is not None else "")
    rig, notes = now.findings.rig, now.findings.notes
    found = f"correlation {rig.correlation:.3f}"
    if notes:
        return Step(
            State.ATTENTION, f"{len(notes)} warning{'s' if len(notes) > 1 else ''} to look at, {found}"
        )
    return Step(State.DONE, f"nothing is wrong, {found}")


def fuse_step(now: Situation) -> Step:
    """What a run would take, or has made."""
    problem = now.problem_at("fuse")
    if problem is not None or now.request is None or not now.ready:
        return problem or Step()
    method = now.request.method
    if now.running:
        return Step(words=f"{method} is running")
    if now.finished:
        return Step(State.DONE, f"all frames are fused by {method}")
    loads = METHODS[now.request.plan.method].takes_weights and "torch" not in sys.modules
    return Step(
        words=f"{method}, about {duration(now.findings.seconds)}{', after loading the network' * loads}"
    )


def judge_step(now: Situation) -> Step:
    """What the score says."""
    if now.scoring:
        return Step(words="scoring the methods …")
    if now.score is None:
        return Step(words="score, look closer, export" if now.finished else "")
    choice = now.score.choice
    other = now.request is not None and now.request.plan.method != choice.method and choice.clear
    return Step(State.ATTENTION if other else State.DONE, in_words(choice))


def recording_rows(now: Situation) -> Iterator[Fact]:
    """The table of LR and HR; rows that a warning is about are marked."""
    if now.sequences is None:
        return
    lr, hr = stacks = now.sequences
    findings = now.findings

    def wrong(row: str) -> str:
        return "see the warnings under Check" if WRONG_BY[row] & findings.codes else ""

    def missing(row: str, absent: list[bool]) -> dict[str, str]:
        """The field for what a file does not hold."""
        camera = next((c for c, is_absent in zip(("lr", "hr"), absent, strict=True) if is_absent), None)
        return {} if camera is None else {"setting": f"{camera}_{row}", "label": "enter it"}

    yield Fact("file", tuple(_short(Path(stack.source).name) for stack in stacks))
    yield Fact("frames", tuple(str(len(stack)) for stack in stacks), wrong("frames"))
    yield Fact("size", tuple(f"{s.shape[1]}\u00a0x\u00a0{s.shape[2]}" for s in stacks), wrong("size"))
    yield Fact("type", (str(lr.dtype), str(hr.dtype)))
    rates = [as_read(stack).clock.interval is None and stack.clock.interval is None for stack in stacks]
    times_needed = hr.metadata.hr_times is None and findings.rig is None
    yield Fact(
        "interval",
        tuple("unknown" if s.clock.interval is None else moment(s.clock.interval) for s in stacks),
        wrong("interval"),
        **missing("rate", rates if times_needed else [False, False]),
    )
    pixels = [stack.pixel_size is None for stack in stacks]
    yield Fact(
        "pixel",
        tuple("unknown" if s.pixel_size is None else f"{s.pixel_size:.4g} µm" for s in stacks),
        wrong("pixel"),
        **missing("pixel", pixels if all(pixels) else [False, False]),
    )
    names = [stack.metadata.camera.name for stack in stacks]
    if any(names):
        yield Fact("camera", tuple(_short(name or "–") for name in names))
    fields = [", ".join(Path(path).name for path, _ in stack.metadata.fields) for stack in stacks]
    if any(fields):
        yield Fact("corrected by", tuple(text or "–" for text in fields))


def _short(name: str) -> str:
    """A name that fits into a column."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 + 1 :]}"

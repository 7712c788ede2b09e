"""A fusion request as one value, and its check before the run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import psutil

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.check import check
from napari_xfusion.core.networks.cards import model_of
from napari_xfusion.core.networks.limits import knows_usual
from napari_xfusion.core.plan import MENDED_BY, Flaw, Plan
from napari_xfusion.core.quantities import byte_count
from napari_xfusion.core.results import open_sink
from napari_xfusion.core.results.record import RunRecord, record_path
from napari_xfusion.core.rig import Mapping, Rig, place_lr
from napari_xfusion.core.run import check_outputs
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import (
    DeviceError,
    InputError,
    ModelError,
    OutputError,
    OutputExistsError,
    UnknownTimesError,
    XFusionError,
)
from napari_xfusion.ui.shared.layers import LayerData, derived_layer, layer_name, title_of
from napari_xfusion.ui.shared.preferences import preferences
from napari_xfusion.ui.shared.times import Times
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    from napari.layers import Image

MEMORY_SHARE = 0.7
"""Maximum fraction of the free memory for a result in memory."""


@dataclass(frozen=True, eq=False)
class Request:
    """A requested run."""

    plan: Plan
    layers: tuple[Image, Image]
    """The layers of LR and HR."""
    sequences: tuple[Stack, Stack]
    """LR and HR."""
    output: Path | None = None
    """A file, or None for memory. A path without a name is one that the user has not entered yet."""
    overwrite: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for requests of the same sequence with the same output."""
        return self.plan, *self.sequences, self.output, self.overwrite

    @property
    def frames_key(self) -> tuple[Any, ...]:
        """Equal for requests whose frames are the same, whichever of them are wanted."""
        return self.whole_plan, *self.sequences

    @property
    def pairing(self) -> dict[str, Any]:
        """The settings of the plan that are the same for all methods."""
        return self.whole_plan.model_dump(exclude={"method", "model", "device", "precision", "tile"})

    @property
    def whole_plan(self) -> Plan:
        """The plan for all frames and pixels."""
        return self.plan.model_copy(update={"frames": None, "region": None})

    @property
    def method(self) -> str:
        """The name of the method, or of its model."""
        if not METHODS[self.plan.method].takes_weights:
            return self.plan.method
        return model_of(self.plan).stem

    @property
    def title(self) -> str:
        """The common name of the sequences."""
        return title_of(self.layers[0])

    def by_name(self, text: str) -> str:
        """``text`` with the names of the sequences, output and model instead of their paths."""
        for path in (*(sequence.source for sequence in self.sequences), self.output, self.plan.model):
            if path is not None and Path(path).name:
                text = text.replace(str(path), Path(path).name)
        return text

    @property
    def mapping(self) -> Mapping:
        """Where layers show LR pixels on the HR grid; raises PairingError."""
        return place_lr(*self.sequences, self.plan.calibration).without_radial

    def layer(self, data: Any, plan: Plan, *, detail: str = "") -> LayerData:
        """The layer for ``data`` (T, H, W), which ``plan`` makes."""
        lr, hr = self.layers
        corner = Mapping(shift=(plan.region.top, plan.region.left) if plan.region else (0, 0))
        return derived_layer(
            lr,
            data,
            name=layer_name(self.title, "fused", self.method + detail),
            role="fused",
            mapping=corner.then(self.mapping.inverse),
            first=plan.frames[0] if plan.frames else 0,
            origins=self.layers,
            plan=plan,
            contrast_limits=tuple(hr.contrast_limits),
            colormap=hr.colormap,
        )


Place = Literal["recordings", "alignment", "fuse"]
"""The section in which a problem can be corrected."""
_ALIGNMENT = {"hr_step", "hr_start", "hr_times", "lr_time_offset", "hr_time_offset", "rig", "extent"}
_FUSE = {
    *("frames", "region", "output", "overwrite", "method", "model", "separation", "correct", "keep_flicker"),
    *("hr_frames", "device", "precision", "tile"),
}


@dataclass(frozen=True)
class Findings:
    """The result of the check of a request."""

    facts: tuple[tuple[str, str], ...] = ()
    """Name and words of each finding about the pair."""
    notes: tuple[str, ...] = ()
    """Warnings, in words."""
    codes: frozenset[str] = frozenset()
    """Of the warnings."""
    problem: str = ""
    """Why it cannot run; empty if it can."""
    place: Place = "recordings"
    """Where the problem can be corrected."""
    setting: str = ""
    """The setting that corrects it, where it is one."""
    mends: tuple[Flaw, ...] = ()
    """What the plan could correct as well."""
    familiar: bool | None = None
    """Whether the recording is of the kind that the network was trained on; None where that is not known."""
    seconds: float = 0.0
    """That a run is expected to take on two cores."""
    rig: Rig | None = None
    """The cameras as paired."""
    step_doubtful: bool = False
    """Whether HR frames agree with LR at other times than those of the HR step, or of the HR file."""

    @classmethod
    def of_problem(cls, error: XFusionError, **found: Any) -> Self:
        """The findings where ``error`` keeps a run from starting, and what else was ``found``."""
        setting = "hr_step" if isinstance(error, UnknownTimesError) else error.setting or ""
        return cls(problem=in_window_words(error), place=_place_of(error), setting=setting, **found)


def _place_of(error: XFusionError) -> Place:
    if isinstance(error, OutputError | ModelError | DeviceError) or error.setting in _FUSE:
        return "fuse"
    return "alignment" if error.setting in _ALIGNMENT else "recordings"


def examine(request: Request) -> Findings:
    """Check sequences, pairing, model and output of a request; reads a few frames and fuses none."""
    found = check(request.plan, *request.sequences)
    problem, familiar = found.problem, None
    if problem is None:
        if knows_usual(request.plan):
            familiar = all(note.code != "unfamiliar" for note in found.notes)
        try:
            _check_output(request, found.estimate["output_mb"] * 1e6)
        except XFusionError as error:
            problem = error
    codes = frozenset(note.code for note in found.notes)
    known: dict[str, Any] = {
        "facts": tuple((name, request.by_name(words)) for name, words in found.pair_facts()),
        "notes": tuple(request.by_name(in_window_words(note)) for note in found.notes),
        "codes": codes,
        "mends": tuple(flaw for note in found.notes for flaw in MENDED_BY.get(note.code, ())),
        "familiar": familiar,
        "seconds": found.estimate.get("seconds", 0.0),
        "rig": found.rig,
        "step_doubtful": "delayed" in codes and request.plan.clock is None and request.plan.hr_times is None,
    }
    if problem is None:
        return Findings(**known)
    findings = Findings.of_problem(problem, **known)
    return replace(findings, problem=request.by_name(findings.problem))


def times_of(request: Request, rig: Rig) -> Times:
    """When the cameras of ``rig`` took their frames, for the timeline."""
    fast, hr, clock = rig.fast, rig.hr, request.plan.clock
    exposure = clock.exposure_ns if clock is not None else request.sequences[1].metadata.camera.exposure_ns
    interval = fast.clock.interval
    frames = 1.0 if exposure is None or interval is None else exposure / (1e9 * interval)
    times = np.asarray(fast.clock.frames_of(hr.clock), dtype=np.float64)
    return Times(len(rig), times, frames, fast.health.frames, hr.health.frames)


def unfinished(output: Path) -> Path:
    """The path of the incomplete result for ``output``."""
    return output.with_name(f"{output.name}.partial")


def _check_output(request: Request, size: float) -> None:
    if request.output is None:
        free, allowed = psutil.virtual_memory().available, preferences().memory * 1e9
        if size > min(MEMORY_SHARE * free, allowed):
            raise OutputError(
                "Output",
                expected=f"{byte_count(size)} of free memory",
                found=f"{byte_count(free)} free, {byte_count(allowed)} allowed in the preferences",
                hint="write to a file, or fuse fewer frames or a region",
            )
        return
    if not request.output.name:
        raise OutputError(
            "Output", problem="no file name is given", hint="enter one, or select memory as the destination"
        )
    open_sink(request.output)
    check_outputs([file for stack in request.sequences for file in stack.files], [request.output])
    if request.output.exists() and not request.overwrite and not _is_of(request.plan, request.output):
        raise OutputExistsError(
            request.output,
            setting="output",
            problem="this file exists and does not hold a result computed with these settings",
            hint="choose another name, or tick {overwrite}",
        )
    free = shutil.disk_usage(request.output.parent).free
    if size > free and not unfinished(request.output).exists() and not request.output.exists():
        raise OutputError(
            request.output,
            problem=f"the result needs {byte_count(size)}, but only {byte_count(free)} are free on the disk",
            hint="choose another disk",
        )
    if not os.access(request.output.parent, os.W_OK):
        raise OutputError(
            request.output, problem="no permission to write to its folder", hint="choose another folder"
        )


def _is_of(plan: Plan, output: Path) -> bool:
    """Whether the file at ``output`` may be a result of ``plan``; the run compares the sequences, too."""
    try:
        recorded = RunRecord.load(record_path(output)).plan
    except InputError:
        return False
    compared = [
        "method",
        "separation",
        "grey",
        "correct",
        "keep_flicker",
        "hr_frames",
        "dtype",
        "calibration",
    ]
    if plan.region is not None or plan.calibration is None:  # else the record has what both cameras see
        compared.append("region")
    return all(getattr(recorded, name) == getattr(plan, name) for name in compared)

"""A fusion request as one value, and its check before the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.check import check
from napari_xfusion.core.networks.cards import model_of
from napari_xfusion.core.plan import MENDED_BY, Flaw, Plan
from napari_xfusion.core.quantities import byte_count
from napari_xfusion.core.results import open_sink
from napari_xfusion.core.results.record import RunRecord, record_path
from napari_xfusion.core.rig import Mapping, place_lr
from napari_xfusion.core.run import check_outputs
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, OutputError, OutputExistsError, XFusionError
from napari_xfusion.ui.shared.layers import LayerData, derived_layer, layer_name, title_of
from napari_xfusion.ui.shared.preferences import preferences
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


@dataclass(frozen=True)
class Findings:
    """The result of the check of a request."""

    lines: Sequence[str]
    problem: str = ""
    """Why it cannot run; empty if it can."""
    mends: tuple[Flaw, ...] = ()
    """What the plan could correct as well."""


def examine(request: Request) -> Findings:
    """Check sequences, pairing, model and output of a request; reads a few frames and fuses none."""
    found = check(request.plan, *request.sequences)
    problem = found.problem
    if problem is None:
        try:
            _check_output(request, found.estimate["output_mb"] * 1e6)
        except XFusionError as error:
            problem = error
    lines = [" ".join(line.split()) for line in found.facts()]
    lines += [f"note {in_window_words(note)}" for note in found.notes]
    reason = "" if problem is None else in_window_words(problem)
    mends = [flaw for note in found.notes for flaw in MENDED_BY.get(note.code, ())]
    return Findings([request.by_name(line) for line in lines], request.by_name(reason), tuple(mends))


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

"""The plan of a study: conditions and methods. Saved as JSON, which can be edited and run again.

Conditions have names. One is the base; a condition that differs from it in a single setting belongs to the
sweep of that setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_xfusion.core.catalogue import METHODS, training_free
from napari_xfusion.core.networks.cards import describe, list_models
from napari_xfusion.core.plan import DeviceName, MethodName, Plan
from napari_xfusion.errors import InputError, ModelError

Preset = Literal["quick", "full"]
Setting = Literal["lr_psnr", "hr_step", "separation"]
BASE_STEPS = (20, 10, 4, 2)
"""HR steps for the base condition, of which the first that fits the sequence's length is used; 20 in the paper."""
LARGEST = 5_000_000
"""Largest number of parameters of a network in a preset; larger ones take hours on a CPU."""


class Condition(BaseModel):
    """Settings of the two cameras; the rest of the virtual experiment is the same for all (paper, D3-D8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hr_step: Annotated[int, Field(ge=2)] | Literal["ends"]
    """LR frames per HR frame; the last frame is added. ``ends``: the first and the last frame only."""
    lr_psnr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """PSNR of noisy LR in dB; None for no noise."""
    separation: Annotated[int, Field(ge=1)] = 1
    """Distance of the three LR input frames, in LR frames."""

    @property
    def shortest(self) -> int:
        """Smallest number of frames for which the condition is meaningful."""
        step = 2 if self.hr_step == "ends" else self.hr_step
        return max(step, 2 * self.separation) + 1

    def step_in(self, frames: int) -> int:
        """Return the HR step in a sequence of ``frames``."""
        return frames - 1 if self.hr_step == "ends" else self.hr_step

    def __str__(self) -> str:
        step = "first and last HR frame only" if self.hr_step == "ends" else f"HR every {self.hr_step} frames"
        noise = "no LR noise" if self.lr_psnr is None else f"LR PSNR {self.lr_psnr:g} dB"
        return f"{step}, separation {self.separation}, {noise}"


class Series(BaseModel):
    """A method with its model: one curve in a figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName
    model: str | None = None
    """Name or file of the weights of a network."""
    clusters: Annotated[float, Field(gt=0, le=1)] | None = None
    """For ``bayesian-paper``: clusters per LR pixel along one axis; None for 0.05, as in the paper."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clusters is not None and self.method != "bayesian-paper":
            raise ValueError(f"{self.method} has no clusters to set")
        if self.model is not None and not METHODS[self.method].takes_weights:
            raise ValueError(f"{self.method} has no model")
        return self

    @property
    def name(self) -> str:
        """The name in tables and figures."""
        return self.method if self.model is None else Path(self.model).stem


class Clusters(BaseModel):
    """The sweep of ``bayesian-paper`` over cluster numbers and separations (paper, E7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    """Clusters per LR pixel along one axis."""
    separations: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Distances from the target to its previous and next frame, LR and HR, in LR frames (M7)."""


class StudyPlan(BaseModel):
    """All settings of a study except its sequences; frozen, and sufficient to repeat it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: Annotated[tuple[Series, ...], Field(min_length=1)]
    conditions: Annotated[dict[str, Condition], Field(min_length=1)]
    """The conditions by name."""
    base: str = "base"
    """Name of the condition with which the others are compared."""
    clusters: Clusters = Clusters()
    frames: tuple[int, int] | None = None
    """Targets A..B-1; every frame when None."""
    runs: Annotated[int, Field(ge=0)] = 100
    """Repetitions for each median time; fewer for slow networks."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of the LR noise, the same for all methods."""
    device: DeviceName = "auto"
    """Device for networks."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.base not in self.conditions:
            raise ValueError(f"base {self.base!r} is none of the conditions {', '.join(self.conditions)}")
        names = [series.name for series in self.series]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two series are called {twice[0]}: name the model files differently")
        if self.frames is not None and not 0 <= self.frames[0] < self.frames[1]:
            raise ValueError(f"frames {self.frames[0]}:{self.frames[1]} hold no frame")
        return self

    def sweep(self, setting: Setting) -> dict[str, Condition]:
        """Return the base and the conditions that differ from it in ``setting`` only, in the order of the axis."""
        base = self.conditions[self.base]
        same = {
            name: condition
            for name, condition in self.conditions.items()
            if condition.model_copy(update={setting: getattr(base, setting)}) == base
        }
        return dict(sorted(same.items(), key=lambda item: _place(getattr(item[1], setting))))

    def plan_for(self, series: Series, condition: Condition, hr_times: tuple[int, ...]) -> Plan:
        """Return the plan of a run of one method under one condition."""
        return Plan(
            method=series.method,
            model=series.model,
            hr_times=hr_times,
            separation=condition.separation,
            device=self.device,
        )


def preset(name: Preset, frames: int) -> StudyPlan:
    """Return the preset ``name`` for sequences of up to ``frames`` frames, with every available model.

    ``full`` is that of the paper (E1, E4-E9); ``quick`` has the ends and the middle of every sweep. Raises
    InputError for sequences that are too short for any study.
    """
    fitting = [step for step in BASE_STEPS if frames > step]
    if not fitting:
        raise InputError(
            "the sequence",
            problem=f"a study needs 3 frames or more, found {frames}",
            hint="choose another sequence",
        )
    full, step = name == "full", fitting[0]
    conditions = {"base": Condition(hr_step=step)}
    for noise in (20, 30, 40, 50, 60) if full else (20, 40):
        conditions[f"noise {noise} dB"] = Condition(hr_step=step, lr_psnr=noise)
    for other in (2, 10, 20) if full else (2,):
        if other != step:
            conditions[f"step {other}"] = Condition(hr_step=other)
    conditions["step ends"] = Condition(hr_step="ends")
    for separation in (2, 3) if full else (2,):
        conditions[f"separation {separation}"] = Condition(hr_step=step, separation=separation)
    return StudyPlan(
        series=(*(Series(method=method.name) for method in training_free()), *models_at_hand()),
        conditions=conditions,
        clusters=Clusters(
            fractions=(0.01, 0.02, 0.05, 0.1, 0.2) if full else (0.02, 0.05, 0.2),
            separations=(1, 2, 3) if full else (1, 3),
        ),
        runs=100 if full else 20,
    )


def models_at_hand() -> list[Series]:
    """Return a series for every available model that is small enough for a preset; other files are ignored."""
    found = []
    for name, path in list_models().items():
        try:
            description = describe(path)
        except ModelError:
            continue
        if description.parameters <= LARGEST:
            found.append(Series(method=description.card.variant, model=name))
    return found


def read_plan(path: Path) -> StudyPlan:
    """Load a plan from a file; raises InputError that names the invalid setting."""
    try:
        return StudyPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            path, expected="a study plan", found=error.strerror or str(error), hint="check the path"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "plan"
        raise InputError(
            path,
            expected="a study plan",
            found=f"{place}: {first['msg'].removeprefix('Value error, ')}",
            hint="correct the plan, or start from {preset}",
        ) from None


def _place(value: float | str | None) -> float:
    """Return the position on an axis: no noise, and HR frames at the ends only, are last."""
    return float("inf") if value is None or isinstance(value, str) else float(value)

"""The plan of a training: its settings, validated once and saved as JSON next to the checkpoint."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from napari_xfusion.core.files import claim
from napari_xfusion.core.networks.cards import LiteSizes, Sizes, Variant, find_model, read_header
from napari_xfusion.core.plan import validated
from napari_xfusion.errors import InputError
from napari_xfusion.lab.scenes.sample import FURTHER
from napari_xfusion.lab.train.clips import SCENES, Part
from napari_xfusion.lab.train.pool import PoolPlan

SMALL = Sizes(channels=32, extract=5, reconstruct=5, groups=2)
LITE = LiteSizes(encode=24, channels=32, coarse=64, blocks=4)
ROWS = 1000
"""Number of rows of the table of losses."""
PER_CHECKPOINT = 20
"""Number of rows between two checkpoints, and validations."""


class TrainPlan(BaseModel):
    """Settings of a training; frozen, and sufficient to repeat it byte-identically on one CPU thread."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant
    sizes: Sizes | LiteSizes
    data: tuple[str, ...] = (SCENES,)
    """See `open_sources`."""
    halve: bool = False
    """Whether the frame size of sequences is halved."""
    samples: Annotated[int, Field(ge=1)] = 8000
    """Number of samples in the pool."""
    held_out: Annotated[int, Field(ge=1)] = 128
    """Number of validation samples."""
    crop: Annotated[int, Field(ge=32, multiple_of=16)] = 128
    """Side of the HR crops in pixels."""
    iterations: Annotated[int, Field(ge=1)] = 20_000
    batch: Annotated[int, Field(ge=1)] = 16
    """Samples per iteration, summed over all processes."""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Initial learning rate; it decreases to zero along a cosine (paper, D12)."""
    init: str | None = None
    """Name or file of the weights to start from; random when None."""
    seed: Annotated[int, Field(ge=0)] = 0
    half: bool = False
    """Whether the model is stored in 16-bit floats."""

    def pool(self, part: Part) -> PoolPlan:
        """Return the plan of the samples of one part; held-out samples are the same for all seeds."""
        held_out = part == "held-out"
        return PoolPlan(
            data=self.data,
            count=self.held_out if held_out else self.samples,
            crop=self.crop,
            part=part,
            seed=0 if held_out else self.seed,
            halve=self.halve,
            further=FURTHER if self.variant == "lite" else 0,
        )

    @property
    def row(self) -> int:
        """Return the number of iterations per row of the table of losses."""
        return max(1, self.iterations // ROWS)

    @property
    def command(self) -> str:
        """Return the command line that repeats the training, without folders, because it is saved in the model card."""
        data = [Path(word).name for word in self.data]
        words = ["napari-xfusion", "train", *data, "-o", "DIR", "--variant", self.variant]
        sizes = {} if isinstance(self.sizes, LiteSizes) else self.sizes.model_dump()  # lite has a single size
        for name, value in {**sizes, **self.model_dump()}.items():
            if name in ("variant", "sizes", "data") or value in (None, False):
                continue
            word = Path(value).name if name == "init" else str(value)
            words += [f"--{name.replace('_', '-')}"] + [word] * (value is not True)
        return shlex.join(words)


def settle(plan: TrainPlan, folder: Path) -> None:
    """Save the plan in ``folder``; raises InputError where the folder contains a training with another plan."""
    before = claim(folder / "plan.json", plan, "a training")
    changed = [name for name, value in plan if value != getattr(before, name)]
    if changed:
        raise InputError(
            folder,
            expected="; ".join(f"{name} {getattr(before, name)}" for name in changed) + ", as it began",
            found="; ".join(f"{name} {getattr(plan, name)}" for name in changed),
            hint="resume with the same settings, or choose another folder",
        )


def sizes_from(variant: Variant, init: str | None, **given: int | None) -> Sizes | LiteSizes:
    """Return the sizes of a network: those given, the others as in ``init`` or small enough for a CPU.

    Raises ModelError where ``init`` is not a model, InputError for invalid sizes.
    """
    sizes = read_header(find_model(init))[0].sizes if init else LITE if variant == "lite" else SMALL
    wanted = sizes.model_dump() | {k: v for k, v in given.items() if v is not None}
    return validated(type(sizes), wanted, InputError)


def make_train_plan(**settings: object) -> TrainPlan:
    """Make a plan from settings by name; raises InputError that names an invalid setting."""
    return validated(TrainPlan, settings, InputError)

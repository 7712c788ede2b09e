"""A training as a value: what was asked for, checked once, saved as JSON beside its checkpoint."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from napari_xfusion.core.files import claim
from napari_xfusion.core.networks.cards import LiteSizes, Sizes, Variant, find_model, read_header
from napari_xfusion.core.plan import validated
from napari_xfusion.errors import InputError
from napari_xfusion.lab.train.clips import SCENES, Part
from napari_xfusion.lab.train.pool import PoolPlan

SMALL = Sizes(channels=32, extract=5, reconstruct=5, groups=2)
LITE = LiteSizes(encode=24, channels=32, coarse=64, blocks=4)
ROWS = 1000
"""Lines of the table of losses."""
PER_CHECKPOINT = 20
"""Lines between two checkpoints, and validations."""


class TrainPlan(BaseModel):
    """How a network is trained; frozen, and enough to repeat it to the bit on one CPU thread."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant
    sizes: Sizes | LiteSizes
    data: tuple[str, ...] = (SCENES,)
    """See `open_sources`."""
    halve: bool = False
    """Sequences at half their size."""
    samples: Annotated[int, Field(ge=1)] = 8000
    """In the pool."""
    held_out: Annotated[int, Field(ge=1)] = 128
    """Samples that validation looks at."""
    crop: Annotated[int, Field(ge=32, multiple_of=16)] = 128
    """Side of HR frames in pixels."""
    iterations: Annotated[int, Field(ge=1)] = 20_000
    batch: Annotated[int, Field(ge=1)] = 16
    """Samples per iteration, over all processes together."""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Learning rate at the start; it falls to zero along a cosine (paper, D12)."""
    init: str | None = None
    """Name or file of the weights to start from; random when None."""
    seed: Annotated[int, Field(ge=0)] = 0
    half: bool = False
    """Whether the result is stored in 16-bit floats."""

    def pool(self, part: Part) -> PoolPlan:
        """The samples of one part. The held-out ones are the same for all seeds."""
        held_out = part == "held-out"
        return PoolPlan(
            data=self.data,
            count=self.held_out if held_out else self.samples,
            crop=self.crop,
            part=part,
            seed=0 if held_out else self.seed,
            halve=self.halve,
        )

    @property
    def row(self) -> int:
        """Iterations from one line of the table of losses to the next."""
        return max(1, self.iterations // ROWS)

    @property
    def command(self) -> str:
        """The command line that repeats it; no folders, as it goes wherever the weights go."""
        data = [Path(word).name for word in self.data]
        words = ["napari-xfusion", "train", *data, "-o", "DIR", "--variant", self.variant]
        sizes = {} if isinstance(self.sizes, LiteSizes) else self.sizes.model_dump()  # the lite has one size
        for name, value in {**sizes, **self.model_dump()}.items():
            if name in ("variant", "sizes", "data") or value in (None, False):
                continue
            word = Path(value).name if name == "init" else str(value)
            words += [f"--{name.replace('_', '-')}"] + [word] * (value is not True)
        return shlex.join(words)


def settle(plan: TrainPlan, folder: Path) -> None:
    """Save the plan in ``folder``; raises InputError where a training by another plan is there."""
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
    """The sizes of a network: those given, the others as in ``init`` or small enough for a CPU.

    Raises ModelError where ``init`` is no model, InputError for sizes that cannot be.
    """
    sizes = read_header(find_model(init))[0].sizes if init else LITE if variant == "lite" else SMALL
    wanted = sizes.model_dump() | {k: v for k, v in given.items() if v is not None}
    return validated(type(sizes), wanted, InputError)


def make_train_plan(**settings: object) -> TrainPlan:
    """A plan from settings by name; raises InputError that names the setting that cannot be."""
    return validated(TrainPlan, settings, InputError)

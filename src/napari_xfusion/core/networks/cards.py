"""Model files and what they say of themselves; knows nothing of torch.

A model is one safetensors file: the tensors, and in its metadata a card, so that a network's sizes,
its inputs and the grey scale it wants cannot drift apart from its weights.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.plan import GreyRule, Plan
from napari_xfusion.core.types import ROLES, Role
from napari_xfusion.errors import ModelError

Variant = Literal["edvr-stf", "edvr", "lite"]
"""A network's architecture, which has the name of the method that runs it."""
INPUTS: dict[Variant, tuple[Role, ...]] = {"edvr-stf": ROLES, "edvr": ROLES[:3], "lite": ROLES}
SUFFIX = ".safetensors"
CARD = "card"
"""The metadata key of the card."""
BUNDLED = Path(__file__).parents[2] / "weights"

Size = Annotated[int, Field(ge=1, le=4096)]
Span = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


class Sizes(BaseModel):
    """What a builder needs to make the network."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    channels: Size
    extract: Size
    """Residual blocks of the extraction."""
    reconstruct: Size
    """Residual blocks of the reconstruction."""
    groups: Size
    """Groups of channels that move together in alignment."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.channels % self.groups:
            raise ValueError(f"{self.channels} channels do not split into {self.groups} groups")
        return self


class LiteSizes(BaseModel):
    """The same for the lite network."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    encode: Size
    """Channels per input."""
    channels: Size
    """At LR resolution."""
    coarse: Size
    """At half of it."""
    blocks: Size
    """Residual blocks at half the LR resolution."""


class Trained(BaseModel):
    """What the network has seen in training, smallest and largest; None where that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    separations: Span | None = None
    """LR frames from one of the three inputs to the next."""
    hr_distances: Span | None = None
    """LR frames from the target to an HR frame."""
    noise: Span | None = None
    """Standard deviation of one LR pixel's noise, grey units."""
    traits: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """What the recordings looked like, by name; see ``networks.familiar``."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        spans = {"separations": self.separations, "hr_distances": self.hr_distances, "noise": self.noise}
        for name, span in (spans | self.traits).items():
            if span is not None and span[0] > span[1]:
                raise ValueError(f"{name}: {span[0]} is larger than {span[1]}")
        return self


class Card(BaseModel):
    """All that travels with the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant
    sizes: Sizes | LiteSizes
    inputs: tuple[Role, ...]
    """The input frames in the order the network takes them."""
    base: Literal["bilinear", "flow"] = "bilinear"
    """What the network's residual is added to."""
    scale: Literal[4] = 4
    grey: GreyRule = "match"
    """The grey rule of the training sequences."""
    trained: Trained = Trained()
    training: str = ""
    """A summary for people: data, iterations, loss, held-out figures."""
    provenance: str = ""
    """Where the weights come from, and their licence."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.inputs != INPUTS[self.variant]:
            raise ValueError(f"{self.variant} takes {', '.join(INPUTS[self.variant])}")
        if (self.variant == "lite") != isinstance(self.sizes, LiteSizes):
            raise ValueError(f"these are not the sizes of {self.variant}")
        return self


@dataclass(frozen=True)
class Description:
    """What ``describe`` found out about a model file."""

    path: Path
    card: Card
    parameters: int
    tensors: int
    size: int
    """Bytes on disk."""
    sha256: str


def list_models() -> dict[str, Path]:
    """Name to file of every available model: those bundled, and those in the user's folder, which take precedence."""
    folders = (BUNDLED, models_folder())
    return {path.stem: path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))}


def models_folder() -> Path:
    """The folder where the user stores their own models; need not exist."""
    return Path(platformdirs.user_data_dir("napari-xfusion", appauthor=False)) / "models"


def model_of(plan: Plan) -> Path:
    """The file of the weights that a plan for a network takes: those it names, else the bundled ones.

    Raises ModelError where it is missing, no model, or one that the method cannot run.
    """
    path = find_model(plan.model or METHODS[plan.method].model or "")
    require_method(path, read_header(path)[0], plan.method)
    return path


def models_of(method: str) -> list[str]:
    """Names of the available models that ``method`` can run, its default first; damaged ones are left out."""
    names = []
    for name, path in list_models().items():
        try:
            state = path.stat()
            card = _card_of(path, state.st_ino, state.st_mtime_ns, state.st_size)
            require_method(path, card, method)
            names.append(name)
        except (ModelError, OSError):
            continue
    return sorted(names, key=lambda name: (name != METHODS[method].model, name))


@lru_cache(1024)
def _card_of(path: Path, *_state: int) -> Card:
    """The card of a model file in this state: panels ask for all models again and again."""
    return read_header(path)[0]


def require_method(path: Path, card: Card, method: str) -> None:
    """Raise ModelError when the weights are those of a network that ``method`` cannot run."""
    if card.variant != method:
        raise ModelError(
            path, problem=f"this is a model of {card.variant}, not of {method}", hint="choose another model"
        )


def find_model(name: str | Path) -> Path:
    """The file of a model given by its name or by its path; raises ModelError that lists what there is."""
    models = list_models()
    if str(name) in models:
        return models[str(name)]
    if Path(name).is_file():
        return Path(name)
    raise ModelError(
        name,
        problem=f"no model has this name (available: {', '.join(sorted(models)) or 'none'})",
        hint=f"give the path of a {SUFFIX} file or put it into {models_folder()}",
    )


def describe(path: Path) -> Description:
    """Card, size and checksum of a model file; raises ModelError when it is none."""
    card, shapes = read_header(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return Description(path, card, parameters, len(shapes), path.stat().st_size, digest)


def read_header(path: Path) -> tuple[Card, dict[str, tuple[int, ...]]]:
    """The card of a model file and the shape of every tensor; raises ModelError when it is none."""
    if not path.is_file():
        raise ModelError(
            path,
            problem="this model file does not exist",
            hint="check the path, or choose an available model",
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            path,
            expected="a complete safetensors file",
            found=str(error) or type(error).__name__,
            hint="copy or download it again; convert an upstream .pth file with `napari-xfusion models import`",
        ) from None
    return read_card(path, metadata), shapes


def read_card(path: Path, metadata: dict[str, str]) -> Card:
    """The card in a safetensors file's metadata; raises ModelError that names the field that cannot be."""
    if CARD not in metadata:
        raise ModelError(
            path,
            problem="this safetensors file has no model card",
            hint="convert an upstream .pth file with `napari-xfusion models import`",
        )
    try:
        return Card.model_validate_json(metadata[CARD])
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            path,
            expected="a model card this version can read",
            found=f"{'.'.join(map(str, first['loc'])) or 'card'}: {first['msg']}",
            hint="use a file for this version, or update napari-xfusion",
        ) from None

"""Networks in and out of files. Nothing in a file is executed; every tensor must be the right one."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from napari_xfusion.core.files import replacing
from napari_xfusion.core.networks.build import edvr, edvr_stf, lite
from napari_xfusion.core.networks.cards import (
    CARD,
    INPUTS,
    SUFFIX,
    Card,
    LiteSizes,
    Sizes,
    Variant,
    read_header,
    require_method,
)
from napari_xfusion.core.networks.lite import Lite
from napari_xfusion.core.networks.network import Network
from napari_xfusion.errors import ModelError, OutputError, OutputExistsError, writing

AnyNetwork = Network | Lite
Shapes = dict[str, tuple[int, ...]]
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
KEYS = ("params", "params_ema")
"""Where upstream checkpoints keep their tensors; the first that is there counts, as it does upstream."""


class Loaded(NamedTuple):
    """A network from a file."""

    network: AnyNetwork
    """float32 on the CPU, in evaluation mode."""
    card: Card
    sha256: str
    """Of the file, for the run record."""


def build(variant: Variant, sizes: Sizes | LiteSizes) -> AnyNetwork:
    """The network of that variant and those sizes."""
    builders: dict[Variant, Callable[..., AnyNetwork]] = {
        "edvr-stf": edvr_stf,
        "edvr": edvr,
        "lite": lite,
    }
    return builders[variant](**sizes.model_dump())


def save_model(path: Path, network: AnyNetwork, card: Card) -> None:
    """Write weights and card to a safetensors file, which is there complete or not at all.

    Raises ModelError when the card does not describe the network or a weight is not finite.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    _check_shapes(path, _shapes(tensors), card.variant, card.sizes)
    _check_numbers(path, tensors)
    _write(path, tensors, card)


def load_model(path: Path, method: str | None = None) -> Loaded:
    """The network of a model file, whose tensors must be exactly those its card calls for.

    Raises ModelError for a file that is none, for missing, unexpected, misshapen or non-finite
    tensors, and for a variant that ``method`` cannot run.
    """
    card, shapes = read_header(path)
    if method is not None:
        require_method(path, card, method)
    _check_shapes(path, shapes, card.variant, card.sizes)
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            path, expected="a model file", found=str(error), hint="copy the file again"
        ) from None
    network = _fill(path, tensors, card)
    return Loaded(network, card, hashlib.sha256(content).hexdigest())


def import_upstream(pth: Path, out: Path) -> Card:
    """Turn a checkpoint of the paper's research code into a model file.

    ``pth`` is a dictionary with the key ``params`` or ``params_ema``, or the tensors by name. Only tensors
    are unpickled. Raises ModelError unless they are those of one known variant.
    """
    if out.suffix != SUFFIX:
        raise OutputError(
            out, expected=f"a name that ends in {SUFFIX}", found=out.suffix, hint="choose another name"
        )
    tensors, key = _upstream_tensors(pth)
    shapes = _shapes(tensors)
    variant, sizes = detect(pth, shapes)
    _check_shapes(pth, shapes, variant, sizes)
    card = Card(
        variant=variant,
        sizes=sizes,
        inputs=INPUTS[variant],
        grey="percentile",
        provenance=f"imported from {pth.name}{key}",
    )
    _write(out, _as_float32(pth, tensors), card)
    return card


def detect(where: Path, shapes: Shapes) -> tuple[Variant, Sizes]:
    """Variant and sizes of a network from its tensors; raises ModelError when it is neither variant."""
    variant: Variant = "edvr-stf" if any("_hi." in name for name in shapes) else "edvr"
    try:
        sizes = Sizes(
            channels=shapes["conv_first.weight"][0],
            extract=_blocks("feature_extraction", shapes),
            reconstruct=_blocks("reconstruction", shapes),
            groups=shapes["pcd_align.cas_dcnpack.conv_offset.weight"][0] // 27,
        )
    except (KeyError, IndexError, ValidationError):
        raise ModelError(
            where,
            expected="the tensors of edvr-stf or edvr",
            found=f"{len(shapes)} others ({_some(shapes)})",
            hint="check that it is a checkpoint of one of these networks",
        ) from None
    return variant, sizes


def _blocks(trunk: str, shapes: Shapes) -> int:
    return sum(bool(re.fullmatch(rf"{trunk}\.\d+\.conv1\.weight", name)) for name in shapes)


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _check_shapes(where: Path, found: Shapes, variant: Variant, sizes: Sizes | LiteSizes) -> None:
    """Raise ModelError unless the tensors are exactly those of that network."""
    with torch.device("meta"):
        expected = _shapes(build(variant, sizes).state_dict())
    wrong = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} {found[name]} for {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ],
    }
    faults = [f"{len(names)} {fault} ({_some(names)})" for fault, names in wrong.items() if names]
    if faults:
        raise ModelError(
            where,
            expected=f"the {len(expected)} tensors of {variant} with {sizes.channels} channels",
            found="; ".join(faults) + _resembles(where, found, variant),
            hint="use a file of that network",
        )


def _resembles(where: Path, found: Shapes, variant: Variant) -> str:
    try:
        other = detect(where, found)[0]
    except ModelError:
        return ""
    return f"; it looks like {other}" if other != variant else ""


def _some(names: Mapping[str, Any] | list[str], most: int = 3) -> str:
    shown = ", ".join(name[:80] for name in list(names)[:most])
    return shown + (", ..." if len(names) > most else "")


def _check_numbers(where: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless every tensor holds finite floating-point numbers."""
    kind = [f"{name} is {t.dtype}" for name, t in tensors.items() if t.dtype not in FLOATS]
    bad = kind or [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise ModelError(
            where,
            expected="finite floating-point weights",
            found=f"{len(bad)} tensors with {'other numbers' if kind else 'NaN or infinity'} ({_some(bad)})",
            hint="use another checkpoint; a training that diverged leaves such files",
        )


def _as_float32(where: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    _check_numbers(where, tensors)
    narrow = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
    _check_numbers(where, narrow)  # a float64 may be too large for float32
    return narrow


def _fill(where: Path, tensors: Mapping[str, Tensor], card: Card) -> AnyNetwork:
    with torch.device("meta"):
        network = build(card.variant, card.sizes)
    network.load_state_dict(_as_float32(where, tensors), assign=True)
    return network.eval()


def _write(path: Path, tensors: dict[str, Tensor], card: Card) -> None:
    if os.path.lexists(path) and not _is_model(path):
        raise OutputExistsError(path, problem="this file is not a model", hint="choose another name")
    expected, do = "a place to write the model", "choose another folder"
    with writing(path, expected=expected, hint=do, also=(SafetensorError,)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            safetensors.torch.save_file(tensors, part, metadata={CARD: card.model_dump_json()})


def _is_model(path: Path) -> bool:
    try:
        read_header(path)
    except ModelError:
        return False
    return True


def _upstream_tensors(pth: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of an upstream checkpoint, by name, and the key they were found under, for people."""
    tensors: Any = _unpickle(pth)
    key = next((k for k in KEYS if isinstance(tensors, dict) and k in tensors), None)
    if key is not None:
        tensors = tensors[key]
    if not isinstance(tensors, dict) or not tensors or not all(map(_plain, tensors, tensors.values())):
        raise ModelError(
            pth,
            expected=f"a dictionary of tensors, by name or under {' or '.join(KEYS)}",
            found=_kind(tensors),
            hint="check that it is a checkpoint of edvr-stf or edvr",
        )
    return tensors, "" if key is None else f", {key}"


def _plain(name: object, value: object) -> bool:
    """Whether it is a named tensor of ordinary numbers in memory."""
    if not (isinstance(name, str) and isinstance(value, Tensor)):
        return False
    kind = type(value) in (Tensor, torch.nn.Parameter)  # a subclass may do anything
    return kind and value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized


def _kind(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    return f"a dictionary with {_some([str(key) for key in content]) or 'nothing in it'}"


def _unpickle(pth: Path) -> object:
    if not pth.is_file():
        raise ModelError(pth, problem="this checkpoint does not exist", hint="check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old formats; what matters is reported below
            return torch.load(pth, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        found = "something that is not a dictionary of tensors, or would run code"
    except Exception as error:  # arbitrary bytes make the unpickler raise nearly anything
        found = f"what cannot be read ({type(error).__name__})"
    raise ModelError(
        pth, expected="a torch checkpoint of tensors", found=found, hint="download the file again"
    )

"""What a plan and a rig ask of a model beyond what it was trained for, for runs and for checks.

torch is imported only where the answer depends on it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.networks.cards import Card, model_of, read_header
from napari_xfusion.core.networks.familiar import traits_of, unusual
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Rig
from napari_xfusion.errors import XFusionWarning


def plan_warnings(plan: Plan, rig: Rig) -> tuple[XFusionWarning, ...]:
    """The warnings with which a run of ``plan`` on ``rig`` begins, beside those of the rig.

    Raises ModelError or DeviceError where the run would: weights or device are unavailable.
    """
    if not METHODS[plan.method].takes_weights:
        return ()
    path, device = model_of(plan), "cpu"
    lower = plan.precision not in ("auto", "float32")
    if lower or plan.device not in ("auto", "cpu"):
        from napari_xfusion.core.networks.engine import check_precision, find_device  # noqa: PLC0415 - loads torch

        found = find_device(plan.device)
        check_precision(found, plan.precision)
        device = found.type
    if plan.model is not None and Path(plan.model).is_file():
        _load(path, path.stat().st_mtime_ns)
    precision = plan.precision if lower else "float32"
    return model_warnings(
        read_header(path)[0], rig, separation=plan.separation, precision=precision, device=device
    )


def model_warnings(
    card: Card, rig: Rig, *, separation: int, precision: str, device: str
) -> tuple[XFusionWarning, ...]:
    """Warnings of what lies outside a model's training, and of a precision that the device emulates.

    ``separation`` in LR frames, ``precision`` one of ``Plan.precision`` but auto, ``device`` cpu, cuda or mps.
    """
    return (*outside_training(card, rig, separation), *emulated(device, precision))


def _usual(plan: Plan) -> dict[str, tuple[float, float]]:
    """The range of each trait of the recordings that the plan's network was trained on; empty without a network."""
    return read_header(model_of(plan))[0].trained.traits if METHODS[plan.method].takes_weights else {}


def knows_usual(plan: Plan) -> bool:
    """Whether the plan's method has weights, whose card says what recordings they were trained on.

    Raises ModelError without the weights.
    """
    return bool(_usual(plan))


def unfamiliar(plan: Plan, rig: Rig) -> tuple[XFusionWarning, ...]:
    """Warnings of what sets a recording apart from those that the plan's network was trained on; reads a few frames.

    Raises ModelError without the weights.
    """
    usual = _usual(plan)
    return tuple(unusual(traits_of(FrameReader(rig)), usual)) if usual else ()


def outside_training(card: Card, rig: Rig, separation: int) -> tuple[XFusionWarning, ...]:
    """Warnings of how a rig, and the separation of the LR frames, lie outside what a model was trained for."""
    found = {
        "a separation": (card.trained.separations, float(separation)),
        "LR noise": (card.trained.noise, rig.lr_noise),
    }
    if "hr-" in card.inputs:
        found["HR steps"] = (card.trained.hr_distances, float(np.diff(rig.hr_times).max()))
    notes = [
        XFusionWarning(
            "outside-training",
            f"the model was trained for {what} from {span[0]:g} to {span[1]:g}, not {value:.3g}.",
        )
        for what, (span, value) in found.items()
        if span is not None and not span[0] <= value <= span[1]
    ]
    if card.grey != rig.grey_rule:
        text = f"the model was trained with {{grey}} {card.grey}, this run has {rig.grey_rule}."
        notes.append(XFusionWarning("grey-rule", text))
    return tuple(notes)


def emulated(device: str, precision: str) -> tuple[XFusionWarning, ...]:
    """A warning where a lower precision makes a run slower instead of faster."""
    if device != "cpu" or precision == "float32":
        return ()
    import torch  # noqa: PLC0415 - takes seconds

    if precision == "bfloat16" and torch.backends.cpu.get_cpu_capability() != "AVX2":
        return ()
    return (XFusionWarning("precision", f"this processor emulates {precision}; float32 is faster."),)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> None:
    """Raise ModelError where the tensors of a model file are damaged; once for each version of the file."""
    from napari_xfusion.core.networks.weights import load_model  # noqa: PLC0415 - loads torch

    load_model(path)

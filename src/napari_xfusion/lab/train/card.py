"""The model card of a trained network."""

from __future__ import annotations

import copy

from napari_xfusion._version import __version__
from napari_xfusion.core.networks.cards import INPUTS, Card, Trained, Variant
from napari_xfusion.core.networks.weights import AnyNetwork
from napari_xfusion.lab.scenes.sample import FARTHEST, SEPARATIONS
from napari_xfusion.lab.train.clips import SCENES
from napari_xfusion.lab.train.held_out import ALL, Figures, HeldOut
from napari_xfusion.lab.train.plan import TrainPlan

LOSSES: dict[Variant, str] = {
    "edvr-stf": "Charbonnier loss",
    "edvr": "Charbonnier loss",
    "lite": "mean log error",
}


def make_card(plan: TrainPlan, iteration: int, held_out: HeldOut, figures: Figures) -> Card:
    """Return the card of a network after ``iteration`` iterations of ``plan``."""
    return Card(
        variant=plan.variant,
        sizes=plan.sizes,
        inputs=INPUTS[plan.variant],
        base="flow" if plan.variant == "lite" else "bilinear",
        trained=Trained(
            separations=(SEPARATIONS[0], SEPARATIONS[-1]),
            hr_distances=(SEPARATIONS[0], SEPARATIONS[-1] * FARTHEST),
            noise=(0, round(held_out.noise, 4)),
            traits=dict(held_out.traits),
        ),
        training=_training(plan, iteration, held_out, figures),
        provenance=_provenance(plan),
    )


def _training(plan: TrainPlan, iteration: int, held_out: HeldOut, figures: Figures) -> str:
    groups = "; ".join(
        f"{name}: " + ", ".join(f"{method} {of[name]:.2f}" for method, of in _rows(held_out, figures))
        for name in figures
    )
    return (
        f"{iteration} of {plan.iterations} iterations of {plan.batch} samples of {plan.samples}, HR crops "
        f"of {plan.crop} pixels, from {', '.join(plan.data)}; clean truth where it is simulated; "
        f"{LOSSES[plan.variant]}, Adam, {plan.rate:g} falling along a cosine, averaged weights. Mean PSNR in "
        f"dB on {len(held_out.groups[ALL])} held-out samples: {groups}"
    )


def _rows(held_out: HeldOut, figures: Figures) -> list[tuple[str, Figures]]:
    return [("network", figures), *held_out.compared.items()]


def _provenance(plan: TrainPlan) -> str:
    simulated = all(word.split(":")[0] == SCENES for word in plan.data) and plan.init is None
    terms = "BSD-3-Clause, as napari-xfusion" if simulated else "the terms of its training data"
    return f"napari-xfusion {__version__}: {plan.command}. Licence: {terms}."


def stored(network: AnyNetwork, half: bool) -> AnyNetwork:
    """Return the network to save: itself, or a copy in 16-bit floats."""
    return copy.deepcopy(network).half() if half else network

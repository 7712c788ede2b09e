"""What the inspection layer can show: names, explanations, and why something is not available."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.holdout.intervals import COVERAGE
from napari_xfusion.core.rig.filled import REASONS
from napari_xfusion.core.trust.sources import SOURCES
from napari_xfusion.core.types import ROLES
from napari_xfusion.ui.inspection.recipes import FADES, HIDDEN, ROLE_NAMES, Kind, Recipes
from napari_xfusion.ui.inspection.sequences import (
    Sequences,
    interval_problem,
    method_problem,
    network_problem,
    problem,
)
from napari_xfusion.ui.shared.layers import LayerData

Recipe = Callable[[Sequences, int], LayerData]
KINDS: dict[Kind, str] = {"lr": "LR", "hr": "HR", "fused": "fused", "truth": "truth"}


@dataclass(frozen=True, eq=False)
class Content:
    """One thing that can be shown."""

    name: str
    tip: str
    recipe: Recipe
    """Makes the layer from the selected sequences and the displayed frame, in the background."""
    reason: Callable[[Sequences], str]
    """Why it is not available; empty when it is."""
    doing: str = "pairing the sequences, first frame"
    """What takes time before it is shown."""


def contents(recipes: Recipes) -> list[list[Content]]:
    """All contents, in groups."""
    return [
        [_division(recipes, kind) for kind in KINDS],
        [_filled(recipes, kind) for kind in ("lr", "hr")],
        [*_reliability(recipes), *_sources(recipes)],
        [_attention(recipes, k) for k in range(len(ROLES))],
        [_difference(recipes, method) for method in METHODS],
        [_baseline(recipes, method) for method in METHODS],
    ]


def _division(recipes: Recipes, kind: Kind) -> Content:
    return Content(
        f"{KINDS[kind]}, frame-divided",
        f"{KINDS[kind]}, each frame divided by the previous one: static parts are 1, changes stand out.",
        lambda sequences, _: recipes.frame_division(sequences, kind),
        partial(problem, needed=(kind,)),
    )


def _filled(recipes: Recipes, kind: Kind) -> Content:
    reasons = ", ".join(f"{number} {reason.title}" for number, reason in enumerate(REASONS))
    return Content(
        f"{KINDS[kind]}, filled in",
        f"Which pixels of {KINDS[kind]} are not used as recorded but filled in, and why: {reasons}.",
        lambda sequences, _: recipes.filled(sequences, kind),
        partial(problem, needed=("lr", "hr")),
    )


def _reliability(recipes: Recipes) -> Iterator[Content]:
    yield Content(
        "LR consistency",
        "The fused sequence binned to LR, minus LR: invented or lost structure, and noise.",
        recipes.consistency,
        partial(problem, needed=("lr", "hr", "fused")),
    )
    yield Content(
        "standard deviation",
        "The standard deviation of each pixel by the Bayesian method, in HR grey values.",
        recipes.std,
        partial(problem, needed=("lr", "hr")),
    )
    yield Content(
        "uncertain pixels",
        f"The fused sequence fades where its pixels are uncertain: where {COVERAGE:.0%} intervals, without the noise "
        f"of HR itself, are wider than ± {FADES:.1%} of the grey scale. From ± {HIDDEN:.0%} on, pixels are hidden.",
        recipes.uncertain,
        interval_problem,
        "leaving out HR frames to calibrate the intervals",
    )


def _sources(recipes: Recipes) -> Iterator[Content]:
    needed = partial(problem, needed=("lr", "hr", "fused"))
    yield Content(
        "main source of detail",
        "Which camera, and which HR frame, shows most of the detail of each pixel: "
        + ", ".join(f"{number} {source.title}" for number, source in enumerate(SOURCES)),
        recipes.main,
        needed,
    )
    yield Content(
        "the method's own",
        "The part of the fused sequence that no HR frame shows, or that LR contradicts; signed, in HR grey values.",
        recipes.own,
        needed,
    )


def _attention(recipes: Recipes, k: int) -> Content:
    role = ROLES[k]
    return Content(
        f"attention, {ROLE_NAMES[role]}",
        f"The attention of a network to its input {ROLE_NAMES[role]}: the agreement with the target LR frame, 0 to 1. "
        "HR before is the backward attention of the paper, HR after the forward one.",
        partial(recipes.attention, role=role),
        partial(network_problem, role=role),
    )


def _difference(recipes: Recipes, method: str) -> Content:
    title = METHODS[method].title
    return Content(
        f"fused − {title}",
        f"The fused sequence minus {title}; blue is darker, orange brighter.",
        lambda sequences, frame: recipes.difference(sequences, method, frame),
        partial(method_problem, method=method, needed=("lr", "hr", "fused")),
    )


def _baseline(recipes: Recipes, method: str) -> Content:
    title = METHODS[method].title
    return Content(
        f"by {title}",
        f"The same two sequences fused by {title}.",
        lambda sequences, _: recipes.baseline(sequences, method),
        partial(method_problem, method=method, needed=("lr", "hr")),
    )

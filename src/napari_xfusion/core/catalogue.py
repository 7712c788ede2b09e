"""The methods: one value per method, from which every other list of methods is derived.

A new method is one module and one row here. The module is imported when the method is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Literal

Gives = Literal["std", "attention"]
_METHODS = "napari_xfusion.core.methods."


@dataclass(frozen=True)
class Method:
    """What is true of a method, known without importing it."""

    name: str
    """On the command line and in records."""
    title: str
    """In the window and in figures."""
    summary: str
    """What it does, without a full stop."""
    fuser: str
    """``module:name`` of its `methods.Fuser`, or for networks of the function that loads one from a plan."""
    seconds: float
    """Per fused frame and million HR pixels on two cores, reading and writing included (benchmarks/speed.py)."""
    images: float = 18
    """HR images in float32 that a run holds at its peak (benchmarks/memory.py)."""
    model: str | None = None
    """The weights it takes when none are named; None for methods without weights."""
    by_size: bool = False
    """Whether ``seconds`` count per million parameters of the network and ``images`` per channel."""
    gives: frozenset[Gives] = frozenset()
    """What its frames carry besides the image: a standard deviation, attention."""
    baseline: bool = False
    """Whether a virtual experiment compares with it unless told otherwise."""

    @property
    def takes_weights(self) -> bool:
        """Whether it is a network."""
        return self.model is not None

    def load(self, plan: Any) -> Any:
        """The method's `methods.Fuser` for a plan; raises XFusionError where weights or device are unavailable."""
        found = resolve_name(self.fuser)
        return found(plan) if self.takes_weights else found


_ENGINE = "napari_xfusion.core.networks.engine:load_fuser"
_STD: frozenset[Gives] = frozenset({"std"})
_ATTENTION: frozenset[Gives] = frozenset({"attention"})
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            *("bicubic", "bicubic", "LR alone, enlarged", _METHODS + "bicubic:bicubic"),
            seconds=0.009,
            baseline=True,
        ),
        Method(
            "interpolation",
            "interpolation",
            "HR frames interpolated in time, corrected by LR",
            _METHODS + "interpolation:interpolation",
            seconds=0.011,
            baseline=True,
        ),
        Method(
            "flow",
            "flow",
            "HR frames denoised, warped along optical flow from LR and weighted by local reliability",
            _METHODS + "flow:flow",
            seconds=0.28,
            images=50,
            gives=_STD,
            baseline=True,
        ),
        Method(
            "bayesian",
            "Bayesian",
            "Kalman update of temporal changes by clusters of pixels, with a standard deviation",
            _METHODS + "bayesian:bayesian",
            seconds=0.034,
            images=32,
            gives=_STD,
            baseline=True,
        ),
        Method(
            "bayesian-paper",
            "Bayesian (paper)",
            "the Bayesian baseline as published",
            _METHODS + "bayesian_paper:bayesian_paper",
            seconds=0.034,
            images=32,
            gives=_STD,
        ),
        Method(
            "lite",
            "lite",
            "a small network, trained on simulated radiographs, that refines the result of flow",
            _ENGINE,
            seconds=0.65,
            images=120,
            model="lite",
            gives=_STD | _ATTENTION,
        ),
        Method(
            "edvr-stf",
            "EDVR-STF",
            "the network of the paper, on LR and HR",
            _ENGINE,
            seconds=1.4,
            images=5,
            model="edvr-stf-medium",
            by_size=True,
            gives=_ATTENTION,
        ),
        Method(
            "edvr",
            "EDVR",
            "the network of the paper's baseline, on LR alone",
            _ENGINE,
            seconds=1.4,
            images=5,
            model="edvr-medium",
            by_size=True,
            gives=_ATTENTION,
        ),
    )
}
"""By name, in the order in which they are shown."""
DEFAULT_METHOD = "lite"
BEST = "best"
"""In place of a method: the one that the score of the recordings recommends."""


def networks() -> Iterator[Method]:
    """The methods that take weights."""
    return (method for method in METHODS.values() if method.takes_weights)


def training_free() -> Iterator[Method]:
    """The methods that need no weights."""
    return (method for method in METHODS.values() if not method.takes_weights)


def giving(what: Gives) -> str:
    """Names of the methods whose frames carry ``what``, for a hint."""
    return ", ".join(method.name for method in METHODS.values() if what in method.gives)

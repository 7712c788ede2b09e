"""Which layers an inspection is about, and what of it is possible, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_xfusion.core.catalogue import METHODS, networks
from napari_xfusion.core.networks.cards import INPUTS, models_of
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import Mapping, Rig, find_hr_times, make_rig, place_lr
from napari_xfusion.core.types import Image, Region, Role, Stack
from napari_xfusion.errors import PairingError, UnknownTimesError, XFusionError
from napari_xfusion.ui.shared.compare import is_fused
from napari_xfusion.ui.shared.provenance import fused_in, provenance_of, stack_of
from napari_xfusion.ui.shared.words import in_window_words, settings_in_words

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True, eq=False)
class Sequences:
    """The layers that are compared; those that are not there are None."""

    lr: Layer | None = None
    hr: Layer | None = None
    fused: Layer | None = None
    truth: Layer | None = None

    @property
    def title(self) -> str:
        """What the sequence is called in the names of new layers."""
        layer = self.lr or self.hr or self.fused or self.truth
        return "sequence" if layer is None else layer.name.split(" · ")[0]

    @property
    def plan(self) -> Plan:
        """How the sequences pair: as the fused one was made, else at the times at which the HR layer shows HR.

        Which method made the fused sequence is ``method``, not the plan's.
        """
        hr = provenance_of(self.hr) if self.hr is not None else None
        return self.made_by or Plan(hr_times=hr.times if hr is not None else None)

    @property
    def made_by(self) -> Plan | None:
        """The run that made the fused sequence; None where it is not known."""
        known = provenance_of(self.fused) if self.fused is not None else None
        if known is None:
            return None
        return known.plan or (None if known.record is None else known.record.plan)

    @property
    def method(self) -> str | None:
        """The method that made the fused sequence; None where it is not known."""
        return None if self.made_by is None else self.made_by.method

    @property
    def settings(self) -> str:
        """The settings of the run that made the fused sequence, where they are not the default: ``Separation 2``."""
        if self.made_by is None:
            return ""
        count = len(stack_of(self.lr)) if self.lr is not None else 0
        return ", ".join(settings_in_words(self.made_by, count))

    @property
    def first(self) -> int:
        """LR frame number of the fused sequence's first frame."""
        return self.plan.frames[0] if self.plan.frames else 0

    def by(self, method: str) -> Plan:
        """The same run by another method, of whole frames and the whole sequence."""
        same = self.method == method
        whole = {"frames": None, "region": None, "extent": "hr"}
        model = self.plan.model if same else None
        return self.plan.model_copy(update={"method": method, "model": model, **whole})

    def network(self) -> Plan | None:
        """The run whose attention can be shown: that of the fused sequence, else by an available model."""
        if self.method is not None and METHODS[self.method].takes_weights:
            return self.by(self.method)
        return next(filter(None, map(self.by_model, (method.name for method in networks()))), None)

    def by_model(self, method: str) -> Plan | None:
        """The same run by a network, with the first available model of its kind; None without one."""
        if self.method == method:
            return self.by(method)
        name = model_of(method)
        return None if name is None else self.by(method).model_copy(update={"model": name})

    def stacks(self) -> tuple[Stack, Stack]:
        """LR and HR as they were recorded."""
        if self.lr is None or self.hr is None:
            raise ValueError("both sequences are needed")  # the buttons are off without them
        return stack_of(self.lr), stack_of(self.hr)

    @property
    def mapping(self) -> Mapping:
        """Where layers show LR pixels on the HR grid; raises PairingError."""
        return place_lr(*self.stacks(), self.plan.calibration).without_radial

    def rig(self) -> Rig:
        """Both cameras as the plan pairs them; reads a few frames. Raises PairingError."""
        return make_rig(self.plan, *self.stacks())

    def fused_stack(self) -> Stack:
        """The fused sequence, one whole frame per LR frame, float32; NaN where it was not fused."""
        lr, hr = self.stacks()
        sequence, plan = stack_of(self.fused), self.plan
        there = fused_in(self.fused)
        region = plan.region or Region(0, hr.shape[1], 0, hr.shape[2])

        def read(t: int) -> Image:
            whole = np.full(hr.shape[1:], np.nan, np.float32)
            if 0 <= t - self.first < len(sequence) and there(t):
                frame = sequence.frame(t - self.first)
                whole[region.top : region.bottom, region.left : region.right] = frame
            return whole

        return sequence.derive(read, (len(lr), *hr.shape[1:]), np.dtype(np.float32))

    def fused_near(self, frame: int) -> int:
        """The LR frame number nearest to ``frame`` that is fused already; ``frame`` where none is."""
        sequence = stack_of(self.fused)
        there = filter(fused_in(self.fused), range(self.first, self.first + len(sequence)))
        return min(there, key=lambda t: abs(t - frame), default=frame)


def model_of(method: str) -> str | None:
    """The name of the model that ``method`` takes, None where none is available."""
    return next(iter(models_of(method)), None)


def problem(sequences: Sequences, needed: Iterable[str]) -> str:
    """Why something that needs these sequences cannot be done, as a sentence; empty when it can."""
    words = {
        "lr": "an LR sequence",
        "hr": "an HR sequence",
        "fused": "a fused sequence",
        "truth": "the truth",
    }
    missing = [words[name] for name in needed if getattr(sequences, name) is None]
    if missing:
        return f"Select {' and '.join(missing)} first."
    return pairing_problem(sequences) if {"lr", "hr"} <= set(needed) else ""


def method_problem(sequences: Sequences, method: str, needed: tuple[str, ...]) -> str:
    """Why a baseline, or the fused sequence's difference to it, cannot be made; see ``problem``."""
    reason = problem(sequences, needed)
    if reason:
        return reason
    if METHODS[method].takes_weights and sequences.by_model(method) is None:
        return f"No weights of {METHODS[method].title} are available. Import a model first."
    if "fused" in needed and sequences.method == method:
        return "The fused sequence is by this method."
    return ""


def interval_problem(sequences: Sequences) -> str:
    """Why intervals of the fused sequence cannot be computed; see ``problem``."""
    reason = problem(sequences, ("lr", "hr", "fused"))
    if not reason and sequences.made_by is None:
        return "It is not known how the fused sequence was made."
    return reason


def network_problem(sequences: Sequences, role: Role) -> str:
    """Why there is no attention to an input to show; see ``problem``."""
    reason = problem(sequences, ("lr", "hr"))
    if reason:
        return reason
    plan = sequences.network()
    if plan is None:
        return "Only networks have attention, and no weights are available. Import a model first."
    known = any(variant == plan.method and role in inputs for variant, inputs in INPUTS.items())
    return "" if known else f"{METHODS[plan.method].title} has no such input."


def pairing_problem(sequences: Sequences) -> str:
    """Why LR and HR do not pair; reads no frame."""
    try:
        lr, hr = sequences.stacks()
        place_lr(lr, hr, sequences.plan.calibration)
        find_hr_times(lr, hr, sequences.plan)
        if sequences.fused is not None:
            _check_fused(sequences, lr, hr)
    except UnknownTimesError as error:
        return f"{in_window_words(error)} Enter it in the Fusion panel and run the fusion."
    except XFusionError as error:
        return in_window_words(error)
    return ""


def _check_fused(sequences: Sequences, lr: Stack, hr: Stack) -> None:
    """Raise PairingError when the fused layer is not of these sequences."""
    fused, expected = stack_of(sequences.fused), sequences.plan.frame_shape(hr.shape[1:])
    most = len(lr) - sequences.first
    if fused.shape[1:] != expected or len(fused) > most:
        raise PairingError(
            fused.source,
            expected=f"at most {most} frames of {expected} pixels, as fused from {lr.source} and {hr.source}",
            found=f"{len(fused)} of {fused.shape[1:]}",
            hint="select its LR and HR",
        )
    _check_origins(sequences, lr, hr)


def _check_origins(sequences: Sequences, lr: Stack, hr: Stack) -> None:
    """Raise PairingError when LR or HR is corrected by other flats and darks now than when it was fused."""
    known = provenance_of(sequences.fused)
    layers = [x for x in (sequences.lr, sequences.hr) if x is not None]
    now = {layer.unique_id: stack for layer, stack in zip(layers, (lr, hr), strict=True)}
    for origin in known.origins if known is not None else ():
        stack = now.get(origin.key)
        if stack is not None and origin.recording not in (None, stack.recording):
            raise PairingError(
                stack.source,
                problem="the sequence was fused with other flats and darks of this recording",
                hint="fuse it again, or enter those of the fusion in the Fusion panel",
            )


def guess(layers: Iterable[Layer]) -> Sequences:
    """The sequences by what is known of the layers: the last of each kind, and LR and HR as fused from."""
    found = Sequences()
    layers = list(layers)
    for layer in layers:
        known = provenance_of(layer)
        preview = known is not None and known.role == "fused" and not is_fused(layer)
        if known is not None and known.role in ("lr", "hr", "fused", "truth") and not preview:
            found = replace(found, **{known.role: layer})
    made = provenance_of(found.fused) if found.fused is not None else None
    if made is not None:
        for origin in made.origins_among(layers):
            kind = provenance_of(origin) if origin is not None else None
            if kind is not None and kind.role in ("lr", "hr"):
                found = replace(found, **{kind.role: origin})
    return found

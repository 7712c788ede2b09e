"""The layers of an inspection: each a sequence that is made when it is looked at, beside the layer it is about.

Recipes run in a background thread: they read frames for contrast limits, and may load a network. They touch
no widget and no viewer.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.clock import Clock
from napari_xfusion.core.holdout.intervals import Intervals, calibrate_intervals
from napari_xfusion.core.holdout.left_out import judged
from napari_xfusion.core.inspect.ratio import divided, ratio_limits
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Mapping
from napari_xfusion.core.rig.filled import REASONS, Reason, filled
from napari_xfusion.core.sequence import FusedSequence, difference, lr_consistency
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.trust.sources import SOURCES, Source, Sources, main_of, own_of
from napari_xfusion.core.types import FusedFrame, Region, Role, Stack
from napari_xfusion.errors import ModelError
from napari_xfusion.ui.inspection.sequences import Sequences
from napari_xfusion.ui.shared.colours import categories, diverging, veil
from napari_xfusion.ui.shared.layers import SAME, LayerData, derived_layer
from napari_xfusion.ui.shared.preferences import preferences
from napari_xfusion.ui.shared.provenance import (
    METADATA,
    LayerRole,
    content_of,
    in_unit,
    provenance_of,
    stack_of,
)

if TYPE_CHECKING:
    from napari.layers import Layer

Key = tuple[str, *tuple[int, ...]]
Kind = Literal["lr", "hr", "fused", "truth"]
ROLE_NAMES: dict[Role, str] = {
    "lr-": "LR before",
    "lr": "LR",
    "lr+": "LR after",
    "hr-": "HR before",
    "hr+": "HR after",
}
FADES, HIDDEN = 0.025, 0.1
"""Half widths of intervals beyond HR noise, in parts of the grey scale: where pixels begin to fade, and are hidden."""
VEIL = "#4a6fa5"
"""Over uncertain pixels: no grey, which a pixel could have."""
ROUND = (1, 1.5, 2, 2.5, 4, 5, 7, 10)
"""Limits of differences, times a power of ten: napari labels the colour bar at or near their ends."""
ATTENTION_OPACITY = SOURCES_OPACITY = 0.5
"""So that the sequence below is seen as well."""


class Recipes:
    """Makes the layers, and keeps the sequences fused for them while a layer needs them."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._sequences: weakref.WeakValueDictionary[Key, FusedSequence] = weakref.WeakValueDictionary()

    def sequence(self, plan: Plan, sequences: Sequences) -> FusedSequence:
        """The sequences fused by ``plan``, shared by all layers that show something of it."""
        key = _key(plan, sequences)
        made = self._sequences.get(key)
        if made is None:
            self._sequences[key] = made = FusedSequence(plan, *sequences.stacks())
        return made

    def known(self, plan: Plan, sequences: Sequences, frame: int) -> FusedFrame | None:
        """A frame of that sequence if it was made already."""
        made = self._sequences.get(_key(plan, sequences))
        return None if made is None else made.known(frame)

    def cancel(self) -> None:
        """Stop a calibration in progress."""
        self._stop.set()
        self._stop = threading.Event()

    def close(self) -> None:
        """Stop what is being fused; layers that are left go blank."""
        self._stop.set()
        for sequence in list(self._sequences.values()):
            sequence.close()

    def frame_division(self, sequences: Sequences, kind: Kind) -> LayerData:
        """A sequence, each frame divided by its previous one; HR by its previous HR frame."""
        return frame_division(getattr(sequences, kind))

    def filled(self, sequences: Sequences, kind: Kind) -> LayerData:
        """Which pixels of LR or HR are not used as recorded, and why."""
        rig = sequences.rig()
        numbers = filled(rig, rig.fast if kind == "lr" else rig.hr)
        what = f"filled in: {_legend(REASONS)}"
        return _beside(getattr(sequences, kind), numbers, what, "sources", _numbered(REASONS))

    def baseline(self, sequences: Sequences, method: str) -> LayerData:
        """What another method makes of the same two sequences."""
        plan = _by(sequences, method)
        sequence = self.sequence(plan, sequences).images()
        name = _named(f"by {method}", sequences)
        shown = sequences.fused or sequences.hr
        limits = None if shown is None else tuple(shown.contrast_limits)
        return _on_hr_grid(sequences, sequence, name, "baseline", plan=plan, contrast_limits=limits)

    def difference(self, sequences: Sequences, method: str, frame: int) -> LayerData:
        """The fused sequence minus a baseline, limits from ``frame``, or the nearest that is fused."""
        plan = _by(sequences, method)
        sequence = difference(sequences.fused_stack(), self.sequence(plan, sequences).images())
        name = _named(f"fused − {method} (HR grey values)", sequences)
        look = _differences(_about_zero(sequence, sequences.fused_near(frame)))
        origins = sequences.lr, sequences.hr, sequences.fused
        return _on_hr_grid(sequences, sequence, name, "difference", origins=origins, plan=plan, **look)

    def attention(self, sequences: Sequences, _frame: int, role: Role) -> LayerData:
        """The heat-map of one of a network's inputs, on the network's grid at its exact place."""
        plan = sequences.network()
        if plan is None:
            raise ModelError("attention", problem="no weights are available", hint="import a model")
        sequence = self.sequence(plan, sequences)
        # One contrast for all inputs and sequences: the maps are compared with each other and with 1.
        look = _heat(0.0, 1.0) | {"opacity": ATTENTION_OPACITY, "interpolation2d": "linear"}
        return _on_hr_grid(
            sequences,
            sequence.attention(role),
            _named(f"{ROLE_NAMES[role]} attention ({plan.method})", sequences),
            "attention",
            mapping=sequence.attention_mapping,
            plan=plan,
            **look,
        )

    def consistency(self, sequences: Sequences, frame: int) -> LayerData:
        """The binned fused sequence minus LR: what was invented or lost."""
        sequence = lr_consistency(sequences.fused_stack(), FrameReader(sequences.rig()))
        name = _named("binned fused − LR (grey units)", sequences)
        look = _differences(_about_zero(sequence, sequences.fused_near(frame)))
        look |= {"origins": (sequences.lr, sequences.hr, sequences.fused), "plan": sequences.made_by}
        return derived_layer(sequences.lr, sequence, name=name, role="consistency", **look)

    def own(self, sequences: Sequences, frame: int) -> LayerData:
        """What no camera shows: the part of the fused sequence that is the method's own."""
        sequence = _whole(own_of(*_fused_alone(sequences)), sequences)
        look = _differences(_about_zero(sequence, sequences.fused_near(frame)))
        return self._of_sources(sequences, sequence, "the method's own (HR grey values)", "difference", look)

    def main(self, sequences: Sequences, _frame: int) -> LayerData:
        """Which camera, and which HR frame, shows most of the detail of each pixel."""
        fused, sources, targets, region = _fused_alone(sequences)
        numbers = main_of(fused, sources, targets, region)

        def read(t: int) -> NDArray[np.float32]:
            known = np.isfinite(fused.frame(t)).any()
            return (
                numbers.frame(t).astype(np.float32) if known else np.full(fused.shape[1:], np.nan, np.float32)
            )

        sequence = _whole(numbers.derive(read, fused.shape, np.dtype(np.float32)), sequences)
        look = _numbered(SOURCES) | {"opacity": SOURCES_OPACITY}
        return self._of_sources(sequences, sequence, f"sources: {_legend(SOURCES)}", "sources", look)

    @staticmethod
    def _of_sources(
        sequences: Sequences, sequence: Stack, what: str, role: LayerRole, look: dict[str, Any]
    ) -> LayerData:
        origins = sequences.lr, sequences.hr, sequences.fused
        made = sequences.made_by
        return _on_hr_grid(
            sequences, sequence, _named(what, sequences), role, origins=origins, plan=made, **look
        )

    def std(self, sequences: Sequences, frame: int) -> LayerData:
        """The standard deviation of the Bayesian method."""
        plan = sequences.by("bayesian-paper" if sequences.method == "bayesian-paper" else "bayesian")
        sequence = self.sequence(plan, sequences).std()
        highest = float(np.nanpercentile(sequence.frame(frame), 99.8))
        name = _named(f"std of the {METHODS[plan.method].title} method (HR grey values)", sequences)
        look = _heat(0.0, highest)
        return _on_hr_grid(sequences, sequence, name, "std", plan=plan, **look)

    def uncertain(self, sequences: Sequences, _frame: int) -> LayerData:
        """How wide the intervals of pixels are beyond HR noise; the wider, the more they hide the sequence below."""
        known = None if sequences.fused is None else provenance_of(sequences.fused)
        if known is None or sequences.method is None:
            raise ValueError("it must be known how the sequence was made")  # else it is not available
        intervals = known.intervals or self._calibrated(sequences)
        fused = self.sequence(sequences.by(sequences.method), sequences)
        reader, region, span = FrameReader(fused.rig), sequences.plan.region, fused.rig.hr.grey.span
        rows, columns = slice(None), slice(None)
        if region is not None:
            rows, columns = slice(*region[:2]), slice(*region[2:])

        def read(t: int) -> NDArray[np.float32]:
            half = intervals.beyond_noise(fused.frame(t), reader, None)[rows, columns]
            return np.where(np.isnan(half), np.float32(span), half)  # LR does not see it: any value

        images = fused.images()
        shape = images.shape if region is None else (len(images), *region.shape)
        half = _whole(images.derive(read, shape, np.dtype(np.float32)), sequences)
        name = _named(f"uncertain beyond HR noise, {intervals.coverage:.0%} (HR grey values)", sequences)
        look = {
            "colormap": veil(VEIL),
            "contrast_limits": (FADES * span, HIDDEN * span),
            "origins": (sequences.lr, sequences.hr, sequences.fused),
        }
        made = _on_hr_grid(sequences, half, name, "interval", plan=sequences.made_by, **look)
        metadata = made.options["metadata"]
        metadata[METADATA] = replace(metadata[METADATA], intervals=intervals)
        return made

    def _calibrated(self, sequences: Sequences) -> Intervals:
        """The intervals of the fused sequence, from HR frames that are left out; raises CancelledError when stopped."""
        if sequences.made_by is None:
            raise ValueError("it must be known how the sequence was made")
        stop, plan = self._stop, judged(sequences.made_by)
        found = calibrate_intervals(plan, rig_of(plan, *sequences.stacks()), make_fuser(plan), stop=stop)
        if found is None:
            raise CancelledError
        return found


def frame_division(layer: Layer) -> LayerData:
    """The sequence of ``layer``, each frame divided by its previous one, at the same place and times.

    An HR layer shows each frame until the next one comes; so does its division.
    """
    sequence = divided(stack_of(layer))
    return _beside(
        layer, sequence, "frame-divided (ratio)", "difference", _differences(ratio_limits(sequence))
    )


def _beside(layer: Layer, sequence: Stack, what: str, role: LayerRole, look: dict[str, Any]) -> LayerData:
    """What belongs to the frames of ``layer``; an HR layer may show each until the next one comes."""
    known = provenance_of(layer)
    if known is not None and known.entries is not None and len(layer.data) != len(sequence):
        sequence = _spread(sequence, known.entries, in_unit(layer, 0, "s"))
    title, _, rest = layer.name.rpartition(" · ")
    name = f"{rest}, {what}" + (f" · {title}" if title else "")
    return derived_layer(layer, sequence, name=name, role=role, **look)


def _legend(kinds: Sequence[Source | Reason]) -> str:
    """What the numbers of ``kinds`` mean, as short as a heading on the canvas."""
    return " ".join(f"{number} {kind.name}" for number, kind in enumerate(kinds))


def _numbered(kinds: Sequence[Source | Reason]) -> dict[str, Any]:
    """The look of a layer whose pixels are numbers of ``kinds``."""
    return {
        "colormap": categories([kind.colour for kind in kinds]),
        "contrast_limits": (-0.5, len(kinds) - 0.5),
    }


def _fused_alone(sequences: Sequences) -> tuple[Stack, Sources, list[int], Region | None]:
    """The pixels of the fused sequence that are fused, one frame per LR frame, and what source maps need more."""
    region, whole = sequences.plan.region, sequences.fused_stack()
    part = whole
    if region is not None:
        rows, columns = slice(*region[:2]), slice(*region[2:])
        shape = len(whole), *region.shape
        part = whole.derive(lambda t: whole.frame(t)[rows, columns], shape, whole.dtype)
    return part, Sources(FrameReader(sequences.rig())), list(range(len(part))), region


def _whole(part: Stack, sequences: Sequences) -> Stack:
    """Frames of a region on complete HR frames, NaN around."""
    region, (_, height, width) = sequences.plan.region, sequences.fused_stack().shape
    if region is None:
        return part

    def read(t: int) -> NDArray[np.float32]:
        image = np.full((height, width), np.nan, np.float32)
        image[slice(*region[:2]), slice(*region[2:])] = part.frame(t)
        return image

    return part.derive(read, (len(part), height, width), np.dtype(np.float32))


def _named(what: str, sequences: Sequences) -> str:
    """The name of a layer: what distinguishes it first, because napari's list cuts names."""
    return f"{what} · {sequences.title}"


def _key(plan: Plan, sequences: Sequences) -> Key:
    """The run, and the data of its sequences: their layers may show others later, under the same names."""
    return plan.model_dump_json(), *(id(content_of(sequence)) for sequence in (sequences.lr, sequences.hr))


def _by(sequences: Sequences, method: str) -> Plan:
    plan = sequences.by_model(method) if METHODS[method].takes_weights else sequences.by(method)
    if plan is None:
        raise ModelError(method, problem="its weights are not available", hint="import a model")
    return plan


def _on_hr_grid(
    sequences: Sequences, sequence: Stack, name: str, role: LayerRole, *, mapping: Mapping = SAME, **look: Any
) -> LayerData:
    """A layer with one frame per LR frame, whose pixels ``mapping`` places on the HR grid.

    It is placed by the LR layer, not HR's: only LR surely has one entry per LR frame.
    """
    look.setdefault("origins", (sequences.lr, sequences.hr))
    return derived_layer(
        sequences.lr, sequence, name=name, role=role, mapping=mapping.then(sequences.mapping.inverse), **look
    )


def _differences(limits: tuple[float, float]) -> dict[str, Any]:
    return {"colormap": diverging(preferences().difference), "contrast_limits": limits}


def _heat(lowest: float, highest: float) -> dict[str, Any]:
    limits = lowest, highest if highest > lowest else lowest + 1
    return {"colormap": preferences().heat, "contrast_limits": limits}


def _about_zero(sequence: Stack, frame: int) -> tuple[float, float]:
    """Limits about 0 that hold all but the outermost half percent of one frame, rounded up for the colour bar."""
    values = np.abs(sequence.frame(frame))
    values = values[np.isfinite(values)]
    reach = float(np.percentile(values, 99.5)) if values.size else 0.0
    reach = _rounded_up(reach) if reach > 0 else 1.0
    return -reach, reach


def _rounded_up(value: float) -> float:
    """The next number in ``ROUND`` times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step for step in ROUND if step * power >= value * (1 - 1e-9)) * power


def _spread(sequence: Stack, entries: tuple[int, ...], interval: float | None) -> Stack:
    """One frame per LR frame, ``interval`` seconds apart, of a sequence that has fewer."""
    clock = Clock.regular(len(entries), interval)
    shape = len(entries), *sequence.shape[1:]
    return sequence.derive(lambda t: sequence.frame(entries[t]), shape, sequence.dtype, clock=clock)

"""What a recording looks like in numbers, and whether a network was trained on such ones. Knows nothing of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.grey import sample_frames
from napari_xfusion.core.methods.sharp import SharpFrames
from napari_xfusion.core.optical_flow import find_motion
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.rig.timing import neighbours
from napari_xfusion.core.types import Image
from napari_xfusion.errors import XFusionWarning

TARGETS = 6
"""Targets that are looked at, evenly spread."""
MOVING = 95
"""Percentile of the motion of all pixels."""
DIGITS = 3
Span = tuple[float, float]


class Trait(NamedTuple):
    """Something that recordings differ in."""

    name: str
    low: str
    """What a recording has that lies below the others."""
    high: str
    unit: str = ""


TRAITS = (
    Trait("contrast", "less contrast", "more contrast", "of the grey scale"),
    Trait("fineness", "less fine structure", "more fine structure", "of the contrast"),
    Trait("hr-noise", "less HR noise", "more HR noise", "of the grey scale"),
    Trait("change", "less change", "more change", "of the grey scale from an HR frame to the next"),
    Trait("motion", "slower motion", "faster motion", "HR pixels per LR frame"),
)
"""In the order in which they are measured."""


def traits_of(reader: FrameReader, targets: Sequence[int] | None = None) -> dict[str, float]:
    """The traits of a recording by name: medians over ``targets``, by default TARGETS unseen ones, evenly spread."""
    sharp = SharpFrames(reader)
    if targets is None:
        inside = [t for t in range(len(reader.rig)) if t not in set(reader.rig.hr_times.tolist())]
        targets = [inside[i] for i in sample_frames(len(inside), TARGETS)]
    rows = [list(_traits_at(sharp, target)) for target in targets]
    medians = np.median(rows, axis=0).tolist()
    return {trait.name: round(value, 6) for trait, value in zip(TRAITS, medians, strict=True)}


def _traits_at(sharp: SharpFrames, target: int) -> Iterator[float]:
    reader, times = sharp.reader, sharp.times
    here = reader.lr_frame(target)
    before, after = neighbours(times, target)
    near = min((before, after), key=lambda k: abs(float(times[k]) - target) or np.inf)
    noise = float(np.mean(sharp.curve(here), dtype=np.float64))
    contrast = float(np.std(here, dtype=np.float64))
    yield contrast
    fine = max(_square(sharp.fine(near)) - noise, 0.0) ** 0.5
    yield fine / max(contrast, 1e-6)
    yield noise**0.5
    ends = [reader.lr_at(float(times[k])) for k in (before, after)]
    yield max(_square(ends[0] - ends[1]) - 2 * reader.rig.lr_noise**2, 0.0) ** 0.5
    motion = find_motion(here, sharp.seen(near), sharp.grids.hr_shape, sharp.grids.scale)
    frames = abs(float(times[near]) - target) or 1.0
    yield float(np.percentile(np.linalg.norm(motion, axis=2), MOVING)) / frames


def _square(image: Image) -> float:
    return float(np.mean(np.square(image), dtype=np.float64))


def unusual(found: Mapping[str, float], usual: Mapping[str, Span]) -> Iterator[XFusionWarning]:
    """A warning for each trait that lies outside what a network was trained on."""
    for trait in TRAITS:
        low, high = usual.get(trait.name, (-np.inf, np.inf))
        value = found[trait.name]
        if not low <= value <= high:
            what = trait.low if value < low else trait.high
            text = (
                f"this recording has {what} than the simulated ones that the network was trained on: "
                f"{value:.{DIGITS}g} {trait.unit}, not {low:.{DIGITS}g} to {high:.{DIGITS}g}."
            )
            yield XFusionWarning("unfamiliar", text)

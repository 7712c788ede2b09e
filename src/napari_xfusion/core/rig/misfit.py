"""Where and when LR was taken, against what was assumed: in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from napari_xfusion.core.mapping import Mapping, Shape, Vector
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.plausibility import FORGIVEN
from napari_xfusion.core.rig.timing import CLOSEST, Times
from napari_xfusion.errors import XFusionWarning

SHORTEST_SHIFT = 0.15
"""LR pixels; what is less is not worth a warning."""
SHORTEST_TURN = 0.06
"""LR pixels at the border, of a turn or a scale; the same."""
SHORTEST_DELAY = 0.3
"""LR frames."""


class Placement(NamedTuple):
    """Where LR lies on the binned HR image."""

    down: float = 0.0
    """LR pixels, at the middle of the frame."""
    right: float = 0.0
    turn: float = 0.0
    """Radians, from the rows to the columns: clockwise on the screen."""
    larger: float = 0.0
    """Share by which LR is enlarged."""

    @classmethod
    def of(cls, source: Mapping, shape: Shape) -> Placement:
        """From the map of the places where the pixels of a frame (h, w) should lie to those where they lie."""
        middle = (np.array(shape) - 1) / 2
        down, right = source.to_output(middle) - middle
        (yy, yx), _ = source.linear
        return cls(float(down), float(right), math.atan2(yx, yy), math.hypot(yy, yx) - 1)

    def source(self, shape: Shape) -> Mapping:
        """The map of the places where the pixels of a frame (h, w) should lie to those where they lie."""
        linear, shift = self.matrix(shape)
        return Mapping(linear=linear, shift=shift)

    def matrix(self, shape: Shape) -> tuple[tuple[Vector, Vector], Vector]:
        """``linear`` and ``shift`` of ``source``."""
        size = 1 + self.larger
        cos, sin = size * math.cos(self.turn), size * math.sin(self.turn)
        y, x = ((n - 1) / 2 for n in shape)
        linear = (cos, sin), (-sin, cos)
        return linear, (y - cos * y - sin * x + self.down, x + sin * y - cos * x + self.right)


class Jump(NamedTuple):
    """A change of the delay: where LR lost a frame, all later HR times are too large by one LR frame."""

    frame: int
    """The first HR frame after it."""
    late: int
    """LR frames by which the times of this and all later HR frames are larger than those before."""


class Misfit(NamedTuple):
    """Where and when images were taken, against what was assumed."""

    placement: Placement = Placement()
    late: float = 0.0
    """LR frames by which HR times are too large."""
    jumps: tuple[Jump, ...] = ()
    """What is added to that from some HR frame on."""

    def matters(self, shape: Shape) -> bool:
        """Whether it is worth a warning about frames of (h, w)."""
        return bool(in_words(self.placement, shape) or self.jumps) or abs(self.late) >= SHORTEST_DELAY

    def then(self, other: Misfit, shape: Shape) -> Misfit:
        """With what is seen of frames (h, w) when this is corrected."""
        source = other.placement.source(shape).then(self.placement.source(shape))
        return Misfit(Placement.of(source, shape), self.late + other.late, self.jumps + other.jumps)

    def only(self, which: Collection[str]) -> Misfit:
        """The parts that are named ``shift``, ``turn``, ``scale`` and ``time``."""
        down, right, turn, larger = self.placement
        shift = (down, right) if "shift" in which else (0.0, 0.0)
        placement = Placement(*shift, turn if "turn" in which else 0.0, larger if "scale" in which else 0.0)
        return Misfit(placement, *((self.late, self.jumps) if "time" in which else ()))

    def mapping(self, grid: Mapping, shape: Shape) -> Mapping:
        """Of the pixels (h, w) of LR to the output grid, where they were assumed to have that of ``grid``."""
        return self.placement.source(shape).inverse.then(grid) if any(self.placement) else grid

    def hr_times(self, stated: Times, last: int) -> Times:
        """The times (N,) of the HR frames; those a little outside of LR frames 0 to ``last`` become one of these."""
        if not self.late and not self.jumps:
            return stated
        times = stated - self.late
        for frame, late in self.jumps:
            times[frame:] -= late
        inside = np.clip(times, 0, last)
        moved: Times = np.where(np.abs(times - inside) <= FORGIVEN, inside, times)
        return times if (np.diff(moved) < CLOSEST).any() else moved


NAMED = {"shift": "shifted", "turn": "turned", "scale": "scaled"}
"""The word for each misplacement that can be corrected."""


def misfit_warnings(seen: Misfit, corrected: Misfit, shape: Shape, plan: Plan) -> tuple[XFusionWarning, ...]:
    """What was ``seen`` of LR frames (h, w), against the rig file where there is one; what of it is ``corrected``."""
    against = "HR" if plan.calibration is None else "what the rig file says"
    mend = "Align the recordings" if plan.calibration is None else "Calibrate the cameras again"
    check = "Check {hr_start} or {hr_times}" if plan.clock is None else "Synchronise the recordings again"
    left = Placement(*(a - b for a, b in zip(seen.placement, corrected.placement, strict=True)))
    found = []
    if words := in_words(corrected.placement, shape):
        text = f"LR appears {words} against {against}; HR is resampled to LR, and results back."
        found.append(XFusionWarning("aligned", text))
    if words := in_words(left, shape):
        names = " and ".join(name for name, word in NAMED.items() if word in words)
        text = (
            f"LR appears {words} against {against}. {mend}, or have {{correct}} include {names}: every method loses "
            "detail otherwise."
        )
        found.append(XFusionWarning("misplaced", text))
    late: list[tuple[str, str, str]] = []
    if abs(seen.late) >= SHORTEST_DELAY:
        agrees = f"each HR frame agrees best with LR at its time {-seen.late:+.1f}"
        text = f"HR times look {abs(seen.late):.1f} LR frames too {_direction(seen.late)}: {agrees}"
        late.append((text, "which is taken as its time", check))
    for frame, size in seen.jumps:
        count = "1 LR frame" if abs(size) == 1 else f"{abs(size)} LR frames"
        cause = "LR lacks" if size > 0 else "LR repeats"
        text = (
            f"From HR frame {frame} on, HR times look {count} too {_direction(size)}, as where {cause} {count}: those "
            f"HR frames agree best with LR at their times {-size:+d}"
        )
        late.append((text, "which are taken as theirs", "Check whether the LR recording is complete"))
    retimed = bool(corrected.late or corrected.jumps)
    for text, done, hint in late:
        if retimed:
            found.append(XFusionWarning("retimed", f"{text}, {done}."))
        else:
            found.append(XFusionWarning("delayed", f"{text}. {hint}, or have {{correct}} include time."))
    return tuple(found)


def _direction(late: float) -> str:
    return "late" if late > 0 else "early"


def in_words(placement: Placement, shape: Shape) -> str:
    """A placement of frames (h, w), without what is not worth mentioning."""
    shifts = [
        f"{abs(value):.2f} LR pixels {directions[value < 0]}"
        for value, directions in (
            (placement.right, ("to the right", "to the left")),
            (placement.down, ("down", "up")),
        )
        if abs(value) >= SHORTEST_SHIFT
    ]
    found = [f"{NAMED['shift']} by {' and '.join(shifts)}"] if shifts else []
    reach = max(shape) / 2
    if abs(placement.turn) * reach >= SHORTEST_TURN:
        direction = "clockwise" if placement.turn > 0 else "counterclockwise"
        found.append(f"{NAMED['turn']} by {abs(math.degrees(placement.turn)):.2f} degrees {direction}")
    if abs(placement.larger) * reach >= SHORTEST_TURN:
        direction = "larger" if placement.larger > 0 else "smaller"
        found.append(f"{NAMED['scale']} to be {abs(placement.larger):.2%} {direction}")
    return " and ".join(found)

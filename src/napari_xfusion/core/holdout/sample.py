"""Which HR frames are left out: as many as a planned time allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.holdout.left_out import LONGEST_RUN, Gap, gaps, spread
from napari_xfusion.core.networks.cards import describe, model_of
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import Rig
from napari_xfusion.errors import InputError

BUDGET = 30.0
"""Seconds of planned time, see ``settle_gaps``."""
SETUP = 4
"""Fused frames that take as long as preparing a method for a rig without an HR frame (benchmarks/score.py)."""
COMPARING = 0.25
"""Seconds per million pixels of comparing a frame."""
ONE_IN_LONGER = 3
"""Gaps of one HR frame for one of two, and one of three."""


ADAPTABLE = 6
"""Usable HR frames to adapt a network to: four can be left out, three to train on and one to judge by."""


def require_adaptable(rig: Rig) -> None:
    """Raise InputError where there are too few usable HR frames to adapt a network to the recording."""
    require_enough(rig, ADAPTABLE, "three that are left out are trained on, and one more is judged")


def require_enough(rig: Rig, count: int, reason: str) -> None:
    """Raise InputError where the recording has fewer than ``count`` usable HR frames."""
    if len(rig.exposures) < count:
        raise InputError(
            rig.hr.source,
            expected=f"at least {count} usable HR frames: {reason}",
            found=str(len(rig.exposures)),
            hint="record more HR frames, or use a simulated recording of the same kind",
        )


def settle_gaps(rig: Rig, plan: Plan, plans: Sequence[Plan], budget: float) -> list[Gap]:
    """The gaps to judge: as many, evenly spread, as ``budget`` seconds are planned for; two at least.

    From the costs in the catalogue, so that it does not depend on the machine. For every three HR frames that are left
    out alone, there are two in a row and three in a row once.
    """
    pixels = math.prod(rig.frame_shape(plan)) / 1e6
    cost = sum(cost_of(each) for each in plans)
    seconds = {
        count: pixels * (cost * (SETUP + count) + COMPARING * len(plans) * (count == 1))
        for count in range(1, LONGEST_RUN + 1)
    }
    possible = {count: gaps(rig, count) for count in seconds}

    def numbers(alone: int) -> dict[int, int]:
        longer = math.ceil(alone / ONE_IN_LONGER)
        return {c: min(alone if c == 1 else longer, len(possible[c])) for c in possible}

    alone = 2
    while alone < len(possible[1]) and sum(n * seconds[c] for c, n in numbers(alone + 1).items()) <= budget:
        alone += 1
    return [possible[c][i] for c, n in numbers(alone).items() for i in spread(len(possible[c]), n)]


def cost_of(plan: Plan) -> float:
    """Expected seconds per fused frame and million pixels on two cores; raises ModelError without the weights."""
    method = METHODS[plan.method]
    return method.seconds * (describe(model_of(plan)).parameters / 1e6 if method.by_size else 1)


def standard_error(values: NDArray[np.float64]) -> float | None:
    """Of the mean of ``values`` (N,); None of a single one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None

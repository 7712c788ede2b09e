"""The interval of a measured number: the same number on HR frames that are left out, and on what is fused there."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.holdout.left_out import Guess, LeftOut, gaps, judged, spread
from napari_xfusion.core.inspect.measure import Interval, conformal_interval, measure
from napari_xfusion.core.inspect.places import Measure, Scale
from napari_xfusion.core.methods import Fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import Rig
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.errors import InputError

FEWEST = 3
"""HR frames that can be left out, at least: the coverage is then 3/4."""
MOST = 40
"""HR frames that are left out at most."""


def measured_interval(
    plan: Plan,
    rig: Rig,
    fuser: Fuser,
    what: Measure,
    *,
    scale: Scale | None = None,
    coverage: float = 0.9,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Interval | None:
    """The interval of ``what`` on a sequence fused by ``plan``; None when stopped, or where nothing was measured.

    Its place is in pixels of the result, of which ``scale`` is the size. ``rig`` is that of a ``judged`` plan,
    ``fuser`` the plan's. HR frames are left out one at a time, so that HR frames are twice as far apart as in the run:
    the interval is rather too wide than too narrow. Raises InputError where fewer than FEWEST can be left out.
    """
    stop = stop or threading.Event()
    left, possible = LeftOut(judged(plan), rig), gaps(rig, 1)
    if len(possible) < FEWEST:
        raise InputError(
            rig.hr.source,
            expected=f"at least {FEWEST + 2} usable HR frames, of which {FEWEST} are left out in turn",
            found=str(len(rig.exposures)),
            hint="measure without an interval, or record more HR frames",
        )
    chosen = [possible[i] for i in spread(len(possible), MOST)]
    guesses: list[Guess] = []
    for gap in chosen:
        guesses += left.guesses(gap, plan, fuser, stop)
        if stop.is_set():
            return None
        progress(len(guesses), len(chosen))
    units = rig.hr.grey
    recorded, fused = (
        _numbers([units.from_grey(each) for each in images], what, scale)
        for images in ([guess.truth for guess in guesses], [guess.image for guess in guesses])
    )
    return conformal_interval(fused, recorded, coverage)


def _numbers(images: Sequence[NDArray[np.float32]], what: Measure, scale: Scale | None) -> list[float]:
    values: list[float] = measure(as_stack(np.stack(images)), what, scale=scale).values.tolist()
    return values

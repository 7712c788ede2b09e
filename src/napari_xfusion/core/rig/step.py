"""The HR step and start where neither files nor user know them, from what changes in front of both cameras.

HR frames are compared with LR for all steps and starts: see ``content_clock``, which looks for the start alone. The
comparison is a log likelihood: it is ``LEAD`` better than at any other times, or nothing is returned.

Legend: T LR frames · N HR frames · P principal components. Times are in LR frame numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.mapping import fit_mapping
from napari_xfusion.core.rig.common_view import Floats, Views, common_views
from napari_xfusion.core.rig.content_clock import FEWEST, GRID, SMOOTHING, agreement, components, table_rows
from napari_xfusion.core.rig.scan import too_long
from napari_xfusion.core.types import Image, Progress, Stack
from napari_xfusion.errors import ClockError, PairingError

STEP, START = 0.5, 1.0
"""LR frames between the steps and the starts that are tried."""
SHARE = 0.5
"""Of the HR frames, that lie inside LR at least."""
MOST = 64
"""HR frames that are compared: more would take minutes and change little."""
LEAD = 3.0
"""Log likelihood by which the best step and start lead: a factor of 20."""
NEAR = 1.0
"""LR frames, root mean square, by which HR times differ that are the same finding."""
SNAP = 0.1
"""LR frames, root mean square, by which HR times may move so that step and start have few decimals."""
LEAST = 0.5
"""Share of what changes in HR that LR must explain."""


class HrStep(NamedTuple):
    """HR frame k is at LR frame ``start`` + k * ``step``."""

    step: float
    start: float
    explained: float
    """Share of what changes in HR that LR explains at these times."""


def find_step(
    lr: Stack,
    hr: Stack,
    calibration: Calibration | None = None,
    *,
    progress: Progress = lambda _done, _total: None,
) -> HrStep:
    """Find the HR step, 1 at least, and the start at which HR agrees best with LR.

    ``calibration`` places LR on HR; without it both show one field. All frames are read; ``progress`` gets how many are
    done, and of how many. HR frames must be at regular times, and half of them inside LR.

    Raises ClockError where another step or start fits as well, or none does, PairingError where frames do not fit.
    """
    for stack in (lr, hr):
        if too_long(stack):
            raise PairingError(
                stack.source,
                problem="the recording is too long to be compared frame by frame",
                hint="convert the part of both recordings that shows the event, and compare that",
            )
    if len(hr) < FEWEST:
        raise ClockError(
            hr.source,
            problem=f"{len(hr)} HR frames do not tell their times, at least {FEWEST} are needed",
            hint="enter {hr_step}",
        )
    mapping = fit_mapping(lr.shape[1:], hr.shape[1:]) if calibration is None else calibration.mapping
    numbers = np.arange(len(lr), dtype=np.float64), np.arange(len(hr), dtype=np.float64)
    views = common_views(lr, hr, mapping, numbers, exposure=0.0, progress=progress)[0]
    some = np.unique(np.linspace(0, len(hr) - 1, min(len(hr), MOST)).round().astype(np.intp))
    views = replace(views, hr=views.hr[some], since=views.since[some])
    refused = []
    for smooth in SMOOTHING:
        try:
            return _find(components(replace(views, smooth=smooth)))
        except ClockError as error:
            refused.append(error)
    raise refused[0]


def _find(views: Views) -> HrStep:
    """The step at one smoothing of LR in time; raises ClockError."""
    tried = _try_all(views)
    step, start = _refined(views, tried[tried[:, 0].argmax()])
    score = _score(views, step, start)
    explained = 1 - float(np.exp(-2 * score / (_inside(views, step, start) - 1)))
    if explained < LEAST:
        raise ClockError(
            "LR and HR",
            problem="at no HR step does LR show what changes in HR",
            hint="enter {hr_step}; check that both recordings show one event",
        )
    difference = tried[:, 1:2] * views.since + tried[:, 2:] - (step * views.since + start)
    others = np.where(np.sqrt(np.mean(difference**2, axis=1)) > NEAR, tried[:, 0], -np.inf)
    if score - others.max() < LEAD:
        _, other, begin = tried[others.argmax()]
        raise ClockError(
            "LR and HR",
            problem=f"HR agrees with LR as well at HR step {step:.3g} from LR frame {start:.3g} as at {other:g} from "
            f"{begin:g}",
            hint="enter {hr_step}, the LR frames from one HR frame to the next",
        )
    step, start = _snapped(views, step, start)
    return HrStep(step, start, round(explained, 4))


def _try_all(views: Views) -> Floats:
    """Score, step and start (., 3) of all that are tried, at the best start of each step and at other good ones."""
    last, whole = float(views.when[-1]), float(views.since[-1])
    table = views.lr_at(np.arange(-1, last + 1 + GRID, GRID))
    inside_lr = max(SHARE * whole, FEWEST - 1)  # HR intervals, at least

    found = []
    for step in np.arange(1.0, last / inside_lr + STEP / 2, STEP):
        least = step * inside_lr
        starts = np.arange(np.floor(least - step * whole), last - least + START, START)
        for start in starts:
            times = start + step * views.since
            inside = views.inside(times)
            if inside.sum() >= FEWEST:
                score = agreement(table[table_rows(times[inside])], views.hr[inside])
                found.append((score, step, start))
    return np.array(found)


def _score(views: Views, step: float, start: float) -> float:
    times = start + step * views.since
    inside = views.inside(times)
    if inside.sum() < FEWEST:
        return 0.0
    seen: Image = views.lr_at(times[inside])
    return agreement(seen, views.hr[inside])


def _inside(views: Views, step: float, start: float) -> int:
    return int(views.inside(start + step * views.since).sum())


def _refined(views: Views, tried: Floats) -> tuple[float, float]:
    """Step and start of the best score near those that were ``tried``."""
    _, step, start = tried
    half = float(views.since[-1]) / 2
    middle = start + step * half

    def loss(place: Floats) -> float:
        return -_score(views, place[1] / half, place[0] - place[1])

    simplex = np.array([(middle, step * half), (middle + 1, step * half), (middle, step * half + 1)])
    found = scipy.optimize.minimize(
        loss, simplex[0], method="Nelder-Mead", options={"initial_simplex": simplex}
    ).x
    return float(found[1] / half), float(found[0] - found[1])


def _snapped(views: Views, step: float, start: float) -> tuple[float, float]:
    """Round to as few decimals as hardly move HR times, two at most."""
    half = float(views.since[-1]) / 2
    middle = start + step * half
    step = _rounded(step, half / np.sqrt(3))  # the root mean square of the distances from the middle
    return step, _rounded(middle - step * half, 1.0)


def _rounded(value: float, weight: float) -> float:
    few = (round(value, digits) for digits in range(2))
    return next((x for x in few if weight * abs(x - value) <= SNAP), round(value, 2)) + 0.0  # never -0

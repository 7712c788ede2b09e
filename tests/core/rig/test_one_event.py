"""Pairs of which everything is wrong are refused with the most telling findings, never reported with confidence."""

from functools import cache

import numpy as np
import pytest

from napari_xfusion.core.check import check
from napari_xfusion.core.plan import FLAWS, MISFITS, make_plan
from napari_xfusion.core.recordings import as_stack
from tests.core.rig.shots import BLACK, COUNT, STEP, shot

TIMES = np.arange(0, COUNT, STEP, dtype=float)


@cache
def recordings(seed):
    return shot(seed).cameras()


def black(hr, frames):
    dark = hr.copy()
    dark[list(frames)] = BLACK + np.random.default_rng(0).normal(0, 3, dark[list(frames)].shape)
    return dark


(LR, HR), (OTHER, _) = recordings(0), recordings(2)
NOISE = np.random.default_rng(1).integers(200, 3000, LR.shape).astype(np.uint16)


@pytest.mark.parametrize(
    ("lr", "hr", "times", "said"),
    [
        pytest.param(
            OTHER, black(HR, (0, 1, 3, 5)), TIMES, "show something else", id="another sample, black HR"
        ),
        pytest.param(OTHER, HR[:6], TIMES[:6] + 7, "dead, hot", id="another sample, late"),
        pytest.param(
            OTHER, HR, TIMES / 10, "numbers of the HR frames", id="another sample, HR numbers as times"
        ),
        pytest.param(LR[:, :, ::-1], black(HR, (2,)), TIMES, "matched", id="mirrored, black HR"),
        pytest.param(NOISE, black(HR, (1,)), TIMES, "matched", id="noise, black HR"),
        pytest.param(np.full_like(LR, 65535), HR[:6], TIMES[:6] + 3, "constant", id="saturated, late"),
    ],
)
def test_pairs_that_share_no_event_are_refused(lr, hr, times, said):
    plan = make_plan(hr_times=tuple(times.tolist()), correct=(*FLAWS, *MISFITS))
    problem = str(check(plan, as_stack(lr, name="LR"), as_stack(hr, name="HR")).problem)
    assert "nothing in common" in problem
    assert said in problem

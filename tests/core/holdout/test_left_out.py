"""HR frames left out: the rig is that of a recording without them, and comparisons are those of the formulas."""

import threading

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from napari_xfusion.core.holdout.compare import block_squares, compare
from napari_xfusion.core.holdout.growth import fit_growth
from napari_xfusion.core.holdout.left_out import Gap, Guess, LeftOut, around, gaps, spread
from napari_xfusion.core.holdout.sample import settle_gaps
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.session import Session, rig_of
from tests.sequences import moving_discs, two_cameras

STOP = threading.Event()
LR, HR, TIMES = two_cameras(moving_discs(21), step=5)
AS_THEY_ARE = {"grey": "none", "correct": ()}


def guessed(gap, times=TIMES, **settings):
    plan = make_plan(method="interpolation", hr_times=times, **AS_THEY_ARE, **settings)
    left = LeftOut(plan, rig_of(plan, LR, HR))
    return left, list(left.guesses(gap, plan, make_fuser(plan), STOP))


@pytest.mark.parametrize("gap", [Gap(2, 1), Gap(1, 3)], ids=["one", "three in a row"])
def test_a_gap_is_a_recording_without_these_frames(gap):
    _, found = guessed(gap)
    kept = [k for k in range(len(HR)) if k not in gap.frames]
    plan = make_plan(method="interpolation", hr_times=tuple(TIMES[k] for k in kept), **AS_THEY_ARE)
    with Session(plan, rig_of(plan, LR, HR[kept])) as session:
        expected = [frame.image for frame in session.frames([int(TIMES[k]) for k in gap.frames], STOP)]
    assert [guess.frame for guess in found] == list(gap.frames)
    for guess, image in zip(found, expected, strict=True):
        np.testing.assert_allclose(guess.image, image, atol=1e-6)
        np.testing.assert_array_equal(guess.truth, HR[guess.frame])


def test_between_two_lr_frames_both_are_mixed():
    times = (0.0, 5.25, 10.0, 15.0, 20.0)
    left, (guess,) = guessed(Gap(1, 1), times)
    plan = make_plan(method="interpolation", hr_times=(0.0, 10.0, 15.0, 20.0), **AS_THEY_ARE)
    with Session(plan, rig_of(plan, LR, HR[[0, 2, 3, 4]])) as session:
        five, six = (frame.image for frame in session.frames([5, 6], STOP))
    np.testing.assert_allclose(guess.image, 0.75 * five + 0.25 * six, atol=1e-6)
    assert around(7.002) == {7: 1.0}
    assert not left.hidden.any()


def test_gaps_have_an_hr_frame_on_both_sides():
    rig = guessed(Gap(1, 1))[0].rig
    assert [gap.ends for gap in gaps(rig, 2)] == [(0, 3), (1, 4)]
    assert not gaps(rig, 4)
    assert (spread(3, 5), spread(9, 3)) == ([0, 1, 2], [1, 4, 7])
    plan = make_plan(method="bicubic", hr_times=TIMES)
    assert len(settle_gaps(rig, plan, [plan], budget=0)) == 2 + 1 + 1
    assert len(settle_gaps(rig, plan, [plan], budget=1e9)) == 3 + 1 + 1


def test_hidden_pixels_do_not_count():
    rng = np.random.default_rng(0)
    truth, image = rng.random((2, 40, 64), dtype=np.float32) * 1.4 - 0.2
    hidden = np.zeros((40, 64), bool)
    hidden[:, :18] = True
    found = compare(Guess(Gap(1, 1), 1, truth, image, None), hidden)
    a, b = (np.clip(each, 0, 1) for each in (truth, image))
    assert found.square == pytest.approx(np.mean((a - b)[~hidden] ** 2), rel=1e-5)
    assert found.aad == pytest.approx(255 * np.mean(np.abs(a - b)[~hidden]), rel=1e-5)
    seen = structural_similarity(a[:, 18:], b[:, 18:], data_range=1, win_size=7)
    assert found.ssim == pytest.approx(seen, abs=0.05)
    blocks = block_squares(found)
    assert blocks.shape == (8, 12)
    assert not blocks[:, :3].any()
    assert blocks[:, 3:].all()


@pytest.mark.parametrize("power", [0.0, 0.4, 0.8])
def test_the_growth_of_a_power_law_is_found(power):
    change = np.array([1, 2, 3, 1.5, 2.5, 4]) * 1e-4
    frames, counts = [1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3]
    growth = fit_growth(frames, counts, change, 3 * change**power)
    assert growth.exponent == pytest.approx(power, abs=1e-9)
    np.testing.assert_allclose(growth(np.array([1e-5])), 3 * 1e-5**power)


def test_one_frame_alone_has_the_typical_growth():
    assert fit_growth([1], [1], np.array([1e-4]), np.array([1e-3])).exponent == 0.4

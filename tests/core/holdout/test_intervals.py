"""Intervals contain the pixels of a new HR frame as often as they are to, and are written beside a result."""

import threading

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.holdout import intervals
from napari_xfusion.core.holdout.intervals import CHANGES, DIFFICULTIES, LEVELS, calibrate_intervals
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from tests.sequences import binned, moving_discs

NOISE, STEP = 0.02, 6
TRUTH = moving_discs(37, (80, 96), seed=5)
SEEN = (TRUTH + np.random.default_rng(0).normal(0, NOISE, TRUTH.shape)).astype(np.float32)
LR, HR = binned(TRUTH), SEEN[::STEP]
STOP = threading.Event()


def plan_of(method, **settings):
    return make_plan(method=method, hr_step=STEP, correct=(), **settings)


@pytest.mark.parametrize("method", ["interpolation", "flow"])
def test_unseen_frames_lie_inside_as_often_as_they_are_to(method):
    plan = plan_of(method)
    rig, fuser = rig_of(plan, LR, HR), make_fuser(plan)
    found = calibrate_intervals(plan, rig, fuser, coverage=0.9)
    assert found.frames == 5
    assert found.reached == pytest.approx(0.9, abs=0.04)
    with Session(plan, rig, fuser) as session:
        for frame in session.frames([3, 16, 33], STOP):
            half = found.half_widths(frame, session.reader, None)
            assert np.mean(np.abs(frame.image - SEEN[frame.index]) <= half) == pytest.approx(0.9, abs=0.06)
            own = found.beyond_noise(frame, session.reader, None)  # of the scene, which has no noise
            assert (own < half).all()
            assert np.mean(np.abs(frame.image - TRUTH[frame.index]) <= own) > 0.9
        whole = half[20:60, 30:90]
        part = Region(20, 60, 30, 90)
        (frame,) = session.frames([33], STOP, part)
        if method == "flow":  # others look beyond the region
            halves = found.half_widths(frame, session.reader, part)
            inside = slice(6, -6), slice(6, -6)  # what surrounds a pixel counts
            np.testing.assert_allclose(halves[inside], whole[inside], rtol=1e-5)


def test_what_moves_between_two_hr_frames_only_is_covered_too():
    """No HR frame that is left out shows how large errors are then: these groups are those of simulated shots."""
    jump = slice(19, 24)
    truth = TRUTH[[0] * 19 + [5, 10, 15, 20, 25] + [30] * 13]
    rng = np.random.default_rng(1)
    seen = (truth + rng.normal(0, NOISE, truth.shape)).astype(np.float32)
    lr = (binned(truth) + rng.normal(0, NOISE / 4, LR.shape)).astype(np.float32)
    plan = plan_of("flow")
    rig, fuser = rig_of(plan, lr, seen[::STEP]), make_fuser(plan)
    found = calibrate_intervals(plan, rig, fuser, coverage=0.9)
    moves = np.abs(truth[jump] - truth[18]) > NOISE
    moves &= np.abs(truth[jump] - truth[24]) > NOISE
    with Session(plan, rig, fuser) as session:
        frames = list(session.frames(range(jump.start, jump.stop), STOP))
        half = np.stack([found.half_widths(frame, session.reader, None) for frame in frames])
    inside = np.abs(np.stack([frame.image for frame in frames]) - seen[jump]) <= half
    assert moves.sum() > 1000
    assert inside[moves].mean() > 0.84  # groups put together: 0.79


def test_intervals_are_written_beside_the_result_and_resumed(tmp_path):
    fused, interval = tmp_path / "fused.tif", tmp_path / "interval.tif"
    plan = plan_of("bicubic", frames=(0, 8))
    outcome = fuse_files(plan, LR, HR, fused, interval=interval, coverage=0.8)
    half = tifffile.imread(interval)
    assert (half.shape, half.dtype) == ((8, 80, 96), np.float32)
    assert (half > NOISE).all()
    kept = RunRecord.load(fused).interval
    assert (kept.coverage, kept.frames) == (0.8, 5)
    assert outcome.reached == (kept.reached, kept.reached_error)
    again = fuse_files(plan, LR, HR, fused, interval=interval, coverage=0.8)
    assert (again.resumed, again.reached) == (8, None)
    other = fuse_files(plan, LR, HR, fused, interval=tmp_path / "wider.tif", coverage=0.95)
    assert other.finished
    assert (tifffile.imread(tmp_path / "wider.tif") > half).mean() > 0.99


@pytest.mark.parametrize("method", ["interpolation", "flow"])
def test_too_few_hr_frames_get_intervals_of_simulated_shots(method, tmp_path):
    count = 2 * STEP + 1
    outcome = fuse_files(
        plan_of(method), LR[:count], HR[:3], tmp_path / "o.tif", interval=tmp_path / "i.tif", coverage=0.9
    )
    assert outcome.reached is None
    assert [note.code for note in outcome.notes if "simulated" in note.text] == ["intervals-simulated"]
    kept = RunRecord.load(tmp_path / "o.tif").interval
    assert (kept.coverage, kept.frames) == (0.9, 0)
    inside = np.abs(tifffile.imread(tmp_path / "o.tif") - SEEN[:count]) <= tifffile.imread(tmp_path / "i.tif")
    unseen = [t for t in range(count) if t % STEP]
    assert np.mean(inside[unseen]) == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize(("one", "other"), [(0.9, 0.99), (0.3, 0.5), (0.99, 0.999), (0.85, 0.9)])
def test_intervals_of_simulated_shots_grow_with_the_coverage(one, other):
    plan = plan_of("flow")
    rig = rig_of(plan, LR[: STEP + 1], HR[:2])
    widths = [
        np.array(calibrate_intervals(plan, rig, make_fuser(plan), coverage=c).widths) for c in (one, other)
    ]
    assert (widths[0] < widths[1]).all()


def test_without_simulated_shots_too_few_hr_frames_are_refused(tmp_path):
    with pytest.raises(InputError) as raised:
        fuse_files(plan_of("edvr-stf"), LR[:13], HR[:3], tmp_path / "o.tif", interval=tmp_path / "i.tif")
    assert "at least 4" in raised.value.expected
    assert not list(tmp_path.iterdir())


def test_simulated_shots_have_the_groups_of_calibrated_ones():
    for table in intervals._tables().values():
        assert table["widths"].shape == (len(LEVELS), len(DIFFICULTIES) + 1, (len(CHANGES) + 1) ** 2)
        assert table["reached"] == pytest.approx(LEVELS, abs=0.05)

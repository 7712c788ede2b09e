"""A misfit of two cameras that is corrected: it is in the rig, and every method fuses a pair that fits."""

import math
import threading

import cv2
import numpy as np
import pytest

from napari_xfusion.core.plan import FLAWS, MISFITS, make_plan
from napari_xfusion.core.rig import FrameReader, Grids, Mapping, make_rig
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.misfit import Misfit, Placement
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import Region
from tests.core.rig.test_misfit import FRAMES, STEP, cameras
from tests.sequences import stack

ALL = (*FLAWS, *MISFITS)
SHAPE = (20, 28)
HR_SHAPE = (80, 112)
GRIDS = Grids(SHAPE, HR_SHAPE, Mapping.scaled((4, 4)))


def rig_of(lr, hr, times, correct=ALL):
    plan = make_plan(method="interpolation", hr_times=tuple(map(float, times)), correct=correct)
    return plan, make_rig(plan, stack(lr), stack(hr))


def alignment(down, right, turn=0.0):
    return Alignment(GRIDS, Misfit(Placement(down, right, turn)).mapping(GRIDS.mapping, SHAPE), HR_SHAPE)


@pytest.mark.parametrize(
    "misfit",
    [
        pytest.param({"shift": (-1.0, 0.5)}, id="shift"),
        pytest.param({"turn": -1.5}, id="turn"),
        pytest.param({"larger": 0.03}, id="larger"),
        pytest.param({"late": 3.0}, id="late"),
    ],
)
def test_a_misfit_is_in_the_rig_when_it_is_corrected(misfit):
    lr, hr, times = cameras("advected", 3, **misfit)
    _, rig = rig_of(lr, hr, times)
    placement = Placement.of(rig.grids.mapping.then(rig.fast.mapping.inverse), rig.grids.lr_shape)
    assert placement[:2] == pytest.approx(misfit.get("shift", (0, 0)), abs=0.15)
    assert math.degrees(placement.turn) == pytest.approx(misfit.get("turn", 0), abs=0.15)
    assert placement.larger == pytest.approx(misfit.get("larger", 0), abs=0.004)
    seen = rig.fast.clock.frames_of(rig.hr.clock)
    assert np.median(times - seen) == pytest.approx(misfit.get("late", 0), abs=0.2)
    assert not {"misplaced", "delayed"} & {note.code for note in rig.warnings}
    assert rig.correlation > rig_of(lr, hr, times, FLAWS)[1].correlation


def test_results_lie_on_hr_and_are_as_good_as_without_the_misfit():
    lr, hr, times = cameras("advected", 1, shift=(1.0, -1.5))
    inner, errors = np.s_[24:-24, 24:-24], []
    truth = cameras("advected", 1)[1]
    for pair, correct in (((cameras("advected", 1)[0], hr), FLAWS), ((lr, hr), ALL)):
        plan, rig = rig_of(*pair, times, correct)
        with Session(plan, rig) as session:
            (frame,) = session.frames([2 * STEP], threading.Event())
        errors.append(float(np.std((frame.image - truth[2])[inner])))
    assert errors[1] < 1.1 * errors[0] + 0.02 * np.std(truth)


def test_hr_frames_outside_of_lr_are_left_out():
    lr, hr, times = cameras("advected", 3, late=4.0)
    _, rig = rig_of(lr, hr, times)
    assert len(rig.exposures) == len(times) - 1
    assert [exposure.frame for exposure in rig.exposures] == list(range(1, len(times)))
    assert 0 <= rig.hr_times[0] <= rig.hr_times[-1] <= FRAMES - 1


def test_a_shift_by_whole_pixels_changes_no_value():
    image = np.random.default_rng(0).random(HR_SHAPE, np.float32)
    align = alignment(0.5, -1.25)
    back = align.back(align.place(image), None)
    np.testing.assert_array_equal(back[8:-8, 8:-8], image[8:-8, 8:-8])
    assert not np.array_equal(align.place(image), image)


@pytest.mark.parametrize("region", [Region(0, 20, 0, 30), Region(31, 50, 60, 77), Region(79, 80, 111, 112)])
@pytest.mark.parametrize("placed", [(0.3, -1.6, 0.0), (0.0, 0.2, 0.03)], ids=["shifted", "turned"])
def test_a_region_is_that_part_of_the_whole(region, placed):
    align, (top, bottom, left, right) = alignment(*placed), region
    fused = np.random.default_rng(1).random(HR_SHAPE, np.float32)
    part = align.region(region)
    made = align.back(fused[part.top : part.bottom, part.left : part.right], region)
    whole = align.back(fused, None)[top:bottom, left:right]
    seen = ~align.unseen(region)
    np.testing.assert_array_equal(made[seen], whole[seen])


def test_places_agree_with_another_library():
    """An HR image is where OpenCV's affine warp of LR's own mapping puts it."""
    y, x = np.mgrid[: HR_SHAPE[0], : HR_SHAPE[1]]
    image = (np.sin(y / 9) + np.cos(x / 7)).astype(np.float32)
    align = alignment(0.4, 0.7, 0.02)
    matrix = align.to_hr.affine[[1, 0]][:, [1, 0, 2]]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(image, matrix, HR_SHAPE[::-1], flags=flags)
    np.testing.assert_allclose(align.place(image)[8:-8, 8:-8], expected[8:-8, 8:-8], atol=0.01)


def test_pairs_that_fit_are_left_alone():
    lr, hr, times = cameras("advected", 11)
    (_, corrected), (_, plain) = rig_of(lr, hr, times), rig_of(lr, hr, times, FLAWS)
    assert corrected == plain
    np.testing.assert_array_equal(FrameReader(corrected).hr_frame(1), FrameReader(plain).hr_frame(1))

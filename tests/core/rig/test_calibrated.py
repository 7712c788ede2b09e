"""A pair through a rig file: mirrored, turned, of another scale and field of view than HR, on a clock of its own."""

import json
import math
from threading import Event

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.calibration import Calibration, CameraFacts, ClockFit
from napari_xfusion.core.check import check
from napari_xfusion.core.holdout.score import score_methods
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.rig import make_rig
from napari_xfusion.core.rig.blur import kernel_of
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.session import Session
from napari_xfusion.core.types import Region
from napari_xfusion.errors import PairingError
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances
from napari_xfusion.lab.virtual.experiment import simulate
from tests.sequences import stack

LR, HR, SCENE = (30, 44), (96, 132), (120, 168)
SCALE, TURN = 2.6, 2.0
CLOCK = ClockFit(
    offset_ns=1300,
    uncertainty_ns=0,
    lr_interval_ns=1000,
    hr_interval_ns=6250,
    exposure_ns=1000,
    source="manual",
)


def mapping(radial=(0.004, -0.001)):
    """Mirrored left to right, turned, LR's field inside HR's but for its lower right corner."""
    angle, middle = math.radians(TURN), (np.array(HR) - 1) / 2
    cos, sin = SCALE * math.cos(angle), SCALE * math.sin(angle)
    linear = np.array([[cos, -sin], [-sin, -cos]])
    shift = middle + np.array([9.3, 8.4]) - linear @ (np.array(LR) - 1) / 2
    reach = float(np.hypot(*HR) / 2)
    return Mapping(
        linear=linear.tolist(), shift=shift.tolist(), radial=radial, centre=middle.tolist(), reach=reach
    )


def calibration(**changes):
    settings = {"lr": CameraFacts(source="LR", shape=LR), "hr": CameraFacts(source="HR", shape=HR)}
    settings |= {"mapping": mapping(), "clock": CLOCK, "way": "manual", "made": "2026-01-01T00:00:00+00:00"}
    return Calibration(**settings | changes)


@pytest.fixture(scope="module")
def recorded():
    """Both recordings and the truth of a virtual experiment through the rig file."""
    scene = make_scene(KINDS["advected"], SCENE, np.random.default_rng(4))
    frames = np.stack([scene.image(t - 16) for t in range(33)])
    return simulate(stack(frames), calibration=calibration())


def plan_of(method="interpolation", **settings):
    return make_plan(**{"method": method, "calibration": calibration(), "device": "cpu"} | settings)


def fused(recorded, targets, **settings):
    plan = plan_of(**settings)
    rig = make_rig(plan, recorded.lr, recorded.hr)
    with Session(plan, rig) as session:
        return rig, [frame.image for frame in session.frames(targets, Event())]


def seen_part(rig, margin=2):
    """The part of HR (H, W) well inside both fields."""
    pixels = np.stack(np.mgrid[: HR[0], : HR[1]], axis=-1)
    lr = rig.fast.mapping.from_output(pixels)
    inside = ((lr >= margin) & (lr <= np.array(LR) - 1 - margin)).all(axis=-1)
    return inside & ((pixels >= 6) & (pixels <= np.array(HR) - 7)).all(axis=-1)


@pytest.mark.parametrize(
    ("method", "least"),
    [
        ("bicubic", 26),
        ("interpolation", 42),
        ("flow", 43),
        ("bayesian", 41),
        ("bayesian-paper", 40),
        ("lite", 43),
    ],
)
def test_every_method_is_close_to_the_truth_where_both_cameras_see(recorded, method, least):
    rig, (image,) = fused(recorded, [14], method=method, extent="hr")
    assert image.shape == HR
    truth, part = recorded.truth.frame(14), seen_part(rig)
    assert part.mean() > 0.4
    error = np.sqrt(np.mean((image - truth)[part] ** 2)) / np.ptp(truth)
    assert -20 * math.log10(error) > least


def test_hr_times_come_from_its_clock(recorded):
    rig = make_rig(plan_of(), recorded.lr, recorded.hr)
    assert recorded.hr.metadata.hr_times is None
    assert rig.hr_times == pytest.approx([1.3, 7.55, 13.8, 20.05, 26.3])
    stated = make_rig(plan_of(hr_times=(1, 7, 14, 20, 26)), recorded.lr, recorded.hr)
    assert stated.hr_times == pytest.approx([1, 7, 14, 20, 26])


def test_hr_frames_before_and_after_lr_are_left_out(recorded):
    clock = CLOCK.model_copy(update={"offset_ns": -6100.0})
    rig = make_rig(plan_of(calibration=calibration(clock=clock)), recorded.lr, recorded.hr)
    assert [exposure.frame for exposure in rig.exposures] == [1, 2, 3, 4]
    late = CLOCK.model_copy(update={"offset_ns": 30_000.0})
    with pytest.raises(PairingError, match="at least 2 HR frames during the LR recording"):
        make_rig(plan_of(calibration=calibration(clock=late)), recorded.lr, recorded.hr)


@pytest.mark.parametrize("method", ["flow", "lite"])
def test_what_both_see_and_a_region_are_parts_of_the_complete_frame(recorded, method):
    rig, (whole,) = fused(recorded, [14], method=method, extent="hr")
    rig, (common,) = fused(recorded, [14], method=method)
    top, bottom, left, right = rig.region(plan_of())
    assert not rig.alignment.unseen(None)[top:bottom, left:right].all(axis=0).any()
    assert rig.alignment.unseen(None).sum() == rig.alignment.unseen(
        Region(top, bottom, left, right)
    ).sum() + (HR[0] * HR[1] - common.size)
    np.testing.assert_allclose(common, whole[top:bottom, left:right], atol=1e-5 * np.ptp(whole))
    part = Region(40, 71, 50, 97)
    _, (image,) = fused(recorded, [14], method=method, region=part)
    np.testing.assert_allclose(image, whole[40:71, 50:97], atol=1e-5 * np.ptp(whole))


def test_a_rig_file_of_other_cameras_is_refused(recorded):
    other = calibration(hr=CameraFacts(source="HR", shape=(100, 132)))
    found = check(plan_of(calibration=other), recorded.lr, recorded.hr)
    assert "100x132" in str(found.problem)
    assert "96x132" in str(found.problem)


def test_a_misfit_is_told_against_the_rig_file(recorded):
    moved = mapping().model_copy(update={"shift": tuple(np.add(mapping().shift, (2.1, 0.0)))})
    found = check(plan_of(calibration=calibration(mapping=moved)), recorded.lr, recorded.hr)
    text = {note.code: note.text for note in found.notes}["misplaced"]
    assert "against what the rig file says" in text
    known = check(plan_of(), recorded.lr, recorded.hr)
    assert not {"misplaced", "delayed"} & {note.code for note in known.notes}
    assert "LR shows" in "".join(known.facts())


def test_the_record_alone_repeats_the_run(tmp_path, recorded):
    fuse_files(plan_of(frames=(12, 15)), recorded.lr, recorded.hr, tmp_path / "a.tif")
    record = RunRecord.load(tmp_path / "a.tif")
    assert record.plan.calibration == calibration()
    assert record.plan.region is not None
    assert 0 < record.outside_lr < math.prod(record.plan.region.shape)
    record.run(tmp_path / "b.tif", lr=recorded.lr, hr=recorded.hr)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    values = [json.loads((tmp_path / f"{name}.tif.json").read_text()) for name in "ab"]
    assert values[0]["identity"] == values[1]["identity"]


def test_the_blur_of_lr_is_measured_or_that_of_the_rig_file(recorded):
    clock = CLOCK.model_copy(update={"offset_ns": 1000.0, "hr_interval_ns": 6000.0})
    file = calibration(clock=clock)
    blurry = simulate(recorded.movie, calibration=file, disturbances=Disturbances(lr_blur=0.5))
    rig = make_rig(plan_of(calibration=file), blurry.lr, blurry.hr)
    assert rig.fast.blur == pytest.approx((0.5, 0.5), abs=0.06)
    known = calibration(clock=clock, blur=kernel_of(rig.fast.blur, file.mapping))
    told = make_rig(plan_of(calibration=known), blurry.lr, blurry.hr)
    assert rig.fast.grey.span == pytest.approx(
        told.fast.grey.span, rel=1e-3
    )  # not that of LR against sharper HR
    assert rig.fast.noise == pytest.approx(told.fast.noise, rel=0.01)
    assert make_rig(plan_of(calibration=file), recorded.lr, blurry.hr).fast.blur == (0, 0)
    sharp = calibration(clock=clock, blur=((0, 0, 0), (0, 1, 0), (0, 0, 0)))
    assert make_rig(plan_of(calibration=sharp), blurry.lr, blurry.hr).fast.blur == (0, 0)


def test_a_pair_is_judged_and_gets_intervals_through_its_rig_file(recorded, tmp_path):
    score = score_methods(plan_of(), recorded.lr, recorded.hr, methods=["bicubic"])
    left_out = score.best.frames[0]  # bicubic does not look at it
    before = int(left_out.time)
    rig, (a, b) = fused(recorded, [before, before + 1], method="bicubic")
    region = rig.region(plan_of())
    part = left_out.time - before
    truth = recorded.hr.frame(left_out.frame)[slice(*region[:2]), slice(*region[2:])]
    images = (np.clip(rig.hr.grey.to_grey(x), 0, 1) for x in (truth, (1 - part) * a + part * b))
    squares = np.subtract(*images) ** 2
    seen = ~rig.alignment.unseen(region)
    assert 0 < seen.mean() < 1
    assert left_out.psnr == pytest.approx(-10 * np.log10(squares[seen].mean()), abs=0.02)
    assert score.offset is None
    half = tmp_path / "half.tif"
    plan = plan_of(extent="hr", frames=(8, 9))
    fuse_files(plan, recorded.lr, recorded.hr, tmp_path / "fused.tif", interval=half)
    unseen = make_rig(plan, recorded.lr, recorded.hr).alignment.unseen(None)
    np.testing.assert_array_equal(np.isnan(tifffile.imread(half)), unseen)

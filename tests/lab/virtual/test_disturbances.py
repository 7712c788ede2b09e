"""Every disturbance of a virtual experiment: what it changes, what it does not, and that it can be repeated."""

import json
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from scipy.ndimage import shift

from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual.disturbances import Disturbances, Faults
from napari_xfusion.lab.virtual.experiment import simulate
from napari_xfusion.lab.virtual.faulty import pco_stamp
from napari_xfusion.lab.virtual.write import write_experiment
from tests.sequences import binned, moving_discs, stack

FRAMES, SHAPE, STEP = 13, (48, 64), 4
MOVIE = (np.resize(moving_discs(FRAMES, SHAPE), (FRAMES, *SHAPE)) * 3000 + 1000).astype(np.uint16)
WHITE = np.percentile(MOVIE, 99.65)


def frames_of(sequence):
    return np.stack([sequence.frame(i) for i in range(len(sequence))])


def experiment(*, seed=3, movie=MOVIE, **disturbances):
    return simulate(stack(movie), STEP, seed=seed, disturbances=Disturbances.model_validate(disturbances))


@cache
def undisturbed():
    made = experiment()
    return {"lr": frames_of(made.lr).astype(float), "hr": frames_of(made.hr).astype(float)}


def recorded(camera, **faults):
    """The frames of one camera with faults; those of the other camera are unchanged."""
    made = experiment(**{camera: faults})
    other = "hr" if camera == "lr" else "lr"
    same = frames_of(getattr(made, other))
    assert_array_equal(same, undisturbed()[other][: len(same)])  # fewer HR frames where LR is shorter
    return frames_of(getattr(made, camera)).astype(float)


def changed(camera, **faults):
    return recorded(camera, **faults) != undisturbed()[camera]


def ratio(camera, **faults):
    return recorded(camera, **faults) / undisturbed()[camera]


EITHER = pytest.mark.parametrize("camera", ["lr", "hr"])
ALL = {
    "flicker": 0.1,
    "drift": 0.3,
    "tilt": 0.2,
    "pattern": 0.05,
    "stripes": 0.05,
    "gamma": 2.2,
    "round_field": True,
    "dead": 5,
    "hot": 5,
    "zingers": 0.01,
    "closed": 2,
    "black": (3,),
    "stuck": (2,),
    "dropped": (1,),
    "stamp": True,
}


def test_all_faults_are_tried():
    assert ALL.keys() == Faults.model_fields.keys()


@EITHER
@pytest.mark.parametrize("kind", ALL)
def test_each_fault_changes_one_camera_and_can_be_repeated(camera, kind):
    once, again = (recorded(camera, **{kind: ALL[kind]}) for _ in range(2))
    assert_array_equal(once, again)
    assert not np.array_equal(once, undisturbed()[camera])


@pytest.mark.parametrize("kind", ["flicker", "pattern", "stripes", "dead", "hot", "zingers", "black"])
def test_what_is_random_depends_on_the_seed(kind):
    one, other = (frames_of(experiment(seed=s, lr={kind: ALL[kind]}).lr) for s in (3, 4))
    assert not np.array_equal(one, other)


def test_cameras_have_random_numbers_of_their_own():
    made = experiment(lr={"flicker": 0.1}, hr={"flicker": 0.1})
    lr, hr = frames_of(made.lr) / undisturbed()["lr"], frames_of(made.hr) / undisturbed()["hr"]
    assert (abs(lr[::STEP].mean((1, 2)) - hr.mean((1, 2))) > 1e-3).all()


def test_a_disturbance_does_not_change_the_random_numbers_of_another():
    both, one = (recorded("lr", **faults) for faults in ({"dead": 5, "flicker": 0.1}, {"flicker": 0.1}))
    assert np.count_nonzero(both != one) == 5 * FRAMES


def test_frames_can_be_read_in_any_order():
    made = experiment(lr={"flicker": 0.1, "zingers": 0.01})
    last = made.lr.frame(7)
    assert_array_equal(frames_of(made.lr)[7], last)


@EITHER
def test_flicker_is_one_gain_per_frame(camera):
    gains = ratio(camera, flicker=0.1)
    assert_allclose(gains, gains.mean((1, 2), keepdims=True) * np.ones(gains.shape), atol=1e-3)
    assert gains.mean((1, 2)).std() > 0.01
    assert abs(gains - 1).max() < 0.101


def test_flicker_of_the_beam_is_common_to_both_cameras():
    made = experiment(beam_flicker=0.1)
    lr, hr = frames_of(made.lr) / undisturbed()["lr"], frames_of(made.hr) / undisturbed()["hr"]
    assert lr.mean((1, 2)).std() > 0.02
    assert_allclose(lr[::STEP].mean((1, 2)), hr.mean((1, 2)), atol=1e-3)


@EITHER
def test_drift_is_linear_in_time(camera):
    gains = ratio(camera, drift=-0.3).mean((1, 2))
    assert_allclose(gains, np.linspace(1, 0.7, len(gains)), atol=1e-3)


@EITHER
def test_tilt_is_linear_across_the_frame_and_static(camera):
    gains = ratio(camera, tilt=0.2)
    assert_allclose(gains, np.linspace(0.8, 1.2, gains.shape[2]) * np.ones(gains.shape), atol=1e-3)


@EITHER
def test_pattern_is_static_and_has_its_standard_deviation(camera):
    gains = ratio(camera, pattern=0.05)
    assert_allclose(gains, gains[:1] * np.ones(gains.shape), atol=2e-3)
    assert gains[0].std() == pytest.approx(0.05, rel=0.15)


@EITHER
def test_stripes_are_rows_that_differ_from_frame_to_frame(camera):
    gains = ratio(camera, stripes=0.05)
    assert_allclose(gains, gains[..., :1] * np.ones(gains.shape), atol=2e-3)
    assert gains[..., 0].std() == pytest.approx(0.05, rel=0.25)
    assert gains[..., 0].std(0).min() > 0.005


@EITHER
@pytest.mark.parametrize("gamma", [0.5, 2.2])
def test_gamma_keeps_black_and_white(camera, gamma):
    expected = WHITE * (undisturbed()[camera] / WHITE) ** gamma
    assert_allclose(recorded(camera, gamma=gamma), expected, atol=0.6)


@EITHER
def test_round_field_is_black_in_the_corners_only(camera):
    frames = recorded(camera, round_field=True)
    black = (frames == 0).all(0)
    assert black.mean() == pytest.approx(1 - np.pi / 4, abs=0.02)
    assert_array_equal(frames[:, ~black], undisturbed()[camera][:, ~black])
    assert_array_equal(black, black[::-1, ::-1])


@EITHER
@pytest.mark.parametrize(("kind", "value"), [("dead", 0), ("hot", 4)])
def test_dead_and_hot_pixels_are_static(camera, kind, value):
    frames = recorded(camera, **{kind: 5})
    differ = frames != undisturbed()[camera]
    assert [np.count_nonzero(frame) for frame in differ] == [5] * len(frames)
    assert (differ == differ[0]).all()
    assert_allclose(frames[differ], value * WHITE, atol=0.6)


@EITHER
def test_zingers_are_bright_and_others_in_every_frame(camera):
    frames, differ = recorded(camera, zingers=0.01), changed(camera, zingers=0.01)
    assert differ.mean() == pytest.approx(0.01, rel=0.5)
    assert differ.sum(0).max() <= 3
    assert frames[differ].min() >= np.floor(WHITE)
    assert frames[differ].max() <= 4 * WHITE + 1


@EITHER
@pytest.mark.parametrize(
    ("faults", "dark"),
    [
        pytest.param({"closed": 2}, [0, 1], id="closed shutter"),
        pytest.param({"black": (1, 3)}, [1, 3], id="black"),
    ],
)
def test_dark_frames(camera, faults, dark):
    frames = recorded(camera, **faults)
    assert np.flatnonzero(frames.mean((1, 2)) < 0.05 * WHITE).tolist() == dark
    assert np.flatnonzero(changed(camera, **faults).any((1, 2))).tolist() == dark


@EITHER
def test_stuck_frames_repeat_the_one_before(camera):
    frames, clean = recorded(camera, stuck=(1, 2)), undisturbed()[camera]
    assert_array_equal(frames[[0, 1, 2]], clean[[0, 0, 0]])
    assert_array_equal(frames[3:], clean[3:])


def test_dropped_lr_frames_are_missing_in_the_truth_too():
    made = experiment(lr={"dropped": (2, 5)})
    kept = [t for t in range(FRAMES) if t not in (2, 5)]
    assert_array_equal(frames_of(made.lr), undisturbed()["lr"][kept])
    assert_array_equal(frames_of(made.truth), MOVIE[kept])
    assert made.lr.clock.is_regular
    assert made.hr.metadata.hr_times == (0, 4, 8)  # the last one lies outside the shorter LR recording
    assert made.hr_times == (0, 4, 8)


def test_dropped_hr_frames_give_later_ones_their_times():
    made = experiment(hr={"dropped": (1,)})
    assert made.hr.metadata.hr_times == (0, 4, 8)
    assert made.hr_times == (0, 8, 12)
    assert_array_equal(frames_of(made.hr), MOVIE[[0, 8, 12]])


@EITHER
def test_stamp_changes_fourteen_pixels(camera):
    frames = recorded(camera, stamp=True)
    assert_array_equal(frames[:, 1:], undisturbed()[camera][:, 1:])
    assert_array_equal(frames[:, 0, 14:], undisturbed()[camera][:, 0, 14:])
    numbers = [int("".join(f"{int(x):02x}" for x in row[:4])) for row in frames[:, 0]]
    assert numbers == list(range(1, len(frames) + 1))


def test_stamp_is_binary_coded_decimal():
    pixels = pco_stamp(1233, ((3 * 24 + 17) * 60 + 5) * 60_000_000 + 7_000_089)
    assert bytes(pixels).hex() == "0000123420260104170507000089"


@pytest.mark.parametrize("by", [(1.0, 0.0), (0.25, -0.5)])
def test_lr_lies_to_the_right_and_below(by):
    made = experiment(lr_shift=by)
    moved = np.stack([shift(f.astype(float), (4 * by[1], 4 * by[0]), order=3, mode="nearest") for f in MOVIE])
    assert_allclose(frames_of(made.lr)[:, 3:-3, 3:-3], binned(moved)[:, 3:-3, 3:-3], atol=3)
    assert_array_equal(frames_of(made.hr), undisturbed()["hr"])


def test_lr_turns_clockwise_about_the_middle():
    square = np.stack([np.resize(frame, (48, 48)) for frame in MOVIE])
    made = experiment(movie=square, lr_turn=90.0)
    assert_allclose(frames_of(made.lr), np.rot90(binned(square), -1, axes=(1, 2)), atol=2)


@pytest.mark.parametrize(("turn", "larger"), [(0.25, 0.0), (-1.0, 0.0), (0.0, 0.01), (2.0, -0.03)])
def test_lr_is_turned_and_enlarged_by_that_much(turn, larger):
    """Where a point is in LR is seen in a film whose grey values are its coordinates."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    angle = np.radians(turn)
    for ramp, along in ((y, (np.cos(angle), -np.sin(angle))), (x, (np.sin(angle), np.cos(angle)))):
        made = experiment(movie=np.stack([ramp] * FRAMES), lr_turn=turn, lr_larger=larger)
        down, right = np.gradient(frames_of(made.lr)[0][3:-3, 3:-3] / 4)
        assert_allclose(down, along[0] / (1 + larger), atol=1e-3)
        assert_allclose(right, along[1] / (1 + larger), atol=1e-3)


@pytest.mark.parametrize(
    ("late", "stated", "shown"),
    [(1, (1, 5, 9), (0, 4, 8)), (0.5, (0.5, 4.5, 8.5), (0, 4, 8)), (-2, (2, 6, 10), (4, 8, 12))],
)
def test_times_of_hr_are_late(late, stated, shown):
    made = experiment(hr_late=late)
    assert made.hr.metadata.hr_times == stated
    assert made.hr_times == shown
    assert_array_equal(frames_of(made.hr), MOVIE[list(shown)])


def test_hr_exposure_is_a_mean_around_the_time():
    hr = frames_of(experiment(hr_exposure=3).hr)
    assert_array_equal(hr[1], np.rint(MOVIE[3:6].mean(0)))
    assert_array_equal(hr[0], np.rint(MOVIE[:2].mean(0)))


def test_integers_saturate():
    movie = (MOVIE // 16).clip(0, 255).astype(np.uint8)
    hr = frames_of(experiment(movie=movie, hr={"hot": 9, "drift": 0.9}).hr)
    assert hr.dtype == np.uint8
    assert hr.max() == 255


@pytest.mark.parametrize(
    "disturbances",
    [
        {"lr": {"flicker": -0.1}},
        {"lr": {"zingers": 2}},
        {"hr": {"dead": -1}},
        {"hr": {"gamma": 0}},
        {"hr_exposure": 0},
        {"lr_shift": (1,)},
        {"lr_turn": float("nan")},
        {"lr": {"black": (-1,)}},
        {"unknown": 1},
    ],
)
def test_impossible_disturbances_are_refused(disturbances):
    with pytest.raises(ValidationError):
        Disturbances.model_validate(disturbances)


@pytest.mark.parametrize(
    ("disturbances", "setting"),
    [
        ({"lr": {"black": (FRAMES,)}}, "lr_black"),
        ({"hr": {"stuck": (9,)}}, "hr_stuck"),
        ({"lr": {"dropped": tuple(range(FRAMES))}}, "lr_dropped"),
        ({"hr_late": 99}, "hr_late"),
    ],
)
def test_frames_that_do_not_exist_are_refused(disturbances, setting):
    with pytest.raises(InputError) as raised:
        experiment(**disturbances)
    assert raised.value.setting == setting


def test_the_record_contains_the_disturbances(tmp_path):
    disturbances = {"lr": {"flicker": 0.05, "black": [3]}, "hr_late": 1.0}
    write_experiment(experiment(**disturbances), tmp_path)
    assert json.loads((tmp_path / "experiment.json").read_text())["disturbances"] == disturbances

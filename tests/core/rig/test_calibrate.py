"""Two cameras of known mapping: found again from a target, from points and from content; refused where unsure."""

import numpy as np
import pytest

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.mapping import Warp
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.calibrate import calibrate
from napari_xfusion.core.rig.fit import fit_points
from napari_xfusion.core.rig.points import read_points
from napari_xfusion.errors import CalibrationError, InputError
from tests.core.rig.targets import HR, LR, error, grid, mapping, pair, record, texture


@pytest.mark.parametrize(
    ("target", "truth", "distorted"),
    [
        pytest.param(grid(), mapping(), False, id="mirrored"),
        pytest.param(grid(degrees=40), mapping(degrees=93, mirror=1), False, id="turned"),
        pytest.param(grid(), mapping(k1=0.004), True, id="distorted"),
        pytest.param(lambda y, x: 1 - grid()(y, x), mapping(degrees=181), False, id="dark squares"),
    ],
)
def test_a_target_gives_the_mapping(target, truth, distorted):
    made = calibrate(*pair(target, truth))
    assert (made.calibration.way, made.calibration.mapping.is_radial) == ("grid", distorted)
    assert error(made.calibration.mapping, truth) < 0.02
    assert made.calibration.residuals.rms < 0.1
    assert made.calibration.residuals.count > 50


def bent():
    """A smooth distortion of up to 2.5 HR pixels that is not radial."""
    y, x = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9), indexing="ij")
    grid = {"linear": ((8 / 95, 0), (0, 8 / 127)), "shift": (0, 0)}
    warp = Warp(**grid, down=(2.5 * np.sin(4 * x + y)).tolist(), across=(2 * np.sin(5 * y) * x).tolist())
    return mapping().model_copy(update={"warp": warp})


def test_a_distortion_that_is_not_radial_needs_a_thin_plate():
    recordings = pair(grid(pitch=20), bent())
    made = calibrate(*recordings)
    assert made.fit.model == "thin-plate"
    assert made.calibration.residuals.left_out < 0.2
    assert error(made.calibration.mapping, bent()) < 0.1
    assert error(calibrate(*recordings, model="radial").calibration.mapping, bent()) > 0.5
    pixels = np.stack(np.indices(LR), -1)
    there = made.calibration.mapping.to_output(pixels)
    assert made.calibration.mapping.from_output(there) == pytest.approx(pixels, abs=1e-5)
    assert (
        Calibration.model_validate_json(made.calibration.model_dump_json(by_alias=True)) == made.calibration
    )


def test_the_content_of_both_recordings_gives_the_mapping():
    truth = mapping()
    made = calibrate(*pair(texture(), truth), pixel_size_lr=2.6, pixel_size_hr=1.0)
    assert made.calibration.way == "content"
    assert made.calibration.is_mirrored
    assert made.calibration.turn == pytest.approx(3, abs=0.02)
    assert error(made.calibration.mapping, truth) < 0.1


UNMARKED = grid(closed=())
BLANK = record(lambda y, _: np.full(y.shape, 0.5), LR, noise=0)
SIZES = {"pixel_size_lr": 2.6, "pixel_size_hr": 1.0}


@pytest.mark.parametrize(
    ("recordings", "settings", "said"),
    [
        pytest.param(
            lambda: pair(texture(), mapping(), grid()), {}, "HR image.*no such target", id="in LR only"
        ),
        pytest.param(
            lambda: pair(grid(), mapping(), texture()), {}, "LR image.*no such target", id="in HR only"
        ),
        pytest.param(lambda: pair(UNMARKED, mapping()), {}, "periodic", id="no mark"),
        pytest.param(
            lambda: pair(grid(closed=((0, 0),)), mapping()), {}, "8 placements", id="symmetrical mark"
        ),
        pytest.param(
            lambda: pair(grid(), mapping(), grid(pitch=20)), SIZES, "pixel sizes say", id="two pitches"
        ),
        pytest.param(
            lambda: pair(grid(), mapping(), grid(open_part=0.45)), {}, "different targets", id="two grids"
        ),
        pytest.param(
            lambda: pair(texture(), mapping(), texture(5)),
            SIZES,
            "content does not tell.*Check the pixel sizes",
            id="unlike",
        ),
        pytest.param(
            lambda: pair(UNMARKED, mapping()),
            {"way": "content", **SIZES},
            "may be periodic",
            id="periodic content",
        ),
        pytest.param(lambda: (BLANK, BLANK), {}, "LR image: all its pixels are equal", id="nothing"),
    ],
)
def test_what_does_not_determine_the_mapping_is_refused(recordings, settings, said):
    with pytest.raises(CalibrationError, match=said) as refused:
        calibrate(*recordings(), **settings)
    assert refused.value.hint


@pytest.mark.parametrize("away", [(4.0, -3.0), (-9.0, 2.0)])
def test_a_rough_place_determines_the_mapping_of_what_is_periodic(away):
    truth = mapping()
    rough = truth.model_copy(update={"shift": tuple(np.add(truth.shift, away))})
    made = calibrate(*pair(UNMARKED, truth), way="content", near=rough)
    assert error(made.calibration.mapping, truth) < 0.05


def test_nothing_is_found_near_a_wrong_place():
    truth = mapping()
    rough = truth.model_copy(update={"shift": tuple(np.add(truth.shift, (90.0, 0.0)))})
    with pytest.raises(CalibrationError, match="near where LR was placed"):
        calibrate(*pair(texture(), truth), way="content", near=rough)


EMPTY = as_stack(np.zeros((1, *LR), np.uint8), name="LR"), as_stack(np.zeros((1, *HR), np.uint8), name="HR")
PLACES = np.array([(30, 30), (30, 100), (70, 40), (60, 90), (45, 60), (75, 75), (40, 45), (55, 105)], float)


def test_points_give_the_mapping_and_a_wrong_pair_is_left_out():
    truth = mapping(aim=(119.5, 159.5))
    hr = truth.to_output(PLACES)
    hr[2] += (40, -30)
    made = calibrate(*EMPTY, points=(PLACES, hr))
    assert made.dropped == (2,)
    assert error(made.calibration.mapping, truth) < 1e-6
    assert (made.calibration.way, made.calibration.residuals.count) == ("points", 7)


def changed(row, value):
    places = PLACES.copy()
    places[row] = value
    return places


@pytest.mark.parametrize(
    ("lr", "hr", "model", "said"),
    [
        pytest.param(PLACES[:2], None, "auto", "at least 3 pairs.*found 2", id="too few"),
        pytest.param(PLACES[:5], None, "radial", "at least 8 pairs.*found 5", id="too few for the model"),
        pytest.param(np.outer(range(10, 15), (2, 3)), None, "auto", "on a line in LR", id="on a line"),
        pytest.param(changed(3, np.nan), None, "auto", "pairs 4 are not finite", id="NaN"),
        pytest.param(changed(3, (30, 200)), None, "auto", "pairs 4 lie outside the LR frame", id="outside"),
        pytest.param(changed(3, PLACES[1]), None, "auto", "pairs 2, 4 have the same LR", id="duplicates"),
        pytest.param(
            PLACES, PLACES[[3, 6, 1, 7, 0, 2, 5, 4]], "auto", "of 8 pairs that agree", id="unrelated"
        ),
    ],
)
def test_points_that_do_not_determine_the_mapping_are_refused(lr, hr, model, said):
    hr = mapping(aim=(119.5, 159.5)).to_output(np.nan_to_num(lr, nan=40).clip(0, 110)) if hr is None else hr
    with pytest.raises(CalibrationError, match=said):
        calibrate(*EMPTY, points=(lr, hr), model=model)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1,2,10,20\n3,4.5,30,45\n", id="no header"),
        pytest.param("lr_row,lr_col,hr_row,hr_col\n1,2,10,20\n3,4.5,30,45\n", id="header"),
        pytest.param("\ufeffLR_x;LR_y;HR_x;HR_y\n2;1;20;10\n\n4.5;3;45;30\n", id="x before y, semicolons"),
        pytest.param(
            "n\tlr_row\tlr_column\thr_row\thr_column\na\t1\t2\t10\t20\nb\t3\t4.5\t30\t45", id="tabs"
        ),
    ],
)
def test_points_are_read_from_a_file(text, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    lr, hr = read_points(path)
    assert (lr.tolist(), hr.tolist()) == ([[1, 2], [3, 4.5]], [[10, 20], [30, 45]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "no pair", id="empty"),
        pytest.param("lr_row,lr_col,hr_row\n1,2,3\n", "without hr_col", id="a column is missing"),
        pytest.param("1,2,3,4\n5,6,x,8\n", "'5,6,x,8' as pair 2", id="no number"),
        pytest.param("1,2,3,4\n5,6,7\n", "as pair 2", id="short line"),
    ],
)
def test_a_file_of_other_content_is_refused(text, said, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_points(path)


def test_the_simplest_model_is_taken_that_explains_the_points():
    rng = np.random.default_rng(0)
    lr = np.stack(np.meshgrid(np.arange(5, 90, 7.0), np.arange(5, 120, 7.0)), -1).reshape(-1, 2)
    noise = rng.normal(0, 0.05, lr.shape)
    straight, bent = (mapping(k1=k1) for k1 in (0.0, 0.004))
    sheared = straight.model_copy(update={"linear": ((2.6, 0.02), (0.0, 2.6))})
    for truth, model in ((straight, "similarity"), (sheared, "affine"), (bent, "radial")):
        fit = fit_points(lr, truth.to_output(lr) + noise, HR)
        assert fit.model == model
        assert fit.residuals.left_out == pytest.approx(0.05 * 2**0.5, rel=0.15)
        assert error(fit.mapping, truth) < 0.02

"""HR times and sizes that are possible, but contradict what is known of the recordings."""

import re
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.mapping import fit_mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.core.rig.plausibility import (
    orientation_warnings,
    same_warnings,
    size_warnings,
    time_warnings,
)
from napari_xfusion.core.types import Metadata
from tests.sequences import moving_discs, stack


def codes(warnings):
    return [warning.code for warning in warnings]


def warned(times, interval=None, hr_interval=None, count=51, **plan):
    lr = stack(np.zeros((count, 4, 4), np.uint8), "lr.tif", interval)
    hr = stack(np.zeros((len(times), 16, 16), np.uint8), "hr.tif", hr_interval)
    return time_warnings(lr, hr, np.array(times, float), make_plan(**plan))


TENS = np.arange(0, 51, 10)


@pytest.mark.parametrize(
    ("times", "interval", "code", "said"),
    [
        pytest.param(TENS * 2e-5, 2e-5, "hr-times-close", "seconds", id="seconds"),
        pytest.param(TENS * 2e-2, 2e-5, "hr-times-close", "milliseconds", id="milliseconds"),
        pytest.param(TENS * 2e-5, None, "hr-times-close", "not seconds", id="seconds of an unknown rate"),
        pytest.param(TENS * 1e-3, 1e-3, "hr-times-close", "seconds", id="1000 frames a second"),
        pytest.param(TENS * 0.1, 1e-4, "hr-coverage", "milliseconds", id="milliseconds, a frame apart"),
        pytest.param(TENS * 0.5, 0.5, "hr-coverage", "seconds", id="seconds of a slow camera"),
        pytest.param(TENS / 6, 10.0, "hr-coverage", "minutes", id="minutes"),
        pytest.param(np.arange(6), None, "hr-coverage", "numbers of the HR frames", id="HR frame numbers"),
        pytest.param(np.arange(1, 7), None, "hr-coverage", "numbers of the HR frames", id="from 1"),
        pytest.param(np.arange(6) * 2, None, "hr-coverage", "step of 10", id="a step of 2"),
        pytest.param(np.arange(6) * 0.001, None, "hr-times-close", "0.001", id="a step of 0.001"),
        pytest.param(np.arange(6) * 1e-5, None, "hr-times-close", "1e-05", id="a step of 1e-5"),
        pytest.param([0, 10], None, "hr-coverage", "40 after .*LR frame 10", id="a fifth of LR"),
        pytest.param([20, 25, 30], None, "hr-coverage", "20 before .* 20 after", id="the middle"),
        pytest.param([40, 45, 50], None, "hr-coverage", "40 before", id="the end"),
    ],
)
def test_times_that_contradict_lr_are_explained(times, interval, code, said):
    (warning,) = warned(times, interval)
    assert warning.code == code
    assert re.search(said, warning.text)


@pytest.mark.parametrize(
    "times", [TENS * 1.0, [0, 13.97, 27.94, 41.91], [3, 13, 23, 33, 43], [0, 25, 50], range(51)]
)
def test_times_that_cover_lr_are_silent(times):
    assert warned(times) == ()


CLOCKED = {
    "lr": {"source": "lr.tif", "shape": (4, 4)},
    "hr": {"source": "hr.tif", "shape": (16, 16)},
    "mapping": fit_mapping((4, 4), (16, 16)),
    "clock": {
        "offset_ns": 0,
        "uncertainty_ns": 1,
        "lr_interval_ns": 10,
        "hr_interval_ns": 90,
        "source": "content",
    },
    "way": "manual",
}


@pytest.mark.parametrize("times", [np.arange(6), TENS * 0.1, [-20, -9, 2, 13]])
def test_times_by_the_clock_of_a_rig_file_are_not_taken_for_numbers_in_other_units(times):
    (warning,) = warned(times, 1e-4, calibration=CLOCKED)
    assert "clock of the rig file" in warning.text
    assert "look like" not in warning.text
    assert "hr_step" not in warning.text


def test_targets_that_hr_covers_are_silent():
    assert warned([0, 10], frames=(0, 11)) == ()


@pytest.mark.parametrize(
    ("step", "hr_interval", "codes_"),
    [
        pytest.param(10, 2e-4, [], id="agree"),
        pytest.param(10, 2.01e-4, [], id="nearly agree"),
        pytest.param(9, 2e-4, ["hr-interval"], id="nine for ten"),
        pytest.param(5, 2e-4, ["hr-coverage", "hr-interval"], id="five for ten"),
        pytest.param(10, 2e-5, ["hr-interval"], id="LR's interval in the HR file"),
        pytest.param(10, None, [], id="HR's is unknown"),
    ],
)
def test_frame_intervals_are_compared_with_the_times(step, hr_interval, codes_):
    assert codes(warned(np.arange(6) * step, 2e-5, hr_interval)) == codes_


@pytest.mark.parametrize(
    ("lr_size", "hr_size", "pixels", "expected"),
    [
        pytest.param((78, 125), (250, 400), (3.82, 1.31), ["pixel-sizes"], id="2.92 against 3.2"),
        pytest.param((36, 60), (144, 240), (1.0, 1.0), ["pixel-sizes"], id="one size for both"),
        pytest.param((36, 60), (144, 240), (4.0, 1000.0), ["pixel-sizes"], id="millimetres"),
        pytest.param((36, 60), (144, 240), (4.2, 1.0), ["pixel-sizes"], id="5 per cent"),
        pytest.param((36, 60), (144, 240), (4.02, 1.0), [], id="half a per cent"),
        pytest.param((36, 60), (144, 240), (None, 1.0), [], id="unknown"),
        pytest.param((50, 80), (146, 234), (3.82, 1.31), [], id="2.916"),
        pytest.param((36, 59), (144, 240), (None, None), ["axes-scale"], id="a column less"),
        pytest.param((35, 60), (144, 240), (None, None), ["axes-scale"], id="a row less"),
        pytest.param((37, 60), (144, 240), (None, None), ["axes-scale"], id="a row more"),
        pytest.param((36, 61), (144, 240), (None, None), ["axes-scale"], id="a column more"),
        pytest.param((35, 59), (144, 240), (None, None), ["axes-scale"], id="a row and a column less"),
        pytest.param((37, 61), (144, 240), (None, None), ["axes-scale"], id="a row and a column more"),
        pytest.param((35, 35), (144, 144), (None, None), ["axes-scale"], id="less of a square"),
        pytest.param((127, 127), (512, 512), (None, None), ["axes-scale"], id="less of a large square"),
        pytest.param((34, 58), (144, 240), (None, None), ["axes-scale"], id="two rows and columns less"),
        pytest.param((64, 64), (182, 182), (None, None), [], id="2.84 in a square"),
        pytest.param((36, 60), (145, 239), (None, None), [], id="an unfinished LR pixel"),
        pytest.param((57, 96), (143, 240), (None, None), [], id="2.5, cut"),
        pytest.param((10, 59), (40, 240), (None, None), ["axes-scale"], id="a column less of narrow frames"),
    ],
)
def test_sizes_that_contradict_each_other(lr_size, hr_size, pixels, expected):
    lr = stack(np.zeros((2, *lr_size), np.uint8), pixel_size=pixels[0])
    hr = stack(np.zeros((2, *hr_size), np.uint8), pixel_size=pixels[1])
    assert codes(size_warnings(lr, hr, fit_mapping(lr_size, hr_size))) == expected


@pytest.mark.parametrize(
    ("lr", "hr", "expected"), [("1", "1", 0), ("6", "6", 0), ("2", "1", 1), ("1", "8", 1)]
)
def test_recordings_that_are_stored_flipped_against_each_other(lr, hr, expected):
    stacks = []
    for said in (lr, hr):
        viewer = Metadata(viewer=(("orientation", said),) if said != "1" else ())
        stacks.append(replace(stack(np.zeros((2, 4, 4), np.uint8)), metadata=viewer))
    assert codes(orientation_warnings(*stacks)) == ["orientations-differ"] * expected


def test_one_recording_for_both_is_reported(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, (moving_discs(3, (16, 16)) * 200).astype(np.uint8), photometric="minisblack")
    (tmp_path / "b.tif").symlink_to(path)
    assert codes(same_warnings(open_stack(path), open_stack(tmp_path / "b.tif"))) == ["same-recording"]
    (tmp_path / "c.tif").write_bytes(path.read_bytes())
    assert not same_warnings(open_stack(path), open_stack(tmp_path / "c.tif"))
    assert not same_warnings(stack(np.zeros((2, 4, 4))), stack(np.zeros((2, 4, 4))))


DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@pytest.mark.parametrize(
    "seed", [*range(35), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(35, 100))]
)
def test_good_pairs_are_silent(seed):
    rng = np.random.default_rng(seed)
    scale, step, hr_frames = int(rng.integers(1, 7)), int(rng.integers(2, 9)), int(rng.integers(2, 5))
    h, w = rng.integers(6, 16, 2)
    count = step * (hr_frames - 1) + 1 + int(rng.integers(0, step))
    scene = moving_discs(count, (h * scale, w * scale), seed).astype(np.float64)
    lr = scene.reshape(count, h, scale, w, scale).mean((2, 4))
    hr = scene[::step][:hr_frames]
    noise = np.ptp(scene) * 10 ** (-rng.uniform(20, 40) / 20)
    dtype, interval = np.dtype(DTYPES[seed % len(DTYPES)]), [None, 2e-5, 1.0][seed % 3]
    gain, offset = (200, 20) if dtype.itemsize == 1 else (3000, 500)
    lr, hr = (
        (gain * (x + rng.normal(0, noise, x.shape)) + offset).clip(0, 255 if dtype.itemsize == 1 else 30000)
        for x in (lr, hr)
    )
    cameras = (
        stack(lr.astype(dtype), "LR", interval, pixel_size=0.5 * scale),
        stack(hr.astype(dtype), "HR", interval and interval * step, pixel_size=0.5),
    )
    assert make_rig(make_plan(hr_step=step), *cameras).warnings == ()

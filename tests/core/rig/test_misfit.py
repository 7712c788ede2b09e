"""Recordings that do not lie upon each other, and HR times that are off, are reported with size and direction."""

import re

import cv2
import numpy as np
import pytest

from napari_xfusion.core.plan import make_plan
from napari_xfusion.lab.scenes import KINDS
from napari_xfusion.lab.scenes.scene import make_scene
from tests.sequences import binned, reader_of, stack

MARGIN, FRAMES, STEP = 32, 41, 8
MOVING = ("advected", "nonsense", "stirring")


def cameras(kind, seed, *, shift=(0.0, 0.0), turn=0.0, late=0.0, noise=0.01):
    """LR (T, 40, 60) and HR (N, 160, 240) of a scene; LR's image is shifted (LR pixels) and turned (degrees)."""
    rng = np.random.default_rng(seed)
    scene = make_scene(KINDS[kind], (160 + 2 * MARGIN, 240 + 2 * MARGIN), rng)

    def placed(image):
        middle = (np.array(image.shape[::-1]) - 1) / 2
        matrix = cv2.getRotationMatrix2D(middle.tolist(), -turn, 1)
        matrix[:, 2] += 4 * np.array(shift[::-1])
        border = cv2.BORDER_REPLICATE
        return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=border)

    def cropped(image):
        return image[MARGIN:-MARGIN, MARGIN:-MARGIN]

    times = np.arange(0, FRAMES, STEP)
    lr = binned(np.stack([cropped(placed(scene.image(t - FRAMES / 2))) for t in range(FRAMES)]))
    hr = np.stack([cropped(scene.image(t - late - FRAMES / 2)) for t in times])
    span = np.ptp(hr)
    lr = lr + noise * span * rng.standard_normal(lr.shape)
    hr = hr + noise / 3 * span * rng.standard_normal(hr.shape)
    return lr.astype(np.float32), hr.astype(np.float32), times


def warnings_of(lr, hr, times):
    rig = reader_of(stack(lr), stack(hr), make_plan(hr_times=tuple(map(float, times)))).rig
    return {note.code: note.text for note in rig.warnings}


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d+", text)]


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize(
    ("shift", "said"),
    [
        pytest.param((0, 0.25), ["to the right"], id="a quarter to the right"),
        pytest.param((0.5, -1), ["to the left", "down"], id="left and down"),
        pytest.param((-3, 2), ["to the right", "up"], id="three pixels up"),
    ],
)
def test_a_shift_is_reported(kind, shift, said):
    text = warnings_of(*cameras(kind, 1, shift=shift))["misplaced"]
    assert [
        word for word in ("to the right", "to the left", "down", "up") if f"pixels {word}" in text
    ] == said
    expected = sorted(abs(value) for value in shift if value)
    assert sorted(numbers(text)) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize(("turn", "said"), [(1.0, "clockwise"), (-2.0, "counterclockwise")])
def test_a_turn_is_reported(kind, turn, said):
    text = warnings_of(*cameras(kind, 2, turn=turn))["misplaced"]
    assert f"degrees {said}" in text
    assert numbers(text) == pytest.approx([abs(turn)], rel=0.25)


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize(("late", "said"), [(1.0, "late"), (4.0, "late"), (-3.0, "early")])
def test_hr_times_that_are_off_are_reported(kind, late, said):
    text = warnings_of(*cameras(kind, 3, late=late))["delayed"]
    assert f"too {said}" in text
    assert numbers(text)[0] == pytest.approx(abs(late), rel=0.2)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("noise", [0.01, 0.1], ids=["40 dB", "20 dB"])
def test_cameras_that_agree_give_no_such_warning(kind, noise):
    for seed in (11, 12):
        assert not {"misplaced", "delayed"} & warnings_of(*cameras(kind, seed, noise=noise)).keys()


def test_a_scene_that_stands_still_says_nothing_of_times():
    lr, hr, times = cameras("advected", 4)
    lr, hr = np.repeat(lr[:1], FRAMES, axis=0), np.repeat(hr[:1], len(times), axis=0)
    assert not {"misplaced", "delayed"} & warnings_of(lr, hr, times).keys()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_the_smallest_frames_are_examined_without_trouble(shape):
    lr = np.random.default_rng(0).random((9, *shape), np.float32)
    hr = np.repeat(np.repeat(lr[::4], 4, axis=1), 4, axis=2)
    assert not {"misplaced", "delayed"} & warnings_of(lr, hr, (0, 4, 8)).keys()


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("kind", MOVING)
def test_illumination_that_differs_between_the_cameras_is_no_misplacement(kind, axis):
    lr, hr, times = cameras(kind, 6)
    ramp = np.linspace(-1, 1, lr.shape[axis], dtype=np.float32).reshape(
        [-1 if i == axis else 1 for i in range(3)]
    )
    for tilted in (lr + 0.2 * np.ptp(lr) * ramp, lr * (1 + 0.1 * ramp)):
        assert "misplaced" not in warnings_of(tilted, hr, times)

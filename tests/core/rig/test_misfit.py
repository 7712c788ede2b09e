"""Recordings that do not lie upon each other, and HR times that are off, are reported with size and direction."""

import re
from itertools import product

import cv2
import numpy as np
import pytest

from napari_xfusion import simulate
from napari_xfusion.core.plan import FLAWS, make_plan
from napari_xfusion.lab.scenes import KINDS
from napari_xfusion.lab.scenes.scene import make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances
from tests.sequences import binned, reader_of, stack
from tests.tables import crossed

MARGIN, FRAMES, STEP = 32, 41, 8
MOVING = ("advected", "nonsense", "stirring")


def cameras(kind, seed, *, shift=(0.0, 0.0), turn=0.0, larger=0.0, late=0.0, noise=0.01, step=STEP):
    """LR (T, 40, 60) and HR (N, 160, 240) of a scene; LR is shifted (LR pixels), turned (degrees) and enlarged."""
    rng = np.random.default_rng(seed)
    scene = make_scene(KINDS[kind], (160 + 2 * MARGIN, 240 + 2 * MARGIN), rng)

    def placed(image):
        middle = (np.array(image.shape[::-1]) - 1) / 2
        matrix = cv2.getRotationMatrix2D(middle.tolist(), -turn, 1 + larger)
        matrix[:, 2] += 4 * np.array(shift[::-1])
        border = cv2.BORDER_REPLICATE
        return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=border)

    def cropped(image):
        return image[MARGIN:-MARGIN, MARGIN:-MARGIN]

    times = np.arange(0, FRAMES, step)
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


SHIFTS = {(0, 0.25): ["to the right"], (0.5, -1): ["to the left", "down"], (-3, 2): ["to the right", "up"]}


@pytest.mark.parametrize(("kind", "shift"), crossed(MOVING, list(SHIFTS)))
def test_a_shift_is_reported(kind, shift):
    text = warnings_of(*cameras(kind, 1, shift=shift))["misplaced"]
    assert [
        word for word in ("to the right", "to the left", "down", "up") if f"pixels {word}" in text
    ] == SHIFTS[shift]
    expected = sorted(abs(value) for value in shift if value)
    assert sorted(numbers(text)) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("kind", "turn"), crossed(MOVING, [1.0, -2.0]))
def test_a_turn_is_reported(kind, turn):
    said = "clockwise" if turn > 0 else "counterclockwise"
    text = warnings_of(*cameras(kind, 2, turn=turn))["misplaced"]
    assert f"degrees {said}" in text
    assert numbers(text) == pytest.approx([abs(turn)], rel=0.25)


@pytest.mark.parametrize(("kind", "larger"), crossed(MOVING, [0.02, -0.03]))
def test_another_magnification_is_reported(kind, larger):
    text = warnings_of(*cameras(kind, 2, larger=larger))["misplaced"]
    assert f"{'larger' if larger > 0 else 'smaller'} against HR" in text
    assert numbers(text) == pytest.approx([100 * abs(larger)], rel=0.2)


@pytest.mark.parametrize("kind", ["advected", "bubbles"])
def test_a_shift_and_a_delay_are_both_reported(kind):
    found = warnings_of(*cameras(kind, 3, shift=(0.0, 1.5), late=-2.0))
    assert numbers(found["misplaced"]) == pytest.approx([1.5], rel=0.2)
    assert "to the right" in found["misplaced"]
    assert numbers(found["delayed"])[0] == pytest.approx(2.0, rel=0.2)
    assert "too early" in found["delayed"]


@pytest.mark.parametrize(("kind", "late"), crossed(MOVING, [1.0, 4.0, -3.0]))
def test_hr_times_that_are_off_are_reported(kind, late):
    text = warnings_of(*cameras(kind, 3, late=late))["delayed"]
    assert f"too {'late' if late > 0 else 'early'}" in text
    assert numbers(text)[0] == pytest.approx(abs(late), rel=0.2)


@pytest.mark.parametrize(("kind", "late"), crossed(["powder", "stirring", "bubbles"], [0.5, -0.7]))
def test_half_an_lr_frame_is_seen_where_a_part_of_the_picture_moves(kind, late):
    text = warnings_of(*cameras(kind, 12, late=late, noise=0.005))["delayed"]
    assert f"too {'late' if late > 0 else 'early'}" in text
    assert numbers(text)[0] == pytest.approx(abs(late), abs=0.15)


@pytest.mark.parametrize(
    ("kind", "seed", "late"), [("crack", 35, -2.4), ("crack", 35, 3.5), ("bubbles", 30, -0.8)]
)
def test_a_small_part_that_moves_is_enough(kind, seed, late):
    text = warnings_of(*cameras(kind, seed, late=late))["delayed"]
    assert f"too {'late' if late > 0 else 'early'}" in text
    assert numbers(text)[0] == pytest.approx(abs(late), rel=0.2)


def test_what_moves_slowly_tells_of_times_by_its_change_in_many_lr_frames():
    """From one LR frame to the next, the crack changes less than noise does."""
    text = warnings_of(*cameras("crack", 44, late=1.5, noise=0.012))["delayed"]
    assert "too late" in text
    assert numbers(text)[0] == pytest.approx(1.5, rel=0.2)


@pytest.mark.parametrize("shift", [(0.56, 0.69), (0.6, 0.6), (0.5, 1.0)])
def test_a_shift_is_reported_where_it_makes_fine_structure_look_like_flaws(shift):
    scene = make_scene(KINDS["crack"], (160, 224), np.random.default_rng([52_000, 24]))
    film = 2600 * np.stack([scene.image(t - 30) for t in range(61)])
    disturbances = Disturbances(lr_shift=shift[::-1])
    made = simulate(stack(film), 8, lr_psnr=40, seed=24, disturbances=disturbances)
    lr, hr = (
        np.stack([each.frame(i)[border:-border, border:-border] for i in range(len(each))])
        for each, border in ((made.lr, 4), (made.hr, 16))
    )
    text = warnings_of(lr, hr, made.hr_times)["misplaced"]
    assert sorted(numbers(text)) == pytest.approx(sorted(shift), rel=0.2)
    assert "to the right" in text
    assert " down" in text


SHOTS = list(product([0.1, 0.01], [11, 12]))
"""Noise of 20 and 40 dB, and seed."""


@pytest.mark.parametrize(("kind", "shot"), crossed(list(KINDS), SHOTS))
def test_cameras_that_agree_give_no_such_warning(kind, shot):
    noise, seed = shot
    assert not {"misplaced", "delayed"} & warnings_of(*cameras(kind, seed, noise=noise)).keys()


RECORDED = {
    "without frame 19": np.delete(range(FRAMES), 19),
    "without frames 9 to 11": np.delete(range(FRAMES), [9, 10, 11]),
    "with frame 18 twice": np.sort([*range(FRAMES), 18]),
}


@pytest.mark.parametrize(("kind", "recorded", "step"), crossed(MOVING, list(RECORDED), [STEP, 4]))
def test_frames_that_lr_lost_or_repeated_are_reported_and_taken_into_account(kind, recorded, step):
    lr, hr, times = cameras(kind, 3, step=step)
    kept = RECORDED[recorded]
    lr, late, true = lr[kept], FRAMES - len(kept), np.searchsorted(kept, times)
    inside = times < len(lr)
    hr, times, true = hr[inside], times[inside], true[inside]
    first = int(np.argmax(true != times))
    words = f"{abs(late)} LR frame{'s' if abs(late) > 1 else ''} too {'late' if late > 0 else 'early'}"
    assert f"From HR frame {first} on, HR times look {words}" in warnings_of(lr, hr, times)["delayed"]
    plan = make_plan(hr_times=tuple(map(float, times)), correct=(*FLAWS, "time"))
    np.testing.assert_allclose(reader_of(stack(lr), stack(hr), plan).rig.hr_times, true, atol=0.3)


def test_hr_frames_that_were_taken_while_lr_lost_frames_are_no_reason_to_stop():
    lr, hr, times = cameras("stirring", 3, step=2)
    lr = np.delete(lr, [13, 14], axis=0)
    inside = times < len(lr)
    times = tuple(map(float, times[inside]))
    for correct in (FLAWS, (*FLAWS, "time")):
        plan = make_plan(hr_times=times, correct=correct)
        assert len(reader_of(stack(lr), stack(hr[inside]), plan).rig.hr_times) > 10


def test_times_are_not_known_from_where_a_jump_ends():
    """From the end of a jump on, all LR frames are alike; which of them fits best is noise."""
    lr, hr, times = cameras("advected", 7)
    moving = np.clip(np.arange(FRAMES), 10, 16)
    hr = np.stack([np.kron(lr[moving[t]], np.ones((4, 4), np.float32)) for t in times])
    rng = np.random.default_rng(0)
    lr = lr[moving] + 0.02 * np.ptp(lr) * rng.standard_normal(lr.shape).astype(np.float32)
    assert "delayed" not in warnings_of(lr, hr, times)


def test_a_scene_that_stands_still_says_nothing_of_times():
    lr, hr, times = cameras("advected", 4)
    lr, hr = np.repeat(lr[:1], FRAMES, axis=0), np.repeat(hr[:1], len(times), axis=0)
    assert not {"misplaced", "delayed"} & warnings_of(lr, hr, times).keys()


def test_sparks_in_single_frames_say_nothing_of_times():
    """Between two LR frames they are fainter than in one, so that HR resembles LR more there."""
    lr, hr, times = cameras("advected", 6)
    lr, hr = np.repeat(lr[:1], FRAMES, axis=0), np.repeat(hr[:1], len(times), axis=0)
    rng = np.random.default_rng(6)
    noise = rng.standard_normal(lr.shape) * np.where(rng.random(lr.shape) < 0.05, 5, 1)
    lr = (lr + 0.02 * np.ptp(lr) * noise).astype(np.float32)
    assert "delayed" not in warnings_of(lr, hr, times)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_the_smallest_frames_are_examined_without_trouble(shape):
    lr = np.random.default_rng(0).random((9, *shape), np.float32)
    hr = np.repeat(np.repeat(lr[::4], 4, axis=1), 4, axis=2)
    assert not {"misplaced", "delayed"} & warnings_of(lr, hr, (0, 4, 8)).keys()


@pytest.mark.parametrize(("axis", "kind"), crossed([1, 2], MOVING))
def test_illumination_that_differs_between_the_cameras_is_no_misplacement(kind, axis):
    lr, hr, times = cameras(kind, 6)
    ramp = np.linspace(-1, 1, lr.shape[axis], dtype=np.float32).reshape(
        [-1 if i == axis else 1 for i in range(3)]
    )
    for tilted in (lr + 0.2 * np.ptp(lr) * ramp, lr * (1 + 0.1 * ramp)):
        assert "misplaced" not in warnings_of(tilted, hr, times)

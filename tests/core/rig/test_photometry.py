"""Brightness that the cameras do not share is found and corrected."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, make_rig
from napari_xfusion.core.rig.brightness import WINDOW, _running_median
from napari_xfusion.core.rig.field import fit_field
from napari_xfusion.core.rig.photometry import Photometry, Shading, robust_gains
from napari_xfusion.core.sequence import lr_consistency
from napari_xfusion.core.session import Session
from tests.core.rig.shots import COUNT, SCALE, SHAPE, STEP, codes, shot
from tests.tables import crossed


def changed(pair, lr=1.0, hr=1.0, add=0.0):
    return replace(pair, lr=pair.lr * lr + add, hr=pair.hr * hr)


def light_of(rig, name, i):
    """A frame of a camera as light, after corrections."""
    reader = FrameReader(rig)
    grey = reader.lr_frame(i) if name == "lr" else reader.hr_frame(i)
    return (rig.hr.grey.from_grey(grey) - 200) / 3000


def random_gains(size, seed=0):
    rng = np.random.default_rng(seed)
    lr, hr = (1 + size * rng.uniform(-1.7, 1.7, n) for n in (COUNT, -(-COUNT // STEP)))
    return lr[:, None, None], hr[:, None, None]


@pytest.mark.parametrize(("size", "seed"), crossed([0.02, 0.05, 0.1], [1, 2, 3, 5, 6]))
def test_flicker_of_each_camera_is_corrected(seed, size):
    pair = shot(seed)
    lr, hr = random_gains(size)
    rig = changed(pair, lr, hr).rig()
    assert "flicker" in codes(rig)
    # The scale is that of HR on the whole, known as well as the mean of its frames: compared without it.
    seen = np.array([light_of(rig, "lr", i).mean() for i in range(COUNT)])
    ratio = seen / pair.lr.mean(axis=(1, 2))
    assert np.diff(ratio).std() < 0.15 * size * np.sqrt(2)


def test_little_flicker_of_lr_is_corrected_where_the_cameras_differ_for_certain():
    pair, (lr, _) = shot(2), random_gains(0.005)
    assert changed(pair, lr, lr[::STEP]).rig().fast.photometry.lines == ()
    rig = changed(pair, lr).rig()
    seen = np.array([light_of(rig, "lr", i).mean() for i in range(COUNT)])
    assert np.diff(seen / pair.lr.mean(axis=(1, 2))).std() < 0.5 * np.diff(lr.ravel()).std()


def test_flicker_of_lr_is_its_own_also_where_only_the_last_hr_frame_shows_it():
    pair, (lr, _) = shot(2), random_gains(0.02)
    lr[::STEP] = 1 + (lr[::STEP] - 1) * 0.1
    lr[-1] = 1.025
    rig = changed(pair, lr).rig()
    assert "flicker" in codes(rig)
    seen = np.array([light_of(rig, "lr", i).mean() for i in range(COUNT)])
    assert np.diff(seen / pair.lr.mean(axis=(1, 2))).std() < 0.15 * np.diff(lr.ravel()).std()


def test_drift_of_lr_follows_hr():
    pair = shot()
    rig = changed(pair, np.linspace(1, 1.3, COUNT)[:, None, None]).rig()
    assert codes(rig) == {"drift"}
    for i in (0, 27, COUNT - 1):
        np.testing.assert_allclose(light_of(rig, "lr", i).mean(), pair.lr[i].mean(), rtol=0.03)


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_drift_of_lr_leaves_a_little_flicker_of_the_beam_in_both(seed):
    """With few HR frames: HR over LR bends, which is no flicker of one camera."""
    pair, gains = shot(seed), random_gains(0.005)[0]
    rig = changed(pair, gains * np.linspace(1, 1.3, COUNT)[:, None, None], gains[::STEP]).rig()
    assert codes(rig) == {"drift"}
    for i in range(0, COUNT, 6):
        expected = (gains[i] * pair.lr[i]).mean()
        np.testing.assert_allclose(light_of(rig, "lr", i).mean(), expected, rtol=0.01)


def tilt(pair, size=0.2):
    return size * np.linspace(-0.5, 0.5, pair.lr.shape[2])


@pytest.mark.parametrize("kind", ["added", "multiplied"])
def test_uneven_illumination_is_corrected(kind):
    pair = shot()
    spoilt = changed(pair, add=tilt(pair)) if kind == "added" else changed(pair, 1 + tilt(pair))
    rig = spoilt.rig()
    assert codes(rig) == {"shading"}
    np.testing.assert_allclose(light_of(rig, "lr", 30), pair.lr[30], atol=6 * pair.noise)


def test_bright_air_of_uneven_illumination_is_no_part_that_a_camera_does_not_see():
    """HR is as bright as it gets there, and LR is not on the dark side."""
    pair = shot(3)
    air = np.arange(pair.lr.shape[2]) >= 14
    lr, truth = pair.lr.copy(), pair.truth.copy()
    lr[:, :, air], truth[:, :, np.repeat(air, SCALE)] = 1.0, 1.0
    spoilt = replace(pair, lr=lr * (1 + tilt(pair, -0.4)), hr=truth[::STEP])
    assert "blind" not in codes(spoilt.rig())


@pytest.mark.parametrize(("gamma", "seed"), crossed([0.5, 1.6, 2.2], [0, 2, 3]))
def test_a_response_that_is_no_line_is_corrected(seed, gamma):
    """Dark parts of HR that LR shows with more contrast are no parts that HR does not see."""
    pair = shot(seed)
    rig = replace(pair, lr=pair.lr.clip(0) ** gamma).rig()
    assert codes(rig) == {"response"}
    rest = light_of(rig, "lr", 30) - pair.lr[30]
    assert np.sqrt(np.mean(rest**2)) < 3 * pair.noise


def test_a_response_that_is_no_line_is_no_label_where_most_of_the_field_is_bright():
    """A line through most pixels is far off the others; but LR follows HR there."""
    pair = shot(3, noise=0.002)
    dark = np.arange(SHAPE[1]) < 0.1 * SHAPE[1]
    light = np.where(dark, 0.05 + 0.6 * pair.truth, 0.75 + 0.1 * pair.truth)
    h, w = (n // SCALE for n in SHAPE)
    lr = light.reshape(COUNT, h, SCALE, w, SCALE).mean((2, 4)) ** 2.2
    rig = replace(pair, truth=light, lr=lr, hr=light[::STEP]).rig()
    assert codes(rig) == {"response"}
    assert rig.hr.grey.span > 0.5 * 3000


@pytest.mark.parametrize("photons", [5, 10, 40])
def test_noise_of_few_photons_is_no_response(photons):
    """Most of the picture is of nearly one grey value; a curve that maps LR to it would make the noise smaller."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    common = []
    for t in range(3):
        distance = np.hypot(y - 32, x - 10 - 20 * t)
        binned = 0.05 + 0.1 * (x > 28) + 0.02 * y / 63 + 0.6 * np.clip(1 - distance / 8, 0, 1)
        common.append((rng.poisson(photons * binned) / photons, binned))
    found, warnings = fit_field(common, ("shading", "response"), np.ones((64, 64), bool))
    assert found == Photometry(), warnings


def fused_mean(rig, target, **settings):
    with Session(make_plan(method="bicubic", hr_step=STEP, **settings), rig) as session:
        (frame,) = session.frames([target], _Never())
    return float(np.mean((frame.image - 200) / 3000))


class _Never:
    def is_set(self):
        return False


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_flicker_of_the_beam_is_corrected_in_both_cameras_alike(seed):
    """HR has too few frames to tell it, LR has many."""
    pair, gains = shot(seed), random_gains(0.1)[0]
    rig = changed(pair, gains, gains[::STEP]).rig()
    assert [warning.code for warning in rig.warnings] == ["flicker"]
    left = {
        name: np.array([light_of(rig, name, i).mean() for i in range(len(light))]) / light.mean(axis=(1, 2))
        for name, light in (("lr", pair.lr), ("hr", pair.hr))
    }
    assert np.diff(left["lr"]).std() < 0.015
    np.testing.assert_allclose(left["hr"], left["lr"][::STEP], rtol=0.005)


@pytest.mark.parametrize("size", [0.03, 0.1])
def test_light_of_a_stored_0_tells_how_flicker_changes_contrast(size):
    """Grey values of a recording whose dark values never come near no light, where things move."""
    pair = shot(4)
    gains = random_gains(size)[0]
    lr = (1000 + 1000 * pair.lr) * gains
    hr = 1000 + 1000 * pair.hr
    plan = make_plan(method="flow", hr_step=STEP)
    stacks = (as_stack(each.astype(np.uint16), name=name) for each, name in ((lr, "LR"), (hr, "HR")))
    contrast = np.log(np.array(make_rig(plan, *stacks).fast.photometry.lines)[:, 0])
    left = np.diff(contrast - np.log(gains.ravel()))
    assert left.std() < 0.1 * size * np.sqrt(2)


def test_a_little_flicker_of_the_beam_is_left_to_the_methods():
    pair, gains = shot(5), random_gains(0.01)[0]
    assert changed(pair, gains, gains[::STEP]).rig().warnings == ()


def test_flicker_can_be_kept():
    pair, (lr, _) = shot(5), random_gains(0.1)
    spoilt = changed(pair, lr)
    without, kept = (spoilt.rig(keep_flicker=keep) for keep in (False, True))
    brightest = int(lr.argmax())
    expected = float(lr[brightest].item() / np.median(lr))
    ratio = fused_mean(kept, brightest) / fused_mean(without, brightest)
    assert ratio == pytest.approx(expected, rel=0.03)


def test_a_result_with_flicker_is_compared_with_frames_without():
    """So that what LR shows is no disagreement, and no change since the HR frames."""
    pair, (gains, _) = shot(5), random_gains(0.1)
    spoilt = changed(pair, gains)
    rows = []
    for keep in (False, True):
        rig = spoilt.rig(keep_flicker=keep)
        plan = make_plan(method="bicubic", hr_step=STEP, keep_flicker=keep, dtype="float32")
        with Session(plan, rig) as session:
            fused = as_stack(np.stack([frame.image for frame in session.frames(range(COUNT), _Never())]))
        left = lr_consistency(fused, FrameReader(rig))
        rows.append([np.abs(left.frame(t).mean()) for t in range(COUNT)])
    np.testing.assert_allclose(*rows, atol=1e-4)


@pytest.mark.parametrize("which", ["brightness", "shading", "response", "pattern"])
def test_nothing_is_corrected_that_is_not_asked_for(which):
    pair = shot()
    lr, hr = random_gains(0.05) if which == "brightness" else (1.0, 1.0)
    spoilt = changed(pair, lr, hr, add=tilt(pair))
    assert all(camera.photometry.good for camera in spoilt.rig(correct=()).cameras.values())
    only = spoilt.rig(correct=(which,))
    assert bool(only.fast.photometry.lines) == (which == "brightness")
    assert (only.fast.photometry.shading is not None) == (which == "shading")


def test_a_photometry_undoes_what_it_describes():
    image = np.random.default_rng(0).random((12, 20)).astype(np.float32)
    shading = Shading(gain=((1.1, 0.1), (0.05, 0.0)), offset=((0.02, -0.03), (0.0, 0.0)))
    y, x = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 20), indexing="ij")
    seen = image * (1.1 + 0.1 * x + 0.05 * y) + 0.02 - 0.03 * x  # Legendre: 1 and the position itself
    photometry = Photometry(
        lines=((2.0, 0.5),), response=((0.0, 0.25, 1.0, 4.0), (0.0, 0.5, 1.0, 2.0)), shading=shading
    )
    squared = np.interp(seen, (0.0, 0.5, 1.0, 2.0), (0.0, 0.25, 1.0, 4.0))
    np.testing.assert_allclose(photometry(0, (2 * squared + 0.5).astype(np.float32)), image, atol=1e-5)
    assert Photometry.model_validate_json(photometry.model_dump_json()) == photometry


def test_the_running_median_is_that_of_numpy_for_every_number_of_frames():
    """SciPy 1.15.0 to 1.15.2 give other values, or write beyond their memory, where it is as long as the line."""
    rng = np.random.default_rng(0)
    for count in range(2, 2 * WINDOW + 2):
        line, half = rng.normal(size=count), min(WINDOW, count) // 2
        around = np.lib.stride_tricks.sliding_window_view(np.pad(line, half, mode="reflect"), 2 * half + 1)
        np.testing.assert_array_equal(_running_median(line), np.median(around, axis=1))


@pytest.mark.parametrize("expected", [1, 1000], ids=["against one image", "against as many"])
def test_lines_of_many_frames_are_those_of_each_and_take_little_memory(expected):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(expected, 60))
    frames = 1.3 * images + 0.1 + 0.05 * rng.normal(size=(1000, 60))
    weights = rng.random(60)
    tracemalloc.start()
    try:
        together = robust_gains(frames, images, weights)
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    each = [robust_gains(frames[[i]], images[[i % expected]], weights)[0] for i in range(len(frames))]
    np.testing.assert_allclose(together, each, rtol=1e-12)
    assert used < 2.5 * frames.nbytes

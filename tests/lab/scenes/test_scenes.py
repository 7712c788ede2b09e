"""Training scenes: every kind is lazy, seeded and moves, and a sample is what two cameras would see."""

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter, laplace
from skimage.registration import phase_cross_correlation

from napari_xfusion.lab.scenes import KINDS, Clean, draw_clean, draw_sample, expose, make_scene
from napari_xfusion.lab.scenes.motion import Motion, draw_motion
from napari_xfusion.lab.scenes.sample import HR_READ_NOISE, RANGE, SHIFT
from napari_xfusion.lab.scenes.scene import FASTEST, grid
from napari_xfusion.lab.scenes.shapes import Balls, chords
from napari_xfusion.lab.scenes.texture import FINER, SIZE, look_up, texture

EVEN = np.ones((64, 64), np.float32), np.array([-1, 0, 1, -2, 3], np.float32)
"""Truth and times of a sample in which nothing is."""

kinds = pytest.mark.parametrize("name", KINDS)


def scene(name, seed, shape=(64, 96)):
    return make_scene(KINDS[name], shape, np.random.default_rng(seed))


def sample(name, seed, crop=64, apart=0.0, faulty=0.0):
    return draw_sample(KINDS[name], np.random.default_rng(seed), crop, apart=apart, faulty=faulty)


def binned(image):
    h, w = image.shape[-2] // 4, image.shape[-1] // 4
    return image.reshape(*image.shape[:-2], h, 4, w, 4).mean((-3, -1))


@kinds
def test_a_scene_gives_intensities_at_any_time(name):
    for seed in range(3):
        drawn = scene(name, seed)
        for t in (-60.0, -2.5, 0.0, 60.0):
            image = drawn.image(t)
            assert image.shape == (64, 96)
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert image.min() >= 0
            assert image.max() < 6  # a fringe may be brighter than the beam


@kinds
def test_an_image_does_not_depend_on_the_times_asked_for_before(name):
    one, two = scene(name, 4), scene(name, 4)
    for t in (30.0, -30.0, 1.5):
        one.image(t)
    np.testing.assert_array_equal(one.image(3.0), two.image(3.0))


@kinds
def test_scenes_change_in_time_and_little_in_a_short_time(name):
    changes = []
    for seed in range(4):
        drawn = scene(name, seed)
        now = drawn.image(-60.0)
        # Without the flicker of the beam, which is not motion.
        later = [drawn.image(t) * drawn.flicker(-60.0) / drawn.flicker(t) for t in (-59.98, 60.0)]
        changes.append([np.abs(image - now).mean() / now.std() for image in later])
    soon, late = np.median(changes, axis=0)
    assert late > 0.02
    assert soon < 0.5 * late


@kinds
def test_a_sample_has_the_documented_shapes_and_range(name):
    drawn = sample(name, 7)
    shapes = [image.shape for image in drawn[:5]]
    assert shapes == [(3, 16, 16), (2, 64, 64), (2, 16, 16), (64, 64), (64, 64)]
    for image in drawn[:5]:
        assert image.dtype == np.float32
        assert image.flags["C_CONTIGUOUS"]
        assert np.isfinite(image).all()
    assert RANGE[0] <= drawn.truth.min() < drawn.truth.max() <= RANGE[1]


@kinds
def test_the_same_seed_gives_the_same_bytes_and_no_other_does(name):
    assert [a.tobytes() for a in sample(name, 3)[:6]] == [a.tobytes() for a in sample(name, 3)[:6]]
    truths = [sample(name, seed).truth for seed in range(6)]
    for i, one in enumerate(truths):
        for other in truths[:i]:
            assert np.abs(one - other).mean() > 0.005


def test_a_steady_beam_is_all_that_differs_in_a_steady_scene():
    drawn = scene("stirring", 3)
    for t in (-7.5, 4.0):
        assert drawn.flicker(t) != 1
        np.testing.assert_allclose(drawn.steady.image(t) * drawn.flicker(t), drawn.image(t), rtol=1e-6)


def test_times_are_those_of_the_paper():
    for seed in range(40):
        s, times = (drawn := sample("nonsense", seed, 16)).separation, drawn.times
        assert s in (1, 2, 3)
        np.testing.assert_array_equal(times[:3], [-s, 0, s])
        steps = np.abs(times[3:]) / s
        assert np.array_equal(steps, np.round(steps))
        assert steps.max() <= 20
        lone = times[3] == times[4] and np.array_equal(*drawn.hr)
        assert lone or times[3] <= 0 < times[4]


def test_lr_is_the_binned_clean_hr_before_noise():
    free = [d for d in (sample("advected", seed) for seed in range(30)) if np.isinf(d.b0)]
    assert len(free) >= 2
    for drawn in free:
        spread = np.sqrt(1 / drawn.hr_photons / 16)  # of the HR camera's noise, binned
        clean = np.allclose(drawn.lr[1], binned(drawn.truth), atol=1e-5)
        assert clean or np.allclose(drawn.lr[1], binned(drawn.seen), atol=1e-5)
        assert np.abs(drawn.hr_lr - binned(drawn.hr)).mean() < 1.5 * spread + 1e-5


def test_lr_of_cameras_that_do_not_fit_is_shifted_and_blurred():
    shifts, sharper = [], []
    for seed in range(8):
        clean = draw_clean(KINDS["advected"], np.random.default_rng(seed), 128, apart=1.0)
        fine = binned(clean.truth)
        moved, _, _ = phase_cross_correlation(fine, clean.lr[1], upsample_factor=20)
        shifts.append(4 * np.hypot(*moved))
        sharper.append(laplace(fine)[2:-2, 2:-2].std() / laplace(clean.lr[1])[2:-2, 2:-2].std())
    assert 0.1 < np.median(shifts) < SHIFT * 2**0.5
    assert 1 < np.median(sharper) < 2


def test_the_noise_is_that_of_the_two_cameras():
    for seed in range(25):
        drawn = sample("advected", seed, 128)
        light = np.clip(drawn.truth, 0.02, 0.9)
        lit = (drawn.truth > 0.02) & (drawn.truth < 0.9)
        spread = np.sqrt(light / drawn.hr_photons + (HR_READ_NOISE / drawn.hr_photons) ** 2)
        hr = ((drawn.seen - drawn.truth) / spread)[lit]
        assert hr.std() == pytest.approx(1, abs=0.1)
        mean = binned(drawn.truth)
        grey = (mean > 0.1) & (mean < 0.6)
        # LR frames may be binned from noisy HR frames; where LR has few photons, that hardly counts.
        if 100 < drawn.b0 < 2 * drawn.hr_photons and grey.sum() > 300:
            lr = ((drawn.lr[1] - mean) / np.sqrt(np.abs(mean) / drawn.b0))[grey]
            assert lr.std() == pytest.approx(1, abs=0.15)


def test_faults_are_of_each_camera_and_leave_the_truth():
    """The noise is the same with and without them, since they are drawn after it."""
    even = Clean(*(np.ones((n, side, side), np.float32) for n, side in ((5, 16), (2, 64))), *EVEN, False)
    gains, patterns, stripes = [], [], []
    for seed in range(20):
        plain, drawn = (expose(even, np.random.default_rng(seed), share) for share in (0.0, 1.0))
        np.testing.assert_array_equal(drawn.seen, plain.seen)
        lr, hr = (np.median(b / a, axis=(1, 2)) for a, b in ((plain.lr, drawn.lr), (plain.hr, drawn.hr)))
        assert len({*lr, *hr}) > 3
        gains += [*lr, *hr]
        rest = drawn.hr / plain.hr / hr[:, None, None]
        patterns.append(rest.mean(axis=0).std())
        along = max((rest[0] - rest[1]).mean(axis=axis).std() for axis in (0, 1))
        stripes.append(along / 2**0.5)
    assert np.ptp(gains) < 0.045
    assert 0.005 < np.std(gains) < 0.02
    assert 0.01 < np.median(patterns) < max(patterns) < 0.035
    assert 0.002 < np.median(stripes) < max(stripes) < 0.013


def test_motion_is_as_fast_as_asked_for_and_nowhere_much_faster():
    shape = (128, 128)
    x, y = grid(shape)
    fastest = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        motion = draw_motion(rng, shape, FASTEST)
        t = rng.uniform(-60, 60)
        (x0, y0), (x1, y1) = motion.origin(x, y, t - 0.01), motion.origin(x, y, t + 0.01)
        # Where matter stays at its origin: d/dt origin + velocity . grad origin = 0.
        xt, yt = (x1 - x0) / 0.02, (y1 - y0) / 0.02
        (xy, xx), (yy, yx) = np.gradient(x0), np.gradient(y0)
        area = xx * yy - xy * yx
        speed = np.hypot(yy * xt - xy * yt, xx * yt - yx * xt) / np.abs(area)
        fastest.append(np.percentile(speed, 99))
    assert max(fastest) < 1.2 * FASTEST
    assert np.median(fastest) > 0.4 * FASTEST


def test_texture_is_carried_where_the_motion_says():
    """Phase correlation finds a drift again, from the fine structure of two windows."""
    shape = (96, 96)
    x, y = grid(shape)
    window = np.hanning(96)[:, None] * np.hanning(96)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tile, _ = texture(rng)
        drift = rng.uniform(-8, 8, 2)
        motion = Motion((drift[0], drift[1]), 0.0, (0, 0, 0), (0, 0, 0), (0, 0, 1))
        here, there = (laplace(look_up(tile, *motion.origin(x, y, t))) * window for t in (0.0, 1.0))
        found, _, _ = phase_cross_correlation(there, here, upsample_factor=20, normalization=None)
        np.testing.assert_allclose(found[::-1], drift, atol=0.2)


def test_texture_keeps_its_detail_when_it_moves_by_part_of_a_pixel():
    """Aliasing would make detail flicker, and a network could not trust the flow that carries it."""
    x, y = np.broadcast_arrays(*grid((96, 96)))
    errors = []
    for seed in range(12):
        tile, _ = texture(np.random.default_rng(seed))
        here, there = (gaussian_filter(look_up(tile, x - drift, y), 0.8) for drift in (0.0, 0.5))
        shifted = np.fft.ifft2(fourier_shift(np.fft.fft2(here), (0, 0.5))).real
        errors.append((there - shifted)[20:-20, 20:-20].std() / there.std())
    assert np.median(errors) < 0.02
    assert max(errors) < 0.08


def test_tiles_repeat_without_a_seam():
    tile, _ = texture(np.random.default_rng(0))
    period = np.float32(SIZE / FINER)
    x, y = np.meshgrid(np.arange(40, dtype=np.float32), np.arange(30, dtype=np.float32))
    np.testing.assert_allclose(
        look_up(tile, x - 20, y), look_up(tile, x - 20 + 3 * period, y - period), atol=0.1
    )
    step = np.abs(np.diff(np.tile(tile, (1, 2)), axis=1)).mean(0)
    assert step[SIZE - 1] < 2 * step.mean()


def test_chords_are_those_of_spheres():
    x, y, r = np.array([3.0]), np.array([-2.0]), np.array([10.0])
    thickness = chords((61, 61), x, y, r)
    assert thickness.sum() == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.01)
    assert thickness[30 - 2, 30 + 3] == pytest.approx(20)


def test_balls_set_out_when_they_should_and_drag_slows_them():
    one = np.ones(1)
    balls = Balls(0 * one, 0 * one, one, 2 * one, 0 * one, 5 * one, drag=0.5)
    assert balls.at(4.9)[0].size == 0
    assert balls.at(6.0)[0][0] == pytest.approx(2 * (1 - np.exp(-0.5)) / 0.5)
    assert balls.at(1e3)[0][0] == pytest.approx(4)


def test_a_sample_runs_backwards_in_time_as_often_as_forwards():
    times = np.array([-2, 0, 2, -6, 4, -16, 14], np.float32)
    shown = (times + 20) / 40  # every frame is as bright as it is late
    sharp = np.ones((7, 16, 16), np.float32) * shown[:, None, None]
    clean = Clean(sharp[:, ::4, ::4], sharp[3:], sharp[1], times, recorded=True)
    backwards = []
    for seed in range(60):
        sample = expose(clean, np.random.default_rng(seed))
        back = sample.times[3] == -4 or sample.times[4] == 6
        backwards.append(back)
        at = np.concatenate([sample.times[3:], sample.far_times]) * (-1 if back else 1)
        values = np.concatenate([sample.hr, sample.far]).mean((1, 2))
        if 0 not in at:  # then the frame has the noise of its own
            np.testing.assert_allclose(values, (at + 20) / 40, rtol=1e-5)
        if np.isinf(sample.b0):
            at = sample.times[:3] * (-1 if back else 1)
            np.testing.assert_allclose(sample.lr.mean((1, 2)), (at + 20) / 40, rtol=1e-5)
    assert 20 < sum(backwards) < 40

"""What HR frames gain from each other."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_xfusion.core.methods.sharp import SharpFrames
from napari_xfusion.core.plan import make_plan
from tests.sequences import reader_of, stack, two_cameras

SHAPE, FRAMES, STEP = (96, 128), 33, 4


def passing():
    """Texture that stands still, and a smooth transparent thing that passes in front of it."""
    texture = 0.3 * gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.2)
    x = np.arange(SHAPE[1])
    return np.array([0.5 + texture - 0.3 * np.exp(-(((x - 4 * t) / 20) ** 2)) for t in range(FRAMES)])


def make_sharp(clean, noise=0.03):
    rng = np.random.default_rng(1)
    noisy = (clean + noise * rng.normal(size=clean.shape)).astype(np.float32)
    lr, hr, times = two_cameras(noisy, STEP)
    reader = reader_of(stack(lr), stack(hr), make_plan(hr_times=times))
    return SharpFrames(reader), reader.rig.hr.grey


def fine_of(sharp, image):
    return image - sharp.grids.up(sharp.grids.down(image))


def test_the_mean_of_all_frames_sees_through_what_passes():
    clean = passing()
    sharp, grey = make_sharp(clean)
    truth = fine_of(sharp, grey.to_grey(clean[14].astype(np.float32)))
    mean, one = sharp.mean(14), fine_of(sharp, sharp.reader.hr_frame(3))
    gained = np.mean((one - truth) ** 2) / np.mean((mean.fine - truth) ** 2)
    assert gained > 5  # of nine frames
    assert mean.noise.mean() == pytest.approx(np.mean((mean.fine - truth) ** 2), rel=0.5)


def test_the_expected_loss_is_what_hr_frames_show():
    """LR changes as the transparent thing passes, the fine structure does not: the HR frames on both sides tell."""
    clean = passing()
    sharp, grey = make_sharp(clean)
    mean, truth = sharp.mean(14), fine_of(sharp, grey.to_grey(clean[14].astype(np.float32)))
    made = np.mean((mean.fine - truth) ** 2)
    assert made < np.mean(mean.noise + mean.loss) < 2.5 * made


def test_the_two_sides_have_no_noise_in_common():
    clean = passing()
    sharp, grey = make_sharp(clean)
    truth = [fine_of(sharp, grey.to_grey(clean[STEP * k].astype(np.float32))) for k in (3, 4)]
    before, after = sharp.denoised(3, (-1,)).fine - truth[0], sharp.denoised(4, (1,)).fine - truth[1]
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.05


def test_frames_that_show_something_else_do_not_count():
    clean = np.array(
        [gaussian_filter(np.random.default_rng(t).normal(size=SHAPE), 1.2) for t in range(FRAMES)]
    )
    sharp, _ = make_sharp(clean)
    own, joined = sharp.fine(4), sharp.denoised(4).fine
    assert np.mean((joined - own) ** 2) < 0.1 * np.mean(own**2)


def test_a_lone_frame_is_itself():
    sharp, _ = make_sharp(passing())
    np.testing.assert_array_equal(sharp.denoised(4, ()).fine, sharp.fine(4))


def test_any_order_of_frames_gives_the_same_numbers():
    clean, orders = passing(), (range(FRAMES), reversed(range(FRAMES)))
    results = []
    for order in orders:
        sharp, _ = make_sharp(clean)
        means = {t: sharp.mean(t) for t in order}
        results.append({t: (mean.fine.tobytes(), mean.loss.tobytes()) for t, mean in means.items()})
    assert results[0] == results[1]


def test_large_frames_reach_less_far():
    sharp, _ = make_sharp(passing())
    assert sharp.reach == 8

"""The method ``flow``: its weights against brute force, and its promises on small sequences."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.methods.flow import (
    energy_between,
    part_left,
    share_lost,
    weight_of_one,
    weights_of_two,
)
from napari_xfusion.core.plan import make_plan
from tests.sequences import reader_of, stack, two_cameras

SHAPE = (96, 128)


def warped(speed=1.7, frames=9, noise=0.0):
    """Fine texture warped to the right."""
    rng = np.random.default_rng(0)
    ground = gaussian_filter(rng.normal(size=(96, 220)), 1.5)
    y, x = np.mgrid[:96, 20:148].astype(float)
    sequence = [map_coordinates(ground, [y, x + 30 - speed * t], order=3) for t in range(frames)]
    return with_noise(0.5 + 1.2 * np.array(sequence), noise)


def jumping(noise=0.0):
    """Texture that is another one in every frame: no HR frame says anything about the next."""
    sequence = [gaussian_filter(np.random.default_rng(t).normal(size=SHAPE), 1.5) for t in range(9)]
    return with_noise(0.5 + 1.2 * np.array(sequence), noise)


def static(noise=0.0):
    return with_noise(np.repeat(warped()[:1], 9, axis=0), noise)


def with_noise(sequence, noise):
    return (sequence + np.random.default_rng(1).normal(0, noise or 1e-9, sequence.shape)).astype(np.float32)


def make_reader(sequence, step=4, lr_noise=0.0, last=True):
    lr, hr, times = two_cameras(sequence, step, last=last)
    lr = with_noise(lr, lr_noise)
    return reader_of(stack(lr), stack(hr), make_plan(hr_times=times))


def psnr(method, sequence, reader, targets):
    """Mean over targets, in dB of the grey scale's span."""
    truth = reader.rig.hr.grey.to_grey(sequence)
    with make_fuser(make_plan(method=method)).open(reader) as stream:
        frames = stream.fuse(targets, threading.Event())
        return np.mean([-10 * np.log10(np.mean((f.image - truth[f.index]) ** 2)) for f in frames])


@pytest.mark.parametrize(
    ("sequence", "lr_noise"),
    [
        pytest.param(warped(), 0.0, id="warped"),
        pytest.param(warped(noise=0.02), 0.0, id="warped, noisy"),
        pytest.param(warped(), 0.05, id="warped, LR noisy"),
        pytest.param(static(noise=0.02), 0.0, id="static, noisy"),
        pytest.param(static(), 0.05, id="static, LR noisy"),
        pytest.param(jumping(), 0.0, id="jumping"),
        pytest.param(jumping(noise=0.02), 0.05, id="jumping, both noisy"),
        pytest.param(with_noise(np.full((9, *SHAPE), 0.5), 0.1), 0.0, id="nothing but noise"),
    ],
)
@pytest.mark.parametrize("last", [True, False], ids=["between", "beyond the last HR frame"])
def test_never_worse_than_bicubic_or_interpolation(sequence, lr_noise, last):
    if last:
        reader, targets = make_reader(sequence, lr_noise=lr_noise), (1, 2, 3)
    else:
        reader, targets = make_reader(sequence, step=7, lr_noise=lr_noise, last=False), (8,)
    ours = psnr("flow", sequence, reader, targets)
    between = 0.05 if last else np.inf  # a lone HR frame bears no proof of its noise
    assert ours > psnr("interpolation", sequence, reader, targets) - 0.05
    assert ours > psnr("bicubic", sequence, reader, targets) - between


def test_carried_texture_is_much_better_than_without_motion():
    sequence = warped()
    reader = make_reader(sequence)
    assert psnr("flow", sequence, reader, (1, 2, 3)) > psnr("interpolation", sequence, reader, (1, 2, 3)) + 8


def test_at_an_hr_time_the_hr_frame_comes_back():
    for lr_noise, floor in ((0.0, 60), (0.05, 30)):
        assert psnr("flow", warped(), make_reader(warped(), lr_noise=lr_noise), (0, 4, 8)) > floor


@pytest.mark.parametrize("sequence", [warped, static])
def test_at_an_hr_time_noise_is_averaged_over_the_other_hr_frames(sequence):
    """Three HR frames of the same structure have a third of the variance of one, 4.8 dB."""
    clean, noisy = sequence(), sequence(noise=0.02)
    reader = make_reader(noisy)
    own = -10 * np.log10(
        np.mean(reader.rig.hr.grey.to_grey(noisy[4] - clean[4] + reader.rig.hr.grey.zero) ** 2)
    )
    gained = psnr("flow", clean, reader, (4,)) - own
    assert gained > (4.0 if sequence is static else 2.0)


def told_and_made(reader, sequence, targets, where=np.s_[:]):
    """Root mean squares of the expected error and of the one that is made, of each target."""
    truth = reader.rig.hr.grey.to_grey(sequence)
    with make_fuser(make_plan(method="flow")).open(reader) as stream:
        for frame in stream.fuse(targets, threading.Event()):
            yield [np.sqrt(np.mean(x[where] ** 2)) for x in (frame.std, frame.image - truth[frame.index])]


def test_the_expected_error_is_the_one_that_is_made():
    """On the whole, for texture that moves and for one that stands still, with noise in both cameras."""
    for clean, noisy in ((warped(), warped(noise=0.02)), (static(), static(noise=0.02))):
        for told, made in told_and_made(make_reader(noisy, lr_noise=0.02), clean, (1, 2, 3, 4)):
            assert 0.4 < told / made < 2


def test_what_no_hr_frame_shows_is_expected_to_be_wrong():
    """Both HR frames agree, but between them a disc passes that neither shows: its edge is not known."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(y - 48, x - 64) - 20
    ground = 0.5 + 0.1 * gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.2)
    passing = [np.where((away < 0) & (2 <= t <= 6), 0.9, ground) for t in range(9)]
    sequence = with_noise(np.array(passing), 0.0)
    [(told, made)] = told_and_made(make_reader(sequence, 8), sequence, (4,), np.abs(away) < 3)
    assert told > made / 10


def test_twice_the_same_bytes():
    reader = make_reader(warped(noise=0.02), lr_noise=0.02)
    runs = []
    for _ in range(2):
        with make_fuser(make_plan(method="flow")).open(reader) as stream:
            runs.append([f.image.tobytes() for f in stream.fuse(range(9), threading.Event())])
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("early", "late", "gain"),
    [
        pytest.param(0.9, 0.6, 1.0, id="in the middle"),
        pytest.param(0.5, 0.999, 1.0, id="next to b"),
        pytest.param(0.5, 0.999, 0.4, id="next to b, fading"),
        pytest.param(0.5, 0.999, 2.0, id="next to b, growing"),
    ],
)
def test_weights_and_their_error_are_the_least_squares_ones_where_the_loss_is_a_chain(early, late, gain):
    """a -> x -> b lose structure by a random walk with decay: then the assumption is exact."""
    rng, n = np.random.default_rng(0), 400_000
    share = np.log(early) / np.log(early * late)
    a = rng.normal(size=n)
    x = early * a + np.sqrt(1 - early**2) * rng.normal(size=n)
    b = gain * (late * x + np.sqrt(1 - late**2) * rng.normal(size=n))
    x *= gain**share
    expected = np.linalg.lstsq(np.stack([a, b], -1), x, rcond=None)[0]
    aa, bb, ab = (np.array([[np.mean(p)]]) for p in (a * a, b * b, a * b))
    left = part_left(aa, ab, np.full((1, 1), share)), part_left(bb, ab, np.full((1, 1), 1 - share))
    w_a, w_b = weights_of_two(aa, bb, ab, *left)
    np.testing.assert_allclose((w_a[0, 0], w_b[0, 0]), expected, atol=0.02)
    told = energy_between(aa, bb, np.full((1, 1), share)) - w_a * left[0] - w_b * left[1]
    made = np.mean((x - w_a * a - w_b * b) ** 2)
    np.testing.assert_allclose(told, made, atol=0.03 * np.mean(x**2))


def test_noise_alone_gets_no_weight_and_agreement_all_of_it():
    energy, half = np.ones((4, 4), np.float32), np.full((4, 4), 0.5, np.float32)
    for ab, total in ((np.zeros_like(energy), 0.0), (energy, 1.0)):
        left = part_left(energy * total, ab, half)
        w_a, w_b = weights_of_two(energy, energy, ab, left, left)
        np.testing.assert_allclose(w_a + w_b, total, atol=0.01)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_weights_are_finite_not_negative_and_bounded(data):
    """Whatever two fine structures are measured, the estimate has no more energy than the stronger."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    scale = 10.0 ** rng.uniform(-6, 1, (2, 1, 1, 1))
    a, b = (rng.normal(size=(2, 6, 6, 5)) * scale).astype(np.float32)
    b = np.float32(rng.uniform(-1, 1)) * a + np.float32(rng.uniform(0, 1)) * b
    aa, bb, ab = (p.mean(axis=-1) for p in (a * a, b * b, a * b))
    ab, share = np.maximum(ab, 0), rng.random((6, 6), dtype=np.float32)
    w_a, w_b = weights_of_two(aa, bb, ab, part_left(aa, ab, share), part_left(bb, ab, 1 - share))
    assert np.isfinite((w_a, w_b)).all()
    assert min(w_a.min(), w_b.min()) >= 0
    assert max(w_a.max(), w_b.max()) <= 1
    energy = w_a**2 * aa + 2 * w_a * w_b * ab + w_b**2 * bb
    assert (energy <= 1.001 * np.maximum(aa, bb) + 1e-6).all()


def test_the_loss_is_shared_by_time_and_error():
    one = np.ones((2, 2), np.float32)
    np.testing.assert_allclose(share_lost(one, one, (0.75, 0.25)), 0.25)
    np.testing.assert_allclose(share_lost(one, 3 * one, (0.5, 0.5)), 0.25)


def test_a_lone_candidate_counts_less_the_more_it_errs():
    aa = np.ones((1, 1), np.float32)
    weights = [float(weight_of_one(aa, aa, e * aa)[0, 0]) for e in (0.0, 0.5, 50.0)]
    assert weights == pytest.approx([1, 0.5, 1 / 101], rel=1e-5)

"""What the two cameras would have given of a sequence."""

import re

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual.experiment import simulate
from tests.sequences import binned, moving_discs, stack


def frames_of(sequence):
    return np.stack([sequence.frame(i) for i in range(len(sequence))])


def discs(dtype, frames=12, shape=(48, 64)):
    there = moving_discs(min(frames, 20), shape)
    sequence = (np.resize(np.concatenate([there, there[::-1]]), (frames, *shape)) + 0.4) / 2
    kind = np.dtype(dtype)
    return (sequence * np.iinfo(kind).max if kind.kind in "ui" else sequence).astype(kind)


@pytest.mark.parametrize(
    ("frames", "step", "last", "expected"),
    [
        pytest.param(11, 5, True, (0, 5, 10), id="last frame is one of them"),
        pytest.param(12, 5, True, (0, 5, 10, 11), id="last frame is added"),
        pytest.param(12, 5, False, (0, 5, 10), id="last frame is left out"),
        pytest.param(12, 450, True, (0, 11), id="step beyond the sequence: first and last"),
        pytest.param(12, 450, False, (0,), id="step beyond the sequence: first"),
        pytest.param(3, 1, True, (0, 1, 2), id="every frame"),
        pytest.param(2, 1, True, (0, 1), id="two frames"),
    ],
)
def test_hr_frames(frames, step, last, expected):
    sequence = discs("uint16", frames)
    experiment = simulate(stack(sequence), step, hr_last=last)
    assert experiment.hr_times == expected
    np.testing.assert_array_equal(experiment.hr.metadata.hr_times, expected)
    assert experiment.hr.clock == experiment.truth.clock.select(expected)
    np.testing.assert_array_equal(frames_of(experiment.hr), sequence[list(expected)])
    np.testing.assert_array_equal(frames_of(experiment.truth), sequence)


@pytest.mark.parametrize(
    ("dtype", "lr_dtype", "factor", "rounding"),
    [
        pytest.param("uint8", "uint16", 257, 0.501 / 257, id="8 bit is scaled up"),
        pytest.param("uint16", "uint16", 1, 0.501, id="16 bit is kept"),
        pytest.param("uint32", "float32", 1, 500, id="32 bit becomes float"),
        pytest.param("int16", "float32", 1, 0.01, id="signed becomes float"),
        pytest.param("float32", "float32", 1, 1e-6, id="float32"),
        pytest.param("float64", "float32", 1, 1e-6, id="float64"),
    ],
)
def test_lr_is_the_mean_of_4x4_pixels_in_hr_units(dtype, lr_dtype, factor, rounding):
    sequence = discs(dtype)
    experiment = simulate(stack(sequence, pixel_size=2.0), 4)
    lr = frames_of(experiment.lr)
    assert (lr.dtype, experiment.lr.dtype, experiment.hr.dtype) == (lr_dtype, lr_dtype, sequence.dtype)
    assert experiment.lr_factor == factor
    assert any("257" in str(note) for note in experiment.notes) == (factor == 257)
    np.testing.assert_allclose(lr / factor, binned(sequence.astype(np.float64)), atol=rounding, rtol=0)
    assert experiment.lr.pixel_size == 8.0
    assert experiment.hr.pixel_size == experiment.truth.pixel_size == 2.0


def test_without_noise_nothing_is_clipped():
    """The percentiles cut the brightest pixels off; only the noise lives on that scale."""
    sequence = discs("float32")
    sequence[:, :4, :4] = 50.0
    lr = frames_of(simulate(stack(sequence), 4).lr)
    np.testing.assert_allclose(lr[:, 0, 0], 50.0)


def test_bicubic_reduction_keeps_a_ramp():
    ramp = np.tile(np.arange(64, dtype=np.float32), (2, 32, 1))
    lr = frames_of(simulate(stack(ramp), 1, binning="bicubic").lr)
    np.testing.assert_allclose(
        lr[:, :, 2:-2], np.tile(np.arange(64).reshape(16, 4).mean(1), (2, 8, 1))[:, :, 2:-2]
    )


def test_bicubic_overshoot_does_not_wrap_around():
    sequence = np.zeros((2, 32, 32), np.uint16)
    sequence[:, :, 16:] = 65535
    lr = frames_of(simulate(stack(sequence), 1, binning="bicubic").lr)
    assert (lr[:, :, :3] < 10).all()
    assert (lr[:, :, 5:] > 65000).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("target", [15, 25, 40, 60, 70])
def test_psnr_is_reached_over_the_whole_sequence(dtype, target):
    """150 frames, of which 64 are looked at; measured with another library's PSNR."""
    sequence = discs(dtype, 150, (64, 96))
    experiment = simulate(stack(sequence), 10, lr_psnr=target, seed=4)
    assert experiment.lr_psnr == pytest.approx(target, abs=0.1)
    low, high = np.percentile(sequence, (0.35, 99.65))
    noisy = (frames_of(experiment.lr) / experiment.lr_factor - low) / (high - low)
    clean = ((binned(sequence.astype(np.float64)) - low) / (high - low)).clip(0, 1)
    assert peak_signal_noise_ratio(clean, noisy, data_range=1) == pytest.approx(target, abs=0.1)


def test_b0_is_used_as_given_and_its_psnr_is_told():
    experiment = simulate(stack(discs("float32")), 4, b0=1000.0)
    assert experiment.b0 == 1000.0
    assert 25 < experiment.lr_psnr < 40


def test_noise_of_a_frame_does_not_depend_on_reading_order():
    sequence = stack(discs("uint16"))
    one, other = (simulate(sequence, 4, lr_psnr=30, seed=9) for _ in range(2))
    backwards = np.stack([other.lr.frame(i) for i in reversed(range(12))])[::-1]
    np.testing.assert_array_equal(frames_of(one.lr), backwards)
    assert one.lr.digest() == other.lr.digest() != simulate(sequence, 4, lr_psnr=30, seed=8).lr.digest()
    assert not np.array_equal(one.lr.frame(0), one.lr.frame(1))


@pytest.mark.parametrize("shape", [(49, 64), (48, 67), (51, 66), (8, 8), (11, 9)])
def test_sides_are_cropped_and_it_is_said(shape):
    sequence = discs("uint8", 3, shape)
    experiment = simulate(stack(sequence), 2)
    h, w = shape[0] // 4 * 4, shape[1] // 4 * 4
    assert experiment.truth.shape == (3, h, w)
    assert experiment.lr.shape == (3, h // 4, w // 4)
    np.testing.assert_array_equal(frames_of(experiment.truth), sequence[:, :h, :w])
    assert any(f"{shape[0]} x {shape[1]} to {h} x {w}" in str(note) for note in experiment.notes) == (
        shape != (h, w)
    )


def test_pixels_that_are_no_numbers_are_kept_filled_and_counted():
    sequence = discs("float32")
    sequence[3, 10, 10] = np.nan
    sequence[4, :8, :8] = np.inf
    experiment = simulate(stack(sequence), 4, lr_psnr=30)
    assert any("65 pixels in the 12 sampled frames" in str(note) for note in experiment.notes)
    assert np.isnan(experiment.truth.frame(3)[10, 10])
    assert np.isfinite(frames_of(experiment.lr)).all()


def test_one_frame_is_read_for_one_frame():
    read = []
    sequence = discs("uint16", 200, (16, 16))
    movie = stack(sequence)
    lazy = type(movie)(**{**movie.__dict__, "read": lambda i: read.append(i) or sequence[i]})
    experiment = simulate(lazy, 7)
    assert len(set(read)) <= 64
    read.clear()
    experiment.lr.frame(150)
    experiment.hr.frame(2)
    assert read == [150, 14]


@pytest.mark.parametrize(
    ("sequence", "settings", "told"),
    [
        pytest.param(np.zeros((1, 32, 32), np.uint8), {}, "two frames", id="one frame"),
        pytest.param(np.zeros((3, 7, 32), np.uint8), {}, "7 x 32", id="too small"),
        pytest.param(np.zeros((3, 32, 32), bool), {}, "bool", id="no grey values"),
        pytest.param(discs("uint8"), {"hr_step": 0}, "found 0", id="step 0"),
        pytest.param(discs("uint8"), {"lr_psnr": 30.0, "b0": 9.0}, "not both", id="two noises"),
        pytest.param(discs("uint8"), {"lr_psnr": float("nan")}, "finite", id="nan dB"),
        pytest.param(discs("uint8"), {"b0": 0.0}, "found 0.0", id="no photons"),
        pytest.param(discs("uint8"), {"b0": float("inf")}, "found inf", id="all photons"),
        pytest.param(discs("uint8"), {"seed": -1}, "seed", id="seed"),
        pytest.param(discs("uint8"), {"binning": "median"}, "median", id="binning"),
        pytest.param(discs("uint8"), {"lr_psnr": 3.0}, "dB", id="PSNR out of reach"),
        pytest.param(
            np.full((3, 32, 32), 7, np.uint8), {"lr_psnr": 30.0}, "one grey value", id="constant sequence"
        ),
        pytest.param(
            np.full((3, 32, 32), 7, np.uint8), {"b0": 30.0}, "one grey value", id="constant sequence, b0"
        ),
        pytest.param(np.full((3, 32, 32), np.nan), {"b0": 30.0}, "one grey value", id="no number at all"),
    ],
)
def test_what_does_not_fit_is_told(sequence, settings, told):
    with pytest.raises(InputError, match=re.escape(told)):
        simulate(stack(sequence), **{"hr_step": 2, **settings})


def test_near_black_sequence_with_hot_pixels_ends():
    sequence = np.zeros((4, 32, 32), np.uint16)
    sequence[1, 3, 3] = 60000
    try:
        assert simulate(stack(sequence), 2, lr_psnr=40).lr_psnr == pytest.approx(40, abs=0.5)
    except InputError as error:
        assert "dB" in str(error)

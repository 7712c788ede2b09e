"""The sample sequences that users open first."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.metrics import peak_signal_noise_ratio

from tests.sequences import binned

FOLDER = Path(__file__).parents[1] / "sample_data"
sys.path.insert(0, str(FOLDER))
from keyhole import keyhole_sequence  # noqa: E402 - as make_sample.py finds it


@pytest.fixture(scope="module")
def sequences():
    return {name: tifffile.imread(FOLDER / f"{name}.tif") for name in ("lr", "hr", "truth")}


def test_they_are_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tif")) < 3_000_000


def test_hr_is_every_tenth_frame_of_the_truth(sequences):
    np.testing.assert_array_equal(sequences["hr"], sequences["truth"][::10])
    with tifffile.TiffFile(FOLDER / "hr.tif") as file:
        assert file.imagej_metadata["hr_times"] == "0.0,10.0,20.0,30.0,40.0,50.0"


def test_lr_is_the_binned_truth_with_noise_of_40_decibel(sequences):
    low, high = np.percentile(sequences["truth"], (0.35, 99.65))
    clean = ((binned(sequences["truth"].astype(float)) - low) / (high - low)).clip(0, 1)
    noisy = (sequences["lr"] - low) / (high - low)
    assert peak_signal_noise_ratio(clean, noisy, data_range=1) == pytest.approx(40, abs=0.1)


def test_keyhole_sequence_is_of_one_seed_and_plausible():
    sequence = keyhole_sequence(12, (80, 128), np.random.default_rng(1))
    np.testing.assert_array_equal(sequence, keyhole_sequence(12, (80, 128), np.random.default_rng(1)))
    assert sequence.dtype == np.float32
    assert np.isfinite(sequence).all()
    air, plate = sequence[:, :15].mean(), sequence[:, 70:].mean()
    assert 0.9 < air < 1.01
    assert 0.25 < plate < 0.6


def test_the_keyhole_runs_to_the_right():
    """What is brighter than the plate below the surface: its middle follows the laser."""
    sequence = keyhole_sequence(40, (160, 256), np.random.default_rng(3))
    rows = slice(85, 110)
    still = np.median(sequence[:, rows], axis=0)
    bright = np.clip(sequence[:, rows] - still, 0.02, None).sum(1) - 0.02 * 25
    middle = (bright * np.arange(256)).sum(1) / bright.sum(1)
    speed = np.polyfit(np.arange(40), middle, 1)[0]
    assert 1.0 < speed < 2.0

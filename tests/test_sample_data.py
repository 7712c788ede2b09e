"""The sample films that users open first."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.metrics import peak_signal_noise_ratio

from tests.films import binned

FOLDER = Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def films():
    return {name: tifffile.imread(FOLDER / f"{name}.tif") for name in ("lr", "hr", "truth")}


def test_they_are_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tif")) < 3_000_000


def test_hr_is_every_tenth_frame_of_the_truth(films):
    np.testing.assert_array_equal(films["hr"], films["truth"][::10])
    with tifffile.TiffFile(FOLDER / "hr.tif") as file:
        assert file.imagej_metadata["hr_times"] == "0.0,10.0,20.0,30.0,40.0,50.0"


def test_lr_is_the_binned_truth_with_noise_of_40_decibel(films):
    low, high = np.percentile(films["truth"], (0.35, 99.65))
    clean = ((binned(films["truth"].astype(float)) - low) / (high - low)).clip(0, 1)
    noisy = (films["lr"] - low) / (high - low)
    assert peak_signal_noise_ratio(clean, noisy, data_range=1) == pytest.approx(40, abs=0.1)

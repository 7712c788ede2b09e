"""The sample sequences that users open first."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.metrics import peak_signal_noise_ratio

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.rig.calibrate import calibrate
from napari_xfusion.core.rig.synchronise import synchronise
from tests.sequences import binned

FOLDER = Path(__file__).parents[1] / "sample_data"
sys.path.insert(0, str(FOLDER))
import make_rig  # noqa: E402 - as it is run
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


RIG = FOLDER / "rig"


def test_the_sample_rig_is_small_and_tells_its_geometry_and_clock():
    assert sum(path.stat().st_size for path in RIG.iterdir()) < 2_000_000
    truth = Calibration.load(RIG / "rig.json")
    grids, shots = (
        [open_stack(RIG / f"{name}_{camera}.tif") for camera in ("lr", "hr")] for name in ("grid", "shot")
    )
    found = calibrate(*grids).calibration
    assert found.way == "grid"
    pixels = np.stack(np.indices(truth.lr.shape), axis=-1)
    away = np.linalg.norm(found.mapping.to_output(pixels) - truth.mapping.to_output(pixels), axis=-1)
    assert away.max() < 0.1
    clock = synchronise(*shots, found)
    assert clock.source == "content"
    assert clock.offset_ns == pytest.approx(truth.clock.offset_ns, abs=0.1 * truth.clock.lr_interval_ns)


def test_the_sample_rig_is_made_by_its_script():
    assert make_rig.rig() == Calibration.load(RIG / "rig.json")
    noisy = np.median(tifffile.imread(RIG / "grid_hr.tif").astype(float), axis=0)
    rows, columns = ((n - m) // 2 for n, m in zip(make_rig.SCENE, make_rig.HR, strict=True))
    clean = make_rig.grid()[rows : rows + make_rig.HR[0], columns : columns + make_rig.HR[1]]
    assert np.corrcoef(noisy.ravel(), clean.ravel())[0, 1] > 0.97

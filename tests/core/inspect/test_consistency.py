"""LR consistency: against block means written out, and what its numbers say of what was added."""

import numpy as np
import pytest

from napari_xfusion.core.inspect.consistency import consistency, residual
from napari_xfusion.core.rig import Grids, fit_mapping
from tests.sequences import binned, moving_discs

TRUTH = moving_discs(1)[0]
LR = binned(TRUTH[None])[0]
DOWN = Grids(LR.shape, TRUTH.shape, fit_mapping(LR.shape, TRUTH.shape)).down


def test_the_truth_agrees_with_what_was_seen():
    assert np.abs(consistency(TRUTH, LR, DOWN)).max() < 1e-6


def test_it_is_the_block_mean_minus_lr():
    fused = TRUTH + np.random.default_rng(0).normal(0, 0.1, TRUTH.shape).astype(np.float32)
    blocks = fused.reshape(LR.shape[0], 4, LR.shape[1], 4).mean(axis=(1, 3), dtype=np.float64)
    np.testing.assert_allclose(consistency(fused, LR, DOWN), blocks - LR, atol=1e-6)


def test_what_is_invented_shows_at_its_place_with_its_sign():
    invented = TRUTH.copy()
    invented[8:12, 20:24] += 0.5  # one LR pixel of mass that no camera saw
    difference = consistency(invented, LR, DOWN)
    assert difference[2, 5] == pytest.approx(0.5, abs=1e-5)
    difference[2, 5] = 0
    assert np.abs(difference).max() < 1e-6


def test_detail_inside_an_lr_pixel_is_not_judged():
    shuffled = TRUTH.reshape(LR.shape[0], 4, LR.shape[1], 4)[:, ::-1].reshape(TRUTH.shape)
    assert residual(0, consistency(shuffled, LR, DOWN)).rms < 1e-6


def test_numbers_of_a_frame_leave_out_what_was_not_fused():
    difference = np.array([[0.3, -0.1], [np.nan, 0.1]], np.float32)
    numbers = residual(7, difference)
    assert numbers.frame == 7
    assert numbers.rms == pytest.approx(np.sqrt((0.09 + 0.01 + 0.01) / 3))
    assert numbers.bias == pytest.approx(0.1)
    assert np.isnan(residual(0, np.full((2, 2), np.nan, np.float32))).tolist() == [False, True, True]

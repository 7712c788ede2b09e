"""Energies over neighbourhoods, and the Kalman update."""

import numpy as np

from napari_xfusion.core.methods.local import kalman_update


def test_without_noise_what_was_seen_is_believed():
    seen = np.random.default_rng(0).random((9, 9), dtype=np.float32)
    assert kalman_update(seen, np.zeros_like(seen), np.zeros_like(seen)) is seen


def test_noise_is_taken_off_where_the_expectation_is_right_and_change_is_kept():
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 64), np.float32)
    truth[:, 32:] = 1
    seen = (truth + rng.normal(0, 0.1, truth.shape)).astype(np.float32)
    updated = kalman_update(seen, np.zeros_like(seen), np.full_like(seen, 0.01))
    assert (updated - truth)[:, :20].std() < 0.04
    np.testing.assert_allclose(updated[:, 44:], seen[:, 44:], atol=0.05)

"""Sequences that are fused when they are read: the same frames as a run, shared, bounded, and closed in time."""

import threading

import numpy as np
import pytest

from napari_xfusion.core import sequence as sequence_module
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.run import fuse
from napari_xfusion.core.sequence import FusedSequence, difference, lr_consistency
from napari_xfusion.core.types import Region
from napari_xfusion.errors import DeviceError, ModelError, PairingError
from tests.sequences import moving_discs, stack, two_cameras

TRUTH = (moving_discs(12) * 4000 + 200).astype(np.float32)
LR, HR, TIMES = two_cameras(TRUTH)


def open_sequence(method="interpolation", **settings) -> FusedSequence:
    return FusedSequence(Plan(method=method, hr_times=TIMES, **settings), stack(LR, "lr"), stack(HR, "hr"))


@pytest.mark.parametrize("method", ["bicubic", "flow", "bayesian"])
def test_frames_in_any_order_are_those_of_a_run(method):
    sequence = open_sequence(method)
    run = {frame.index: frame for frame in fuse(sequence.plan, LR, HR)}
    for t in (7, 0, 11, 7):
        np.testing.assert_array_equal(sequence.images().frame(t), run[t].image)


def test_a_region_is_that_of_the_plan():
    sequence = open_sequence(region=Region(8, 24, 12, 40))
    np.testing.assert_array_equal(
        sequence.images().frame(3), next(fuse(sequence.plan, LR, HR, targets=[3])).image
    )
    assert sequence.images().shape == (12, 16, 28)


def test_views_share_the_frames():
    sequence = open_sequence("bayesian")
    made = sequence.frame(5)
    assert sequence.images().frame(5) is made.image
    assert sequence.std().frame(5) is made.std
    assert sequence.known(5) is made
    assert sequence.known(6) is None


def test_frames_kept_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(sequence_module, "KEPT_BYTES", 3 * TRUTH[0].nbytes)
    sequence = open_sequence()
    for t in range(8):
        sequence.frame(t)
    assert [t for t in range(8) if sequence.known(t) is not None] == [5, 6, 7]


def test_threads_get_the_same_frames():
    sequence, found = open_sequence("flow"), {}

    def read(t):
        found[t] = sequence.images().frame(t % 12)

    threads = [threading.Thread(target=read, args=(t,)) for t in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = [frame.image for frame in fuse(sequence.plan, LR, HR)]
    for t, image in found.items():
        np.testing.assert_array_equal(image, run[t % 12])


def test_a_closed_sequence_makes_no_frame():
    sequence = open_sequence()
    sequence.close()
    with pytest.raises(DeviceError, match="closed"):
        sequence.frame(0)


@pytest.mark.parametrize(
    ("view", "method"),
    [("std", "interpolation"), ("attention", "bayesian")],
)
def test_what_a_method_does_not_know_is_told(view, method):
    sequence = open_sequence(method)
    with pytest.raises(ModelError, match=method):
        sequence.std() if view == "std" else sequence.attention("hr-")


def test_sequences_that_do_not_pair_are_told_at_once():
    with pytest.raises(PairingError):
        FusedSequence(Plan(), stack(LR), stack(HR))


def test_interpolation_agrees_better_with_lr_than_bicubic():
    back, cubic = open_sequence(), open_sequence("bicubic")
    rms = {
        sequence.plan.method: float(
            np.sqrt(np.mean(lr_consistency(sequence.images(), sequence.reader).frame(6) ** 2))
        )
        for sequence in (back, cubic)
    }
    assert rms["interpolation"] < rms["bicubic"]


def test_consistency_of_the_truth_is_nothing():
    sequence = open_sequence()
    left = lr_consistency(stack(TRUTH), sequence.reader)
    assert left.shape == LR.shape
    assert np.abs(left.frame(5)).max() < 2e-3  # of a grey scale of 1: LR was matched by a robust line


def test_difference_is_signed_and_in_camera_units():
    minus = difference(stack(TRUTH), open_sequence("bicubic").images())
    expected = TRUTH[4] - next(fuse(Plan(method="bicubic", hr_times=TIMES), LR, HR, targets=[4])).image
    np.testing.assert_allclose(minus.frame(4), expected, atol=1e-2)


def test_difference_of_large_integers_is_exact():
    one = (2_000_000_000 + np.arange(24).reshape(2, 3, 4)).astype(np.uint32)
    minus = difference(stack(one), stack(one[::-1]))
    np.testing.assert_array_equal(minus.frame(1), np.full((3, 4), 12.0))

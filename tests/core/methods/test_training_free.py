"""What holds for every method without weights."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_xfusion.core.catalogue import training_free
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.types import Region
from tests.sequences import binned, moving_discs, reader_of, stack, two_cameras

METHODS = sorted(method.name for method in training_free())


def make_reader(sequence, step=4, scale=4):
    lr, hr, times = two_cameras(sequence, step, scale)
    return reader_of(stack(lr), stack(hr), make_plan(hr_times=times))


def fused(method, reader, targets=None, stop=None, region=None):
    with make_fuser(make_plan(method=method)).open(reader) as stream:
        return list(stream.fuse(targets or range(len(reader.rig)), stop or threading.Event(), region))


@pytest.mark.parametrize("method", METHODS)
def test_every_target_gets_a_frame_of_hr_size(method):
    sequence = moving_discs()
    frames = fused(method, make_reader(sequence))
    assert [f.index for f in frames] == list(range(12))
    assert all(f.image.shape == sequence.shape[1:] and f.image.dtype == np.float32 for f in frames)


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_does_not_depend_on_what_was_fused_before(method):
    sequence = moving_discs()
    forward = fused(method, make_reader(sequence))
    backward = fused(method, make_reader(sequence), targets=[7, 3, 9, 0, 3])
    for frame in backward:
        np.testing.assert_array_equal(frame.image, forward[frame.index].image)


@pytest.mark.parametrize("method", METHODS)
def test_a_region_is_that_part_of_the_whole(method):
    sequence = moving_discs()
    whole = fused(method, make_reader(sequence), targets=[5])[0].image
    part = fused(method, make_reader(sequence), targets=[5], region=Region(8, 30, 4, 51))[0].image
    np.testing.assert_allclose(part, whole[8:30, 4:51], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_request_to_stop_ends_the_stream_after_the_frame_at_work(method):
    stop = threading.Event()
    with make_fuser(make_plan(method=method)).open(make_reader(moving_discs())) as stream:
        frames = stream.fuse(range(12), stop)
        next(frames)
        stop.set()
        assert list(frames) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_sequence_without_motion_comes_back(method, scale):
    """Nothing moves and nothing is noisy: every method with HR frames must return them."""
    sequence = np.repeat(moving_discs(1, (48, 60)), 9, axis=0)
    reader = make_reader(sequence, scale=scale)
    for frame in fused(method, reader):
        image = reader.rig.hr.grey.from_grey(frame.image)
        if method == "bicubic":
            np.testing.assert_allclose(binned(image[None], scale), binned(sequence[:1], scale), atol=0.05)
        else:
            np.testing.assert_allclose(image, sequence[0], atol=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "sequence",
    [
        pytest.param(np.full((6, 24, 32), 9, np.uint8), id="constant"),
        pytest.param(np.zeros((6, 24, 32), np.float32), id="black"),
        pytest.param(np.full((6, 24, 32), np.nan, np.float32), id="NaN"),
        pytest.param((np.random.default_rng(0).random((6, 24, 32)) > 0.5) * np.uint8(255), id="saturated"),
        pytest.param(np.random.default_rng(0).normal(0, 1e6, (6, 24, 32)), id="large values"),
    ],
)
def test_odd_sequences_give_finite_frames(method, sequence):
    for frame in fused(method, make_reader(sequence)):
        assert np.isfinite(frame.image).all()
        assert frame.std is None or np.isfinite(frame.std).all()


@given(method=st.sampled_from(METHODS), h=st.integers(1, 40), w=st.integers(1, 40), scale=st.floats(1, 5))
@settings(max_examples=40, deadline=None)
def test_any_size_and_scale(method, h, w, scale):
    rng = np.random.default_rng(h * 41 + w)
    height, width = max(round(h * scale), h), max(round(w * scale), w)
    lr = rng.random((5, h, w), dtype=np.float32)
    hr = rng.random((2, height, width), dtype=np.float32)
    reader = reader_of(stack(lr), stack(hr), make_plan(hr_times=(0, 4), grey="percentile"))
    for frame in fused(method, reader):
        assert frame.image.shape == (height, width)
        assert np.isfinite(frame.image).all()


def test_interpolation_binned_is_the_lr_frame():
    """The definition: what is added makes the binned result agree with LR, up to the cubic kernel."""
    sequence = moving_discs(shape=(64, 64))
    reader = make_reader(sequence)
    for frame in fused("interpolation", reader):
        residual = reader.rig.grids.down(frame.image) - reader.lr_frame(frame.index)
        assert np.abs(residual).mean() < 0.01


def test_interpolation_is_its_formula():
    sequence = moving_discs()
    reader = make_reader(sequence)
    group = reader.group(6)
    between = 0.5 * group.previous.image + 0.5 * group.next.image
    expected = between + reader.rig.grids.up(group.reference.image - reader.rig.grids.down(between))
    np.testing.assert_allclose(fused("interpolation", reader, [6])[0].image, expected, atol=1e-5)

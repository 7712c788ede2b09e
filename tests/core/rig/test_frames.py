"""Frame groups, grey matching and odd sequences, as methods read them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig.frames import MOST_READ, FrameReader, mean_during
from napari_xfusion.core.rig.photometry import Photometry
from napari_xfusion.core.types import ROLES, CameraFacts, Metadata
from napari_xfusion.errors import PairingError
from tests.sequences import moving_discs, reader_of, stack, two_cameras


def make_reader(sequence=None, step=4, **settings):
    sequence = moving_discs() if sequence is None else sequence
    lr, hr, times = two_cameras(sequence, step)
    return reader_of(stack(lr, "lr.tif"), stack(hr, "hr.tif"), make_plan(hr_times=times, **settings))


@pytest.mark.parametrize(
    ("target", "separation", "lr", "hr"),
    [
        pytest.param(5, 1, (4, 5, 6), (1, 2), id="inside"),
        pytest.param(4, 1, (3, 4, 5), (1, 2), id="at an HR time"),
        pytest.param(0, 1, (0, 0, 1), (0, 1), id="first"),
        pytest.param(11, 1, (10, 11, 11), (3,), id="last"),
        pytest.param(2, 3, (0, 2, 5), (0, 1), id="separation 3"),
    ],
)
def test_frame_groups(target, separation, lr, hr):
    reader = make_reader()
    group = reader.group(target, separation)
    assert [frame.key for frame in group.lr] == [(0, i) for i in lr]
    assert [frame.key for frame in group.hr] == [(1, k) for k in hr]
    assert [frame.time for frame in group.lr] == list(lr)
    assert [frame.time for frame in group.hr] == [(0, 4, 8, 11)[k] for k in hr]
    for frame in group.lr:
        assert frame.image is reader.lr_frame(frame.key.number)
    for frame in group.hr:
        assert frame.image is reader.hr_frame(frame.key.number)
    roles = dict(zip(ROLES, (*group.lr, group.previous, group.next), strict=True))
    assert {role: group.by_role(role) for role in ROLES} == roles


def test_targets_before_the_first_hr_frame_are_served_by_it():
    sequence = moving_discs()
    lr, hr, _ = two_cameras(sequence, 4)
    reader = reader_of(stack(lr), stack(hr[1:]), make_plan(hr_times=(4, 8, 11)))
    group = reader.group(1)
    assert [frame.key for frame in group.hr] == [(1, 0)]
    assert group.previous is group.next
    assert group.weights == (0.5, 0.5)


def test_lr_at_a_time_between_two_frames_is_interpolated():
    lr, hr, _ = two_cameras(moving_discs(), 4)
    reader = reader_of(stack(lr), stack(hr), make_plan(hr_times=(0, 4.25, 8, 11)))
    expected = 0.75 * reader.lr_frame(4) + 0.25 * reader.lr_frame(5)
    np.testing.assert_allclose(reader.group(5).lr_at_hr[0], expected, atol=1e-6)


@given(gain=st.floats(0.01, 500), offset=st.floats(-1000, 1000), noise=st.sampled_from([0, 0.02]))
@settings(max_examples=30, deadline=None)
def test_lr_of_any_gain_and_offset_is_matched_to_binned_hr(gain, offset, noise):
    """`match` undoes what the second camera does to grey values, with noise and motion present."""
    lr, hr, times = two_cameras(moving_discs(), 4)
    noisy = lr + noise * np.random.default_rng(0).standard_normal(lr.shape)
    camera = (gain * noisy + offset).astype(np.float64)
    reader = reader_of(stack(camera), stack(hr), make_plan(hr_times=times))
    for i in (0, 5, 11):
        expected = reader.rig.hr.grey.to_grey(noisy[i])
        assert np.abs(reader.lr_frame(i) - expected).max() < (0.02 if noise else 0.005)
    span = reader.rig.hr.grey.span
    assert reader.rig.lr_noise == pytest.approx(noise / span, abs=0.005)


@pytest.mark.parametrize("rule", ["match", "percentile", "none"])
def test_the_grey_scale_can_be_undone(rule):
    reader = make_reader(np.clip(moving_discs(), 0, 1), grey=rule)
    back = reader.rig.hr.grey.from_grey(reader.hr_frame(1))
    np.testing.assert_allclose(back, reader.rig.hr.open().frame(1), atol=1e-5)


def test_the_grey_scale_does_not_depend_on_the_frames_asked_for():
    some, all_frames = make_reader(frames=(3, 5)).rig, make_reader().rig
    assert [camera.grey for camera in some.cameras.values()] == [
        camera.grey for camera in all_frames.cameras.values()
    ]


def test_grey_none_refuses_values_outside_0_1():
    with pytest.raises(PairingError) as caught:
        make_reader(moving_discs() * 100, grey="none")
    assert caught.value.setting == "grey"


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        pytest.param(np.full((12, 32, 32), 5, np.uint16), "constant", id="constant"),
        pytest.param(np.zeros((12, 32, 32), np.float32), "constant", id="black"),
        pytest.param(np.random.default_rng(0).random((12, 32, 32)), "", id="white noise"),
        pytest.param(np.full((12, 32, 32), np.nan), "no finite value", id="NaN"),
    ],
)
def test_odd_sequences_pair_without_warning_or_nan(sequence, said):
    reader = make_reader(sequence)
    assert any(said in str(note) for note in reader.rig.warnings) or not said
    for target in range(12):
        group = reader.group(target)
        images = [frame.image for frame in (*group.lr, *group.hr)]
        assert all(np.isfinite(image).all() for image in (*images, *group.lr_at_hr))


def test_sequences_that_do_not_belong_together_are_refused_unless_each_has_its_own_grey_scale():
    _lr, hr, times = two_cameras(moving_discs(seed=0, shape=(64, 64)), 4)
    other = two_cameras(np.random.default_rng(3).random((12, 64, 64)).astype(np.float32), 4)[0]
    with pytest.raises(PairingError, match="nothing in common"):
        reader_of(stack(other), stack(hr), make_plan(hr_times=times))
    reader_of(stack(other), stack(hr), make_plan(hr_times=times, grey="percentile"))


def test_nan_pixels_are_counted_and_stay_local():
    sequence = moving_discs()
    lr, hr, times = two_cameras(sequence, 4)
    holed = lr.copy()
    holed[5, 3, 4] = np.nan
    clean = reader_of(stack(lr), stack(hr), make_plan(hr_times=times))
    reader = reader_of(stack(holed), stack(hr), make_plan(hr_times=times))
    changed = reader.lr_frame(5) != clean.lr_frame(5)
    assert reader.invalid == {"LR 5": 1}
    assert changed.sum() == 1
    assert changed[3, 4]


def test_frames_outside_the_sequence_are_told():
    with pytest.raises(PairingError, match="0:12"):
        make_reader(frames=(3, 13))


def test_neighbouring_windows_read_each_frame_once():
    sequence = moving_discs(frames=30)
    lr, hr, times = two_cameras(sequence, 10)
    reads = []
    counted = stack(hr)
    object.__setattr__(counted, "read", lambda i: (reads.append(i), hr[i])[1])
    reader = reader_of(stack(lr), counted, make_plan(hr_times=times))
    reads.clear()
    for target in range(30):
        assert all(frame.image is not None for frame in reader.group(target).hr)
    assert reads == [0, 1, 2, 3]


def test_a_reader_of_the_same_cameras_with_other_photometry_reads_nothing_again():
    lr, hr, times = two_cameras(moving_discs(frames=30), 10)
    hr[1, 20, 30] = 5  # a bad pixel, which is filled in
    reads = []
    counted = [stack(lr), stack(hr)]
    for each, frames in zip(counted, (lr, hr), strict=True):
        object.__setattr__(each, "read", lambda i, frames=frames: (reads.append(i), frames[i])[1])
    reader = reader_of(*counted, make_plan(hr_times=times))
    for k in range(4):
        assert (reader.binned_hr(k) == reader.rig.grids.down(reader.hr_frame(k))).all()
        assert reader.lr_during(k).shape == (12, 16)
    lines = tuple((1 + t / 100, -t / 200) for t in range(30))
    rig = reader.rig
    cameras = {
        "fast": rig.fast.model_copy(update={"photometry": Photometry(lines=lines)}),
        "sharp": (rig.hr.model_copy(update={"photometry": Photometry(lines=lines[:4])}),),
    }
    other, alone = FrameReader(rig.replaced(**cameras), reader), FrameReader(rig.replaced(**cameras))
    reads.clear()
    seen = [(other.binned_hr(k), other.lr_during(k)) for k in range(4)]
    assert reads == []
    for k, (sharp, fast) in enumerate(seen):
        np.testing.assert_allclose(sharp, rig.grids.down(alone.hr_frame(k)), atol=1e-6)
        np.testing.assert_array_equal(fast, alone.lr_during(k))


@pytest.mark.parametrize("value", [0, 1, 5], ids=["black", "constant", "saturated"])
def test_an_hr_frame_that_shows_nothing_is_left_out_of_the_match(value):
    lr, hr, times = two_cameras(moving_discs(), 4)
    plan = make_plan(hr_times=times)
    expected = reader_of(stack(lr), stack(hr), plan).rig
    hr = hr.copy()
    hr[1] = value
    rig = reader_of(stack(lr), stack(hr), plan).rig
    assert rig.hr.health.frames == (1,)
    assert [note.code for note in rig.warnings] == ["bad-frames"]
    assert rig.correlation == pytest.approx(expected.correlation, abs=0.01)
    # The same camera value of LR stands for the same camera value of HR as before.
    for camera in (0.3, 0.7):
        value_of = [
            r.hr.grey.zero + r.hr.grey.span * (camera - r.fast.grey.zero) / r.fast.grey.span
            for r in (rig, expected)
        ]
        assert value_of[0] == pytest.approx(value_of[1], abs=0.01)


def label(hr, value):
    hr[:, 2:6, 4:30] = value


def stamp(hr, value):
    hr[:, 0, :14] = value


def hot(hr, value):
    hr[:, 9, 9] = value


@pytest.mark.parametrize(
    ("spoil", "value"),
    [
        pytest.param(label, 30, id="bright label"),
        pytest.param(label, -30, id="dark label"),
        pytest.param(stamp, 60, id="time stamp"),
        pytest.param(hot, 2e4, id="hot pixel"),
        pytest.param(hot, -2e6, id="fill value"),
    ],
)
def test_hr_pixels_that_lr_does_not_show_leave_the_grey_scale_as_it_is(spoil, value):
    lr, hr, times = two_cameras(moving_discs(), 4)
    plan = make_plan(hr_times=times)
    expected = reader_of(stack(lr), stack(hr), plan).rig
    spoilt = hr.copy()
    spoil(spoilt, value)
    rig = reader_of(stack(lr), stack(spoilt), plan).rig
    assert {note.code for note in rig.warnings} & {"unlike-pixels", "bad-pixels"}
    assert rig.correlation == pytest.approx(expected.correlation, abs=0.01)
    assert rig.hr.grey.span == pytest.approx(expected.hr.grey.span, rel=0.2)
    for camera in (0.3, 0.7):
        values = [r.hr.grey.from_grey(r.fast.grey.to_grey(np.float32([camera]))) for r in (rig, expected)]
        assert values[0] == pytest.approx(values[1], abs=0.01)


@pytest.mark.parametrize("seed", range(25))
def test_good_pairs_give_no_warning(seed):
    """Scenes with noise of 40 to 20 dB, and sparse ones: bright spots on a dark, empty field."""
    rng = np.random.default_rng(seed)
    sequence = moving_discs(seed=seed)
    if seed % 5 == 0:
        sequence = np.clip(0.35 - sequence, 0, None) ** 2
    lr, hr, times = two_cameras(sequence, 4)
    noise = np.ptp(lr) * 10 ** -rng.uniform(1, 2)
    lr = rng.uniform(0.1, 9) * (lr + noise * rng.standard_normal(lr.shape)) + rng.uniform(-1, 1)
    hr = hr + 0.3 * noise * rng.standard_normal(hr.shape)
    assert reader_of(stack(lr), stack(hr), make_plan(hr_times=times)).rig.warnings == ()


def test_an_lr_sequence_that_shows_nothing_does_not_agree_with_hr():
    lr, hr, times = two_cameras(moving_discs(), 4)
    with pytest.raises(PairingError, match=r"nothing in common \(correlation 0.00\)"):
        reader_of(stack(np.full_like(lr, 7)), stack(hr), make_plan(hr_times=times))


def test_grey_none_takes_single_infinite_pixels_as_bad_and_not_as_out_of_range():
    lr, hr, times = two_cameras(moving_discs(), 4)
    lr[0, 3, 3], hr[0, 3, 3] = np.inf, np.nan
    reader = reader_of(stack(lr), stack(hr), make_plan(hr_times=times, grey="none"))
    assert np.isfinite(reader.lr_frame(0)).all()


@pytest.mark.parametrize(
    ("time", "exposure", "expected"),
    [
        pytest.param(4.0, 1.0, 4.0, id="one frame"),
        pytest.param(4.25, 1.0, 4.25, id="between two"),
        pytest.param(4.0, 3.0, 4.0, id="three frames"),
        pytest.param(4.0, 2.0, 4.0, id="one and two halves"),
        pytest.param(0.0, 3.0, 0.5, id="at the beginning"),
        pytest.param(9.0, 5.0, 8.0, id="at the end"),
        pytest.param(500.0, 400.0, 500.0, id="of more frames than are read"),
    ],
)
def test_the_mean_during_an_exposure(time, exposure, expected):
    read = []

    def frame(i):
        read.append(i)
        return np.full((2, 2), i, np.float32)

    last = 9 if time < 10 else 1000
    np.testing.assert_allclose(mean_during(frame, time, exposure, last=last), expected, rtol=2e-3)
    assert len(read) <= MOST_READ


def test_hr_is_compared_with_lr_during_its_exposure():
    sequence = moving_discs(41)
    lr, _, _ = two_cameras(sequence, 8)
    times = (8, 16, 24, 32)
    hr = np.stack([sequence[t - 3 : t + 4].mean(axis=0) for t in times])
    plan = make_plan(hr_times=times)

    def correlation(**facts):
        metadata = Metadata(camera=CameraFacts(**facts))
        return reader_of(stack(lr, "LR", 1e-5), stack(hr, "HR", metadata=metadata), plan).rig.correlation

    assert correlation(exposure_ns=70_000) > 0.9999
    assert correlation() < 0.999

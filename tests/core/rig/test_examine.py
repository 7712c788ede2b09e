"""Bad frames and bad pixels are found, and nothing else."""

from dataclasses import replace
from functools import cache
from threading import Event

import numpy as np
import pytest
from scipy import ndimage

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import FrameReader, make_rig
from napari_xfusion.core.rig.health import Health, mask_of, repaired
from napari_xfusion.core.session import Session, rig_of
from tests.core.rig.shots import COUNT, SCALE, SHAPE, STEP, codes, shot
from tests.tables import crossed


@cache
def steady_rig():
    """The rig of cameras in order."""
    return shot().rig()


@pytest.mark.parametrize(("noise", "seed"), crossed([0.0, 0.01, 0.1], range(7)))
def test_cameras_in_order_are_left_alone(seed, noise):
    rig = shot(seed, noise).rig()
    assert codes(rig) <= {"unlike"}
    assert all(camera.health.good and camera.photometry.good for camera in rig.cameras.values())


@pytest.mark.slow
def test_at_most_one_of_a_hundred_shots_in_order_is_reported():
    noise = 10 ** -np.random.default_rng(0).uniform(1, 2, 100)
    reported = [seed for seed in range(100) if codes(shot(seed, noise[seed]).rig()) - {"unlike"}]
    assert len(reported) <= 1, reported


def set_pixels(pixels, value):
    def fault(recording):
        recording.reshape(len(recording), -1)[:, pixels] = value

    return fault


@pytest.mark.parametrize("value", [0, 60000], ids=["dead", "hot"])
@pytest.mark.parametrize(("name", "size"), [("lr", 20), ("hr", 200)])
def test_bad_pixels_are_found_and_filled(name, size, value):
    pair = shot()
    shape = pair.lr.shape[1:] if name == "lr" else SHAPE
    inner = np.ravel_multi_index(np.indices(shape)[:, 2:-2, 2:-2].reshape(2, -1), shape)
    pixels = np.random.default_rng(0).choice(inner, size, replace=False)
    rig = pair.rig(**{f"{name}_faults": set_pixels(pixels, value)})
    found = rig.cameras[name].health.pixels
    assert len(set(found) & set(pixels)) >= 0.95 * size
    assert len(set(found) - set(pixels)) <= 1
    assert codes(rig) == {"bad-pixels"}
    clean, mended = FrameReader(steady_rig()), FrameReader(rig)
    read = "lr_frame" if name == "lr" else "hr_frame"
    errors = [
        rig.cameras[name].grey.from_grey(getattr(r, read)(3)).ravel()[pixels]
        for r, rig in ((clean, steady_rig()), (mended, rig))
    ]
    assert np.sqrt(np.mean((errors[0] - errors[1]) ** 2)) < 250  # of 3000


def test_pixels_of_hr_that_never_change_are_dead_where_lr_hardly_tells():
    """Four HR frames, LR with noise, a sample that absorbs most light: a pixel of HR changes LR by less than that."""
    pair = shot(4)
    few = replace(pair, truth=pair.truth[:31], lr=0.3 * pair.lr[:31], hr=0.3 * pair.hr[:4])
    places = np.random.default_rng(1).choice(np.arange(1, SHAPE[0] * SHAPE[1] - 1), 200, replace=False)
    clear = few.hr.min(axis=0).ravel()[places] > 0.15  # the others hardly differ from a dead one
    rig = few.rig(hr_faults=set_pixels(places, 0))
    found = np.isin(places, rig.hr.health.pixels)
    assert found[clear].mean() > 0.97
    assert len(set(rig.hr.health.pixels) - set(places.tolist())) <= 2


def sparks(blur, share=0.002):
    """Sharp sparks of one HR pixel, as an HR camera without noise and a blurred LR camera show them."""
    rng, base = np.random.default_rng(5), shot()
    light = base.truth.copy()
    shown = np.zeros(SHAPE)
    for t in range(0, COUNT, STEP):
        shown = np.where(rng.random(SHAPE) < share, 0.5, 0)
        light[t : t + STEP] += shown
    soft = ndimage.gaussian_filter(light, (0, 4 * blur, 4 * blur), mode="nearest")
    h, w = (n // 4 for n in SHAPE)
    lr = soft.reshape(COUNT, h, 4, w, 4).mean((2, 4))
    return replace(base, truth=light, lr=lr, hr=light[::STEP], noise=0.002)


@pytest.mark.parametrize("hot", [0, 100])
def test_what_a_blurred_lr_does_not_show_is_no_bad_pixel(hot):
    places = np.random.default_rng(0).choice(np.arange(1, SHAPE[0] * SHAPE[1] - 1), hot, replace=False)
    rig = sparks(blur=0.6).rig(hr_faults=set_pixels(places, 60000))
    assert rig.hr.health.spike is None
    assert not rig.fast.health.pixels
    assert len(set(rig.hr.health.pixels) - set(places)) <= 2
    assert len(rig.hr.health.pixels) >= 0.95 * hot


def hits(share, seed=0):
    def fault(recording):
        rng = np.random.default_rng(seed)
        where = rng.random(recording.shape) < share
        recording[where] = np.minimum(
            65535, recording[where].astype(int) + rng.integers(2000, 20000, where.sum())
        )

    return fault


@pytest.mark.parametrize(("name", "fault"), [("lr", hits(0.002)), ("hr", hits(0.002)), ("hr", hits(0.02))])
def test_hits_of_the_sensor_are_filled(name, fault):
    """Of many hits some lie next to each other, and the lower one is hidden until the higher one is filled in."""
    pair = shot()
    rig = pair.rig(**{f"{name}_faults": fault})
    assert codes(rig) <= {"spikes", "bad-pixels"}
    good, hit = (pair.cameras(**{f"{name}_faults": each}) for each in (None, fault))
    camera, number = rig.cameras[name], 0 if name == "lr" else 1
    frames = camera.frames()
    seen = np.stack([frames.frame(i) for i in range(len(frames))]).astype(int)
    struck = hit[number] != good[number]
    assert (seen == hit[number])[struck].mean() < 0.05
    assert (seen != hit[number])[~struck].mean() < 0.001


@pytest.mark.parametrize(("dtype", "offset"), [("u2", 0), ("u4", 2_000_000_000)])
def test_a_hit_next_to_what_stays_at_its_place_is_filled(dtype, offset):
    """In the first frame, too; and a spark that comes out of nothing there and moves by two pixels a frame stays."""
    light = np.random.default_rng(0).normal(1000, 10, (6, 24, 24))
    light[:, 10, 12] += 3000  # part of the sample
    sparks = light.copy()
    for t in range(6):
        sparks[t, 4, 4 + 2 * t] += 4000
    struck = sparks.copy()
    for t in (0, 3, 5):
        struck[t, 11, 11] += 4000
    camera = Health(spike=1500, lasting=True)
    frames = repaired(as_stack((struck + offset).astype(dtype), name="LR"), camera)
    left = np.stack([frames.frame(t) for t in range(6)]) - np.array(offset, dtype)
    np.testing.assert_allclose(left[:, 11, 11], sparks[:, 11, 11], atol=45)
    left[:, 11, 11] = sparks[:, 11, 11]
    np.testing.assert_array_equal(left, sparks.astype(dtype))


def test_a_frame_that_is_left_out_is_no_guide_for_hits_in_the_next():
    steep = 1000 + 200 * np.indices((24, 24))[1] * np.ones((6, 1, 1))
    struck = steep.copy()
    struck[2, 11, 11] += 9000
    struck[3, 11, 11] += 3000  # of something else, and less than a hit
    frames = repaired(as_stack(struck.astype("u2"), name="LR"), Health(spike=4000, lasting=True, frames=(3,)))
    np.testing.assert_allclose(frames.frame(2), steep[2], atol=5)


@pytest.mark.parametrize("seen_by_one", ["lr", "hr"])
def test_an_offset_that_float32_does_not_hold_changes_nothing(seen_by_one):
    pair, offset = shot(4), 2_000_000_000
    faults = {"lr_faults": hits(0.002), "hr_faults": hits(0.002)}
    faults[f"{seen_by_one}_faults"] = dark_corners
    plain, far = (
        FrameReader(make_rig(make_plan(method="flow", hr_step=STEP), *stacks))
        for stacks in (
            [
                as_stack(each.astype(np.uint32) + np.uint32(add), name="camera")
                for each in pair.cameras(**faults)
            ]
            for add in (0, offset)
        )
    )
    assert "blind" in codes(plain.rig)
    for i in (0, 20, 33):
        np.testing.assert_allclose(far.lr_frame(i), plain.lr_frame(i), atol=1e-5)
    for k in (0, 2, 6):
        np.testing.assert_allclose(far.hr_frame(k), plain.hr_frame(k), atol=1e-5)


def test_sparks_that_both_cameras_see_stay():
    pair = shot(4)  # a spray
    light = pair.lr.copy()
    for t in range(COUNT):  # one pixel of LR that moves by a pixel per frame
        light[t, 5 + t % 20, 3 + t % 30] += 0.8
    truth = np.repeat(np.repeat(light, 4, axis=1), 4, axis=2)
    sparks = type(pair)(truth, light, np.where(truth[::STEP] > 1.2, truth[::STEP], pair.hr), pair.seed)
    rig = sparks.rig()
    assert rig.fast.health.spike is None


BCD = [int(digits, 16) for digits in ("20", "26", "11", "26", "12", "30", "00", "12", "34", "56")]


def stamp(recording):
    """Write the time stamp of a pco camera, two decimal digits in each of 14 pixels."""
    for i, frame in enumerate(recording, 1):
        frame[0, :14] = [int(f"{i:08d}"[j : j + 2], 16) for j in range(0, 8, 2)] + BCD


def unread_stamp(recording):
    """Write a time stamp in another code."""
    recording[:, 0, :14] = np.random.default_rng(0).integers(0, 154, (len(recording), 14))


@pytest.mark.parametrize("stamp", [stamp, unread_stamp], ids=["decimals of pco", "another code"])
def test_time_stamps_in_the_image_are_filled(stamp):
    rig = shot().rig(stamp, stamp)
    assert rig.fast.health.pixels[:14] == rig.hr.health.pixels[:14] == tuple(range(14))


def set_frame(i, value):
    def fault(recording):
        recording[i] = recording[i - 1] if value is None else value

    return fault


BAD = {"black": 0, "closed shutter": 200, "flash": 60000, "repetition": None}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_bad_lr_frames_become_their_neighbours(value):
    pair = shot()
    rig = pair.rig(lr_faults=set_frame(25, value))
    assert rig.fast.health.frames == (25,)
    assert codes(rig) == {"bad-frames"}
    seen = rig.fast.grey.from_grey(FrameReader(rig).lr_frame(25))
    expected = 200 + 3000 * pair.lr[25]
    assert np.sqrt(np.mean((seen - expected) ** 2)) < 3 * 3000 * pair.noise


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_bad_hr_frames_are_not_used(value):
    rig = shot().rig(hr_faults=set_frame(3, value))
    assert rig.hr.health.frames == (3,)
    assert 3 * STEP not in rig.hr_times
    assert len(rig.exposures) == len(rig.hr) - 1
    assert codes(rig) == {"bad-frames"}


def closed(count):
    def fault(recording):
        recording[:count] = 200

    return fault


def missed(pair, rig, i):
    """Root mean square error of LR frame ``i`` as it is read, in light."""
    seen = rig.fast.grey.from_grey(FrameReader(rig).lr_frame(i))
    return np.sqrt(np.mean(((seen - 200) / 3000 - pair.lr[i]) ** 2))


def test_before_the_shutter_of_lr_opens_hr_shows_what_was():
    pair = shot(3)
    rig = pair.rig(lr_faults=closed(4))
    assert rig.fast.health.frames == (0, 1, 2, 3)
    assert codes(rig) == {"bad-frames"}
    assert rig.common_exposures(10) == [1, 2, 3, 4, 5, 6]
    assert missed(pair, rig, 0) < pair.noise / 4  # HR frame 0, binned
    held = [np.sqrt(np.mean((pair.lr[i] - pair.lr[4]) ** 2)) for i in (1, 2)]
    assert all(missed(pair, rig, i) < each / 2 for i, each in zip((1, 2), held, strict=True))


@pytest.mark.parametrize(("exposure_ms", "is_taken"), [(1, True), (6, False)])
def test_a_lost_lr_frame_is_no_hr_frame_that_is_exposed_much_longer(exposure_ms, is_taken):
    pair = shot(3)
    rig = pair.rig(lr_faults=set_frame(30, 0))
    clock = Clock.regular(COUNT, 1e-3)
    fast = rig.fast.model_copy(update={"clock": clock})
    update = {"clock": clock.at(rig.hr_times), "exposure_ns": exposure_ms * 1e6}
    rig = rig.replaced(fast=fast, sharp=(rig.hr.model_copy(update=update),))
    assert (missed(pair, rig, 30) < pair.noise / 4) == is_taken


def test_before_the_shutter_of_lr_opens_what_hr_does_not_see_is_as_lr_shows_it_later():
    pair = shot(3)
    rig = pair.rig(lr_faults=closed(4), hr_faults=dark_corners)
    assert rig.fast.health.frames == (0, 1, 2, 3)
    assert rig.hr.health.blind
    blind = mask_of(rig.hr.health.blind, pair.lr.shape[1:])
    reader = FrameReader(rig)
    np.testing.assert_allclose(reader.lr_frame(0)[blind], reader.lr_frame(4)[blind])
    assert not np.allclose(reader.lr_frame(0)[~blind], reader.lr_frame(4)[~blind])


@pytest.mark.parametrize("seed", [1, 4, 5])
def test_the_standard_deviation_knows_that_an_lr_frame_is_made_of_others(seed):
    pair, within = shot(seed), []
    for fault in (None, set_frame(25, 0)):
        lr, hr = pair.cameras(fault)
        plan = make_plan(method="flow", hr_step=STEP)
        with Session(plan, rig_of(plan, lr, hr)) as session:
            (frame,) = session.frames([25], Event())
        error = np.abs((frame.image - 200.0) / 3000 - pair.truth[25])
        within.append(np.mean(error < 2 * frame.std / 3000))
    assert within[1] > within[0]


def test_an_hr_frame_before_both_shutters_open_is_left_out():
    rig = shot(3).rig(lr_faults=closed(4), hr_faults=closed(1))
    assert (rig.fast.health.frames, rig.hr.health.frames) == ((0, 1, 2, 3), (0,))


def dark_corners(recording):
    y, x = np.indices(recording.shape[1:])
    h, w = recording.shape[1:]
    outside = ((y - h / 2) / (h / 2)) ** 2 + ((x - w / 2) / (w / 2)) ** 2 > 1.2
    recording[:, outside] = 200


def round_field(recording):
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 2) for n in recording.shape[1:])
    recording[:, y[:, None] ** 2 + x**2 > 1] = 200


def with_dark_band(pair):
    """A dark sample from the upper to the lower border of the field, with bright air beside it that is as bright as it
    gets."""
    columns = np.arange(SHAPE[1])
    inside = (columns > 0.2 * SHAPE[1]) & (columns < 0.6 * SHAPE[1])
    light = np.where(inside, 0.05 + 0.2 * pair.truth, np.minimum(0.9, 0.85 + 0.1 * pair.truth))
    h, w = (n // SCALE for n in SHAPE)
    lr = light.reshape(COUNT, h, SCALE, w, SCALE).mean((2, 4))
    return replace(pair, truth=light, lr=lr, hr=light[::STEP])


@pytest.mark.parametrize("name", ["lr", "hr"])
def test_a_round_field_is_found_also_where_a_dark_object_reaches_into_it(name):
    pair = with_dark_band(shot(3))
    rig = pair.rig(**{f"{name}_faults": round_field})
    assert "blind" in codes(rig) <= {"blind", "bad-pixels"}
    found = mask_of(rig.cameras[name].health.blind, rig.grids.lr_shape)
    single = mask_of(rig.cameras[name].health.pixels, rig.cameras[name].shape[1:])
    dark = np.zeros((1, *single.shape))
    round_field(dark)
    assert (dark[0] == 200)[single].all()
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 2) for n in found.shape)
    radius = np.hypot(y[:, None], x)
    bright = pair.lr.min(axis=0) > 0.3  # an LR pixel that is always dark shows nothing
    assert found[(radius > 1.05) & bright].mean() > 0.95
    assert not found[radius < 0.85].any()


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_where_hr_sees_nothing_lr_fills_in(seed):
    pair = shot(seed)
    rig = pair.rig(hr_faults=dark_corners)
    assert codes(rig) == {"blind"}
    corner = rig.hr.grey.from_grey(FrameReader(rig).hr_frame(2))[:6, :6]
    np.testing.assert_allclose(corner, 200 + 3000 * pair.truth[2 * STEP, :6, :6], atol=250)


def test_nothing_is_looked_for_that_is_not_asked_for():
    def spoil(recording):
        set_frame(25, 0)(recording)
        set_pixels([700], 0)(recording)

    rig = shot().rig(lr_faults=spoil, correct=())
    assert rig.fast.health.good
    assert shot().rig(lr_faults=spoil, correct=("frames",)).fast.health.frames == (25,)
    assert shot().rig(lr_faults=spoil, correct=("pixels",)).fast.health.pixels == (700,)


def test_recordings_without_end_are_not_read_through():
    lr, hr = shot().cameras()
    endless = as_stack(np.broadcast_to(lr[0], (20_000, *lr.shape[1:])), name="LR")
    rig = make_rig(make_plan(hr_step=STEP), endless, as_stack(hr, name="HR"))
    assert "not-examined" in codes(rig)

"""A rig as a value: saved, sent to other processes, of several sharp cameras; and what cannot be one."""

import json
import pickle

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.rig import FrameReader, Rig, make_rig, tell_apart
from napari_xfusion.core.session import Session
from napari_xfusion.errors import InputError
from tests.sequences import moving_discs, stack, two_cameras


def write_tiff(path, frames):
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


@pytest.fixture
def files(tmp_path):
    lr, hr, times = two_cameras(moving_discs(), 4)
    paths = [write_tiff(tmp_path / f"{name}.tif", frames) for name, frames in (("lr", lr), ("hr", hr))]
    return *paths, make_plan(hr_times=times, method="interpolation")


def fused(rig, plan):
    with Session(plan, rig) as session:
        return np.stack([frame.image for frame in session.frames(range(len(rig)), _Never())])


class _Never:
    def is_set(self):
        return False


def test_a_rig_is_saved_and_loaded_as_json(files, tmp_path):
    lr, hr, plan = files
    rig = make_rig(plan, open_stack(lr), open_stack(hr))
    rig.save(tmp_path / "rig.json")
    loaded = Rig.load(tmp_path / "rig.json")
    assert loaded == rig
    assert json.loads((tmp_path / "rig.json").read_text())["schema"] == 1
    np.testing.assert_array_equal(fused(loaded, plan), fused(rig, plan))


def test_a_rig_is_sent_to_another_process(files):
    lr, hr, plan = files
    rig = make_rig(plan, open_stack(lr), open_stack(hr))
    sent = pickle.loads(pickle.dumps(rig))  # noqa: S301 - our own
    np.testing.assert_array_equal(fused(sent, plan), fused(rig, plan))


def test_loading_a_rig_opens_no_recording(files, tmp_path):
    lr, hr, plan = files
    make_rig(plan, open_stack(lr), open_stack(hr)).save(tmp_path / "rig.json")
    lr.unlink()
    rig = Rig.load(tmp_path / "rig.json")
    with pytest.raises(InputError, match=r"lr\.tif"):
        FrameReader(rig)


def test_a_recording_that_was_replaced_is_refused(files, tmp_path):
    lr, hr, plan = files
    make_rig(plan, open_stack(lr), open_stack(hr)).save(tmp_path / "rig.json")
    write_tiff(lr, np.zeros((5, 12, 16), np.float32))
    with pytest.raises(InputError, match=r"12, 12, 16.*5, 12, 16"):
        FrameReader(Rig.load(tmp_path / "rig.json"))


def test_cameras_of_arrays_are_saved_but_not_opened_again(tmp_path):
    lr, hr, times = two_cameras(moving_discs(), 4)
    rig = make_rig(make_plan(hr_times=times), stack(lr, "array"), stack(hr))
    rig.save(tmp_path / "rig.json")
    with pytest.raises(InputError, match="array"):
        FrameReader(Rig.load(tmp_path / "rig.json"))
    with pytest.raises(TypeError, match="cannot be sent"):
        pickle.dumps(rig)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{", "JSON|Expecting", id="cut"),
        pytest.param("{}", "Field required", id="empty"),
        pytest.param("[1]", "dictionary", id="a list"),
        pytest.param('{"schema": 2}', "schema", id="a later schema"),
    ],
)
def test_files_that_are_no_rig(tmp_path, text, said):
    (tmp_path / "rig.json").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        Rig.load(tmp_path / "rig.json")
    assert str(tmp_path / "rig.json") in str(caught.value)


def test_two_sharp_cameras_serve_in_turn():
    """The HR frames of both, in the order of time, as if one camera had taken them."""
    lr, hr, times = two_cameras(moving_discs(), 4)
    together = make_rig(make_plan(hr_times=times), stack(lr), stack(hr))
    hr_clock, camera = together.hr.clock, together.hr
    sharp = []
    for frames in ((0, 2), (1, 3)):
        part = stack(hr[list(frames)])
        one = type(camera).of(part, camera.grey, clock=hr_clock.select(frames))
        sharp.append(one)
    rig = Rig(fast=together.fast, sharp=tuple(sharp), correlation=together.correlation)
    assert rig.hr_times.tolist() == list(times)
    assert rig.exposures == ((0, 0), (1, 0), (0, 1), (1, 1))
    group = FrameReader(rig).group(5)
    assert [frame.key for frame in group.hr] == [(2, 0), (1, 1)]
    for method in ("interpolation", "flow", "bayesian"):
        plan = make_plan(method=method, hr_times=times)
        np.testing.assert_array_equal(fused(rig, plan), fused(together, plan))


def test_rigs_that_cannot_be():
    lr, hr, times = two_cameras(moving_discs(), 4)
    rig = make_rig(make_plan(hr_times=times), stack(lr), stack(hr))
    smaller = type(rig.hr).of(stack(hr[:, ::2]), rig.hr.grey, clock=rig.hr.clock)
    late = type(rig.hr).of(stack(hr), rig.hr.grey, clock=rig.fast.clock.at([12, 13, 14, 15]))
    for sharp, said in (
        ((), "at least 1"),
        ((rig.hr, smaller), "same pixel grid"),
        ((late,), "inside the LR"),
    ):
        with pytest.raises(ValidationError, match=said):
            Rig(fast=rig.fast, sharp=sharp, correlation=1.0)


def test_lr_and_hr_are_told_apart_by_size_and_length():
    lr, hr = stack(np.zeros((13, 6, 8), np.uint8)), stack(np.zeros((4, 24, 32), np.uint8))
    assert tell_apart(hr, lr) == tell_apart(lr, hr) == (lr, hr)
    for a, b in (
        (stack(np.zeros((4, 6, 8), np.uint8)), hr),
        (stack(np.zeros((13, 24, 32), np.uint8)), hr),
        (stack(np.zeros((13, 6, 6), np.uint8)), hr),
        (lr, stack(np.zeros((1, 24, 32), np.uint8))),
    ):
        assert tell_apart(a, b) is None


@pytest.mark.parametrize(
    ("method", "scale", "shape", "divisions"),
    [
        ("lite", 3, (48, 60), 4),
        ("edvr-stf", 2, (48, 60), 4),
        ("lite", 8, (48, 64), 8),
        ("flow", 3, (48, 60), None),
        ("lite", 3, (49, 61), None),  # HR is no multiple of LR
    ],
)
def test_networks_fuse_on_four_parts_of_an_lr_pixel(method, scale, shape, divisions):
    """Results have HR's pixels in any case."""
    sequence = moving_discs(5, shape)
    lr, hr, times = two_cameras(sequence, 4, scale)
    plan = make_plan(hr_times=times, method=method, device="cpu", dtype="float32")
    rig = make_rig(plan, stack(lr, "LR"), stack(hr, "HR"))
    assert rig.divisions == divisions
    with Session(plan, rig) as session:
        [frame] = session.frames([0], _Never())
    np.testing.assert_allclose(frame.image, sequence[0], atol=0.08)

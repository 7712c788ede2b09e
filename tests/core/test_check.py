"""A check says what the run says, in the same words."""

import os
import threading

import numpy as np
import pytest
import torch

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.check import check
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import Region
from napari_xfusion.errors import XFusionError
from tests.sequences import moving_discs, two_cameras
from tests.two_clocks import cameras

LR, HR, TIMES = two_cameras((moving_discs(9, (32, 48)) * 50000).astype(np.uint16))
LR = LR.astype(np.uint16)
NOISY = np.clip(LR + np.random.default_rng(0).normal(0, 8000, LR.shape), 0, 65535).astype(np.uint16)
FILLED = np.where(np.arange(LR.size).reshape(LR.shape) % 97, LR, 1e20).astype(np.float32)


def begun(plan, lr, hr):
    """Warnings of a session after its first frame."""
    with Session(plan, rig_of(plan, lr, hr)) as session:
        next(session.frames([0], threading.Event()))
        return session.notes


@pytest.mark.parametrize(
    ("settings", "lr"),
    [
        pytest.param({}, LR, id="good"),
        pytest.param({"separation": 5}, LR, id="separation"),
        pytest.param({}, NOISY, id="noise"),
        pytest.param({"grey": "percentile"}, LR, id="grey"),
        pytest.param({"hr_times": (0, 0.3, 0.6)}, LR, id="close"),
        pytest.param({"precision": "bfloat16", "frames": (0, 1)}, LR, id="bfloat16"),
        pytest.param({"precision": "float16", "device": "cpu"}, LR, id="float16"),
        pytest.param({"separation": 4, "grey": "percentile", "precision": "float16"}, NOISY, id="all"),
    ],
)
@pytest.mark.parametrize("method", ["lite", "flow", "bayesian"])
def test_the_warnings_are_those_of_the_run(method, settings, lr):
    plan = make_plan(**{"hr_times": TIMES, "method": method} | settings)
    found = check(plan, as_stack(lr), as_stack(HR))
    assert found.problem is None
    assert [note for note in found.notes if note.code != "unfamiliar"] == begun(plan, lr, HR)


def test_sampled_fill_values_are_found():
    plan = make_plan(hr_times=TIMES, method="bicubic")
    found, run = check(plan, as_stack(FILLED, name="LR"), as_stack(HR)).notes, begun(plan, FILLED, HR)
    assert [note.code for note in found] == ["invalid-pixels"]
    assert [note for note in run if note.code != "filled-in"] == list(found)


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"no model")
    return path


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"hr_times": (0, 4)}, id="a time missing"),
        pytest.param({"hr_times": (0, 4, 30)}, id="a time outside"),
        pytest.param({"hr_times": None}, id="no times"),
        pytest.param({"frames": (0, 99)}, id="frames"),
        pytest.param({"region": Region(0, 99, 0, 9)}, id="region"),
        pytest.param({"model": "missing", "method": "lite"}, id="no model"),
        pytest.param({"model": "DAMAGED", "method": "lite"}, id="a damaged model"),
        pytest.param({"grey": "none"}, id="grey"),
        pytest.param(
            {"device": "cuda", "method": "lite"},
            id="device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an NVIDIA GPU"),
        ),
    ],
)
def test_the_problem_is_that_of_the_run(settings, tmp_path, damaged):
    if settings.get("model") == "DAMAGED":
        settings = settings | {"model": str(damaged)}
    plan = make_plan(**{"hr_times": TIMES, "method": "flow"} | settings)
    with pytest.raises(XFusionError) as caught:
        fuse_files(plan, LR, HR, tmp_path / "o.tif")
    problem = check(plan, as_stack(LR, name="LR"), as_stack(HR, name="HR")).problem
    assert type(problem) is type(caught.value)
    assert str(problem) == str(caught.value)


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param({"output": "o.png"}, id="ending"),
        pytest.param({"output": "missing/o.tif"}, id="folder"),
        pytest.param({"output": "folder.tif"}, id="a folder has the name"),
        pytest.param({"output": "mine.tif"}, id="partial of other origin"),
        pytest.param({"output": "lock.tif"}, id="lock of other origin"),
        pytest.param({"output": "x" * 250 + ".tif"}, id="a name that is too long"),
        pytest.param({"output": ".tif"}, id="an ending alone"),
        pytest.param(
            {"output": "read-only/o.tif"},
            id="no permission",
            marks=pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden"),
        ),
        pytest.param({"output": "o.tif", "std": "o.tif"}, id="one name for two"),
        pytest.param({"output": "o.tif", "std": "s.tif"}, id="no std"),
        pytest.param({"output": "o.tif", "attention": "a.csv"}, id="no attention"),
    ],
)
def test_outputs_are_refused_as_by_the_run(outputs, tmp_path):
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "read-only").mkdir(mode=0o500)
    (tmp_path / "mine.tif.partial").write_text("mine")
    (tmp_path / "lock.tif.lock").write_text("mine")
    places = {name: tmp_path / value for name, value in outputs.items()}
    plan = make_plan(hr_times=TIMES, method="interpolation")
    with pytest.raises(XFusionError) as caught:
        fuse_files(plan, LR, HR, places.pop("output"), **places)
    places = {name: tmp_path / value for name, value in outputs.items()}
    assert str(check(plan, as_stack(LR), as_stack(HR), **places).problem) == str(caught.value)


def test_a_full_disk_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    plan = make_plan(hr_times=TIMES, method="flow")
    assert "100 bytes free" in str(check(plan, as_stack(LR), as_stack(HR), output=tmp_path / "o.tif").problem)


def test_a_check_touches_nothing(tmp_path):
    plan = make_plan(hr_times=TIMES, method="bayesian")
    found = check(plan, as_stack(LR), as_stack(HR), output=tmp_path / "o.zarr", std=tmp_path / "s.tif")
    assert found.problem is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_checked(method):
    plan = make_plan(hr_times=TIMES, method=method)
    found = check(plan, as_stack(LR), as_stack(HR))
    assert found.problem is None
    assert found.estimate["method"] == method


def test_hr_times_that_are_off_by_many_frames_are_reported():
    lr, hr = cameras(start=40.0, step=5.0, count=11)
    found = {note.code: note.text for note in check(make_plan(hr_step=5, hr_start=8), lr, hr).notes}
    assert "32.0 LR frames too early" in found["delayed"]
    assert "delayed" not in {note.code for note in check(make_plan(hr_step=5, hr_start=40), lr, hr).notes}

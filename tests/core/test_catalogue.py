"""One row in the catalogue is all that a new method needs besides its module."""

import subprocess
import sys
import threading
from importlib import import_module

import numpy as np
import pytest
from pydantic import ValidationError

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS, Method, giving, networks, training_free
from napari_xfusion.core.check import check
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.networks.cards import BUNDLED
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.errors import PairingError
from tests.sequences import moving_discs, stack, two_cameras

TOY = """
from napari_xfusion.core.methods.base import GroupFuser, GroupStream

class ToyStream(GroupStream):
    def combine(self, group):
        return group.previous.image * 0 + group.reference.image.mean(), None

toy = GroupFuser(ToyStream)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A method of one module and one row."""
    (tmp_path / "toy_method.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    row = Method("toy", "Toy", "every pixel is the mean of LR", "toy_method:toy", seconds=0.001)
    monkeypatch.setitem(METHODS, "toy", row)
    return row


@pytest.fixture
def cameras():
    lr, hr, times = two_cameras(moving_discs(6, (32, 48)), 5)
    return stack(lr), stack(hr), times


def test_a_toy_method_fuses(toy, cameras):
    lr, hr, times = cameras
    plan = make_plan(method="toy", hr_times=times)
    from napari_xfusion import fuse

    frames = list(fuse(plan, lr, hr, stop=threading.Event()))
    assert len(frames) == 6
    assert all(np.ptp(frame.image) == 0 for frame in frames)


def test_check_estimates_a_toy_method(toy, cameras):
    lr, hr, times = cameras
    assert check(make_plan(method="toy", hr_times=times), lr, hr).estimate["method"] == "toy"


def test_help_names_a_toy_method(toy, tmp_path):
    """In a process of its own: the options are made when the command line is imported."""
    code = (
        "import sys; from napari_xfusion.core.catalogue import METHODS, Method;"
        "METHODS['toy'] = Method('toy', 'Toy', 'a mean', 'toy_method:toy', seconds=1);"
        "from napari_xfusion.cli import main; sys.exit(main(['fuse', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "toy" in done.stdout


def test_a_plan_takes_methods_of_the_catalogue_only():
    with pytest.raises(ValidationError):
        Plan(method="toy")
    with pytest.raises(PairingError, match="interpolation"):
        make_plan(method="backprojection")


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_row_is_true(method):
    """The module is there, the bundled weights are, and what the row says of them fits."""
    module, name = method.fuser.split(":")
    assert hasattr(import_module(module), name)
    if method.model is None:
        assert make_fuser(Plan(method=method.name)).settings["device"] == "cpu"
    else:
        assert (BUNDLED / f"{method.model}.safetensors").is_file()
    assert not method.summary.endswith(".")
    assert method.seconds > 0


def test_lists_are_derived():
    assert {m.name for m in networks()} | {m.name for m in training_free()} == set(METHODS)
    assert METHODS[DEFAULT_METHOD].model is not None
    assert giving("std") == "flow, bayesian, bayesian-paper, lite"

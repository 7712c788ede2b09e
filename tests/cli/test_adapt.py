"""The command that adapts the network, end to end."""

import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from tests.sequences import binned, moving_discs


@pytest.fixture
def pair(tmp_path):
    truth = moving_discs(25)
    noise = np.random.default_rng(0).normal(0, 0.01, (7, *truth.shape[1:]))
    sequences = {"lr": binned(truth), "hr": (truth[::4] + noise).astype(np.float32)}
    for name, images in sequences.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", images, metadata={"axes": "TYX"})
    return [str(tmp_path / "lr.tif"), str(tmp_path / "hr.tif"), "--hr-step", "4"]


def test_adapt_says_what_it_brought(pair, tmp_path, capsys):
    model = tmp_path / "own.safetensors"
    assert main(["adapt", *pair, "-o", str(model), "--iterations", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trained"], found["aside"]) == (3, 2)
    assert (found["model"] is not None) == model.exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [(["--model", "edvr-medium"], 1, "not of lite"), (["--hr-times", "0,4"], 1, "7 times")],
    ids=["network", "times"],
)
def test_what_cannot_be_adapted_is_reported(pair, tmp_path, options, code, said, capsys):
    assert main(["adapt", *pair[:2], "-o", str(tmp_path / "own.safetensors"), *options]) == code
    assert said in " ".join(capsys.readouterr().err.split())

"""The command that judges methods, and fuse with its choice."""

import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.holdout.score import Score
from napari_xfusion.core.results.record import RunRecord
from tests.sequences import binned, moving_discs


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    truth = moving_discs(25)
    noise = np.random.default_rng(0).normal(0, 0.01, (5, *truth.shape[1:]))
    tifffile.imwrite(folder / "lr.tif", binned(truth), metadata={"axes": "TYX"})
    tifffile.imwrite(folder / "hr.tif", (truth[::6] + noise).astype(np.float32), metadata={"axes": "TYX"})
    return [str(folder / "lr.tif"), str(folder / "hr.tif"), "--hr-step", "6"]


def test_score_prints_a_table_or_the_score(pair, tmp_path, capsys):
    assert main(["score", *pair, "--methods", "bicubic,interpolation"]) == 0
    printed = capsys.readouterr().out
    for said in (
        "5 frames, 6 LR frames apart",
        "3 frames in gaps of 12",
        "bicubic",
        "expected",
        "worst",
        "where",
    ):
        assert said in printed
    assert main(["score", *pair, "--methods", "bicubic,interpolation", "--json"]) == 0
    (tmp_path / "score.json").write_text(capsys.readouterr().out)
    found = Score.load(tmp_path / "score.json")
    assert [each.method for each in found.methods] == ["bicubic", "interpolation"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--methods", "flow,magic"], 2, "found magic", id="method"),
        pytest.param(["--methods", "flow", "--model", "lite"], 2, "one network", id="model"),
        pytest.param(["--hr-times", "0,6"], 1, "5 times", id="times"),
    ],
)
def test_what_cannot_be_judged_is_reported(pair, options, code, said, capsys):
    assert main(["score", *pair[:2], *options]) == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_fuse_takes_the_best_method_and_writes_intervals(pair, tmp_path, capsys):
    fused, interval = tmp_path / "fused.tif", tmp_path / "interval.tif"
    chosen = ["--method", "best", "--std", str(tmp_path / "std.tif"), "--frames", "7:9"]
    assert main(["fuse", *pair, *chosen, "-o", str(fused), "--interval", str(interval), "--json"]) == 0
    told = capsys.readouterr()
    record = RunRecord.load(fused)
    assert record.plan.method == record.choice.method
    assert set(record.choice.expected) == {"flow", "bayesian", "bayesian-paper", "lite"}  # which give --std
    assert f"method {record.choice.method}: " in told.err
    assert json.loads(told.out)["coverage"][0] == pytest.approx(record.interval.reached, abs=1e-4)
    assert tifffile.imread(interval).shape == (2, 48, 64)
    assert main(["fuse", "--from", str(fused), "-o", str(tmp_path / "again.tif")]) == 0
    assert RunRecord.load(tmp_path / "again.tif").choice == record.choice

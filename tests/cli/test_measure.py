"""``measure`` on real files: the table, the interval, and what is refused."""

import csv
import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from tests.sequences import binned

TRUTH = np.stack(
    [100 / (1 + np.exp(-(np.arange(64) - 20 - t) / 1.5)) * np.ones((32, 1)) for t in range(25)]
).astype(np.float32)
STEP = 4
ALONG = "15.5,0,15.5,63"


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def files(tmp_path):
    for name, frames in (("lr", binned(TRUTH)), ("hr", TRUTH[::STEP]), ("truth", TRUTH)):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return tmp_path


def test_an_edge_of_several_sequences_with_the_interval_of_the_fused_one(files, run):
    lr, hr, truth, fused = (files / f"{name}.tif" for name in ("lr", "hr", "truth", "fused"))
    assert run("fuse", lr, hr, "--hr-step", STEP, "--method", "interpolation", "-o", fused)[0] == 0
    table = files / "edge.csv"
    asked = ("measure", truth, fused, lr, "--what", "edge", "--line", ALONG)
    code, out, _ = run(*asked, "--interval", "--coverage", 0.8, "-o", table, "--json")
    assert code == 0
    found = json.loads(out)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 75
    edge = {name: [float(r["edge_pixel"]) for r in rows if r["sequence"] == name] for name in found}
    np.testing.assert_allclose(edge["truth.tif"], 20 + np.arange(25), atol=0.01)
    assert np.abs(np.subtract(edge["fused.tif"], edge["truth.tif"])).max() < 4
    # Of LR, too, positions are in pixels of the first sequence, from the start of the line.
    np.testing.assert_allclose(edge["lr.tif"], edge["truth.tif"], atol=0.1)
    assert found["truth.tif"]["interval"] is None
    interval = found["fused.tif"]["interval"]
    assert (interval["frames"], interval["coverage"]) == (5, 0.8)
    assert {r["half_width"] for r in rows if r["sequence"] == "fused.tif"} == {
        f"{interval['half_width']:.9g}"
    }
    inside = np.abs(np.subtract(edge["fused.tif"], edge["truth.tif"])) <= interval["half_width"]
    assert inside.mean() >= 0.8
    code, _, err = run(*asked, "-o", lr, "--overwrite")
    assert code == 1
    assert "input" in err


def test_a_kymograph_has_a_column_per_position(files, run):
    table = files / "kymograph.csv"
    code, out, _ = run("measure", files / "truth.tif", "--what", "kymograph", "--line", ALONG, "-o", table)
    assert code == 0
    assert "25 frames, 127 positions over 63 pixel" in out
    values = np.genfromtxt(table, delimiter=",", skip_header=1)[:, 3:]
    np.testing.assert_allclose(values[:, ::2], TRUTH[:, 15], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--what", "area", "--line", ALONG), "needs --region or --polygon"),
        (("--what", "edge"), "give one of --line"),
        (("--what", "edge", "--line", "1,2,3"), "expected Y0,X0,Y1,X1"),
        (("--what", "mean", "--region", "5:5,0:9"), "with pixels in them"),
        (("--what", "mean", "--polygon", "0,0,5,nan,7,7"), "at least three corners"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_wrong_usage(files, run, options, said):
    code, _, err = run("measure", files / "truth.tif", *options)
    assert code == 2
    assert said in " ".join(err.split())

"""The command that says where the detail of a result comes from."""

import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.trust.sources import FINE, SOURCES
from tests.sequences import binned, moving_discs


@pytest.fixture
def fused(tmp_path):
    truth = moving_discs(13)
    for name, images in (("lr", binned(truth)), ("hr", truth[::6])):
        tifffile.imwrite(tmp_path / f"{name}.tif", images, photometric="minisblack", metadata={"axes": "TYX"})
    path = tmp_path / "fused.tif"
    pair = [str(tmp_path / "lr.tif"), str(tmp_path / "hr.tif"), "--hr-step", "6"]
    assert main(["fuse", *pair, "--method", "interpolation", "--frames", "7:10", "-o", str(path)]) == 0
    return path


def test_shares_and_pictures_are_written(fused, capsys):
    table, alone, numbers = (fused.with_name(name) for name in ("shares.csv", "alone.tif", "map.tif"))
    capsys.readouterr()
    given = ["--output", str(table), "--alone", str(alone), "--map", str(numbers)]
    assert main(["sources", str(fused), *given]) == 0
    printed = capsys.readouterr().out
    assert all(source.title in printed for source in FINE)
    head, *rows = table.read_text().splitlines()
    assert head.split(",") == ["frame", *(source.name for source in SOURCES)]
    assert [row.split(",")[0] for row in rows] == ["7", "8", "9"]
    assert (tifffile.imread(alone).dtype, tifffile.imread(numbers).dtype) == (np.float32, np.uint8)
    assert main(["sources", str(fused), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["frame"] for row in found["frames"]] == [7, 8, 9]


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lambda fused: fused.with_name("fused.tif.json").unlink(), [], "the record of a run"),
        (lambda fused: fused.with_name("lr.tif").unlink(), [], "lr.tif"),
        (lambda _fused: None, ["--alone", "hr.tif"], "hr.tif"),
        (lambda fused: fused.with_name("o.csv").write_text("mine"), ["-o", "o.csv"], "o.csv"),
    ],
    ids=["no record", "no recording", "onto a recording", "onto another file"],
)
def test_what_cannot_be_told_is_reported(fused, spoil, options, said, capsys, monkeypatch):
    monkeypatch.chdir(fused.parent)
    spoil(fused)
    assert main(["sources", str(fused), *options]) == 1
    assert said in capsys.readouterr().err


def test_recordings_that_were_moved_are_named(fused, capsys):
    away = fused.with_name("elsewhere")
    away.mkdir()
    for name in ("lr", "hr"):
        fused.with_name(f"{name}.tif").rename(away / f"{name}.tif")
    assert main(["sources", str(fused)]) == 1
    assert "lr.tif" in capsys.readouterr().err
    here = ["--lr", str(away / "lr.tif"), "--hr", str(away / "hr.tif")]
    assert main(["sources", str(fused), *here]) == 0
    assert main(["report", str(fused), *here, "-o", str(away / "page.html")]) == 0
    assert str(away / "lr.tif") in (away / "page.html").read_text()
    changed = tifffile.imread(away / "hr.tif")
    changed[0, 0, 0] += 1
    tifffile.imwrite(away / "hr.tif", changed, photometric="minisblack", metadata={"axes": "TYX"})
    assert main(["sources", str(fused), *here]) == 1
    assert "not the HR recording" in capsys.readouterr().err

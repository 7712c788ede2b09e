"""The command batch, in the process of the test."""

import json

import pytest

from napari_xfusion.cli import main
from tests.core.test_batch import record


@pytest.fixture
def shots(tmp_path):
    """A folder with two shots, and a recording without a partner."""
    for number in range(2):
        record(tmp_path / "in", f"{number}_{{}}.tif", number)
    (tmp_path / "in" / "2_lr.tif").touch()
    return tmp_path / "in"


def test_pairs_are_listed_before_anything_is_written(shots, tmp_path, capsys):
    assert main(["batch", str(shots), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "2 shots. To fuse, add --yes."
    assert f"0: {shots / '0_lr.tif'} with {shots / '0_hr.tif'}" in said.out
    assert "2_lr.tif has no partner" in said.err
    assert not (tmp_path / "out").exists()


def test_a_batch_is_fused_and_reported(shots, tmp_path, capsys):
    command = [
        "batch",
        str(shots),
        "-o",
        str(tmp_path / "out"),
        "--method",
        "bicubic",
        "--hr-step",
        "4",
        "--yes",
    ]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["total"], facts["fused"], facts["failed"]) == (2, 2, 0)
    assert [shot["frames"] for shot in facts["shots"]] == [9, 9]
    assert main(command) == 0
    assert "by an earlier run" in capsys.readouterr().err


def test_a_csv_file_lists_shots_with_settings_of_their_own(shots, tmp_path, capsys):
    table = shots / "shots.csv"
    table.write_text(
        "name,lr,hr,hr_step,frames\nfirst,0_lr.tif,0_hr.tif,4,2:5\nsecond,1_lr.tif,0_hr.tif,,\nthird,gone.tif,0_hr.tif,4,\n"
    )
    command = ["batch", str(table), "-o", str(tmp_path / "out"), "--method", "bicubic", "--yes", "--json"]
    assert main(command) == 1
    first, second, third = json.loads(capsys.readouterr().out)["shots"]
    assert (first["status"], first["frames"]) == ("fused", 3)
    assert second["status"] == third["status"] == "failed"
    assert second["error"]["kind"] == "UnknownTimesError"
    assert "gone.tif" in third["error"]["text"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no row"),
        ("lr,hr\n", "no row"),
        ("a,b\n1,2\n", "the columns a, b"),
        ("lr,hr,colour\n1,2,3\n", "the columns colour"),
        ("lr,hr\n1\n", "line 2"),
        ("lr,hr\n1,2,3\n", "line 2"),
        ("lr,hr\n,b\n", "line 2"),
        ("lr,hr\na/x.tif,b\nb/x.tif,b\n", "name for each shot"),
    ],
)
def test_a_csv_file_that_lists_no_shots_is_refused(tmp_path, capsys, text, found):
    (tmp_path / "shots.csv").write_text(text)
    assert main(["batch", str(tmp_path / "shots.csv"), "-o", str(tmp_path / "out")]) == 1
    assert found in capsys.readouterr().err


def test_patterns_of_other_numbers_are_refused(shots, tmp_path, capsys):
    patterns = [str(shots / "*_lr.tif"), str(shots / "*_hr.tif")]
    assert main(["batch", *patterns, "-o", str(tmp_path / "out")]) == 1
    assert "3 and 2" in capsys.readouterr().err

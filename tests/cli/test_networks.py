"""Networks from the command line: import, look at, fuse with, and their attention."""

import csv
import json

import numpy as np
import pytest
import tifffile
import torch

from napari_xfusion.cli import main
from napari_xfusion.core.networks import engine
from napari_xfusion.core.networks.build import edvr_stf
from tests.core.networks.test_engine import SIZES, lively
from tests.sequences import moving_discs, two_cameras


@pytest.fixture
def checkpoint(tmp_path):
    """What the research code would save: a dictionary of tensors under ``params``."""
    path = tmp_path / "published.pth"
    torch.save({"params": lively(edvr_stf(**SIZES.model_dump())).state_dict()}, path)
    return path


@pytest.fixture
def model(checkpoint, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    assert main(["models", "import", str(checkpoint), "-o", str(path)]) == 0
    assert "edvr-stf" in capsys.readouterr().out
    return path


@pytest.fixture
def sequences(tmp_path):
    lr, hr, times = two_cameras(moving_discs(9, (32, 48)), 4)
    for name, sequence in (("lr", lr), ("hr", hr)):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", sequence, photometric="minisblack", metadata={"axes": "TYX"}
        )
    return [str(tmp_path / "lr.tif"), str(tmp_path / "hr.tif"), "--hr-times", ",".join(map(str, times))]


def test_from_a_published_checkpoint_to_a_fused_sequence_with_attention(model, sequences, tmp_path, capsys):
    output, scores = tmp_path / "fused.tif", tmp_path / "attention.csv"
    command = ["fuse", *sequences, "-o", str(output), "--method", "edvr-stf", "--model", str(model)]
    assert main([*command, "--device", "cpu", "--attention", str(scores), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["frames"] == 9
    assert "percentile" in captured.err  # the model was trained on another grey scale, and that is said
    assert tifffile.imread(output).shape == (9, 32, 48)
    with scores.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seen"] for row in rows] == list("100010001")
    assert rows[0]["backward"] == rows[4]["backward"] == "1"
    assert all(np.isfinite(float(row["hr+ raw"])) for row in rows)
    record = json.loads((tmp_path / "fused.tif.json").read_text())
    assert len(record["weights"]) == 64
    assert (record["plan"]["precision"], record["plan"]["tile"]) == ("float32", None)
    assert set(record["frames"][3]["scores"]) == {"lr-", "lr", "lr+", "hr-", "hr+"}


def test_the_record_has_the_tiles_that_were_used_and_they_make_no_other_result(
    model, sequences, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "fused.tif"
    command = ["fuse", *sequences, "-o", str(output), "--method", "edvr-stf", "--frames", "0:1"]
    command += ["--device", "cpu", "--model"]
    monkeypatch.setattr(engine, "free_memory", lambda _device: 0)
    assert main([*command, str(model)]) == 0
    assert json.loads((tmp_path / "fused.tif.json").read_text())["plan"]["tile"] == 16
    monkeypatch.undo()
    assert main(["fuse", "--from", str(output), "-o", str(tmp_path / "again.tif")]) == 0
    assert (tmp_path / "again.tif").read_bytes() == output.read_bytes()
    assert json.loads((tmp_path / "again.tif.json").read_text())["plan"]["tile"] == 16
    capsys.readouterr()
    assert main([*command, str(model.rename(tmp_path / "moved.safetensors"))]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_info_shows_what_a_model_is(model, capsys):
    assert main(["models", "info", str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["variant"] == "edvr-stf"
    assert facts["sizes"]["channels"] == 8
    assert len(facts["sha256"]) == 64
    assert "published.pth" in facts["provenance"]
    assert main(["models", "info", str(model)]) == 0
    assert "parameters" in capsys.readouterr().out


def test_models_in_the_users_folder_have_names(model, capsys):
    from napari_xfusion.core.networks.cards import models_folder

    models_folder().mkdir(parents=True)
    (models_folder() / "beam.safetensors").write_bytes(model.read_bytes())
    assert main(["models", "list", "--json"]) == 0
    assert "beam" in json.loads(capsys.readouterr().out)
    assert main(["models", "info", "beam"]) == 0


@pytest.mark.parametrize(
    ("method", "model_file", "said"),
    [
        pytest.param("edvr", "mine.safetensors", "edvr-stf", id="another variant"),
        pytest.param("edvr-stf", "published.pth", "models import", id="not imported"),
        pytest.param("edvr-stf", "nowhere.safetensors", "has this name", id="no such file"),
        pytest.param("edvr-stf", "lr.tif", "safetensors", id="not a model"),
    ],
)
def test_models_that_cannot_be_used_are_told(method, model_file, said, model, sequences, tmp_path, capsys):
    output = tmp_path / "fused.tif"
    command = [
        "fuse",
        *sequences,
        "-o",
        str(output),
        "--method",
        method,
        "--model",
        str(tmp_path / model_file),
    ]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not output.exists()


def test_attention_has_a_place_before_anything_is_computed(model, sequences, tmp_path, capsys):
    output, nowhere = tmp_path / "fused.tif", tmp_path / "nowhere" / "a.csv"
    command = ["fuse", *sequences, "-o", str(output), "--method", "edvr-stf", "--model", str(model)]
    assert main([*command, "--attention", str(nowhere)]) == 1
    assert "folder" in capsys.readouterr().err
    assert not output.exists()
    nowhere.parent.mkdir()
    nowhere.mkdir()
    assert main([*command, "--attention", str(nowhere)]) == 1
    assert "not a table of this program" in capsys.readouterr().err
    assert not output.exists()
    assert main([*command, "--attention", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").exists()


def test_attention_of_a_method_that_has_none_is_told(sequences, tmp_path, capsys):
    out = ["-o", str(tmp_path / "f.tif"), "--attention", str(tmp_path / "a.csv")]
    assert main(["fuse", *sequences, "--method", "flow", *out]) == 1
    assert "edvr-stf" in capsys.readouterr().err

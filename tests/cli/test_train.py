"""The train command in processes of its own: killed, stopped, on several processes; and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import tifffile
import torch

from napari_xfusion.cli import main
from napari_xfusion.lab.train.loop import CHECKPOINT, MODEL
from tests.faults.command import finish, start, start_held
from tests.sequences import moving_discs

TINY = [
    "--variant",
    "edvr-stf",
    "--channels",
    "4",
    "--extract",
    "1",
    "--reconstruct",
    "1",
    "--samples",
    "16",
    "--held-out",
    "4",
    "--crop",
    "32",
    "--batch",
    "2",
]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return tmp_path_factory.mktemp("pool")


@pytest.fixture
def command(pool):
    def make(folder, *more):
        others = [*zip(TINY[::2], TINY[1::2], strict=True)]
        tiny = [word for pair in others if pair[0] not in more for word in pair]
        return ["train", "scenes:advected", "-o", folder, "--pool", pool, "--device", "cpu", *tiny, *more]

    return make


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def wait_for_rows(process, folder, count):
    """Wait until ``count`` iterations are noted; fails when the run ends before."""
    deadline = time.monotonic() + 1200
    table = folder / "losses.csv"
    while not table.exists() or table.read_bytes().count(b"\n") <= count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.soak
def test_killed_and_started_again_gives_the_same_bytes(command, tmp_path, capsys):
    """A checkpoint is written after 20 iterations; the kill comes after the 25th."""
    more = ("--iterations", "46")
    process = start_held("iterations", 25, tmp_path / "never", *command(tmp_path / "killed", *more))
    wait_for_rows(process, tmp_path / "killed", 25)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    code, out, err = finish(start(*command(tmp_path / "killed", *more, "--json")), timeout=1200)
    assert code == 0, err
    facts = json.loads(out)
    assert facts["finished"]
    assert facts["resumed"] == 20
    assert main([*map(str, command(tmp_path / "whole", *more))]) == 0
    one, two = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "killed"))
    assert all(tensor.equal(two["network"][name]) for name, tensor in one["network"].items())
    assert (tmp_path / "whole" / MODEL).read_bytes() == (tmp_path / "killed" / MODEL).read_bytes()
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.early
def test_ctrl_c_stops_with_a_checkpoint(command, tmp_path):
    more = ("--iterations", "10000")  # a row of the table is a thousandth
    process = start(*command(tmp_path, *more))
    wait_for_rows(process, tmp_path, 1)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process, timeout=1200)
    assert code == 130, err
    assert "rerun the same command" in out
    assert "Traceback" not in err
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["iteration"] > 1


@pytest.mark.slow
def test_two_processes_train_one_network(command, tmp_path):
    """The same batches, halves of each on two processes: the same weights but for rounding."""
    more = ["--iterations", "4", "--rate", "1e-3"]
    assert main([*map(str, command(tmp_path / "one", *more))]) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["-m", "napari_xfusion", *map(str, command(tmp_path / "two", *more))]
    done = subprocess.run(
        launch, check=False, capture_output=True, text=True, env=dict(os.environ), timeout=1200
    )
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("one", "two"))
    for name, tensor in one["network"].items():
        torch.testing.assert_close(two["network"][name], tensor, atol=2e-4, rtol=1e-3)
    rows = (tmp_path / "two" / "validation.csv").read_text().splitlines()
    assert len(rows) == len(set(rows)), "both processes wrote the table"


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        pytest.param(["--crop", "40"], 2, "multiple of 16", id="crop"),
        pytest.param(["--channels", "5"], 1, "5 channels do not split into 2 groups", id="groups"),
        pytest.param(["--rate", "-1"], 2, "rate", id="rate"),
        pytest.param(["--rate", "nan"], 2, "rate", id="rate that is no number"),
        pytest.param(["--init", "nowhere"], 1, "has this name", id="no weights to start from"),
        pytest.param(["--iterations", "0"], 2, "--iterations", id="no iterations"),
    ],
)
def test_settings_that_cannot_be_are_told(command, tmp_path, capsys, more, code, said):
    assert main([*map(str, command(tmp_path / "out", *more))]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "out" / MODEL).exists()


@pytest.mark.parametrize(
    ("frames", "said"), [(14, "at least 15 frames"), (0, "no such file")], ids=["too short", "not there"]
)
def test_sequences_that_will_not_do_are_told(tmp_path, capsys, frames, said):
    """And leave no plan behind, which the same folder would then be held to."""
    sequence = tmp_path / "sequence.tif"
    if frames:
        tifffile.imwrite(sequence, moving_discs(frames), photometric="minisblack")
    assert main(["train", str(sequence), "-o", str(tmp_path / "out"), *TINY]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert str(sequence) in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("out", "no folder", "a folder to write into", id="a file in its place"),
        pytest.param("out/plan.json", "{", "the plan of a training", id="a plan that is none"),
    ],
)
def test_a_folder_that_cannot_be_is_told(command, tmp_path, capsys, name, content, said):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    assert main([*map(str, command(tmp_path / "out"))]) == 1
    told = capsys.readouterr().err
    assert f"expected {said}" in told
    assert "hoose another" in told
    assert (tmp_path / name).read_text() == content


def test_a_sequence_is_trained_on_and_the_model_fuses(tmp_path, capsys):
    sequence, out = tmp_path / "sequence.tif", tmp_path / "out"
    tifffile.imwrite(sequence, moving_discs(30), photometric="minisblack")
    assert main(["train", str(sequence), "-o", str(out), *TINY, "--iterations", "2", "--device", "cpu"]) == 0
    assert main(["simulate", str(sequence), "-o", str(tmp_path), "--hr-step", "5"]) == 0
    sequences = [str(tmp_path / "lr.tif"), str(tmp_path / "hr.tif"), "-o", str(tmp_path / "fused.tif")]
    assert main(["fuse", *sequences, "--method", "edvr-stf", "--model", str(out / MODEL)]) == 0
    assert tifffile.imread(tmp_path / "fused.tif").shape == (30, 48, 64)
    capsys.readouterr()
    assert main(["models", "info", str(out / MODEL)]) == 0
    assert "the terms of its training data" in capsys.readouterr().out

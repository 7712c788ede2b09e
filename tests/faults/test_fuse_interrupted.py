"""``fuse`` that is killed or told to stop: the same command goes on, and ends with the same bytes."""

import os
import random
import signal
import time

import pytest

from napari_xfusion.cli import main
from tests.faults.command import (
    finish,
    frames_kept,
    left_beside,
    sha256,
    start,
    start_held,
    wait_for_frames,
    whole_record,
    without_bar,
    write_sequences,
)
from tests.sharing import made_once

FRAMES = 120
METHODS = ["flow", "bayesian"]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    return write_sequences(tmp_path_factory.mktemp("sequences"), FRAMES, (96, 160))


@pytest.fixture(scope="module")
def uninterrupted(sequences, tmp_path_factory):
    """sha256 of a run that nobody disturbed, by method."""

    def make(folder):
        for method in METHODS:
            assert main(["fuse", *sequences, "-o", str(folder / f"{method}.tif"), "--method", method]) == 0

    folder = made_once(tmp_path_factory, "uninterrupted", make)
    return {method: sha256(folder / f"{method}.tif") for method in METHODS}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("method", "kills"),
    [
        pytest.param("bayesian", 2, id="bayesian"),
        pytest.param("bayesian", 20, marks=pytest.mark.soak, id="bayesian, 20 kills"),
        pytest.param("flow", 20, marks=pytest.mark.soak, id="flow, 20 kills"),
    ],
)
def test_a_killed_run_loses_no_frame(method, kills, sequences, uninterrupted, tmp_path, capsys):
    """kill -9 after a random number of further frames; no frame that was kept is made again."""
    output, chance = tmp_path / "fused.tif", random.Random(kills)  # noqa: S311 - no secret
    command = ["fuse", *sequences, "-o", output, "--method", method]
    kept = 0
    for _ in range(kills):
        more = chance.randint(1, FRAMES // (kills + 1) - 2)
        process = start_held("frames", more + 2, tmp_path / "never", *command)
        assert wait_for_frames(process, output, kept + more)
        time.sleep(chance.uniform(0, 0.01))
        assert not output.exists()
        process.kill()
        finish(process)
        kept = frames_kept(output)
    assert not output.exists()
    capsys.readouterr()
    assert main([*map(str, command)]) == 0
    assert without_bar(capsys.readouterr().err) == ""
    assert sha256(output) == uninterrupted[method]
    record = whole_record(output, FRAMES)
    # A kill may tear the journal's last line: that frame is made again.
    assert kept - 1 <= record["frames_resumed"] <= kept
    assert left_beside(output) == ["", ".json"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("number", "method", "after"),
    [
        pytest.param(signal.SIGINT, "flow", 1, id="SIGINT"),
        pytest.param(signal.SIGTERM, "bayesian", 40, id="SIGTERM"),
    ],
)
def test_a_stopped_run_says_what_it_kept_and_goes_on(
    number, method, after, sequences, uninterrupted, tmp_path, capsys
):
    output = tmp_path / "fused.tif"
    command = ["fuse", *sequences, "-o", output, "--method", method]
    process = start_held("frames", after, tmp_path / "release", *command)
    assert wait_for_frames(process, output, after)
    process.send_signal(number)
    (tmp_path / "release").touch()
    code, _, told = finish(process)
    assert code == 130
    kept = frames_kept(output)
    assert kept == after
    assert told == (
        f"napari-xfusion: stopped: {kept} of {FRAMES} frames are saved; rerun the same command to resume"
    )
    assert left_beside(output) == [".journal", ".partial"]
    capsys.readouterr()
    assert main([*map(str, command)]) == 0
    said = capsys.readouterr()
    assert without_bar(said.err) == ""
    assert f"{kept} of them by an earlier run" in said.out
    assert sha256(output) == uninterrupted[method]
    assert whole_record(output, FRAMES)["frames_resumed"] == kept


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_at_any_moment(number, sequences, uninterrupted, tmp_path):
    """Also while the program starts, opens the sequences or ends: stopped or done, never half a result."""
    output, chance = tmp_path / "fused.tif", random.Random(number)  # noqa: S311 - no secret
    command = ["fuse", *sequences, "-o", output, "--method", "bayesian"]
    for _ in range(30):
        process = start(*command)
        time.sleep(chance.uniform(0.1, 1.8))
        process.send_signal(number)
        code, _, told = finish(process)
        assert code in (0, 130, -number), told
        assert not output.exists() or sha256(output) == uninterrupted["bayesian"]
    assert finish(start(*command))[0] == 0
    assert sha256(output) == uninterrupted["bayesian"]

"""``study`` from the command line: killed, stopped, resumed, and what is told."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import psutil
import pytest

from napari_xfusion.cli import main
from tests.faults.command import finish, start, start_held
from tests.lab.study.conftest import small_plan, write_sequence
from tests.sequences import moving_discs
from tests.sharing import made_once


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The arguments of a study of six cells."""
    folder = made_once(tmp_path_factory, "study-sequence", write_movie_and_plan)
    return ["study", folder / "sequence.tif", "--plan", folder / "study.json", "--jobs", "2", "-o"]


def write_movie_and_plan(folder):
    sequence = (moving_discs(13, (40, 56)) * 3000 + 500).astype(np.uint16)
    write_sequence(folder / "sequence.tif", sequence)
    conditions = {"base": {"hr_step": 4}, "often": {"hr_step": 2}}
    plan = small_plan(conditions=conditions, clusters={}, runs=0)
    (folder / "study.json").write_text(plan.model_dump_json())


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    """The folder of a run that nobody disturbed."""

    def make(folder):
        assert run_here(*command, folder / "out") == 0

    return made_once(tmp_path_factory, "study-uninterrupted", make) / "out"


def run_here(*arguments):
    """``study`` in this process, with one worker and without figures: its numbers are looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_xfusion.lab.study.study.draw_figures", lambda *_: None)
        words = ["1" if before == "--jobs" else str(word) for before, word in pairwise(["", *arguments])]
        return main(words)


def wait_for_cells(process, folder, count):
    deadline = time.monotonic() + 1200
    while len(list(folder.glob("cells/[!.]*"))) < count:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_and_resumed_it_gives_the_same_table(command, uninterrupted, tmp_path):
    """kill -9; its workers end too, and what was done is not done again."""
    folder = tmp_path / "out"
    process = start_held("cells", 3, tmp_path / "never", *command, folder)
    wait_for_cells(process, folder, 3)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    finish(process)
    assert not psutil.wait_procs(workers, timeout=1200)[1]
    assert not (folder / "table.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("cells/[!.]*")}
    assert len(kept) in (3, 4)  # both processes may have looked before either wrote
    code, _, told = finish(start(*command, folder))
    assert code == 0, told
    assert (folder / "table.csv").read_bytes() == (uninterrupted / "table.csv").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(folder.rglob(".*"))


@pytest.mark.early
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c_ends_it_and_its_workers_and_it_goes_on(command, uninterrupted, tmp_path):
    """As a terminal sends it: to the parent and all its workers."""
    folder = tmp_path / "out"
    process = start_held("cells", 2, tmp_path / "release", *command, folder)
    wait_for_cells(process, folder, 2)
    children = psutil.Process(process.pid).children(recursive=True)
    for one in [*children, psutil.Process(process.pid)]:
        one.send_signal(signal.SIGINT)
    (tmp_path / "release").touch()
    code, _, told = finish(process)
    assert code == 130
    assert "rerun the same command" in told
    assert "Traceback" not in told
    assert not psutil.wait_procs(children, timeout=1200)[1]
    assert run_here(*command, folder) == 0
    assert (folder / "table.csv").read_bytes() == (uninterrupted / "table.csv").read_bytes()


def test_a_study_that_is_there_is_told_by_its_own_plan(command, uninterrupted, capsys):
    """The command without --plan finds the plan in the folder, and everything done."""
    capsys.readouterr()
    assert run_here("study", command[1], "-o", uninterrupted, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["finished"]
    assert (facts["cells"], facts["total"]) == (6, 6)
    assert str(uninterrupted / "report.html") in facts["files"]


@pytest.mark.parametrize(
    ("sequence", "options", "code", "said"),
    [
        pytest.param(np.zeros((4, 16, 16, 3), np.uint8), [], 1, "RGB", id="RGB"),
        pytest.param(np.zeros((2, 16, 16), np.uint8), [], 1, "3 frames", id="two frames"),
        pytest.param(np.zeros((9, 16, 16), np.uint8), ["--plan", "none.json"], 1, "study plan", id="no plan"),
        pytest.param(
            np.zeros((9, 16, 16), np.uint8), ["--plan", "p", "--preset", "full"], 2, "not both", id="both"
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(sequence, options, code, said, tmp_path, capsys):
    import tifffile

    photometric = "rgb" if sequence.ndim == 4 else "minisblack"
    tifffile.imwrite(tmp_path / "sequence.tif", sequence, photometric=photometric)
    assert main(["study", str(tmp_path / "sequence.tif"), "-o", str(tmp_path / "out"), *options]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_missing_extra_is_told(tmp_path):
    sequence = write_sequence(tmp_path / "sequence.tif", np.zeros((9, 16, 16), np.uint8))
    program = (
        "import sys; sys.modules['matplotlib'] = None; from napari_xfusion.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "study", str(sequence), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ip install 'napari-xfusion[study]'" in done.stderr
    assert "the package matplotlib" in done.stderr

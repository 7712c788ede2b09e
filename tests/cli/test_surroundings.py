"""A run ends well where its messages cannot be written."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from tests.sequences import moving_discs, two_cameras

LR, HR, TIMES = two_cameras((moving_discs(9, (32, 48)) * 4000).astype(np.uint16), 4)
FUSE = ["fuse", "lr.tif", "hr.tif", "--hr-step", "4", "--method", "flow", "-o", "o.tif"]
CHECK = ["check", "lr.tif", "hr.tif", "--hr-step", "4"]
pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110


@pytest.fixture
def run(tmp_path):
    tifffile.imwrite(tmp_path / "lr.tif", LR.astype(np.uint16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "hr.tif", HR, photometric="minisblack")

    def call(arguments, redirections="", before=""):
        command = f'{before} "$0" -m napari_xfusion "$@" {redirections}'
        return subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", command, sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.mark.parametrize(
    "redirections",
    [
        pytest.param("2>/dev/full", id="stderr full", marks=pytest.mark.slow),
        pytest.param(">/dev/full", id="stdout full", marks=pytest.mark.slow),
        pytest.param(">/dev/full 2>/dev/full", id="both full"),
        pytest.param("2>&-", id="stderr closed", marks=pytest.mark.slow),
        pytest.param(">&-", id="stdout closed", marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", id="all closed"),
        pytest.param("| true", id="reader of stdout gone"),
        pytest.param("2> >(true)", id="reader of stderr gone", marks=pytest.mark.slow),
        pytest.param("2>&1 | true", id="reader of both gone", marks=pytest.mark.slow),
        pytest.param("--json >/dev/full", id="JSON"),
    ],
)
def test_a_run_ends_well_where_messages_cannot_be_written(run, tmp_path, redirections):
    done = run(FUSE, redirections)
    assert done.returncode == 0, done.stderr
    assert tifffile.imread(tmp_path / "o.tif").shape == (9, 32, 48)
    assert (tmp_path / "o.tif.json").is_file()


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("HOME=/dev/full", marks=pytest.mark.slow),
        pytest.param("HOME=/dev/null XDG_STATE_HOME=/dev/full"),
    ],
)
def test_a_run_ends_well_without_a_log(run, before):
    done = run(FUSE, before=before)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_check_that_cannot_be_printed_is_an_error(run):
    done = run(CHECK, ">/dev/full")
    assert done.returncode == 1
    assert "cannot be printed: No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_check_without_a_reader_is_silent(run):
    done = run(CHECK, "| true")
    assert done.returncode in (0, 1)
    assert done.stderr == ""


def test_too_many_open_files_is_no_damage(run):
    done = run(CHECK, before="ulimit -n 6;")
    assert done.returncode == 1
    assert "Too many open files" in done.stderr
    assert "original" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder")
def test_a_folder_that_was_removed_meanwhile_is_named(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    arguments = ["fuse", f"{tmp_path}/lr.tif", f"{tmp_path}/hr.tif", "--hr-step", "4", "--method", "bicubic"]
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main([*arguments, "-o", "o.tif"]) == 1
    said = capsys.readouterr().err
    assert "the current folder" in said
    assert "unexpected" not in said

"""``fuse`` without room or permission to write: one line, exit 1, and the same command goes on later."""

import os
import re
import signal
import subprocess
import sys

import pytest

from napari_xfusion.cli import main
from tests.faults.command import (
    finish,
    frames_kept,
    left_beside,
    sha256,
    start,
    wait_for_frames,
    whole_record,
    write_sequences,
)

resource = pytest.importorskip("resource", reason="needs POSIX")

METHOD = "flow"
FRAMES, SHAPE = 120, (96, 160)
RESULT = FRAMES * SHAPE[0] * SHAPE[1] * 2


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    return write_sequences(tmp_path_factory.mktemp("sequences"), FRAMES, SHAPE)


@pytest.fixture(scope="module")
def uninterrupted(sequences, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted") / "fused.tif"
    assert main(["fuse", *sequences, "-o", str(output), "--method", METHOD]) == 0
    return sha256(output)


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for the result and half as much again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    size = f"size={int(1.5 * RESULT)}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def one_line(told):
    assert "Traceback" not in told
    lines = told.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("napari-xfusion: error: ")
    return lines[0]


def goes_on(sequences, output, kept, uninterrupted):
    """The same command makes the rest, and leaves result and record only."""
    assert main(["fuse", *sequences, "-o", str(output), "--method", METHOD]) == 0
    assert sha256(output) == uninterrupted
    assert whole_record(output, FRAMES)["frames_resumed"] == kept
    assert left_beside(output) == ["", ".json"]


def test_too_little_room_is_told_before_the_first_frame(sequences, small_disk, uninterrupted, capsys):
    ballast, output = small_disk / "ballast", small_disk / "fused.tif"
    ballast.write_bytes(bytes(RESULT))
    capsys.readouterr()
    assert main(["fuse", *sequences, "-o", str(output), "--method", METHOD]) == 1
    assert "Free disk space" in one_line(capsys.readouterr().err)
    assert left_beside(output) == []
    ballast.unlink()
    goes_on(sequences, output, 0, uninterrupted)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_quota_that_is_used_up_half_way(sequences, tmp_path, uninterrupted):
    """RLIMIT_FSIZE set on the run at work: what was made before is kept."""
    output = tmp_path / "fused.tif"
    process = start("fuse", *sequences, "-o", output, "--method", METHOD)
    assert wait_for_frames(process, output, 3)
    process.send_signal(signal.SIGSTOP)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (RESULT // 2, RESULT // 2))
    process.send_signal(signal.SIGCONT)
    code, _, told = finish(process)
    assert code == 1
    kept = frames_kept(output)
    assert re.search(
        rf"'File too large'; {kept} of {FRAMES} frames are saved\. .* rerun the same", one_line(told)
    )
    assert 0 < kept < FRAMES
    goes_on(sequences, output, kept, uninterrupted)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_result_larger_than_any_file_may_be_is_told_at_once(sequences, tmp_path, uninterrupted):
    output = tmp_path / "fused.tif"
    limit = f"ulimit -f {RESULT // 2 // 1024}"
    command = [sys.executable, "-W", "error", "-m", "napari_xfusion", "fuse", *sequences, "-o", str(output)]
    process = subprocess.run(
        ["bash", "-c", f'{limit}; exec "$0" "$@"', *command, "--method", METHOD],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "File too large" in one_line(process.stderr)
    assert left_beside(output) == []
    goes_on(sequences, output, 0, uninterrupted)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_folder_that_is_read_only(sequences, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    code, _, told = finish(start("fuse", *sequences, "-o", folder / "fused.tif", "--method", METHOD))
    assert code == 1
    assert "Permission denied" in one_line(told)

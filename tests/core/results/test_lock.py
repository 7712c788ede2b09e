"""The lock names who is at work, and nobody else."""

import json
import os
import socket
import subprocess
import sys

import pytest
from filelock import FileLock

from napari_xfusion.core.results.lock import NAME_AT, OutputLock
from napari_xfusion.errors import OutputError, OutputExistsError


def test_the_holder_is_named_and_the_file_goes(tmp_path):
    lock, other = OutputLock(tmp_path / "lock"), OutputLock(tmp_path / "lock")
    lock.acquire(tmp_path / "fused.tif")
    with pytest.raises(OutputError, match=f"process {os.getpid()} on {socket.gethostname()} since 20"):
        other.acquire(tmp_path / "fused.tif")
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    other.acquire(tmp_path / "fused.tif")
    other.release()


def test_a_winner_that_has_not_signed_yet_is_not_taken_for_the_dead_one_before(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    winner = FileLock(tmp_path / "lock", thread_local=False)
    with winner:
        name = {"pid": dead.pid, "host": socket.gethostname(), "since": "yesterday"}
        (tmp_path / "lock").write_bytes(bytes(NAME_AT) + json.dumps(name).encode())
        with pytest.raises(OutputError, match="another process"):
            OutputLock(tmp_path / "lock").acquire(tmp_path / "fused.tif")


@pytest.mark.parametrize("content", [b"", b"\0", b"\0[1]", b"\0{}"], ids=repr)
def test_a_name_that_cannot_be_read_is_no_crash(tmp_path, monkeypatch, content):
    monkeypatch.setattr("napari_xfusion.core.results.lock.PATIENCE", 0.05)
    with FileLock(tmp_path / "lock", thread_local=False):
        (tmp_path / "lock").write_bytes(content)
        with pytest.raises(OutputError, match="another process"):
            OutputLock(tmp_path / "lock").acquire(tmp_path / "fused.tif")


@pytest.mark.parametrize(
    "content", [b"mine", b"\0\0", b'{"pid": 1}', bytes(5000)], ids=["text", "zeros", "JSON", "long"]
)
def test_a_file_that_is_no_lock_is_left_alone(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with pytest.raises(OutputExistsError):
        OutputLock(tmp_path / "lock").acquire(tmp_path / "fused.tif")
    assert (tmp_path / "lock").read_bytes() == content

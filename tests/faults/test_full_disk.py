"""A full disk is told clearly, and what was done before is kept."""

import os
import re
import subprocess

import numpy as np
import pytest

from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.errors import OutputError

FRAME = 16 * 32 * 2
MB = 2**20
TOLD = (
    r"permission to write, found '(No space left on device|File too large)'(; \d+ of 200 frames are saved)?"
)


def sequence(count):
    return OutputSpec(tuple(range(count)), (16, 32), np.dtype("uint16"), "ab" * 32, None, None, ())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def all_told_and_resumed(outcomes):
    for message, kept, resumed, equal in outcomes:
        assert re.search(TOLD, message)
        assert "resume" in message
        assert resumed == kept
        assert equal


@pytest.mark.parametrize("name", ["fused.tif", "fused.zarr", "fused.nxs"])
def test_a_disk_that_fills_up_during_the_run(writer, small_disk, name):
    """Where disk cannot be reserved (macOS, Windows, Zarr): 20 of 20 told, all resumed."""
    sizes = [int(k * 0.15 * MB / 20) for k in range(20)]
    outcomes = writer("fill_disk", small_disk / name, sizes, False)
    assert len(outcomes) == 20
    assert len({kept for _, kept, _, _ in outcomes}) > 5
    all_told_and_resumed(outcomes)


def test_a_reserved_run_stops_only_for_its_journal(writer, small_disk):
    """The frames' room is safe; the journal's few bytes are told like any other lack."""
    all_told_and_resumed(writer("fill_disk", small_disk / "fused.tif", [0, 4096], True))


def test_a_file_that_may_grow_no_further(writer, tmp_path):
    """RLIMIT_FSIZE as a stand-in for a quota: 20 of 20 told, all resumed."""
    limits = [1000 + k * 9 * FRAME + 13 * k for k in range(20)]
    outcomes = writer("limit_size", tmp_path / "fused.tif", limits)
    assert [kept for _, kept, _, _ in outcomes] == sorted({kept for _, kept, _, _ in outcomes})
    all_told_and_resumed(outcomes)


def test_a_file_that_may_not_be_that_large_is_told_at_once(writer, tmp_path):
    found = writer("refuse_size", tmp_path / "fused.tif", 50_000)
    assert re.search(TOLD, found["message"])
    assert found["left"] == []
    assert found["sha"]


@pytest.mark.parametrize("name", ["fused.tif", "fused.zarr", "fused.nxs"])
def test_too_little_room_is_told_before_the_first_frame(small_disk, name):
    with pytest.raises(OutputError, match=r"needs 4\.\d+ MB, the disk has 2\.\d+ MB free"):
        open_sink(small_disk / name).begin(sequence(2000))
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("name", ["fused.tif", "fused.zarr", "fused.nxs"])
def test_a_disk_that_is_read_only(small_disk, name):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        open_sink(small_disk / name).begin(sequence(2))

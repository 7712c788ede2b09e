"""What the entry point does before any command."""

import subprocess
import sys

import pytest

from napari_xfusion import cli

TWICE = """
import resource, numpy
from napari_xfusion.cli import keep_freed_memory
kept = keep_freed_memory()
numpy.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
numpy.ones(1 << 24)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the GNU C library")
def test_a_freed_buffer_is_used_again_without_new_pages():
    words = subprocess.check_output([sys.executable, "-c", TWICE], text=True)
    kept, faults = map(int, words.split())
    if not kept:
        pytest.skip("another C library")
    assert faults < 20  # of 32768 pages, or 64 huge ones


@pytest.mark.parametrize(("command", "kept"), [("fuse", 1), ("check", 0)])
def test_only_a_fuse_process_keeps_freed_memory(command, kept, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: calls.append(command))
    assert cli.main([command, "--help"]) == 0  # from Python: the process belongs to someone else
    assert not calls
    monkeypatch.setattr(sys, "argv", ["napari-xfusion", command, "--help"])
    assert cli.main() == 0
    assert len(calls) == kept

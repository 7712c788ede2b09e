"""What the entry point does before any command."""

import sys

import pytest

from napari_xfusion import cli


@pytest.mark.parametrize(("command", "kept"), [("fuse", 1), ("check", 0)])
def test_only_a_fuse_process_keeps_freed_memory(command, kept, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: calls.append(command))
    assert cli.main([command, "--help"]) == 0  # from Python: the process belongs to someone else
    assert not calls
    monkeypatch.setattr(sys, "argv", ["napari-xfusion", command, "--help"])
    assert cli.main() == 0
    assert len(calls) == kept

"""Runs the writer, whose processes may be killed, limited and raced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture(scope="session")
def _writers():
    """The writer at work: a child of it does each call, so that Python starts once for all tests."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork()")
    command = [sys.executable, "-W", "error", str(WRITER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def writer(_writers, tmp_path):
    """``writer(name, path, ...)``: what that function of writer.py found."""

    def call(name, path, *arguments):
        found, said = tmp_path / "found.json", tmp_path / "said.txt"
        _writers.stdin.write(json.dumps([str(found), str(said), name, str(path), *arguments]) + "\n")
        _writers.stdin.flush()
        status = _writers.stdout.readline()
        assert status == "0\n", said.read_text()
        return json.loads(found.read_text())

    return call

"""Runs the writer, whose processes may be killed, limited and raced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture
def writer():
    """``writer(name, path, ...)``: what that function of writer.py found."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork()")

    def call(name, path, *arguments):
        command = [sys.executable, "-W", "error", str(WRITER), json.dumps([name, str(path), *arguments])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call

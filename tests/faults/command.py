"""The real command in processes of its own, which may be stopped and killed, on sequences in real files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.sequences import binned, moving_discs

ROOT = Path(__file__).parents[2]
STEP = 4
BAR = re.compile(r"\s*\d+%\||.*frames/s\]")
"""A line of the progress bar, in frames per second or, on a slow machine, in seconds per frame."""


def write_sequences(folder: Path, frames: int, shape: tuple[int, int]) -> list[str]:
    """lr.tif and hr.tif, uint16, HR every 4th frame: the arguments that name them and say so."""
    sequence = moving_discs(frames, shape) * 20000 + 3000
    for name, part in (("lr.tif", binned(sequence)), ("hr.tif", sequence[::STEP])):
        tifffile.imwrite(folder / name, part.astype(np.uint16), photometric="minisblack")
    return [str(folder / "lr.tif"), str(folder / "hr.tif"), "--hr-step", str(STEP)]


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command at work, with every warning an error."""
    return begin([sys.executable, "-W", "error", "-m", "napari_xfusion", *map(str, arguments)])


def start_held(what: str, count: int, release: Path, *arguments: object) -> subprocess.Popen[str]:
    """The command, held after ``count`` frames, cells or iterations until ``release`` is there (held.py)."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.held", *map(str, arguments)]
    return begin(command, cwd=ROOT, env={**os.environ, "HOLD": f"{what} {count} {release}"})


def begin(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """A process that Ctrl-C ends, also where these tests run in the background of a script, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process: subprocess.Popen[str], timeout: float = 1200) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr without the progress bar."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, without_bar(err)


def without_bar(err: str) -> str:
    """What a command wrote to stderr, without the progress bar."""
    return "\n".join(line for line in err.replace("\r", "\n").splitlines() if line and not BAR.match(line))


def frames_kept(output: Path) -> int:
    """Whole lines of the journal, less its header; 0 where there is none."""
    try:
        return max(0, output.with_name(output.name + ".journal").read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0


def wait_for_frames(process: subprocess.Popen[str], output: Path, count: int) -> bool:
    """Wait until ``count`` frames are kept; False when the run ended before."""
    deadline = time.monotonic() + 1200
    while process.poll() is None:
        if frames_kept(output) >= count:
            return True
        if time.monotonic() > deadline:
            process.kill()
            raise TimeoutError(f"{frames_kept(output)} of {count} frames after twenty minutes")
        time.sleep(0.001)
    return False


def sha256(path: Path) -> str:
    """Of the file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_of(output: Path) -> dict:
    """The run record beside ``output``."""
    return json.loads(output.with_name(output.name + ".json").read_text())


def left_beside(output: Path) -> list[str]:
    """Endings of what lies beside ``output`` and bears its name."""
    return sorted(p.name.removeprefix(output.name) for p in output.parent.glob(output.name + "*"))


def whole_record(output: Path, frames: int) -> dict:
    """The record, after a look that every frame has its entry with its seconds, in order."""
    record = record_of(output)
    assert [f["frame"] for f in record["frames"]] == list(range(frames))
    assert all(f["seconds"] > 0 and f["seen"] == (f["frame"] % STEP == 0) for f in record["frames"])
    return record

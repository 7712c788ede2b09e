"""The journal of an unfinished output: which frames are done, and their checksums.

A text file. The first line is a header, then one line per frame: ``<crc32 of the rest> <JSON>``. A line
*begins* with its line feed, so a line that a kill left incomplete is closed by the next entry, and its
checksum excludes it when read. The frame's pixels are checked against ``crc`` on resume; this covers a power loss,
after which the journal may have reached the disk before the pixels, and saves an fsync per frame. (A
killed process loses nothing that it wrote: it is in the page cache.)
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLAIM = b"# napari-xfusion journal"
"""What a journal begins with; written before the output itself, so that this is known to be ours."""


@dataclass(frozen=True)
class Entry:
    """A frame that is done."""

    index: int
    """The target."""
    crc: int
    """crc32 of its stored bytes."""
    notes: Mapping[str, Any]


class Journal:
    """Appends to the journal at ``path``, each entry in one system call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)

    def claim(self) -> None:
        """Write what a journal begins with."""
        os.write(self._file, CLAIM)

    def header(self, header: Mapping[str, Any]) -> None:
        """Write the first line of a new journal."""
        self._append(header)

    def add(self, entry: Entry) -> None:
        """Record a frame whose pixels have been written."""
        self._append({"frame": entry.index, "crc": entry.crc, "notes": dict(entry.notes)})

    def close(self) -> None:
        """Close the file; the journal stays."""
        os.close(self._file)

    def _append(self, value: Mapping[str, Any]) -> None:
        body = json.dumps(value, separators=(",", ":"), allow_nan=True).encode()
        line = b"\n%08x %s" % (zlib.crc32(body), body)
        if os.write(self._file, line) < len(line):
            # A full disk accepts a part and rejects the next byte with the error to report.
            os.write(self._file, b"\n")


def read_journal(path: Path) -> tuple[dict[str, Any] | None, dict[int, Entry]]:
    """Read header and frames of a journal; incomplete or damaged lines are skipped.

    The header is None where nothing was written yet, and empty where it was lost but frames were written.
    """
    try:
        values = [_value(line) for line in _lines(path) if line != CLAIM]
    except FileNotFoundError:
        return None, {}
    entries = [Entry(v["frame"], v["crc"], v["notes"]) for v in values[1:] if v is not None]
    header = values[0] if values else None
    return {} if header is None and entries else header, {e.index: e for e in entries}


def is_journal(path: Path) -> bool:
    """Whether ``path`` is a journal, however damaged, and nothing else; raises OSError."""
    data = path.read_bytes()
    return CLAIM.startswith(data) or data.startswith(CLAIM) or any(_value(line) for line in data.split(b"\n"))


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line]


def _value(line: bytes) -> dict[str, Any] | None:
    checksum, _, body = line.partition(b" ")
    if not body or checksum != b"%08x" % zlib.crc32(body):
        return None
    value: dict[str, Any] = json.loads(body)
    return value

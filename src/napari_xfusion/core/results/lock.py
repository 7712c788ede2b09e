"""One writer per output: a lock that the operating system releases when its holder dies for any reason."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from napari_xfusion.core.files import foreign
from napari_xfusion.errors import OutputError

PATIENCE = 1.0
"""Seconds to wait for the holder's name, or for a lock file that is being removed."""
NAME_AT = 1
"""Windows locks the first byte against reading, so the holder's name begins after it."""

LONGEST = 4096
"""More bytes than a lock file has."""


class OutputLock:
    """The lock file ``path``; contains the process id, host and start time of its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Not thread-local: a worker thread acquires the lock, the main thread may release it.
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, output: Path) -> None:
        """Take the lock, also from a dead holder; OutputError at once if a live process holds it.

        OutputExistsError where the file is no lock file.
        """
        self.require_lock()  # taking it would empty the file
        deadline = time.monotonic() + PATIENCE
        while not self._try():
            holder = self._holder()
            if holder is None and time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            who = (
                "another process"
                if holder is None
                else "process {pid} on {host} since {since}".format(**holder)
            )
            raise OutputError(
                output,
                problem=f"{who} is writing to it",
                hint="wait for that run to end, stop it, or choose another name",
            )
        self._sign()

    def is_lock(self) -> bool:
        """Whether the path is free, or a lock file: empty, or a zero byte and the name of its holder."""
        if not os.path.lexists(self._path):
            return True
        if self._path.is_symlink() or not self._path.is_file():
            return False
        try:
            content = self._path.read_bytes() if self._path.stat().st_size < LONGEST else b"-"
        except FileNotFoundError:  # its holder has just ended
            return True
        except PermissionError:  # Windows, while it is held
            return True
        return content[:2] in (b"", bytes(NAME_AT), bytes(NAME_AT) + b"{", bytes(NAME_AT) + b"[")

    def require_lock(self) -> None:
        """Raise OutputExistsError unless the path is free, or a lock file."""
        if not self.is_lock():
            raise foreign(self._path, "this is not a lock file of this program")

    def remove_other(self) -> None:
        """Remove what has the lock file's name and is none; raises OSError."""
        if not self.is_lock():
            self._path.unlink()

    def signature(self) -> bytes:
        """What its holder wrote into the file, which no other holder does; b"" where there is none."""
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(NAME_AT)
                return file.read(LONGEST)
        except OSError:
            return b""

    def release(self) -> None:
        """Release the lock and remove its file; does nothing when not held."""
        if not self._lock.is_locked:
            return
        # The file is removed while the lock is held. A process that opened it just before then locks a file
        # without a name, which filelock detects (no links left), and tries again. Windows
        # refuses to delete an open file; there filelock deletes it after unlocking.
        with suppress(OSError):
            self._path.unlink()
        self._lock.release()

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _sign(self) -> None:
        name = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            "claim": uuid.uuid4().hex,
        }
        with self._path.open("r+b", buffering=0) as file:
            file.truncate(NAME_AT)
            file.seek(NAME_AT)
            file.write(json.dumps(name).encode())

    def _holder(self) -> dict[str, Any] | None:
        """Return the holder of the lock; None while unknown (not written yet, or that of a dead process)."""
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(NAME_AT)
                holder: dict[str, Any] = json.loads(file.read())
            here = holder["host"] == socket.gethostname()
            return None if here and not psutil.pid_exists(holder["pid"]) else holder
        except (OSError, ValueError, KeyError, TypeError):
            return None

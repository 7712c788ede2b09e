"""One writer per output: a lock that the operating system releases when its holder dies for any reason."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from napari_xfusion.errors import OutputError

PATIENCE = 1.0
"""Seconds to wait for the holder's name, or for a lock file that is being removed."""
NAME_AT = 1
"""Windows locks the first byte against reading, so the holder's name begins after it."""


class OutputLock:
    """The lock file ``path``; contains the process id, host and start time of its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Not thread-local: a worker thread acquires the lock, the main thread may release it.
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, output: Path) -> None:
        """Take the lock, also from a dead holder; OutputError at once if a live process holds it."""
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

"""A result on disk: locked, written frame by frame under a temporary name, resumed, and renamed when complete.

For ``fused.tif`` there are ``fused.tif.partial`` (the frames), ``fused.tif.journal`` (which are done),
``fused.tif.lock`` (the process that writes) and finally ``fused.tif.json`` (the record). A kill at any moment
leaves one of these states:

    journal that claims, partial    nothing was written yet: the run starts again
    partial and journal             the run resumes, also if the record exists already
    final and record, no partial    finished; a remaining journal is deleted

The journal comes first and goes last: a partial output without one, and a file of these names with other content,
belongs to another program and is left alone.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.files import foreign, replace, replacing, require_name
from napari_xfusion.core.quantities import byte_count
from napari_xfusion.core.recordings.open import open_stack
from napari_xfusion.core.results.journal import Entry, Journal, is_journal, read_journal
from napari_xfusion.core.results.lock import OutputLock
from napari_xfusion.core.results.record import is_record, recorded_notes, with_frames
from napari_xfusion.core.results.spec import (
    Notes,
    OutputSpec,
    missing_frames,
    not_kept,
    position_of,
    stored,
)
from napari_xfusion.core.types import Image, Stack
from napari_xfusion.errors import OutputError, OutputExistsError, WriteError, reason_of

OVERHEAD = 1024
"""Bytes per frame in addition to its pixels: tags, journal, record."""


@dataclass(frozen=True)
class Claim:
    """A begun output, for other processes that write frames into it. Can be pickled."""

    path: Path
    """Absolute."""
    spec: OutputSpec
    layout: Mapping[str, Any]
    """What ``_create`` returned."""
    signature: bytes
    """In the lock file of the process that began it, and of no other."""
    host: str
    """Of that process."""


class FileSink(ABC):
    """Common base of TIFF and Zarr sinks, which differ only in how the bytes of one frame are stored."""

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path = Path(path)
        self.finished = False
        self._overwrite = overwrite
        self._partial = self._beside("partial")
        self._lock = OutputLock(self._beside("lock"))
        self._journal: Journal | None = None
        self._spec: OutputSpec | None = None
        self._layout: Mapping[str, Any] = {}
        self._positions: dict[int, int] = {}
        self._notes: dict[int, Notes] = {}
        self._result: Stack | None = None

    # How frames are stored.

    @abstractmethod
    def _is_own_kind(self) -> bool:
        """Whether this sink may replace what exists under the final name."""

    @abstractmethod
    def _remove_partial(self) -> None:
        """Remove the partial output, if there is one."""

    @abstractmethod
    def _create(self, spec: OutputSpec) -> dict[str, Any]:
        """Create the partial output with space for all frames; return the JSON that ``_reopen`` needs."""

    @abstractmethod
    def _reopen(self, spec: OutputSpec, layout: Mapping[str, Any]) -> None:
        """Open the partial output of an interrupted run."""

    @abstractmethod
    def _write(self, position: int, data: memoryview) -> None:
        """Store the frame at ``position``; on return every byte is in the page cache."""

    @abstractmethod
    def _read(self, position: int) -> bytes:
        """Return the bytes stored at ``position``, fewer or none where they are missing; from any thread."""

    @abstractmethod
    def _seal(self) -> None:
        """Flush all frames to disk and close them; may be called again."""

    @abstractmethod
    def _flush(self) -> None:
        """Flush the frames that this process has written."""

    @abstractmethod
    def _release(self) -> None:
        """Close open files."""

    @abstractmethod
    def _held(self) -> int:
        """Bytes of disk space that the partial output already occupies."""

    @abstractmethod
    def _intact(self, layout: Mapping[str, Any]) -> bool:
        """Whether the partial output of an interrupted run accepts frames."""

    @abstractmethod
    def _recover(self) -> None:
        """Complete or undo a ``_publish`` that was killed."""

    def _publish(self) -> None:
        """Give the partial output its final name."""
        replace(self._partial, self.path)

    # The contract of Sink.

    def begin(self, spec: OutputSpec) -> Mapping[int, Notes]:
        """See ``Sink.begin``."""
        self.close()
        self._check_place()
        self.finished, self._notes = False, {}
        self._result = None
        try:
            with self._told():
                if self._overwrite:
                    self._lock.remove_other()
                self._lock.acquire(self.path)
                self._check_beside()
                self._recover()
                self._spec = spec
                self._positions = {target: j for j, target in enumerate(spec.frames)}
                self._claim(spec)
        except BaseException:
            self.close()
            raise
        return dict(self._notes)

    def check(self, frames: int, frame_bytes: int) -> None:
        """Raise OutputError where ``begin`` would for so many frames; touches nothing."""
        self._check_place()
        with self._told():
            if not self._overwrite:
                self._lock.require_lock()
            if not os.access(self.path.parent, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._check_beside()
            self._check_record()
            if not os.path.lexists(self._partial):
                self._require_free(frames * (frame_bytes + OVERHEAD))

    def put(self, index: int, image: Image, notes: Notes | None = None) -> None:
        """See ``Sink.put``. Pixels are written before the journal, so that no entry refers to missing pixels."""
        self._claimed()
        self.keep(Entry(index, self.store(index, image), notes or {}))

    # Several processes: one begins, and keeps what others store.

    def claim(self) -> Claim:
        """The begun output, for ``join`` in other processes."""
        spec, _ = self._claimed()
        return Claim(self.path.absolute(), spec, self._layout, self._lock.signature(), socket.gethostname())

    def join(self, claim: Claim) -> bool:
        """Open the output that another process has begun, for ``store``; False where it is not seen here.

        Raises WriteError where it cannot be opened.
        """
        if not self.seen(claim):
            return False
        self._spec = claim.spec
        self._positions = {target: j for j, target in enumerate(claim.spec.frames)}
        with self._told():
            self._reopen(claim.spec, claim.layout)
        return True

    def seen(self, claim: Claim) -> bool:
        """Whether this process sees the output, and whoever began it has not closed it."""
        return bool(claim.signature) and self._lock.signature() == claim.signature

    def store(self, index: int, image: Image) -> int:
        """Write the pixels of target ``index`` to their place; return the crc32 of their bytes, for ``keep``.

        Processes may store other targets, or the same ones with the same pixels, at the same time: each target has
        bytes of its own. Raises WriteError.
        """
        if self._spec is None:
            raise self._not_begun()
        position = position_of(self._spec, self._positions, index, image)
        data = stored(image, self._spec.dtype).data.cast("B")
        with self._told():
            self._write(position, data)
        return zlib.crc32(data)

    def keep(self, entry: Entry) -> None:
        """Record a target whose pixels are stored; only in the process that began the output. Raises WriteError."""
        _, journal = self._claimed()
        with self._told():
            journal.add(entry)
        self._notes[entry.index] = entry.notes

    def flush(self) -> None:
        """Send what was stored to the disk, where other machines see it; raises WriteError."""
        with self._told():
            self._flush()

    def lost(self, checksums: Mapping[int, int]) -> list[int]:
        """Targets whose bytes are not those of ``checksums``, crc32 by target; they count as missing from now on.

        For frames that other machines stored: two of them that write into one block of a file may have overwritten
        each other's part, where the file system does not keep their caches the same.
        """
        spec, _ = self._claimed()
        with self._told():
            self._release()  # opened again, a network file system reads what others have written
            self._reopen(spec, self._layout)
        wrong = [t for t, crc in checksums.items() if zlib.crc32(self._read(self._positions[t])) != crc]
        for target in wrong:
            self._notes.pop(target, None)
        return wrong

    def read(self, index: int) -> NDArray[Any]:
        """See ``Sink.read``."""
        if self._spec is None or index not in self._notes:
            raise not_kept(self.path, index)
        position = self._positions[index]
        data = b"" if self.finished else self._read(position)
        if len(data) < self._spec.frame_bytes:  # it was renamed in the meantime
            return self._whole().frame(position)
        return np.frombuffer(data, self._spec.dtype.newbyteorder("<")).reshape(self._spec.shape)

    def commit(self, record: Mapping[str, Any]) -> None:
        """See ``Sink.commit``."""
        if self.finished:
            return
        spec, journal = self._claimed()
        missing_frames(spec, self._notes, self.path)
        with self._told():
            # The only wait for the disk: without the journal, missing bytes would no longer be detected.
            self._seal()
            content = json.dumps(with_frames(record, spec.identity, spec.frames, self._notes), indent=1)
            with replacing(self._beside("json")) as part:
                part.write_text(content, encoding="utf-8")
            self._publish()
            sync_directory(self.path.parent)
            self.finished = True
            journal.close()
            self._journal = None
            self._beside("journal").unlink()
        self.close()

    def close(self) -> None:
        """See ``Sink.close``; a run that saved no frame leaves no file behind."""
        self._release()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
            if not self._notes:
                self._discard()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Claiming the output.

    def _check_place(self) -> None:
        require_name(self.path)
        if not self.path.parent.is_dir():
            raise OutputError(self.path, problem="its folder does not exist", hint="create the folder first")
        if os.path.lexists(self.path) and not self._is_own_kind():
            raise OutputError(
                self.path,
                problem=f"{'a folder' if self.path.is_dir() else 'something else'} has this name",
                hint="choose another name",
            )

    def _check_beside(self) -> None:
        """Raise OutputExistsError where a file beside the output is not ours, unless it may be replaced."""
        if self._overwrite:
            return
        journal = self._beside("journal")
        noted = os.path.lexists(journal)
        if noted and (journal.is_symlink() or not journal.is_file() or not is_journal(journal)):
            raise foreign(journal, "this is not the journal of an unfinished output of this program")
        begun = noted and journal.stat().st_size > 0
        if os.path.lexists(self._partial) and not begun and not _is_empty_folder(self._partial):
            raise foreign(self._partial, "this is not an unfinished output of this program")

    def _check_record(self) -> None:
        """Raise OutputExistsError where the record would replace a file that is none, unless it may."""
        path = self._beside("json")
        if os.path.lexists(path) and not self._overwrite and not is_record(path):
            raise foreign(path, "this is not the record of a result of this program")

    def _claim(self, spec: OutputSpec) -> None:
        """Decide between resuming, nothing to do, refusing and starting again."""
        header, entries = self._unfinished()
        ours = header is not None and header.get("spec") == spec.as_json()
        earlier = None if ours else self._finished_notes(spec)
        there = os.path.lexists(self.path)
        if earlier is not None:
            self.finished, self._notes = True, earlier
            if header is None:
                self._discard()
        elif there and not self._overwrite:
            recorded = is_record(self._beside("json"))
            self._refuse(
                "holds a result computed with different settings"
                if recorded
                else "is no result of this program"
            )
        elif ours and header is not None:
            self._resume(spec, header, entries)
        elif header is not None and not self._overwrite:
            self._refuse(f"holds an unfinished run with different settings ({len(entries)} frames done)")
        else:
            self._start(spec)

    def _unfinished(self) -> tuple[dict[str, Any] | None, dict[int, Entry]]:
        """Return the journal of the unfinished output; its header is None where nothing was saved."""
        header, entries = read_journal(self._beside("journal"))
        if not self._partial.exists() or (header and not self._intact(header["layout"])):
            return None, {}
        return header, entries

    def _start(self, spec: OutputSpec) -> None:
        self._check_record()
        self._discard()
        self._require_room(spec)
        self._journal = Journal(self._beside("journal"))
        self._journal.claim()
        self._layout = self._create(spec)
        self._journal.header({"spec": spec.as_json(), "layout": self._layout})

    def _resume(self, spec: OutputSpec, header: Mapping[str, Any], entries: Mapping[int, Entry]) -> None:
        self._check_record()
        self._layout = header["layout"]
        self._reopen(spec, self._layout)
        for target, position in self._positions.items():
            entry = entries.get(target)
            if entry is not None and zlib.crc32(self._read(position)) == entry.crc:
                self._notes[target] = entry.notes
        self._require_room(spec)
        self._journal = Journal(self._beside("journal"))

    def _require_room(self, spec: OutputSpec) -> None:
        held = self._held() if self._partial.exists() else 0
        self._require_free(spec.nbytes + OVERHEAD * len(spec.frames) - held)

    def _require_free(self, needed: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise OutputError(
                self.path,
                problem=f"the result needs {byte_count(needed)}, the disk has {byte_count(free)} free",
                hint="free disk space, or choose another disk",
            )

    def _finished_notes(self, spec: OutputSpec) -> dict[int, Notes] | None:
        """Return the frames' notes of the finished result, from its record, if it has this identity."""
        if not self.path.exists():
            return None
        notes = recorded_notes(self._beside("json"), spec.identity)
        return None if notes is None else dict(notes)

    def _refuse(self, problem: str) -> NoReturn:
        raise OutputExistsError(
            self.path,
            setting="output",
            problem=f"this file {problem}",
            hint="choose another name, or use {overwrite} to replace it",
        )

    # Helpers.

    def _whole(self) -> Stack:
        """The finished sequence."""
        if self._result is None:
            self._result = open_stack(self.path)
        return self._result

    def _claimed(self) -> tuple[OutputSpec, Journal]:
        if self._spec is None or self._journal is None:
            raise self._not_begun()
        return self._spec, self._journal

    def _not_begun(self) -> OutputError:
        return OutputError(
            self.path,
            expected="an output that is begun and not finished",
            found="a finished one" if self.finished else "one not begun",
            hint="call begin() first",
        )

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _discard(self) -> None:
        """Delete the unfinished output; the journal last, as it shows that the output is ours."""
        self._remove_partial()
        self._beside("journal").unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Report the error of the system, and which frames are saved."""
        try:
            yield
        except OSError as error:
            saved, total = len(self._notes) if self._partial.exists() else 0, len(self._positions)
            kept = f"; {saved} of {total} frames are saved" if saved else ""
            failed = WriteError(
                self.path,
                expected="space and permission to write",
                found=f"'{reason_of(error)}'{kept}",
                hint="fix the problem and rerun the same command to resume",
            )
            failed.saved = saved
            raise failed from error


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def sync_directory(path: Path) -> None:
    """Flush the names in a folder to disk, where the system supports it (not Windows, not every network disk)."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

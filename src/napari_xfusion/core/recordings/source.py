"""What all readers share: a file's bytes at a place, grey dtypes, sha256, one conversion of foreign errors."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.errors import DamagedFileError, InputError, XFusionError, reason_of

GREY_DTYPES = frozenset(("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"))
"""uint8/16/32, int8/16/32, float16/32/64, as kind and bytes."""
MOST_DECODED = 1 << 30
"""Bytes of the largest frame that a header may claim where the size of the file does not vouch for it."""
MOST_FRAMES = 10**7
"""Frames of the longest sequence; a damaged header can claim more, for whose times there is no memory."""
_CHUNK = 1 << 20


class FileBytes:
    """A file open for reading at any place, from any thread; closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise InputError(path, expected="a file", found="something else", hint="give a file or a folder")
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._fd)
        self._lock = threading.Lock()
        self.size = os.fstat(self._fd).st_size

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill ``buffer`` with the bytes from ``offset`` on; raises InputError where the file ends before."""
        done = 0
        while done < len(buffer):
            got = self._read_some(buffer[done:], offset + done)
            if got == 0:
                raise damaged(self.path, f"{len(buffer)} bytes at {offset}", f"only {done}")
            done += got

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset`` on; raises InputError where they are not in the file."""
        if count < 0 or offset < 0 or offset + count > self.size:
            raise damaged(self.path, f"{count} bytes at {offset}", f"a file of {self.size} bytes")
        data = bytearray(count)
        self.read_into(memoryview(data), offset)
        return bytes(data)

    def _read_some(self, buffer: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._fd, [buffer], offset)
        with self._lock:  # Windows has no positional read
            os.lseek(self._fd, offset, os.SEEK_SET)
            data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def damaged(where: object, expected: str, found: str) -> DamagedFileError:
    """Return the error for a file that is cut or does not hold what it declares."""
    return DamagedFileError(
        where, expected=expected, found=found, hint="copy or export it again from the original"
    )


def check_frames(frames: int, where: object) -> None:
    """Raise DamagedFileError for more frames than any recording has."""
    if frames > MOST_FRAMES:
        raise damaged(where, f"at most {MOST_FRAMES} frames", f"{frames}")


@contextmanager
def told(where: object, expected: str) -> Iterator[None]:
    """Turn whatever libraries raise on a file's content into one DamagedFileError; our own errors pass.

    What the system refuses is an InputError: the file may be in order.
    """
    try:
        yield
    except XFusionError:
        raise
    except MemoryError as error:
        raise InputError(
            where, problem="there is too little memory to read it", hint="free memory, and run the same again"
        ) from error
    except ImportError as error:
        raise InputError(
            where, problem=f"what reads it cannot be loaded: {error}", hint="install napari-xfusion again"
        ) from error
    except Exception as error:  # decoders raise a dozen types on damaged bytes
        cause = refusal(error)
        if cause is not None:
            raise refused(where, cause) from error
        raise damaged(where, expected, f"{type(error).__name__}: {str(error)[:200]}") from error


_REMEDIES = {
    errno.EMFILE: "raise the limit of open files (ulimit -n), or close other programs",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "free memory, and run the same again",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.ENOENT: "check that it was not moved or deleted",
    errno.ENOTDIR: "check the path",
    errno.EIO: "check the disk or the connection to it, and run the same again",
}
_OF_CONTENT = frozenset((errno.EINVAL, errno.EDOM, errno.ERANGE))
"""What the system also says of places and sizes that a damaged file names."""


def refusal(error: BaseException) -> OSError | None:
    """What the system refused, in an error or its causes; None where the content is at fault.

    The system's errors have a number; those of decoders on damaged bytes have none.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None and seen.errno not in _OF_CONTENT:
            return seen
        seen = seen.__cause__
    return None


def refused(where: object, cause: OSError) -> InputError:
    """The error for a file that the system refused to read."""
    denied = isinstance(cause, PermissionError)
    problem = "no permission to read it" if denied else f"the system cannot read it: {reason_of(cause)}"
    hint = _REMEDIES.get(cause.errno or 0, "check the disk or the connection to it, and run the same again")
    return InputError(where, problem=problem, hint=hint)


def check_grey(dtype: np.dtype[Any], where: object) -> np.dtype[Any]:
    """Return ``dtype`` in native byte order; raises InputError with a hint where it holds no grey."""
    if f"{dtype.kind}{dtype.itemsize}" in GREY_DTYPES:
        return dtype.newbyteorder("=")
    hints = {
        "b": "convert the mask to grey values, or give the sequence itself",
        "c": "take the magnitude or the phase first",
    }
    raise InputError(
        where,
        expected="grey values as 8 to 32-bit integers or 16 to 64-bit floats",
        found=str(dtype),
        hint=hints.get(dtype.kind, "convert it, to float32 for instance"),
    )


def checked(frame: object, shape: tuple[int, ...], dtype: np.dtype[Any], where: object) -> NDArray[Any]:
    """Return a decoded frame in native byte order; raises InputError unless it is what the header said."""
    array = np.asarray(frame)
    if array.shape != shape or array.dtype.newbyteorder("=") != dtype:
        raise damaged(where, f"a frame {shape} of {dtype}", f"{array.shape} of {array.dtype}")
    return array.astype(dtype, copy=False)


def digest_files(paths: list[Path], *, names: bool) -> Callable[[], str]:
    """Return a cached function: the sha256 of the files' bytes in order, with their names or not."""

    @cache
    def digest() -> str:
        total = hashlib.sha256()
        for path in paths:
            with told(path, "a readable file"):
                file = FileBytes(path)
                total.update(f"{path.name}\0{file.size}\0".encode() if names else b"")
                for start in range(0, file.size, _CHUNK):
                    total.update(file.read(start, min(_CHUNK, file.size - start)))
        return total.hexdigest()

    return digest

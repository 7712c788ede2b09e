"""Memory of the C library while a network works on the CPU.

A network frees and asks for the same large buffers again and again. The GNU C library gives such buffers
back to the system at once, and every page of the next one is then fetched and cleared anew: 8 % of the time
of a full-size network on two cores. So it is told to keep them, and to give everything back at the end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Numbers of glibc's malloc.h."""
USUAL = {TRIM_THRESHOLD: 128 * 1024, MMAP_MAX: 65536}
KEEPING = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}


@contextmanager
def kept_buffers() -> Iterator[None]:
    """Keep freed buffers for the next ones while this lasts; does nothing without the GNU C library."""
    settle(KEEPING)
    try:
        yield
    finally:
        settle(USUAL)


def settle(settings: Mapping[int, int]) -> None:
    """Tell the GNU C library how to treat freed buffers; those of now go back to the system."""
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:  # macOS, Windows, other C libraries
        return
    for setting, value in settings.items():
        library.mallopt(setting, value)
    library.malloc_trim(0)

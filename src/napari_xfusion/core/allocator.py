"""What the C library does with memory that was freed; a setting of the process."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Options of mallopt in the malloc.h of glibc."""


def keep_freed_memory() -> bool:
    """Let the GNU C library retain large freed buffers for reuse; return whether it does.

    By default it returns them to the system, which then has to clear every page of the next buffer. A network
    on the CPU requests the same buffers again and again, as does every method in a worker of Dask, which returns
    memory much sooner than by default: a frame takes about twice as long there. The setting applies to the complete
    process.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # macOS, Windows, other C libraries
        return False
    return bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_MMAP_MAX, 0))

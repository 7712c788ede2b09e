"""Quantities as people read them: bytes, time to wait, time in a sequence."""

from __future__ import annotations


def byte_count(count: float) -> str:
    """A number of bytes as people read it: ``3.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A time to wait as people read it: ``8 s``, ``3:20 min``, ``2:05 h``."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def moment(seconds: float) -> str:
    """A time of a sequence in the unit that suits it: ``240 µs``, ``1.2 ms``."""
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if abs(seconds) * factor < 1000:
            return f"{seconds * factor:.4g} {unit}"
    return f"{seconds:.4g} s"


def length_in_words(micrometres: float) -> str:
    """A length in the unit that suits it: ``500 nm``, ``20 µm``, ``1 mm``."""
    for factor, unit in ((1e3, "nm"), (1.0, "µm")):
        if abs(micrometres) * factor < 1000:
            return f"{micrometres * factor:.4g} {unit}"
    return f"{micrometres / 1e3:.4g} mm"

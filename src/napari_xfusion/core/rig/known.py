"""What was found about recordings, for as long as their files do not change.

napari asks about the same two recordings for the check, each preview, the run and each layer that is inspected.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import TypeVar

from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.recordings.state import state_of
from napari_xfusion.core.types import Stack

T = TypeVar("T")
MOST = 8
"""Findings in memory, those last asked for."""
_found: OrderedDict[Hashable, object] = OrderedDict()
_lock = Lock()


def known(stacks: Sequence[Stack], settings: Hashable, find: Callable[[], T]) -> T:
    """``find()``, or what it gave before for the same recordings and ``settings``; raises as it does.

    A finding must hold neither frames nor files, and belongs to one ``find`` by its ``settings``. Recordings are the
    same where name, size, number and time of change of all their files are. Arrays may change at any time, so that
    they are looked at each time. From any thread.
    """
    before = _key(stacks, settings)
    with _lock:
        if before in _found:
            _found.move_to_end(before)
            return _found[before]  # type: ignore[return-value] # by these settings
    found = find()
    if before is not None and before == _key(stacks, settings):
        with _lock:
            _found[before] = found
            while len(_found) > MOST:
                _found.popitem(last=False)
    return found


def _key(stacks: Sequence[Stack], settings: Hashable) -> Hashable | None:
    if not all(isinstance(stack.recording, Recording) for stack in stacks):
        return None
    return *((stack.recording, stack.shape, state_of(stack)) for stack in stacks), settings

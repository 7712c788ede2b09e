"""Recordings read again in the layers that show them: a file that has grown, or other flats and darks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari.utils.notifications import show_error

from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.recordings.state import State, state_of
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import XFusionError
from napari_xfusion.ui.shared.compare import RECORDED
from napari_xfusion.ui.shared.layers import (
    CONTRAST_FRAMES,
    LayerData,
    lazy_frames,
    redraw,
    sequence_pair,
    title_of,
)
from napari_xfusion.ui.shared.provenance import METADATA, Provenance, provenance_of
from napari_xfusion.ui.shared.words import in_window_words

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer


PLUGIN = "napari-xfusion"
_STATES: WeakKeyDictionary[Stack, State] = WeakKeyDictionary()
"""The files of recordings as they were when these were first looked at."""


def remember(stack: Stack) -> None:
    """Note the state of the files of a recording, for ``read_again``; in any thread."""
    if isinstance(stack.recording, Recording):
        _STATES.setdefault(stack, state_of(stack))


def read_again(source: Recording | Stack, before: Stack) -> Stack:
    """The recording ``source``; ``before`` itself if it is the same and its files have not changed.

    So an interrupted run can be resumed after a look for new frames. Raises InputError as ``open_stack``.
    """
    if not isinstance(source, Recording):
        return source
    now = source.open()
    if source == before.recording and _STATES.get(before) == state_of(now):
        return before
    remember(now)
    return now


def open_file(viewer: napari.Viewer, path: str) -> bool:
    """Open a recording by this package, whichever reader the user prefers; whether there is a layer now.

    Reports why there is none.
    """
    try:
        return bool(viewer.open(path, plugin=PLUGIN))
    except (
        XFusionError,
        ValueError,
        OSError,
    ) as error:  # napari raises the latter two for files that nobody reads
        show_error(in_window_words(error) if isinstance(error, XFusionError) else str(error))
        return False


def refresh(layers: Iterable[Layer]) -> None:
    """Read the recordings of ``layers`` again and show the frames that they have by now.

    Other layers stay as they are. Raises InputError for a file that is no longer there or damaged.
    """
    recorded = {layer: stack for layer in layers if (stack := _recorded(layer)) is not None}
    for group in _groups(list(recorded)):
        show_again(group, [_opened(recorded[layer]) for layer in group])


def new_frames(before: Sequence[Stack], now: Sequence[Stack]) -> str:
    """How many frames LR and HR have got since, in words."""
    counts = [len(b) - len(a) for a, b in zip(before, now, strict=True)]
    words = [f"{name} {count:+d} frames" for name, count in zip(("LR", "HR"), counts, strict=True) if count]
    return f"Read again: {', '.join(words) or 'no new frames'}."


def _recorded(layer: Layer) -> Stack | None:
    known = provenance_of(layer)
    return None if known is None or known.role not in RECORDED else known.sequence


def _opened(stack: Stack) -> Stack:
    return read_again(stack.recording if isinstance(stack.recording, Recording) else stack, stack)


def _groups(layers: list[Layer]) -> Iterator[list[Layer]]:
    """LR and HR of one title together, each other layer alone."""
    roles = {layer: known.role for layer in layers if (known := provenance_of(layer)) is not None}
    alone = list(layers)
    for lr in [layer for layer in layers if roles[layer] == "lr"]:
        same = [layer for layer in alone if roles[layer] == "hr" and title_of(layer) == title_of(lr)]
        if same:
            alone = [layer for layer in alone if layer not in (lr, same[0])]
            yield [lr, same[0]]
    yield from ([layer] for layer in alone)


def show_again(layers: Sequence[Layer], stacks: Sequence[Stack]) -> None:
    """Show recordings of ``layers`` that were read anew: with more frames, or by other flats and darks.

    A pair stays a pair: HR is spread over the frames that LR has now. The contrast changes with the grey values only.
    Layers that this package did not open stay as they are.
    """
    known = [provenance_of(layer) for layer in layers]
    if [k.role for k in known if k is not None] == ["lr", "hr"]:
        shown = _pair_again(layers, *stacks)
    else:
        shown = [_alone_again(k, stack) for k, stack in zip(known, stacks, strict=True) if k is not None]
    there = [(layer, k) for layer, k in zip(layers, known, strict=True) if k is not None]
    for (layer, before), new in zip(there, shown, strict=True):
        redraw(layer, new)
        _show_contrast(layer, before.sequence)


def _pair_again(layers: Sequence[Layer], lr: Stack, hr: Stack) -> list[LayerData]:
    known = provenance_of(layers[1])
    given = known is not None and hr.metadata.hr_times is None
    times = known.times if known is not None and given else None
    calibration = None if known is None else known.calibration
    return [*sequence_pair(lr, hr, times, title=title_of(layers[0]), calibration=calibration)]


def _alone_again(known: Provenance, stack: Stack) -> LayerData:
    """``stack`` in a layer whose provenance is ``known``, which keeps its place."""
    if known.sequence is stack:
        return LayerData(known.shown, {"metadata": {METADATA: known}})
    data = lazy_frames(stack)
    now = replace(known, sequence=stack, shown=data, entries=None, times=None)
    return LayerData(data, {"metadata": {METADATA: now}})


def _show_contrast(layer: Layer, before: Stack | None) -> None:
    """Fit the contrast of a layer to its sequence if it is corrected otherwise than ``before``."""
    known = provenance_of(layer)
    now = None if known is None else known.sequence
    if before is not None and now is not None and before.recording != now.recording:
        grey, _ = percentile_map(now, CONTRAST_FRAMES)
        layer.contrast_limits_range = layer.contrast_limits = (grey.zero, grey.zero + grey.span)

"""Opening sequences in napari, by drag and drop, File > Open or ``napari --plugin napari-xfusion``.

Lazily, with axes, units, frame time and contrast. A sequence that fits one that is open becomes LR or HR of the
pair, and both take their places. What is no sequence of grey frames (a photo) is refused with the reason, and
napari offers its other readers; a damaged sequence is reported and not opened, for others would show what is
left of it as if it were whole.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from napari_xfusion.core.recordings import open_frames, open_stack
from napari_xfusion.core.rig import tell_apart
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import DamagedFileError, InputError
from napari_xfusion.ui.shared.layers import LayerData, redraw, sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import layers_of, provenance_of
from napari_xfusion.ui.shared.words import in_window_words

LayerTuple = tuple[Any] | tuple[Any, dict[str, Any], str]
"""What napari takes from a reader; ``(None,)`` is a file that was dealt with and gives no layer."""
Reader = Callable[[object], list[LayerTuple]]


def get_reader(path: str | PathLike[str] | list[str]) -> Reader:
    """A reader of the sequence at ``path``, or of the frames in a list of files."""
    try:
        sequence = open_frames(list(map(Path, path))) if isinstance(path, list) else open_stack(path)
    except DamagedFileError as error:
        return _telling(error)
    except InputError as error:
        return _refusing(error)
    return lambda _path: [(*_shown(sequence), "image")]


def _telling(error: InputError) -> Reader:
    def tell(_path: object) -> list[LayerTuple]:
        from napari.utils.notifications import show_error  # noqa: PLC0415 - napari is there when it reads

        show_error(in_window_words(error))
        return [(None,)]

    return tell


def _refusing(error: InputError) -> Reader:
    def refuse(_path: object) -> list[LayerTuple]:
        raise error

    return refuse


def _shown(sequence: Stack) -> LayerData:
    """The sequence as a layer; where it makes a pair with an open one, that one is moved to its place."""
    from napari import current_viewer  # noqa: PLC0415 - napari is there when it reads

    viewer = current_viewer()
    for layer in reversed(layers_of(viewer, "sequence") if viewer else []):
        known = provenance_of(layer)
        other = known.sequence if known else None
        pair = None if other is None else tell_apart(other, sequence)
        if pair is not None:
            shown = sequence_pair(*pair)
            mine = pair.index(sequence)
            redraw(layer, shown[1 - mine])
            viewer.reset_view()
            return shown[mine]
    return sequence_layer(sequence, role="sequence")

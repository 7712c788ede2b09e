"""Opening sequences in napari, by drag and drop, File > Open or ``napari --plugin napari-xfusion``.

Sequences open lazily, with axes, units, frame time and contrast. A fused sequence with its record becomes the result
of its run. A sequence that pairs with an open one becomes
LR or HR of the pair, and both layers are aligned. A file that is not a greyscale image sequence, such as a photo,
is rejected with the reason, and napari offers its other readers. A damaged sequence is reported and not opened,
because other readers would show the rest as if it were complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from napari_xfusion.core.recordings import open_frames, open_stack
from napari_xfusion.core.results.record import RunRecord, record_path
from napari_xfusion.core.rig import Mapping, tell_apart
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import AmbiguousFileError, DamagedFileError, InputError
from napari_xfusion.ui.shared.layers import (
    LayerData,
    layer_name,
    redraw,
    sequence_layer,
    sequence_pair,
    sequence_title,
)
from napari_xfusion.ui.shared.provenance import METADATA, layers_of, provenance_of
from napari_xfusion.ui.shared.words import in_window_words

LayerTuple = tuple[Any] | tuple[Any, dict[str, Any], str]
"""A layer of a reader; ``(None,)`` is a file that was handled and gives no layer."""
Reader = Callable[[object], list[LayerTuple]]


def get_reader(path: str | PathLike[str] | list[str]) -> Reader:
    """A reader of the sequence at ``path``, or of the frames in a list of files."""
    try:
        sequence = open_frames(list(map(Path, path))) if isinstance(path, list) else open_stack(path)
    except AmbiguousFileError as error:
        return _choosing(str(path), error)
    except DamagedFileError as error:
        return _reporting(error)
    except InputError as error:
        return _rejecting(error)
    return lambda _path: [(*_shown(sequence), "image")]


def _reporting(error: InputError) -> Reader:
    def report(_path: object) -> list[LayerTuple]:
        from napari.utils.notifications import show_error  # noqa: PLC0415 - a reader runs inside napari

        show_error(in_window_words(error))
        return [(None,)]

    return report


def _choosing(path: str, error: AmbiguousFileError) -> Reader:
    """A reader that asks which of the sequences in a file to open."""

    def choose(_path: object) -> list[LayerTuple]:
        from qtpy.QtWidgets import QApplication  # noqa: PLC0415 - files with one sequence need no window

        from napari_xfusion.ui.plugin.chooser import choose_dataset  # noqa: PLC0415

        if QApplication.instance() is None:
            raise error
        dataset = choose_dataset(Path(path).name, error.choices)
        return [(None,)] if dataset is None else [(*_shown(open_stack(f"{path}::{dataset}")), "image")]

    return choose


def _rejecting(error: InputError) -> Reader:
    def reject(_path: object) -> list[LayerTuple]:
        raise error

    return reject


def _shown(sequence: Stack) -> LayerData:
    """The sequence as a layer; if it pairs with an open one, both are aligned."""
    from napari import current_viewer  # noqa: PLC0415 - a reader runs inside napari

    record = _record_of(sequence)
    if record is not None:
        return _fused(sequence, record)
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


def _record_of(sequence: Stack) -> RunRecord | None:
    """The record of the run that made ``sequence``; None without one that fits."""
    if not record_path(sequence.source).is_file():
        return None
    try:
        record = RunRecord.load(record_path(sequence.source))
    except InputError:
        return None
    shape = record.plan.frame_shape(record.rig.hr.shape[1:])
    return record if sequence.shape == (len(record.frames), *shape) else None


def _fused(sequence: Stack, record: RunRecord) -> LayerData:
    """A result as a layer, at its place and time in the sequences that it was made from."""
    plan = record.plan
    method = Path(plan.model).stem if plan.model else plan.method
    corner = Mapping(shift=(plan.region.top, plan.region.left) if plan.region else (0, 0))
    name = layer_name(sequence_title(sequence), "fused", method)
    layer = sequence_layer(sequence, role="fused", name=name, mapping=corner)
    first, (interval, *_) = plan.frames[0] if plan.frames else 0, layer.options["scale"]
    layer.options["translate"] = (first * interval, *layer.options["translate"][1:])
    known = replace(layer.options["metadata"][METADATA], plan=plan, record=record)
    layer.options["metadata"] = {METADATA: known}
    return layer

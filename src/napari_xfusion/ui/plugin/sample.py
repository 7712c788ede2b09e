"""The samples of the package, for File > Open Sample."""

from __future__ import annotations

from dataclasses import replace

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.plugin.reader import LayerTuple
from napari_xfusion.ui.shared.layers import LayerData, layer_name, sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import METADATA, LayerRole

TITLE, TARGET, SHOT = "sample", "grid", "shot"
CAMERAS: tuple[LayerRole, ...] = ("lr", "hr")


def sample_layers() -> list[LayerTuple]:
    """LR and HR of a virtual experiment and, hidden, their truth."""
    lr, hr, truth = (open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))
    hidden = sequence_layer(truth, role="truth", name=layer_name(TITLE, "truth"))
    hidden.options["visible"] = False
    return [(*shown, "image") for shown in (hidden, *sequence_pair(lr, hr, title=TITLE))]


def rig_layers() -> list[LayerTuple]:
    """Two cameras that are not calibrated yet: their images of one grid and, hidden, their recordings of one event."""
    shots = [_opened("shot", camera, SHOT) for camera in CAMERAS]
    for shown in shots:
        shown.options["visible"] = False
    targets = [_still(_opened("grid", camera, TARGET)) for camera in CAMERAS]
    return [(*shown, "image") for shown in (*shots, *targets)]


def _opened(name: str, camera: LayerRole, title: str) -> LayerData:
    stack = open_stack(sample_sequence(f"rig/{name}_{camera}"))
    return sequence_layer(stack, role="sequence", name=layer_name(title, camera))


def _still(shown: LayerData) -> LayerData:
    """The first frame of a target, which napari shows with every frame of other sequences."""
    options = dict(shown.options)
    data = shown.data[0]
    for key in ("axis_labels", "units", "scale", "translate"):
        options[key] = options[key][1:]
    options["metadata"] = {METADATA: replace(options["metadata"][METADATA], shown=data)}
    return LayerData(data, options)

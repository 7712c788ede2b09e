"""The sample of the package, for File > Open Sample."""

from __future__ import annotations

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.plugin.reader import LayerTuple
from napari_xfusion.ui.shared.layers import layer_name, sequence_layer, sequence_pair

TITLE = "sample"


def sample_layers() -> list[LayerTuple]:
    """LR and HR of a virtual experiment and, hidden, their truth."""
    lr, hr, truth = (open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))
    hidden = sequence_layer(truth, role="truth", name=layer_name(TITLE, "truth"))
    hidden.options["visible"] = False
    return [(*shown, "image") for shown in (hidden, *sequence_pair(lr, hr, title=TITLE))]

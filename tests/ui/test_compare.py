"""Showing one layer over another."""

import numpy as np
from napari.components import ViewerModel

from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import Wipe


def test_a_wipe_changes_few_layers_and_none_while_napari_arranges_a_grid():
    viewer = ViewerModel()
    layers = [viewer.add_image(np.zeros((3, 4, 4)), visible=k != 2) for k in range(4)]
    changed = []
    for layer in layers:
        layer.events.visible.connect(lambda _, x=layer: changed.append((x, compat.grid(viewer).enabled)))
    wipe = Wipe(viewer, layers[0], layers[1])
    assert [layer.visible for layer in layers] == [False, True, False, False]
    compat.grid(viewer).enabled = True
    wipe.remove()
    assert [layer.visible for layer in layers] == [True, True, False, True]
    assert changed == [(layers[0], False), (layers[3], False)] * 2
    assert compat.grid(viewer).enabled

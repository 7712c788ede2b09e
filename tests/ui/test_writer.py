"""Layers saved from a real window come back as the sequences they were."""

import json
from itertools import product

import numpy as np
import pytest

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.shared.provenance import stack_of

pytestmark = pytest.mark.drawn(False)
PLUGIN = "napari-xfusion"
ENDINGS = (".tif", ".ome.tif", ".zarr", ".nxs")


def frames(stack):
    return np.stack([stack.frame(i) for i in range(len(stack))])


def test_the_sample_saved_and_opened_again_is_the_sample(viewer, tmp_path):
    viewer.open_sample(PLUGIN, "two-cameras")
    for name, ending in product(("LR", "HR"), ENDINGS):
        path = tmp_path / f"{name}{ending}"
        layer = viewer.layers[f"sample · {name}"]
        assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
        original, back = open_stack(sample_sequence(name.lower())), open_stack(path)
        assert np.array_equal(frames(back), frames(original))
        assert back.dtype == original.dtype
        assert back.pixel_size == pytest.approx(original.pixel_size)
        assert back.clock.interval == pytest.approx(original.clock.interval)
        assert back.metadata.hr_times == original.metadata.hr_times
        record = json.loads((tmp_path / f"{name}{ending}.json").read_text())
        assert record["layer"] == {"name": f"sample · {name}", "role": name.lower(), "made_from": []}


def test_a_plain_layer_is_saved_with_its_scale(viewer, tmp_path):
    data = np.random.default_rng(0).integers(0, 4000, (4, 9, 13), dtype=np.uint16)
    layer = viewer.add_image(data, scale=(0.5, 3, 3), units=("ms", "um", "um"), name="mine")
    for ending in ENDINGS:
        path = str(tmp_path / f"sequence{ending}")
        assert viewer.layers.save(path, plugin=PLUGIN) == [path]
        (again,) = viewer.open(path, plugin=PLUGIN)
        assert np.array_equal(np.asarray(again.data), data)
        sequence = stack_of(again)
        assert (sequence.pixel_size, sequence.clock.interval) == pytest.approx((3, 5e-4))
        assert sequence.clock.interval == pytest.approx(stack_of(layer).clock.interval)
        viewer.layers.remove(again)


def test_saving_again_replaces_the_earlier_sequence(viewer, tmp_path):
    path = str(tmp_path / "sequence.tif")
    for value in (1, 2):
        viewer.layers.clear()
        viewer.add_image(np.full((3, 8, 8), value, np.uint8)).save(path, plugin=PLUGIN)
    assert frames(open_stack(path)).min() == 2

"""What only an NVIDIA GPU can show: every network gives there what it gives on the CPU."""

import threading

import numpy as np
import pytest
import torch

from napari_xfusion.core.inspect.metrics import psnr
from napari_xfusion.core.networks.build import edvr_stf, initialise
from napari_xfusion.core.networks.cards import INPUTS, Card, Sizes, list_models
from napari_xfusion.core.networks.engine import PRECISIONS, NetworkFuser
from napari_xfusion.core.networks.weights import Loaded, load_model
from napari_xfusion.lab.train.loop import train
from napari_xfusion.lab.train.plan import TrainPlan
from tests.core.networks.test_engine import fused, make_reader
from tests.sequences import moving_discs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FULL = Sizes(channels=128, extract=5, reconstruct=40, groups=8)
SEQUENCE = moving_discs(6, (96, 128))
HALF = {"bfloat16": 40.0, "float16": 50.0}
"""Least PSNR in dB of a result in that precision against float32."""


def full_size() -> Loaded:
    network = edvr_stf(**FULL.model_dump())
    initialise(network, torch.Generator().manual_seed(0))
    return Loaded(network, Card(variant="edvr-stf", sizes=FULL, inputs=INPUTS["edvr-stf"]), "0" * 64)


NETWORKS = {"full size": full_size} | {
    name: (lambda path=path: load_model(path)) for name, path in list_models().items()
}


def on(device: torch.device, weights: Loaded, precision: str = "float32", batch: int = 1) -> NetworkFuser:
    network = weights.network.to(device, PRECISIONS[precision], memory_format=torch.channels_last)
    return NetworkFuser(weights._replace(network=network), device, precision, batch=batch)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_on_the_gpu_what_it_gives_on_the_cpu(name):
    reader = make_reader(SEQUENCE, step=3)
    expected, _ = fused(on(CPU, NETWORKS[name]()), reader)
    got, _ = fused(on(CUDA, NETWORKS[name](), batch=4), reader)
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(b.image, a.image, atol=1e-4)
        assert {role: s.sigmoid for role, s in b.scores.items()} == pytest.approx(
            {role: s.sigmoid for role, s in a.scores.items()}, abs=1e-3
        )


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", NETWORKS)
def test_lower_precisions_stay_close_to_float32(name, precision):
    reader = make_reader(SEQUENCE, step=3)
    expected, _ = fused(on(CUDA, NETWORKS[name](), batch=4), reader)
    got, _ = fused(on(CUDA, NETWORKS[name](), precision, batch=4), reader)
    for a, b in zip(expected, got, strict=True):
        assert psnr(np.clip(a.image, 0, 1), np.clip(b.image, 0, 1)) > HALF[precision]


def test_the_same_run_gives_the_same_bytes():
    reader, fuser = make_reader(SEQUENCE, step=3), on(CUDA, full_size(), batch=4)
    first, second = (np.stack([frame.image for frame in fused(fuser, reader)[0]]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_tiles_shrink_until_they_fit_into_a_small_device():
    """The device has less free memory than was there when the tiles were chosen."""
    sequence = moving_discs(3, (1536, 2048))
    reader, weights = make_reader(sequence, step=2), full_size()
    expected, _ = fused(on(CUDA, weights), reader, targets=[1])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 3e9) / total)
    try:
        got, stream = fused(on(CUDA, weights), reader, targets=[1])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("memory ran out" in note.text for note in stream.notes)
    np.testing.assert_allclose(got[0].image, expected[0].image, atol=1e-4)


@pytest.mark.parametrize("variant", ["edvr-stf", "edvr", "lite"])
def test_a_training_runs_and_resumes_on_the_gpu(tmp_path, variant):
    sizes = {"lite": {"encode": 8, "channels": 8, "coarse": 8, "blocks": 1}}.get(
        variant, {"channels": 8, "extract": 1, "reconstruct": 1, "groups": 2}
    )
    plan = TrainPlan(
        variant=variant,
        sizes=sizes,
        samples=8,
        held_out=7,
        crop=64,
        iterations=4,
        batch=4,
        data=("scenes:powder",),
    )
    stop = threading.Event()
    done = train(plan, tmp_path, stop=stop, device="cuda")
    assert done.finished and np.isfinite(list(done.figures.values())).all()
    again = train(plan, tmp_path, stop=stop, device="cuda")
    assert (again.resumed, again.iterations) == (4, 4)

"""The small network at work on a sequence gives what its plain forward gives, and goes on from `flow`."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.networks.build import initialise, lite
from napari_xfusion.core.networks.cards import INPUTS, Card, LiteSizes
from napari_xfusion.core.networks.engine import NetworkFuser, load_fuser
from napari_xfusion.core.networks.lite import Inputs
from napari_xfusion.core.networks.lite_feed import prepare
from napari_xfusion.core.networks.tiles import LITE_HALO, Grid
from napari_xfusion.core.networks.weights import Loaded, save_model
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import FrameReader, Grids
from napari_xfusion.errors import ModelError
from tests.core.networks.test_engine import fused, in_regions, lively, make_reader, of_sizes
from tests.sequences import binned, moving_discs, reader_of, stack

SIZES = LiteSizes(encode=8, channels=8, coarse=8, blocks=4)
CPU = torch.device("cpu")


def loaded(seed: int = 0) -> Loaded:
    """Weights whose answer depends strongly on the input."""
    network = lively(lite(**SIZES.model_dump()), seed)
    with torch.no_grad():
        network.filters.weight.mul_(0.02)
        network.residual.weight.mul_(0.1)
    card = Card(variant="lite", sizes=SIZES, inputs=INPUTS["lite"], base="flow")
    return Loaded(network, card, "0" * 64)


def fuser(weights: Loaded, **settings: object) -> NetworkFuser:
    return NetworkFuser(weights, CPU, **settings)


def plain(network, reader, target, separation=1):
    """Whole frames, one target, no engine."""
    whole = prepare(reader.group(target, separation), FlowStream(reader), Grid.of(reader.rig.grids))
    fields = [torch.from_numpy(np.array(part, np.float32))[None] for part in whole]
    with torch.inference_mode():
        out = network(Inputs(*fields))
    height, width = reader.rig.hr.shape[1:]
    return out.image[0, 0, :height, :width].numpy(), out.raw[0].numpy()


@pytest.mark.parametrize("separation", [1, 3])
def test_the_stream_equals_the_plain_forward(separation):
    """One target at a time and four."""
    weights, reader = loaded(), make_reader()
    one, four = (fused(fuser(weights, batch=batch, separation=separation), reader)[0] for batch in (1, 4))
    assert [frame.index for frame in one] == [frame.index for frame in four] == list(range(20))
    expected = [plain(weights.network, reader, target, separation) for target in range(20)]
    for frame in (*one, *four):
        image, raw = expected[frame.index]
        np.testing.assert_allclose(frame.image, image, atol=1e-4)
        for f, role in enumerate(INPUTS["lite"]):
            assert frame.scores[role].raw == pytest.approx(raw[f].mean(), abs=1e-4)


def test_the_answer_of_these_weights_depends_on_the_input():
    """Else the tests here would pass whatever the network did."""
    weights, answers = loaded(), []
    for seed in (0, 5):
        reader = make_reader(moving_discs(20, (48, 64), seed=seed))
        base = FlowStream(reader).estimate(reader.group(7)).image
        answers.append(plain(weights.network, reader, 7)[0] - base)
    assert answers[0].std() > 0.02
    assert (answers[0] - answers[1]).std() > 0.02


def test_tiles_equal_the_whole_at_the_halo():
    """On a frame that is wider than a tile with both halos."""
    sequence = np.tile(moving_discs(4, (32, 64)), (1, 1, 10))
    weights, reader = loaded(), make_reader(sequence, step=3)
    assert reader.rig.fast.shape[2] > 2 * LITE_HALO + 40
    whole, _ = fused(fuser(weights), reader, [1])
    tiled, _ = fused(fuser(weights, tile=40), reader, [1])
    np.testing.assert_allclose(tiled[0].image, whole[0].image, atol=1e-5)
    np.testing.assert_allclose(tiled[0].attention["hr-"], whole[0].attention["hr-"], atol=1e-5)


@in_regions
def test_a_region_is_that_part_of_the_whole(region):
    weights, reader = loaded(), make_reader()
    whole, _ = fused(fuser(weights), reader, [6])
    part, _ = fused(fuser(weights), reader, [6], region)
    expected = whole[0].image[region.top : region.bottom, region.left : region.right]
    np.testing.assert_allclose(part[0].image, expected, atol=1e-5)


@of_sizes
def test_any_size_and_scale(shape, scale):
    reader = make_reader(moving_discs(6, shape), step=5, scale=scale)
    frames, _ = fused(fuser(loaded()), reader)
    assert len(frames) == 6
    for frame in frames:
        assert frame.image.shape == reader.rig.hr.shape[1:]
        assert np.isfinite(frame.image).all()


@pytest.mark.parametrize("hr_times", [(0.0, 9.0), (3.0, 6.0)], ids=["ends", "inside"])
def test_a_network_that_has_learnt_nothing_gives_its_base(hr_times):
    """Before, at, between and after the HR frames."""
    sequence = moving_discs(10)
    hr = sequence[[int(t) for t in hr_times]]
    reader = reader_of(stack(binned(sequence)), stack(hr), make_plan(hr_times=hr_times))
    network = lite(**SIZES.model_dump()).eval()
    initialise(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in (network.residual, network.filters):
            layer.weight.zero_()
    weights = loaded()._replace(network=network)
    frames, _ = fused(fuser(weights), reader)
    with make_fuser(make_plan(method="flow")).open(reader) as stream:
        for frame, base in zip(frames, stream.fuse(range(10), threading.Event()), strict=True):
            np.testing.assert_allclose(frame.image, base.image, atol=1e-5)


def test_initial_weights_stay_near_the_base():
    network = lite().eval()
    initialise(network, torch.Generator().manual_seed(0))
    reader = make_reader()
    base = FlowStream(reader).estimate(reader.group(7)).image
    assert np.abs(plain(network, reader, 7)[0] - base).max() < 0.05


def test_load_fuser_takes_it_for_lite_only(tmp_path):
    weights, path = loaded(), tmp_path / "small.safetensors"
    save_model(path, weights.network, weights.card)
    ours, _ = fused(load_fuser(make_plan(method="lite", model=str(path), device="cpu")), make_reader(), [3])
    theirs, _ = fused(fuser(weights), make_reader(), [3])
    np.testing.assert_allclose(ours[0].image, theirs[0].image, atol=1e-5)
    with pytest.raises(ModelError, match="not of edvr"):
        load_fuser(make_plan(method="edvr", model=str(path)))


def test_the_default_is_the_bundled_network_and_is_better_than_flow():
    sequence = moving_discs(21, (64, 96), seed=3) + np.float32(0.02) * np.random.default_rng(
        0
    ).standard_normal((21, 64, 96), dtype=np.float32)
    clean, reader = moving_discs(21, (64, 96), seed=3), make_reader(sequence, step=20)
    errors = {}
    for name, method in (
        ("lite", make_fuser(make_plan(device="cpu"))),
        ("flow", make_fuser(make_plan(method="flow"))),
    ):
        frames, _ = fused(method, reader, [4, 10, 16])
        zero, span = reader.rig.hr.grey.zero, reader.rig.hr.grey.span
        errors[name] = np.mean([(frame.image - (clean[frame.index] - zero) / span) ** 2 for frame in frames])
    assert errors["lite"] < 0.9 * errors["flow"]


def test_a_blurred_lr_reaches_the_network_as_if_it_was_sharp():
    """The network was trained on LR that is the mean over its pixels."""
    hr = gaussian_filter(np.random.default_rng(0).random((96, 128)), 1.2).astype(np.float32)
    sharp = Grids((24, 32), hr.shape, Mapping.scaled((4, 4)))
    blurred = replace(sharp, blur=(0.5, 0.5)).down(hr)
    shot = [stack(np.repeat(image[None], n, axis=0)) for image, n in ((blurred, 9), (hr, 3))]
    rig = reader_of(*shot, make_plan(hr_times=(0, 4, 8), grey="none")).rig
    fast = rig.fast.model_copy(update={"blur": (0.5, 0.5)})
    rig = rig.replaced(fast=fast, divisions=4)
    reader = FrameReader(rig)
    prepared = prepare(reader.group(2), FlowStream(reader), Grid.of(rig.grids))
    for image in (*prepared.lr, *prepared.lr_at_hr):
        assert np.abs(image - sharp.down(hr)).max() < 0.1 * np.abs(blurred - sharp.down(hr)).max()

"""A network at work on a sequence gives what its plain forward gives, however it is cut up."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_xfusion.core.networks import encoded
from napari_xfusion.core.networks.build import edvr, edvr_stf
from napari_xfusion.core.networks.cards import INPUTS, Card, Sizes, Trained
from napari_xfusion.core.networks.engine import (
    GPU_BATCHES,
    NetworkFuser,
    check_precision,
    find_device,
    load_fuser,
)
from napari_xfusion.core.networks.limits import emulated, outside_training
from napari_xfusion.core.networks.tiles import Grid, Rect, batch_that_fits
from napari_xfusion.core.networks.weights import Loaded, save_model
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.types import Region
from napari_xfusion.errors import DeviceError, ModelError, PairingError
from tests.sequences import moving_discs, reader_of, stack, two_cameras

in_regions = pytest.mark.parametrize(
    "region", [Region(0, 48, 0, 64), Region(13, 30, 7, 41), Region(47, 48, 63, 64)]
)
of_sizes = pytest.mark.parametrize(
    ("shape", "scale"),
    [
        pytest.param((45, 61), 4, id="sides no multiple of 16"),
        pytest.param((8, 8), 4, id="2x2 LR pixels"),
        pytest.param((48, 64), 2, id="scale 2"),
        pytest.param((48, 63), 3, id="scale 3"),
    ],
)

SIZES = Sizes(channels=8, extract=1, reconstruct=2, groups=2)
CPU = torch.device("cpu")


def lively(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights whose residual depends strongly on the input; those to train from would hide errors."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim == 4:
                fan_in = tensor[0].numel()
                gain = 0.3 if "conv_offset" in name else 0.15 if "conv_last" in name else 1.4
                tensor.normal_(0, gain / fan_in**0.5)
            else:
                tensor.normal_(0, 0.05)
    return network.eval()


def loaded(variant: str = "edvr-stf", **card: object) -> Loaded:
    build = {"edvr-stf": edvr_stf, "edvr": edvr}[variant]
    network = lively(build(**SIZES.model_dump()))
    return Loaded(network, Card(variant=variant, sizes=SIZES, inputs=INPUTS[variant], **card), "0" * 64)


def make_reader(sequence=None, step=5, scale=4, **settings):
    sequence = moving_discs(20, (48, 64)) if sequence is None else sequence
    lr, hr, times = two_cameras(sequence, step, scale)
    return reader_of(stack(lr), stack(hr), make_plan(hr_times=times, **settings))


def fused(fuser, reader, targets=None, region=None, stop=None):
    with fuser.open(reader) as stream:
        frames = stream.fuse(
            range(len(reader.rig)) if targets is None else targets, stop or threading.Event(), region
        )
        return list(frames), stream


def plain(network, reader, target, separation=1):
    """The network as upstream runs it: the whole group at once, nothing cached."""
    group, grid = reader.group(target, separation), Grid.of(reader.rig.grids)
    lr = torch.from_numpy(np.stack([grid.lr(x.image) for x in group.lr]))[None, :, None]
    hr = torch.from_numpy(np.stack([grid.hr(x.image) for x in group.ends]))[None, :, None]
    with torch.inference_mode():
        out = network(lr, hr) if "hr-" in network.inputs else network(lr)
    height, width = reader.rig.hr.shape[1:]
    return out.image[0, 0, :height, :width].numpy(), out.raw[0, :, : grid.size[0], : grid.size[1]].numpy()


@pytest.mark.parametrize("variant", ["edvr-stf", "edvr"])
@pytest.mark.parametrize("separation", [1, 3])
def test_the_stream_equals_the_plain_forward(variant, separation):
    """20 frames, kept features and split convolutions, one target at a time and four."""
    weights, reader = loaded(variant), make_reader()
    one, four = (
        fused(NetworkFuser(weights, CPU, batch=batch, separation=separation), reader)[0] for batch in (1, 4)
    )
    assert [frame.index for frame in one] == [frame.index for frame in four] == list(range(20))
    expected = [plain(weights.network, reader, target, separation) for target in range(20)]
    for frame in (*one, *four):
        image, raw = expected[frame.index]
        np.testing.assert_allclose(frame.image, image, atol=1e-5)
        assert tuple(frame.attention) == tuple(frame.scores) == weights.network.inputs
        for f, role in enumerate(weights.network.inputs):
            np.testing.assert_allclose(frame.attention[role], 1 / (1 + np.exp(-raw[f])), atol=1e-5)
            assert frame.scores[role].raw == pytest.approx(raw[f].mean(), abs=1e-4)


def test_the_residual_of_these_weights_depends_on_the_input():
    """Else all tests here would pass whatever the network did."""
    weights = loaded()
    residuals = []
    for seed in (0, 5):
        reader = make_reader(moving_discs(20, (48, 64), seed=seed))
        base = weights.network.base(
            torch.tensor(Grid.of(reader.rig.grids).lr(reader.lr_frame(7)))[None, None]
        )
        residuals.append(plain(weights.network, reader, 7)[0] - base[0, 0].numpy())
    assert residuals[0].std() > 0.05
    assert (residuals[0] - residuals[1]).std() > 0.02


def test_tiles_equal_the_whole_at_the_default_halo():
    """On a frame that is wider than a tile with both halos."""
    sequence = np.tile(moving_discs(4, (32, 64)), (1, 1, 18))
    weights, reader = loaded(), make_reader(sequence, step=3)
    whole, _ = fused(NetworkFuser(weights, CPU), reader, [1])
    tiled, _ = fused(NetworkFuser(weights, CPU, tile=40), reader, [1])
    np.testing.assert_allclose(tiled[0].image, whole[0].image, atol=1e-5)
    np.testing.assert_allclose(tiled[0].attention["hr-"], whole[0].attention["hr-"], atol=1e-5)


@in_regions
def test_a_region_is_that_part_of_the_whole(region):
    weights, reader = loaded(), make_reader()
    whole, _ = fused(NetworkFuser(weights, CPU), reader, [6])
    part, _ = fused(NetworkFuser(weights, CPU), reader, [6], region)
    expected = whole[0].image[region.top : region.bottom, region.left : region.right]
    np.testing.assert_allclose(part[0].image, expected, atol=1e-5)


@of_sizes
def test_any_size_and_scale(shape, scale):
    reader = make_reader(moving_discs(7, shape), step=3, scale=scale)
    frames, _ = fused(NetworkFuser(loaded(), CPU), reader)
    assert all(f.image.shape == shape and np.isfinite(f.image).all() for f in frames)


def test_lr_of_another_scale_stays_in_place():
    """A network that adds nothing gives the bilinear base: it must lie on the HR frame, not beside it."""
    sequence = np.repeat(moving_discs(1, (48, 60)), 4, axis=0)
    reader = make_reader(sequence, step=3, scale=3)
    weights = loaded()
    with torch.no_grad():
        for tensor in weights.network.conv_last.parameters():
            tensor.zero_()
    frames, _ = fused(NetworkFuser(weights, CPU), reader, [1])
    image, truth = frames[0].image, reader.hr_frame(0)
    shifted = [
        np.abs(np.roll(image, s, (0, 1))[8:-8, 8:-8] - truth[8:-8, 8:-8]).mean()
        for s in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    assert np.argmin(shifted) == 0


def test_each_frame_is_encoded_once():
    weights, reader = loaded(), make_reader()
    counts = {"lr": 0, "hr": 0}
    for camera in counts:
        encode = getattr(weights.network, f"encode_{camera}")

        def counted(frames, camera=camera, encode=encode):
            counts[camera] += frames.shape[0]
            return encode(frames)

        object.__setattr__(weights.network, f"encode_{camera}", counted)
    fused(NetworkFuser(weights, CPU), reader)
    assert counts == {"lr": 20, "hr": len(reader.rig.hr)}


def test_what_is_kept_is_bounded_and_freed():
    reader = make_reader(np.concatenate([moving_discs(25, (16, 16))] * 4), step=10)
    fuser = NetworkFuser(loaded(), CPU)
    with fuser.open(reader) as stream:
        most = 0
        for _ in stream.fuse(range(len(reader.rig)), threading.Event()):
            most = max(most, len(stream._feed._encoded))
        assert most <= 6
    assert not stream._feed._encoded


def test_a_stop_is_heard_between_tiles():
    stop = threading.Event()
    weights, reader = loaded(), make_reader(moving_discs(4, (96, 128)), step=3)
    combine, calls = weights.network.combine, []

    def stopping(*arguments):
        calls.append(1)
        stop.set()
        return combine(*arguments)

    object.__setattr__(weights.network, "combine", stopping)
    frames, _ = fused(NetworkFuser(weights, CPU, tile=16), reader, stop=stop)
    assert frames == []
    assert len(calls) == 1


class Limited:
    """A network that runs out of memory on tiles of more than ``pixels`` LR pixels."""

    def __init__(self, network, pixels, error):
        self.network, self.pixels, self.error = network, pixels, error

    def __getattr__(self, name):
        return getattr(self.network, name)

    def combine(self, frames, base):
        if base.shape[-2] * base.shape[-1] > 16 * self.pixels:
            raise self.error
        return self.network.combine(frames, base)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_tiles_shrink_until_memory_is_enough_and_that_is_said(error):
    sequence = np.tile(moving_discs(4, (32, 64)), (1, 1, 18))
    reader = make_reader(sequence, step=3)
    whole, _ = fused(NetworkFuser(loaded(), CPU), reader, [1])
    weights = loaded()
    limited = weights._replace(network=Limited(weights.network, 8 * 280, error))
    frames, stream = fused(NetworkFuser(limited, CPU), reader, [1])
    np.testing.assert_allclose(frames[0].image, whole[0].image, atol=1e-5)
    assert "memory ran out" in stream.notes[-1].text


def test_memory_that_is_never_enough_is_told():
    weights = loaded()
    limited = weights._replace(network=Limited(weights.network, 0, torch.OutOfMemoryError("no")))
    with pytest.raises(DeviceError, match="smaller model"):
        fused(NetworkFuser(limited, CPU), make_reader(), [1])


def test_another_runtime_error_is_not_taken_for_memory():
    weights = loaded()
    limited = weights._replace(network=Limited(weights.network, 0, RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        fused(NetworkFuser(limited, CPU), make_reader(), [1])


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("edvr-stf", ("a separation", "HR steps", "{grey}")),
        ("edvr", ("a separation", "{grey}")),  # takes no HR frames
    ],
)
def test_a_pair_outside_the_training_is_said(variant, said):
    trained = Trained(separations=(1, 1), hr_distances=(1, 4), noise=(0, 1e-6))
    card = loaded(variant, trained=trained, grey="percentile").card
    notes = outside_training(card, make_reader().rig, separation=2)
    assert len(notes) == len(said)
    assert all(words in note.text for words, note in zip(said, notes, strict=True))


def test_a_pair_within_the_training_is_not_remarked_upon():
    assert outside_training(loaded().card, make_reader().rig, separation=1) == ()


def test_load_fuser_takes_a_file_of_the_right_variant(tmp_path):
    weights = loaded()
    path = tmp_path / "mine.safetensors"
    save_model(path, weights.network, weights.card)
    fuser = load_fuser(make_plan(method="edvr-stf", model=str(path), device="cpu"))
    assert fuser.settings["device"] == "cpu"
    assert len(fuser.settings["weights"]) == 64
    reader = make_reader()
    ours, _ = fused(fuser, reader, [3])
    theirs, _ = fused(NetworkFuser(weights, CPU), reader, [3])
    np.testing.assert_allclose(ours[0].image, theirs[0].image, atol=1e-5)
    with pytest.raises(ModelError, match="edvr-stf"):
        load_fuser(make_plan(method="edvr", model=str(path)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precisions_are_near_float32(precision, tmp_path):
    weights = loaded()
    path = tmp_path / "mine.safetensors"
    save_model(path, weights.network, weights.card)
    reader = make_reader()
    exact, _ = fused(NetworkFuser(weights, CPU), reader, [3])
    low, _ = fused(
        load_fuser(make_plan(method="edvr-stf", model=str(path), precision=precision)), reader, [3]
    )
    spread = exact[0].image.std()
    assert low[0].image.dtype == np.float32
    assert np.sqrt(np.mean((low[0].image - exact[0].image) ** 2)) < 0.1 * spread


@pytest.mark.parametrize(
    ("device", "precision", "capability", "said"),
    [
        pytest.param("cpu", "float32", "AVX2", False, id="float32 is native everywhere"),
        pytest.param("cpu", "bfloat16", "AVX2", True, id="bfloat16 without AVX-512"),
        pytest.param("cpu", "bfloat16", "AVX512", False, id="bfloat16 with AVX-512"),
        pytest.param("cpu", "float16", "AVX512", True, id="float16 on a CPU"),
        pytest.param("cuda", "float16", "AVX2", False, id="float16 on a GPU"),
    ],
)
def test_a_precision_that_slows_down_is_said(device, precision, capability, said, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert bool(emulated(device, precision)) == said


@pytest.mark.parametrize(
    ("device", "precision", "refused"),
    [
        pytest.param("mps", "bfloat16", True, id="bfloat16 on Apple's GPUs"),
        pytest.param("mps", "float16", False, id="float16 on Apple's GPUs"),
        pytest.param("cpu", "bfloat16", False, id="bfloat16 on a CPU"),
    ],
)
def test_a_precision_that_a_device_does_not_have_is_refused(device, precision, refused):
    with pytest.raises(DeviceError, match="float16 or float32") if refused else nullcontext():
        check_precision(torch.device(device), precision)


@pytest.mark.parametrize(
    ("pixels", "batch"), [(16 * 25600, 16), (16 * 25600 - 1, 8), (5 * 25600, 4), (25600, 1), (100, 1)]
)
def test_as_many_targets_at_once_as_fit_into_memory(pixels, batch):
    assert batch_that_fits(Rect(0, 100, 0, 256), pixels, GPU_BATCHES) == batch


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an NVIDIA GPU")
def test_a_device_that_is_not_there_is_told():
    for name in ("cuda", "cuda:1", "tpu"):
        with pytest.raises(DeviceError, match="available: cpu") as caught:
            find_device(name)
        assert caught.value.setting == "device"


@pytest.mark.parametrize("name", ["cuda:", "cuda:-1", "cuda1", "gpu", "CPU", "cpu:0", ""])
def test_names_that_are_no_device(name):
    with pytest.raises(PairingError, match="cuda:N"):
        make_plan(device=name)
    assert make_plan(device="cuda:3").device == "cuda:3"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_the_gpu_gives_what_the_cpu_gives():
    weights, reader = loaded(), make_reader()
    on_cpu, _ = fused(NetworkFuser(weights, CPU), reader)
    cuda = torch.device("cuda")
    on_gpu, _ = fused(NetworkFuser(replace_network(weights, cuda), cuda, batch=4), reader)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(a.image, b.image, atol=1e-4)


def replace_network(weights: Loaded, device: torch.device) -> Loaded:
    return weights._replace(network=weights.network.to(device))


@pytest.mark.parametrize("free", [10**12, 0])
def test_encoded_frames_are_kept_only_as_memory_allows(monkeypatch, free):
    """Small tiles of a large frame would hold many times the frame: each has its halo."""
    monkeypatch.setattr(encoded, "free_memory", lambda _: free)
    reader = make_reader(moving_discs(4, (48, 64)), step=3)
    expected, _ = fused(NetworkFuser(loaded(), CPU), reader)
    with NetworkFuser(loaded(), CPU, tile=8).open(reader) as stream:
        images = [frame.image for frame in stream.fuse(range(4), threading.Event())]
        assert (len(stream._feed._encoded) > 5) == (free > 0)  # five serve one tile of one target
    for image, frame in zip(images, expected, strict=True):
        np.testing.assert_allclose(image, frame.image, atol=1e-5)


@pytest.mark.slow
def test_memory_does_not_grow_over_500_frames():
    """Resident memory after 500 targets is that after 100, to within a few frames' features."""
    psutil = pytest.importorskip("psutil")
    sequence = np.concatenate([moving_discs(25, (32, 32))] * 20)
    resident = {}
    with NetworkFuser(loaded(), CPU).open(make_reader(sequence, step=10)) as stream:
        for frame in stream.fuse(range(500), threading.Event()):
            resident[frame.index] = psutil.Process().memory_info().rss
    assert resident[499] - resident[99] < 10e6

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from napari_xfusion.core.networks.blocks import in_strips
from napari_xfusion.core.networks.build import edvr, edvr_stf, initialise
from napari_xfusion.core.networks.network import LR_STRIP, TAIL_HALO
from napari_xfusion.core.networks.pcd import Features
from napari_xfusion.errors import ModelError

CLOSE = {"atol": 1e-5, "rtol": 0}


def windows(generator, B, h=20, w=24):
    return torch.rand(B, 3, 1, h, w, generator=generator), torch.rand(
        B, 2, 1, 4 * h, 4 * w, generator=generator
    )


def test_edvr_stf_is_the_golden_network(stf):
    out = stf.network(*stf.inputs)
    torch.testing.assert_close(out.image, stf.values["out"], **CLOSE)
    torch.testing.assert_close(out.raw.mean((2, 3)), stf.values["raw_attention"], **CLOSE)
    torch.testing.assert_close(out.attention, out.raw.sigmoid())


def test_edvr_is_the_golden_network(lr_only):
    out = lr_only.network(*lr_only.inputs)
    torch.testing.assert_close(out.image, lr_only.values["out"], **CLOSE)
    assert out.raw.shape == out.attention.shape == (1, 3, 20, 24)


@pytest.mark.parametrize("frame", range(5))
def test_the_golden_residual_depends_on_every_input(stf, frame):
    """Otherwise agreement with the golden file would prove little."""
    lr, hr = (x.clone() for x in stf.inputs)
    (lr if frame < 3 else hr)[:, frame if frame < 3 else frame - 3] = 0.5
    with torch.no_grad():
        change = stf.network(lr, hr).image - stf.values["out"]
    assert change.abs().mean() > 0.01


def test_four_windows_at_once_are_four_windows(stf, generator):
    lr, hr = windows(generator, 4)
    with torch.no_grad():
        together = stf.network(lr, hr)
        for b in range(4):
            alone = stf.network(lr[b : b + 1], hr[b : b + 1])
            for one, all_ in ((alone.image, together.image), (alone.raw, together.raw)):
                torch.testing.assert_close(one, all_[b : b + 1], **CLOSE)


def test_kept_features_give_what_the_plain_forward_gives(stf):
    lr, hr = stf.inputs
    with torch.inference_mode():
        frames = [stf.network.encode_lr(lr[:, i]) for i in range(3)]
        frames += [stf.network.encode_hr(hr[:, i]) for i in range(2)]
        streamed = stf.network.combine(frames, stf.network.base(lr[:, 1]))
        for one, other in zip(streamed, stf.network(lr, hr), strict=True):
            torch.testing.assert_close(one, other, **CLOSE)


def test_halves_add_up_to_the_convolution_of_the_pair(stf, generator):
    align = stf.network.pcd_align
    pyramids = [
        Features(*(torch.randn(1, 16, 16 // f, 24 // f, generator=generator) for f in (1, 2, 4)))
        for _ in range(2)
    ]
    frame, reference = align.prepare_frame(pyramids[0]), align.prepare_reference(pyramids[1])
    for level in Features._fields:
        pair = torch.cat([getattr(p, level) for p in pyramids], dim=1)
        halves = getattr(frame.halves, level) + getattr(reference.halves, level)
        torch.testing.assert_close(halves, align.offset_conv1[level](pair), **CLOSE)


@pytest.mark.parametrize("rows", [4, 12, 16, 64, 1000])
def test_hr_strips_equal_the_whole(stf, generator, rows):
    frames = torch.rand(2, 1, 80, 48, generator=generator)
    whole = stf.network.encode_hr(frames)  # gradients are recorded: no strips
    with torch.inference_mode():
        strips = stf.network.encode_hr(frames, rows=rows)
    for one, other in zip((*strips.features, *strips.halves), (*whole.features, *whole.halves), strict=True):
        torch.testing.assert_close(one, other.detach(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 8, LR_STRIP])
def test_tail_strips_equal_the_whole(stf, generator, rows):
    x = torch.randn(1, 16, 40, 12, generator=generator)
    with torch.inference_mode():
        whole = stf.network._enlarge(x)
        strips = in_strips(stf.network._enlarge, x, rows=rows, halo=TAIL_HALO)
    torch.testing.assert_close(strips, whole, **CLOSE)


def test_a_halo_one_row_short_would_show(stf, generator):
    """Guards the strip tests themselves: they can see a wrong halo."""
    x = torch.randn(1, 16, 40, 12, generator=generator)
    with torch.inference_mode():
        strips = in_strips(stf.network._enlarge, x, rows=8, halo=TAIL_HALO - 1)
        assert (strips - stf.network._enlarge(x)).abs().max() > 1e-4


def test_channels_last_gives_the_same(stf):
    stf.network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(stf.network(*stf.inputs).image, stf.values["out"], **CLOSE)


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
def test_half_precision_is_near(stf, precision, tolerance):
    with torch.inference_mode():
        out = stf.network.to(precision)(*stf.inputs)
    assert out.image.dtype == out.raw.dtype == torch.float32
    assert (out.image - stf.values["out"]).square().mean().sqrt() < tolerance


def test_every_parameter_gets_a_gradient(stf):
    stf.network.train()
    stf.network(*stf.inputs).image.square().mean().backward()
    lifeless = [n for n, p in stf.network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert lifeless == []


def test_gradient_points_uphill(stf):
    """The directional derivative agrees with a finite difference, in-place steps included."""
    lr, hr = stf.inputs
    lr = lr.clone().requires_grad_()
    stf.network(lr, hr).image.sum().backward()
    direction = torch.zeros_like(lr)
    direction[0, :, 0, 8:12, 8:12] = 1e-3
    with torch.no_grad():
        images = [stf.network(lr + sign * direction, hr).image.double().sum() for sign in (1, -1)]
    assert float((lr.grad * direction).sum()) == pytest.approx(float(images[0] - images[1]) / 2, rel=0.05)


@pytest.mark.parametrize(
    ("lr", "hr"),
    [
        pytest.param((1, 3, 1, 18, 24), (1, 2, 1, 72, 96), id="height no multiple of 4"),
        pytest.param((1, 3, 1, 20, 25), (1, 2, 1, 80, 100), id="width no multiple of 4"),
        pytest.param((1, 3, 2, 20, 24), (1, 2, 1, 80, 96), id="two channels"),
        pytest.param((1, 3, 1, 20, 24), (1, 2, 1, 84, 96), id="HR height no multiple of 16"),
        pytest.param((1, 3, 1, 0, 24), (1, 2, 1, 0, 96), id="empty"),
        pytest.param((1, 3, 1, 20, 24), (1, 2, 1, 96, 96), id="HR is not four times LR"),
    ],
)
def test_sizes_that_do_not_fit_are_told(stf, lr, hr):
    with pytest.raises(ModelError, match=r"multiples of|four times"):
        stf.network(torch.zeros(lr), torch.zeros(hr))


def test_the_smallest_window_works(stf, generator):
    """At 4x4 the coarsest level is a single pixel."""
    with torch.inference_mode():
        assert stf.network(*windows(generator, 1, 4, 4)).image.isfinite().all()


def test_full_size_has_the_published_parameters():
    with torch.device("meta"):
        network = edvr_stf()
    assert len(network.state_dict()) == 270
    assert sum(p.numel() for p in network.parameters()) == 20_926_817


@pytest.mark.parametrize(
    ("part", "millions"),
    [("reconstruction", 11.81), ("pcd_align", 4.54), ("feature_extraction", 1.48), ("fusion", 1.30)],
)
def test_parts_have_the_published_parameters(part, millions):
    with torch.device("meta"):
        network = edvr_stf()
    assert sum(p.numel() for p in getattr(network, part).parameters()) == pytest.approx(
        millions * 1e6, abs=6e3
    )


def test_a_frame_of_the_paper_costs_what_the_paper_s_network_costs():
    """1.09 TMAC for 400x1024, counted without computing."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        edvr_stf()(torch.empty(1, 3, 1, 100, 256), torch.empty(1, 2, 1, 400, 1024))
    convolution = 9 * 128 * 128 * 100 * 256
    levels = 1 + 1 / 4 + 1 / 16 + 1  # the pyramid and the cascade
    saved = 4 * levels * convolution  # reference halves, computed once and not for each frame
    assert counter.get_total_flops() / 2 + saved == pytest.approx(1.09e12, rel=3e-3)


def test_initial_weights_come_from_the_generator():
    networks = [edvr(8, 1, 1, 2), edvr(8, 1, 1, 2)]
    for network in networks:
        initialise(network, torch.Generator().manual_seed(3))
    first, second = (n.state_dict() for n in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not first["pcd_align.dcn_pack.l1.conv_offset.weight"].any()


def test_initial_network_starts_near_its_base(generator):
    network = edvr_stf(8, 1, 4, 2)
    initialise(network, generator)
    lr, hr = windows(generator, 1)
    image = network(lr, hr).image
    assert image.isfinite().all()
    base = functional.interpolate(lr[:, 1], scale_factor=4, mode="bilinear")
    assert (image - base).abs().mean() < 2

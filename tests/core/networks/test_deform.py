import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_xfusion.core.networks import deform
from napari_xfusion.core.networks.deform import (
    DeformPack,
    deform_conv_plain,
    deform_conv_training,
    modulated_deform_conv,
)


def by_definition(x, offset, mask, weight, bias):
    """DCNv2 equation 1, pixel by pixel in float64 numpy; groups, taps and (y, x) read off the indices."""
    B, C, h, w = x.shape
    G = mask.shape[1] // 9
    out = np.broadcast_to(bias[None, :, None, None], (B, len(bias), h, w)).astype(np.float64)
    for b, g, tap, i, j in np.ndindex(B, G, 9, h, w):
        y = i + tap // 3 - 1 + offset[b, (g * 9 + tap) * 2, i, j]
        x_ = j + tap % 3 - 1 + offset[b, (g * 9 + tap) * 2 + 1, i, j]
        channels = slice(g * C // G, (g + 1) * C // G)
        value = np.zeros(C // G)
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x_)), int(np.floor(x_)) + 1):
                if 0 <= row < h and 0 <= column < w:
                    value += x[b, channels, row, column] * (1 - abs(y - row)) * (1 - abs(x_ - column))
        out[b, :, i, j] += weight[:, channels, tap // 3, tap % 3] @ (value * mask[b, g * 9 + tap, i, j])
    return out


def random_case(generator, shape, reach, O=4):  # noqa: E741 - O is outputs in the legend
    """``shape`` is (B, C, G, h, w)."""
    B, C, G, h, w = shape
    x = torch.randn(B, C, h, w, generator=generator)
    offset = reach * torch.randn(B, G * 18, h, w, generator=generator)
    mask = torch.rand(B, G * 9, h, w, generator=generator)
    weight = torch.randn(O, C, 3, 3, generator=generator)
    return x, offset, mask, weight, torch.randn(O, generator=generator)


@pytest.mark.parametrize(
    ("shape", "reach"),
    [
        pytest.param((1, 2, 1, 5, 6), 0.5, id="one group"),
        pytest.param((2, 4, 2, 4, 5), 1.0, id="two groups, two frames"),
        pytest.param((1, 4, 4, 6, 4), 6.0, id="offsets beyond the border"),
        pytest.param((1, 2, 2, 1, 1), 1.0, id="a single pixel"),
        pytest.param((1, 2, 1, 1, 7), 1.0, id="a single row"),
    ],
)
def test_is_the_definition(generator, shape, reach):
    case = random_case(generator, shape, reach)
    expected = by_definition(*(t.double().numpy() for t in case))
    for deform_conv in (modulated_deform_conv, deform_conv_plain, deform_conv_training):
        np.testing.assert_allclose(deform_conv(*case).numpy(), expected, atol=2e-5)


def test_whole_pixel_offsets_at_the_border_read_zero_outside(generator):
    x, _, mask, weight, bias = random_case(generator, (1, 2, 1, 4, 4), 0)
    offset = torch.randint(-3, 4, (1, 18, 4, 4), generator=generator).float()
    case = (x, offset, mask, weight, bias)
    expected = by_definition(*(t.double().numpy() for t in case))
    np.testing.assert_allclose(modulated_deform_conv(*case).numpy(), expected, atol=1e-5)


def test_no_offset_and_full_mask_is_a_plain_convolution(generator):
    x, offset, mask, weight, bias = random_case(generator, (2, 8, 2, 7, 9), 0)
    plain = functional.conv2d(x, weight, bias, padding=1)
    moved = modulated_deform_conv(x, offset, torch.ones_like(mask), weight, bias)
    torch.testing.assert_close(moved, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("deform_conv", [deform_conv_plain, deform_conv_training])
def test_gradients_are_those_of_finite_differences(generator, deform_conv):
    case = [t.double().requires_grad_() for t in random_case(generator, (1, 2, 1, 3, 3), 0.3, O=2)]
    # The sampler works in float32, so the step must be coarse.
    assert torch.autograd.gradcheck(deform_conv, case, eps=1e-3, atol=2e-2, rtol=2e-2, nondet_tol=1e-6)


def test_bfloat16_keeps_coordinates_apart(generator):
    """At column 300 neighbouring bfloat16 numbers are two pixels apart."""
    x = torch.arange(400.0).remainder(2).expand(1, 1, 4, 400).bfloat16()
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    nothing = torch.zeros(1, 18, 4, 400, dtype=torch.bfloat16)
    whole = torch.ones(1, 9, 4, 400, dtype=torch.bfloat16)
    out = modulated_deform_conv(x, nothing, whole, weight.bfloat16(), torch.zeros(1).bfloat16())
    torch.testing.assert_close(out, x, atol=1e-3, rtol=0)


def test_pack_reads_offsets_in_the_first_two_thirds(generator):
    pack = DeformPack(4, 2)
    x, motion = torch.randn(2, 1, 4, 5, 6, generator=generator).unbind()
    moved = pack.conv_offset(motion)
    first, second, mask = moved.chunk(3, dim=1)
    expected = modulated_deform_conv(x, torch.cat((first, second), 1), mask.sigmoid(), pack.weight, pack.bias)
    torch.testing.assert_close(pack(x, motion), expected)


@pytest.mark.parametrize("body", ["raise RuntimeError('no operator')", "raise ImportError", "pass"])
def test_a_torchvision_that_does_not_load_is_done_without(tmp_path, monkeypatch, body):
    """Beside another build of torch, importing torchvision raises RuntimeError."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(body)
    (package / "ops.py").write_text("def deform_conv2d(*_, **__): raise NotImplementedError")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchvision", "torchvision.ops"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert deform._torchvision_kernel.__wrapped__(torch.device("cpu")) is None
    for name in ("torchvision", "torchvision.ops"):
        sys.modules.pop(name, None)


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(generator):
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    case = random_case(generator, (2, 16, 4, 12, 20), 2.0)
    on_gpu = modulated_deform_conv(*(t.cuda() for t in case)).cpu()
    torch.testing.assert_close(on_gpu, modulated_deform_conv(*case), atol=1e-4, rtol=1e-4)

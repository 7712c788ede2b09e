"""The small network's own parts: filters, what it is told, gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from napari_xfusion.core.networks.build import initialise, lite
from napari_xfusion.core.networks.lite import CPU_STRIP, REACH, TAPS, Inputs, _filter, _neighbours, facts_of


def inputs(h: int = 8, w: int = 12, batch: int = 1) -> Inputs:
    rng = torch.Generator().manual_seed(1)
    fine, coarse = (4 * h, 4 * w), (h, w)
    shapes = [(3, *coarse), (2, *coarse), (1, *fine), (2, *fine), (2, *fine), (1, *fine), (2, *coarse), (5,)]
    return Inputs(*(torch.rand(batch, *shape, generator=rng) for shape in shapes))


def test_the_filters_are_sums_over_neighbours():
    """Against the sum written out pixel by pixel."""
    rng = np.random.default_rng(0)
    H, W = 8, 12
    candidates = rng.random((len(REACH), H, W), dtype=np.float32)
    weights = rng.normal(size=(TAPS, H, W)).astype(np.float32)
    expected, tap = np.zeros((H, W)), 0
    for image, side in zip(candidates, REACH, strict=True):
        for dy in range(-(side // 2), side // 2 + 1):
            for dx in range(-(side // 2), side // 2 + 1):
                for y in range(H):
                    for x in range(W):
                        there = image[min(max(y + dy, 0), H - 1), min(max(x + dx, 0), W - 1)]
                        expected[y, x] += weights[tap, y, x] * (there - candidates[0, y, x])
                tap += 1
    around = [
        _neighbours(torch.from_numpy(c)[None, None], s // 2) for c, s in zip(candidates, REACH, strict=True)
    ]
    under = pixel_unshuffle(torch.from_numpy(weights)[None], 4)
    found = _filter(around, under.view(TAPS, 4, 4, 1, H // 4, W // 4))
    np.testing.assert_allclose(pixel_shuffle(found.view(1, 16, H // 4, W // 4), 4)[0, 0], expected, atol=1e-4)


def test_strips_change_nothing():
    network = lite(4, 4, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    x = inputs(h=2 * CPU_STRIP // 12 + 6)
    with torch.inference_mode():
        in_strips = network(x).image
    np.testing.assert_allclose(in_strips, network(x).image.detach(), atol=1e-6)


def test_what_it_is_told_is_about_one():
    assert facts_of(0.1, (0.25, 0.75), 64.0, 0.02) == pytest.approx((1.0, 0.25, 0.75, 1.0, 0.02))
    assert facts_of(0.0, (0.5, 0.5), 0.0, 0.0)[3] == 0
    assert facts_of(0.0, (0.5, 0.5), 20.0, 0.0)[3] == pytest.approx(math.log(20, 2) / 6)


def wild() -> torch.nn.Module:
    """A network whose answers are far too large."""
    network = lite(4, 4, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.residual.bias.fill_(2.0)
    return network


def test_where_all_agree_nothing_changes():
    x = inputs()
    lr = torch.nn.functional.avg_pool2d(x.base, 4).expand(-1, 3, -1, -1)
    x = x._replace(lr=lr, warped=x.base.expand(-1, 2, -1, -1))
    with torch.inference_mode():
        np.testing.assert_allclose(wild()(x).image, x.base, atol=1e-6)


def test_changes_stay_within_a_quarter_of_the_disagreement():
    """Against the limit written out for each LR pixel."""
    x = inputs()
    with torch.inference_mode():
        change = (wild()(x).image - x.base).abs().numpy()[0, 0]
    base, (before, after), lr = (part.numpy()[0].astype(float) for part in (x.base[:, 0], x.warped, x.lr))
    quiet = 4 * float(x.facts[0, 4]) ** 2
    limit = np.zeros((8, 12))
    for y in range(8):
        for z in range(12):
            for v in (y - 1, y, y + 1):
                for u in (z - 1, z, z + 1):
                    r, c = min(max(v, 0), 7), min(max(u, 0), 11)
                    block = np.s_[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
                    a, b, o = before[block], after[block], base[block]
                    fine = sum(((one - two) ** 2).mean() for one, two in ((a, b), (a, o), (b, o)))
                    coarse = sum((frame.mean() - lr[1, r, c]) ** 2 for frame in (a, b))
                    limit[y, z] += math.sqrt(min(fine, quiet) + 4 * coarse) / 9 / 4
    np.testing.assert_allclose(change, np.kron(limit, np.ones((4, 4))), rtol=1e-4)  # all want more


def test_the_expected_error_begins_as_that_of_the_base():
    network, x = lite(4, 4, 4, 1), inputs()
    torch.nn.init.zeros_(network.error.weight)
    torch.nn.init.zeros_(network.error.bias)
    with torch.inference_mode():
        std = network(x).std
    np.testing.assert_allclose(std[:, :, 1::4, 1::4].mean(), x.errors[:, :1].mean(), rtol=0.1)


def test_every_weight_learns():
    network = lite(4, 4, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    out = network(inputs(batch=2))
    (out.image.square().mean() + out.std.log().mean()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []

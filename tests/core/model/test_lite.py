"""The small network's own parts: filters, what it is told, gradients."""

import math

import numpy as np
import pytest
import torch

from napari_xfusion.core.model.build import initialise, lite
from napari_xfusion.core.model.lite import LR_STRIP, REACH, TAPS, Inputs, _filter, facts_of


def inputs(h: int = 8, w: int = 12, batch: int = 1) -> Inputs:
    rng = torch.Generator().manual_seed(1)
    fine, coarse = (4 * h, 4 * w), (h, w)
    shapes = [(3, *coarse), (2, *coarse), (1, *fine), (2, *fine), (2, *fine), (4,)]
    return Inputs(*(torch.rand(batch, *shape, generator=rng) for shape in shapes))


def test_the_filters_are_sums_over_neighbours():
    """Against the sum written out pixel by pixel."""
    rng = np.random.default_rng(0)
    H, W = 6, 7
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
    padded = [
        torch.nn.functional.pad(torch.from_numpy(c)[None, None], [s // 2] * 4, mode="replicate")
        for c, s in zip(candidates, REACH, strict=True)
    ]
    base = torch.from_numpy(candidates[0])[None, None]
    upper = _filter(padded, torch.from_numpy(weights)[None, :, :4], base, 0)
    lower = _filter(padded, torch.from_numpy(weights)[None, :, 4:], base, 4)
    np.testing.assert_allclose(torch.cat([upper, lower], 2)[0, 0].numpy(), expected, atol=1e-4)


def test_strips_change_nothing():
    network = lite(4, 4, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    x = inputs(h=2 * LR_STRIP + 6)
    with torch.inference_mode():
        in_strips = network(x).image
    assert torch.equal(in_strips, network(x).image.detach())


def test_what_it_is_told_is_about_one():
    assert facts_of(0.1, (0.25, 0.75), 64.0) == pytest.approx((1.0, 0.25, 0.75, 1.0))
    assert facts_of(0.0, (0.5, 0.5), 0.0)[3] == 0
    assert facts_of(0.0, (0.5, 0.5), 20.0)[3] == pytest.approx(math.log(20, 2) / 6)


def test_every_weight_learns():
    network = lite(4, 4, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    network(inputs(batch=2)).image.square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []

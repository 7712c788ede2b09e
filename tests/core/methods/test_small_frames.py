"""Frames of a few pixels: every method fuses them, or pairing refuses them."""

import numpy as np
import pytest

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse

SIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (1, 4)),
    ((1, 1), (2, 3)),
    ((1, 1), (4, 4)),
    ((1, 2), (1, 2)),
    ((1, 5), (4, 20)),
    ((2, 1), (2, 1)),
    ((2, 3), (2, 3)),
    ((3, 1), (12, 4)),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_small_frames_are_fused(method, sizes):
    rng = np.random.default_rng(0)
    lr, hr = (
        rng.integers(0, 4000, (n, *size)).astype(np.uint16) for n, size in zip((5, 2), sizes, strict=True)
    )
    for frame in fuse(make_plan(method=method, hr_step=4), lr, hr, targets=[0, 1]):
        assert frame.image.shape == sizes[1]
        assert np.isfinite(frame.image).all()

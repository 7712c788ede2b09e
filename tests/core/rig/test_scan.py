"""Coarse images of both cameras are alike where the cameras are."""

import numpy as np
import pytest

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.rig.scan import scan

SHAPE = (40, 64)
"""Of LR."""


def binned(frames, scale):
    count, height, width = frames.shape
    return frames.reshape(count, height // scale, scale, width // scale, scale).mean((2, 4))


def fine(frames, scale, seed=0):
    """Bright specks on dark ground, a few in each LR pixel and other ones in each frame, as (N, H, W) float32.

    Of most HR pixels the median of 3 x 3 is dark; of LR pixels it is near their mean.
    """
    rng = np.random.default_rng(seed)
    h, w = SHAPE
    return (rng.random((frames, scale * h, scale * w)) < 0.2).astype(np.float32)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blocks_of_binned_images_are_those_of_the_images(scale):
    hr = fine(4, scale)
    lr = as_stack(binned(hr, scale).astype(np.float32), name="LR")
    hr = as_stack(hr, name="HR")
    align = Alignment(Grids.of(SHAPE, hr.shape[1:], None), Mapping.scaled((scale, scale)), hr.shape[1:])
    np.testing.assert_allclose(scan(hr, SHAPE, align).blocks, scan(lr, SHAPE).blocks, atol=1e-6)


def test_blocks_of_a_shifted_camera_are_those_of_what_it_sees():
    scale, shift = 4, 8
    hr = fine(4, scale)
    lr = as_stack(binned(hr, scale).astype(np.float32), name="LR")
    moved = as_stack(np.roll(hr, -scale * shift, axis=2), name="HR")
    grids = Grids.of(SHAPE, moved.shape[1:], scale)
    mapping = Mapping.scaled((scale, scale)).then(Mapping(shift=(0.0, -float(scale * shift))))
    blocks = [
        scan(*each).blocks
        for each in ((moved, SHAPE, Alignment(grids, mapping, moved.shape[1:])), (lr, SHAPE))
    ]
    seen = np.zeros(blocks[0].shape[1], bool).reshape(20, 32)
    seen[:, shift // 2 + 1 :] = True
    np.testing.assert_allclose(blocks[0][:, seen.ravel()], blocks[1][:, seen.ravel()], atol=1e-6)
    assert np.isfinite(blocks[0]).all()

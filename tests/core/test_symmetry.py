"""Fusing commutes with mirroring and turning both recordings, and with affine changes of their grey values."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_xfusion.core.catalogue import training_free
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.run import fuse
from tests.sequences import binned, moving_discs
from tests.tables import crossed

FLIPS = {
    "mirrored": lambda frames: frames[..., ::-1],
    "upside down": lambda frames: frames[..., ::-1, :],
    "turned by 180 degrees": lambda frames: frames[..., ::-1, ::-1],
    "transposed": lambda frames: np.swapaxes(frames, -1, -2),
    "transposed and mirrored": lambda frames: np.swapaxes(frames, -1, -2)[..., ::-1, ::-1],
}
"""Each is its own inverse."""
LIMITS = dict.fromkeys([method.name for method in training_free()], 1e-6) | {
    "flow": 1e-2,  # the search for motion prefers a direction
    "bayesian": 1e-2,  # seeds of the clusters depend on the order of the pixels
    "bayesian-paper": 1e-2,
}
"""Largest rms difference, grey units."""
GREY_LIMITS = dict.fromkeys(LIMITS, 1e-4) | {"flow": 5e-3}  # motion is searched in 8 bits
METHODS = pytest.mark.parametrize("method", LIMITS)
SCENE = moving_discs(9, (64, 96), seed=4)
HR = np.rint(SCENE[::4] * 20_000 + 2_000).astype(np.uint16)
LR = np.rint(binned(SCENE) * 20_000 + 2_000).astype(np.uint16)


def fused(method, lr, hr):
    """Two frames between HR frames, in units of HR."""
    plan = make_plan(method=method, hr_step=4.0)
    lr, hr = (as_stack(np.ascontiguousarray(x), name=name) for x, name in ((lr, "LR"), (hr, "HR")))
    return np.stack([frame.image for frame in fuse(plan, lr, hr, targets=[2, 5])])


@cache
def as_they_are(method):
    """The frames of the sequences without any change."""
    return fused(method, LR, HR)


def rms(a, b):
    return float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64)))) / 20_000


@pytest.mark.parametrize(("method", "flip"), crossed(list(LIMITS), list(FLIPS)))
def test_fusing_commutes_with_flips_and_turns(method, flip):
    turn = FLIPS[flip]
    assert rms(turn(fused(method, turn(LR), turn(HR))), as_they_are(method)) < LIMITS[method]


@METHODS
@given(gain=st.sampled_from([-7.0, -1.0, 0.02, 3.0]), offset=st.sampled_from([0.0, 5e4, -1e5]))
@settings(max_examples=4, deadline=None)
def test_fusing_commutes_with_affine_changes_of_either_sign(method, gain, offset):
    changed = fused(method, LR * gain + offset, HR * gain + offset)
    assert rms((changed - offset) / gain, as_they_are(method)) < GREY_LIMITS[method]


OFFSETS = {"uint32": 2_000_000_000, "int32": -1_000_000_000, "int16": -20_000}


@pytest.mark.parametrize(("method", "dtype"), crossed(list(LIMITS), list(OFFSETS)))
def test_any_integers_on_any_offset(method, dtype):
    offset = OFFSETS[dtype]
    lr, hr = ((x.astype(np.int64) + offset).astype(dtype) for x in (LR, HR))
    assert rms(fused(method, lr, hr) - offset, as_they_are(method)) < 1e-6

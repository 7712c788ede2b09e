"""Filling in bad pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_xfusion.core.rig.health import ROUNDS, fill

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def filled_one_by_one(frame, bad):
    """The definition, pixel by pixel, in rounds; None where it leaves some."""
    values, known = frame.astype(np.float64), ~bad
    height, width = frame.shape
    for _ in range(ROUNDS):
        now = known.copy()
        for y, x in np.argwhere(~known):
            around = [
                (values[y + i, x + j], 1.0 if i == 0 or j == 0 else 0.5)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
                if 0 <= y + i < height and 0 <= x + j < width and now[y + i, x + j]
            ]
            if around:
                values[y, x] = sum(w * v for v, w in around) / sum(w for _, w in around)
                known[y, x] = True
    return values if known.all() else None


@given(st.data())
def test_bad_pixels_become_the_mean_of_the_good_ones_around_them(data):
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32", "float64"]))
    shape = data.draw(SHAPES)
    values = data.draw(arrays.arrays(np.uint8, shape)).astype(dtype)
    bad = data.draw(arrays.arrays(np.bool_, shape))
    kept, found = values.copy(), fill(values, bad)
    np.testing.assert_array_equal(values, kept)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found[~bad], values[~bad])
    expected = filled_one_by_one(values, bad)
    if expected is None or bad.all():
        return
    # Means that end in a half may be rounded either way.
    tolerance = 0.5 + 1e-9 if values.dtype.kind == "u" else 1e-4
    np.testing.assert_allclose(found.astype(float), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_frames_of_any_order_in_memory_are_filled_alike(order):
    rng = np.random.default_rng(0)
    values, bad = rng.random((30, 40)), rng.random((30, 40)) < 0.2
    expected = fill(values, bad)
    other = {
        "C": np.ascontiguousarray,
        "F": np.asfortranarray,
        "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    }
    np.testing.assert_array_equal(fill(other[order](values), other[order](bad)), expected)


def test_what_is_far_from_the_edge_of_a_bad_area_is_copied_from_there():
    values = np.tile(np.arange(40.0), (40, 1))
    bad = np.zeros((40, 40), bool)
    bad[:, 10:] = True
    found = fill(values, bad)
    assert (found[:, 10:] == 9).all()

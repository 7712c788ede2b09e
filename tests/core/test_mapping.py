"""Frame sizes to a mapping, or to an error; mappings as maps of points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from napari_xfusion.core.rig import Grids, Mapping, fit_mapping
from napari_xfusion.errors import PairingError

GRID = {"linear": ((0.2, 0), (0, 0.2)), "shift": (0, 0)}
WARP = {**GRID, "down": ((0, 1, 0), (0.5, 0, 0)), "across": ((0, 0, 0.3), (0, -0.5, 0))}


def test_a_warp_is_added_to_places_and_taken_off_again():
    warped = Mapping(linear=((3, 0.1), (-0.1, 3)), shift=(2, 5), warp=WARP)
    pixels = np.random.default_rng(0).uniform(-3, 14, (50, 2))
    there = warped.to_output(pixels)
    assert there - warped.without_radial.to_output(pixels) == pytest.approx(warped.warp(pixels))
    ends = np.array([[0, 5], [5, 0], [-9, 99]])
    assert warped.warp(ends) == pytest.approx(np.array([[1, 0], [0.5, 0], [0, 0.3]]), abs=1e-3)
    assert warped.from_output(there) == pytest.approx(pixels, abs=1e-5)
    finer = Mapping(linear=((0.25, 0), (0, 0.25)), shift=(-0.375, -0.375))
    both = finer.then(warped)
    assert both.to_output(pixels) == pytest.approx(warped.to_output(finer.to_output(pixels)))
    with pytest.raises(PairingError):
        _ = warped.inverse
    for wrong in ({"across": WARP["down"][:1]}, {"down": ((0, 99, 0), (0, 0, 0))}):
        with pytest.raises(ValidationError):
            Mapping(linear=((3, 0), (0, 3)), warp=WARP | wrong)


@pytest.mark.parametrize(
    ("lr", "hr", "scale"),
    [
        pytest.param((100, 256), (400, 1024), (4, 4), id="the paper's 4"),
        pytest.param((100, 256), (200, 512), (2, 2), id="2"),
        pytest.param((100, 256), (300, 768), (3, 3), id="3"),
        pytest.param((100, 200), (292, 584), (2.92, 2.92), id="2.92"),
        pytest.param((250, 400), (730, 1172), (2.92, 2.93), id="per axis"),
        pytest.param((100, 256), (401, 1027), (4, 4), id="floor division lost HR pixels"),
        pytest.param((101, 257), (401, 1027), (4, 4), id="ceiling division"),
        pytest.param((5, 7), (5, 7), (1, 1), id="same size"),
        pytest.param((1, 1), (4, 4), (4, 4), id="one LR pixel"),
    ],
)
def test_scale_from_sizes(lr, hr, scale):
    mapping = fit_mapping(lr, hr)
    assert mapping.scale == pytest.approx(scale)
    assert mapping.is_scaling
    grids = Grids(lr, hr, mapping)
    assert grids.down(np.ones(hr, np.float32)).shape == lr
    assert grids.up(np.ones(lr, np.float32)).shape == hr


@pytest.mark.parametrize(
    ("lr", "hr", "said"),
    [
        pytest.param((400, 1024), (100, 256), "swapped", id="swapped"),
        pytest.param((100, 256), (400, 800), "one scale", id="ratios differ"),
        pytest.param((100, 250), (400, 1024), "one scale", id="ratios differ by 2 pixels"),
    ],
)
def test_sizes_that_do_not_fit(lr, hr, said):
    with pytest.raises(PairingError, match=said) as error:
        fit_mapping(lr, hr)
    assert f"{lr[0]}x{lr[1]}" in str(error.value)
    assert f"{hr[0]}x{hr[1]}" in str(error.value)


def test_a_scale_keeps_the_outer_corner_of_the_first_pixel():
    mapping = Mapping.scaled((4, 3))
    np.testing.assert_allclose(mapping.to_output((-0.5, -0.5)), (-0.5, -0.5))
    np.testing.assert_allclose(mapping.to_output((0, 0)), (1.5, 1))
    np.testing.assert_allclose(mapping.from_output(mapping.to_output((9.5, 2))), (9.5, 2))
    assert mapping.inverse == Mapping.scaled((1 / 4, 1 / 3))


angles = st.floats(-math.pi, math.pi)
lengths = st.floats(0.1, 10)


@st.composite
def mappings(draw):
    """A scale per axis, a turn, perhaps a mirror, and a shift."""
    turn = draw(angles)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation @ np.diag([draw(lengths), draw(lengths) * draw(st.sampled_from([1, -1]))])
    return Mapping(linear=linear.tolist(), shift=(draw(st.floats(-99, 99)), draw(st.floats(-99, 99))))


points = arrays(np.float64, (5, 2), elements=st.floats(-500, 500))


@given(mappings(), mappings(), points)
def test_mappings_are_inverted_and_composed_as_their_matrices(one, other, points):
    ones = np.ones((len(points), 1))
    expected = (other.affine @ one.affine @ np.hstack([points, ones]).T).T[:, :2]
    np.testing.assert_allclose(one.then(other).to_output(points), expected, atol=1e-6)
    np.testing.assert_allclose(one.from_output(one.to_output(points)), points, atol=1e-6)
    assert Mapping.model_validate_json(one.model_dump_json()) == one


@given(mappings())
def test_the_scale_is_the_length_of_a_pixel_along_each_axis(mapping):
    origin, down, across = mapping.to_output([(0, 0), (1, 0), (0, 1)])
    assert mapping.scale == pytest.approx((np.linalg.norm(down - origin), np.linalg.norm(across - origin)))


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param(Mapping(linear=((4, 0), (0, 4))), id="shifted"),
        pytest.param(Mapping(linear=((0, 4), (4, 0))), id="turned"),
        pytest.param(Mapping(linear=((4, 0), (0, -4)), shift=(1.5, 30)), id="mirrored"),
    ],
)
def test_methods_refuse_cameras_that_are_not_aligned(mapping):
    with pytest.raises(PairingError, match="scale only"):
        Grids((8, 8), (32, 32), mapping)


def radial(mapping, k1, k2):
    return mapping.model_copy(update={"radial": (k1, k2), "centre": (300.0, 200.0), "reach": 400.0})


@given(mappings(), st.floats(-0.05, 0.05), st.floats(-0.01, 0.01), points)
def test_radial_terms_move_along_the_radius_and_are_inverted(mapping, k1, k2, points):
    bent, flat = radial(mapping, k1, k2), mapping.to_output(points)
    away = flat - bent.centre
    r = np.hypot(*away.T)[:, None] / bent.reach
    np.testing.assert_allclose(
        bent.to_output(points), bent.centre + away * (1 + k1 * r**2 + k2 * r**4), rtol=1e-12, atol=1e-9
    )
    near = points / 4 + bent.centre
    np.testing.assert_allclose(bent.to_output(bent.from_output(near)), near, atol=1e-9)
    assert Mapping.model_validate_json(bent.model_dump_json()) == bent


def test_radial_terms_follow_an_affine_map_only():
    bent = radial(Mapping.scaled((3, 3)), 0.01, 0)
    corner = Mapping(shift=(5, 7))
    np.testing.assert_allclose(corner.then(bent).to_output([(1, 2)]), bent.to_output([(6, 9)]), atol=1e-9)
    assert not bent.is_scaling
    with pytest.raises(PairingError, match="radial"):
        bent.then(corner)
    with pytest.raises(PairingError, match="radial"):
        _ = bent.inverse


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"linear": ((1, 2), (2, 4))}, id="singular"),
        pytest.param({"radial": (-0.5, 0)}, id="folded"),
        pytest.param({"radial": (0.01, 0), "reach": 0}, id="no reach"),
    ],
)
def test_maps_that_are_not_one_to_one_are_refused(fields):
    with pytest.raises(ValidationError):
        Mapping(**fields)

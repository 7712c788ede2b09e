"""Measurements against scenes whose edges, widths and areas are known from their formulas."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from napari_xfusion.core.inspect.measure import Interval, conformal_interval, measure, write_csv
from napari_xfusion.core.inspect.places import Area, Line, Measure, Scale
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from tests.sequences import stack

BLUR = 1.2
"""Standard deviation of the point spread in pixels."""


def half_plane(shape, position, degrees=0.0, blur=BLUR):
    """An edge at ``position`` along a line of this direction through the middle row; 100 before, 300 behind it."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle = math.radians(degrees)
    along = (x - position) * math.cos(angle) + (y - (shape[0] - 1) / 2) * math.sin(angle)
    return 200 + 100 * erf(along / (blur * math.sqrt(2)))


def disc(shape, centre, radius, blur=BLUR):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    outside = np.hypot(y - centre[0], x - centre[1]) - radius
    return 200 - 100 * erf(outside / (blur * math.sqrt(2)))


def number(frame, **settings):
    return measure(stack(frame[None]), Measure(**settings)).values[0]


@settings(max_examples=25)
@given(
    position=st.floats(12, 28),
    offset=st.floats(0, 1),
    threshold=st.sampled_from([None, 200.0]),
    width=st.sampled_from([1.0, 5.0]),
)
def test_an_edge_is_found_to_a_hundredth_of_a_pixel(position, offset, threshold, width):
    line = Line(start=(8, 2 + offset), stop=(8, 37 + offset), width=width)
    found = number(half_plane((17, 40), position), what="edge", place=line, threshold=threshold)
    assert found == pytest.approx(position - 2 - offset, abs=0.01)


@settings(max_examples=25)
@given(position=st.floats(16, 24), degrees=st.floats(-40, 40))
def test_along_an_oblique_line_an_edge_is_where_it_is(position, degrees):
    angle = math.radians(degrees)
    start, stop = ((16 + reach * math.sin(angle), 20 + reach * math.cos(angle)) for reach in (-14.0, 14.0))
    found = number(half_plane((33, 41), position, degrees), what="edge", place=Line(start=start, stop=stop))
    assert found == pytest.approx(14 + (position - 20) * math.cos(angle), abs=0.02)


@settings(max_examples=25)
@given(radius=st.floats(6, 12), shift=st.floats(-0.5, 0.5))
def test_width_and_area_of_a_disc_are_those_of_the_formula(radius, shift):
    frame = disc((40, 44), (19.5 + shift, 21 - shift), radius)
    across = Line(start=(19.5 + shift, 1), stop=(19.5 + shift, 42))
    for threshold in (None, 200.0):
        found = number(frame, what="width", place=across, threshold=threshold)
        assert found == pytest.approx(2 * radius, abs=0.06)
    field = Area.of_region(Region(0, 40, 0, 44))
    for threshold, error in ((200.0, 0.015), (None, 0.08)):  # what is bright is found, and darker at the edge
        found = number(frame, what="area", place=field, threshold=threshold)
        assert found == pytest.approx(math.pi * radius**2, rel=error)
    below = number(frame, what="area", place=field, threshold=200.0, side="below")
    assert below == pytest.approx(40 * 44 - math.pi * radius**2, rel=0.015)


def test_a_moving_edge_over_time_in_micrometres_and_seconds():
    frames = np.stack([half_plane((9, 40), 10 + 1.7 * t) for t in range(8)])
    sequence = stack(frames, interval=2e-6, pixel_size=0.5)
    found = measure(sequence, Measure(what="edge", place=Line(start=(4, 0), stop=(4, 39))))
    assert found.unit == "um"
    np.testing.assert_allclose(found.values, (10 + 1.7 * np.arange(8)) * 0.5, atol=0.01)
    np.testing.assert_allclose(found.seconds, 2e-6 * np.arange(8))
    kymograph = measure(sequence, Measure(what="kymograph", place=Line(start=(4, 0), stop=(4, 39))))
    np.testing.assert_allclose(kymograph.values[:, ::2], frames[:, 4], rtol=1e-9)
    np.testing.assert_allclose(kymograph.positions[::2], np.arange(40) * 0.5)


def test_pixels_may_be_longer_than_wide():
    line = Line(start=(0, 4), stop=(39, 4))
    found = measure(
        stack(half_plane((9, 40), 21.25).T[None].copy()),
        Measure(what="edge", place=line, turn="rising"),
        scale=Scale(3.0, 1.0, "um"),
    )
    assert found.values[0] == pytest.approx(3 * 21.25, abs=0.03)


def test_the_direction_of_an_edge_is_chosen():
    frame = disc((21, 41), (10, 20), 8.25)
    line = Line(start=(10, 0), stop=(10, 40))
    for turn, expected in (("rising", 11.75), ("falling", 28.25)):
        assert number(frame, what="edge", place=line, turn=turn) == pytest.approx(expected, abs=0.05)


def test_a_mean_is_of_the_parts_of_pixels_inside():
    y, x = np.mgrid[:20, :30].astype(float)
    plane = 3 * x + 2 * y
    triangle = Area(corners=((2, 3), (2, 23), (17, 13)))
    centre = np.mean(triangle.corners, axis=0)
    assert number(plane, what="mean", place=triangle) == pytest.approx(
        3 * centre[1] + 2 * centre[0], abs=0.15
    )
    assert number(plane, what="mean", place=Area.of_region(Region(4, 6, 7, 10))) == pytest.approx(33)


def test_what_is_not_there_has_no_number():
    frames = np.stack([half_plane((9, 40), 20.0)] * 3).astype(np.float32)
    frames[1] = np.nan
    line = Line(start=(4, -10), stop=(4, 60))  # the ends lie outside
    for what in ("edge", "width", "mean"):
        found = measure(stack(frames), Measure(what=what, place=line), available=lambda i: i != 2).values
        assert np.isnan(found[1:]).all()
        assert np.isfinite(found[0]) == (what != "width")  # one edge has no width
    area = Measure(what="area", place=Area.of_region(Region(0, 9, 0, 40)))
    assert np.isfinite(measure(stack(frames), area).values).tolist() == [True, False, True]
    flat = measure(stack(np.ones((2, 9, 9))), Measure(what="edge", place=Line(start=(4, 0), stop=(4, 8))))
    assert np.isnan(flat.values).all()


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("area", Line(start=(1, 1), stop=(5, 5))),
        ("edge", Area.of_region(Region(0, 5, 0, 5))),
        ("edge", Line(start=(-9, 0), stop=(-9, 8))),
        ("edge", Line(start=(3, 3), stop=(3, 3))),
        ("area", Area.of_region(Region(40, 50, 0, 5))),
    ],
    ids=["area of a line", "edge of a region", "outside", "no length", "region outside"],
)
def test_a_place_that_does_not_fit_is_refused(what, place):
    with pytest.raises(InputError):
        measure(stack(np.zeros((2, 9, 9))), Measure(what=what, place=place))


def test_the_table_has_units_and_gaps(tmp_path):
    sequence = stack(np.stack([half_plane((9, 40), 20.0)] * 2), pixel_size=2.0)
    line = Line(start=(4, 0), stop=(4, 39))
    found = measure(
        sequence, Measure(what="edge", place=line), numbers=[0, 7], interval=1e-3, available=lambda i: i == 0
    )
    write_csv(tmp_path / "edge.csv", {"fused": found}, {"fused": 0.25})
    with (tmp_path / "edge.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["edge_um"]) == pytest.approx(40, abs=0.02)
    assert (rows[1]["frame"], rows[1]["time_s"], rows[1]["edge_um"]) == ("7", "0.007", "")
    assert rows[0]["half_width"] == "0.25"


@settings(max_examples=25)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_interval_covers_as_many_of_the_errors_as_the_formula_says(errors, coverage):
    n = len(errors)
    found = conformal_interval(errors, [0.0] * n, coverage)
    inside = np.count_nonzero(np.array(errors) <= found.half_width)
    assert found.coverage == (coverage if n >= coverage / (1 - coverage) - 1e-9 else n / (n + 1))
    assert inside >= min(math.ceil((n + 1) * coverage - 1e-9), n)


def test_a_new_frame_lies_in_the_interval_as_often_as_it_is_to():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4000, 20))
    inside = [abs(row[-1]) <= conformal_interval(row[:-1], np.zeros(19), 0.8).half_width for row in errors]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)
    assert conformal_interval([1.0, math.nan], [1.5, 2.0]) == Interval(0.5, 0.5, 1)
    assert conformal_interval([math.nan], [1.0]) is None

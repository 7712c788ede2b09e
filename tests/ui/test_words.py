"""Numbers and sentences as the window says them."""

import pytest

from napari_xfusion.ui.fusion.run_box import Pace
from napari_xfusion.ui.words import byte_count, duration, in_window_words, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("give --hr-step N (and --hr-start K)", "give HR step (and HR start)"),
        ("--hr-times LIST or FILE", "HR times"),
        ("--frames: expected", "Frames: expected"),
        ("a --strange option", "a --strange option"),
        ("no options -- here", "no options -- here"),
    ],
)
def test_options_go_by_the_names_of_their_fields(text, expected):
    assert in_window_words(text) == expected


@pytest.mark.parametrize(
    ("say", "value", "expected"),
    [
        (byte_count, 12, "12 bytes"),
        (byte_count, 3.25e9, "3.25 GB"),
        (byte_count, 5e15, "5e+03 TB"),
        (duration, 0.4, "0 s"),
        (duration, 200, "3:20 min"),
        (duration, 7500, "2:05 h"),
        (moment, 2.4e-4, "240 µs"),
        (moment, -1.5e-3, "-1.5 ms"),
        (moment, 75, "75 s"),
    ],
)
def test_numbers_are_said_in_units_that_suit_them(say, value, expected):
    assert say(value) == expected


def test_the_pace_counts_only_what_this_run_has_made():
    pace = Pace(10, 30, began=100.0)
    assert pace.in_words(10, now=101.0) == "10 of 30 frames"
    assert pace.in_words(20, now=105.0) == "20 of 30 frames · 2 frames/s · 5 s left"

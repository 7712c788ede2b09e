"""Sentences as the window says them."""

import pytest

from napari_xfusion.ui.fusion.run_box import Pace
from napari_xfusion.ui.shared.words import in_window_words


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


def test_the_pace_counts_only_what_this_run_has_made():
    pace = Pace(10, 30, began=100.0)
    assert pace.in_words(10, now=101.0) == "10 of 30 frames"
    assert pace.in_words(20, now=105.0) == "20 of 30 frames · 2 frames/s · 5 s left"

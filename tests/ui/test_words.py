"""Sentences as the window says them."""

from napari_xfusion.ui.fusion.run_box import Pace


def test_the_pace_counts_only_what_this_run_has_made():
    pace = Pace(10, 30, began=100.0)
    assert pace.in_words(10, now=101.0) == "10 of 30 frames"
    assert pace.in_words(20, now=105.0) == "20 of 30 frames · 2 frames/s · 5 s left"

"""Sentences as the window says them."""

import logging

import pytest
from napari.utils.notifications import notification_manager

from napari_xfusion.core.doctor import log_file
from napari_xfusion.core.plan import FLAWS, make_plan
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError, with_names
from napari_xfusion.ui.fusion.run_box import Pace
from napari_xfusion.ui.shared.words import in_window_words, settings_in_words, start_window_log


@pytest.fixture
def log():
    """The log file of this test."""
    logger = logging.getLogger("napari_xfusion")
    before, logger.handlers = logger.handlers, []
    start_window_log()
    yield log_file()
    for handler in logger.handlers:
        handler.close()
    logger.handlers = before


@pytest.mark.parametrize("error", [ZeroDivisionError("1/0"), InputError("a", problem="b", hint="c")])
def test_an_error_in_the_window_reaches_the_log_unless_it_is_for_the_user(log, error):
    def fail(_setting):
        raise error

    with pytest.raises(type(error)) as raised:
        with_names("{hr_times}", fail)  # of this package
    notification_manager.receive_error(raised.type, raised.value, raised.tb)
    unexpected = not isinstance(error, InputError)
    assert ("ZeroDivisionError: 1/0" in log.read_text()) == unexpected
    assert in_window_words(error) == (
        f"Unexpected ZeroDivisionError, see the log {log}" if unexpected else "a: b. C."
    )


def test_the_pace_counts_only_what_this_run_has_made():
    pace = Pace(10, 30, began=100.0)
    assert pace.in_words(10, now=101.0) == "10 of 30 frames"
    assert pace.in_words(20, now=105.0) == "20 of 30 frames · 2 frames/s · 5 s left"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "flow", "device": "cpu", "tile": 64}, []),
        ({"frames": (0, 24)}, []),
        ({"frames": (3, 9), "separation": 2}, ["Separation 2", "Frames 3:9"]),
        ({"region": Region(8, 40, 0, 64)}, ["Region 8:40,0:64"]),
        ({"hr_step": 2.5, "hr_start": 1}, ["HR step 2.5", "HR start 1"]),
        ({"keep_flicker": True, "hr_frames": "keep"}, ["Keep flicker", "HR frames keep"]),
        ({"correct": (*FLAWS, "shift")}, ["shift corrected"]),
        ({"correct": FLAWS[1:]}, ["frames not corrected"]),
    ],
)
def test_a_run_is_described_by_the_settings_that_are_not_the_default(settings, words):
    assert settings_in_words(make_plan(**settings), 24) == words

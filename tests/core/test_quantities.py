"""Quantities as people read them."""

import pytest

from napari_xfusion.core.quantities import byte_count, duration, moment


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

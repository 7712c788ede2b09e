"""Scale bars that are as long as they say."""

import numpy as np
import pytest

from napari_xfusion.core.quantities import length_in_words
from napari_xfusion.core.results.sheet import with_scale_bar


@pytest.mark.parametrize(
    ("shape", "pixel", "length"),
    [((144, 240), 2.0, 100), ((144, 240), 0.013, 0.5), ((333, 517), 8.0, 1000), ((60, 100), 1.0, 20)],
)
@pytest.mark.parametrize("shade", [0, 255])
def test_the_bar_is_as_long_as_it_says_on_dark_and_on_bright(shape, pixel, length, shade):
    picture = np.full((*shape, 3), shade, np.uint8)
    drawn = with_scale_bar(picture, pixel)
    assert picture.min() == picture.max() == shade  # a copy
    margin = max(shape[1] // 40, 4)
    row = drawn[shape[0] - 1 - margin, :, 0].astype(int)
    bar = row[: shape[1] - margin] == 255
    begins = len(bar) - np.argmin(bar[::-1])
    assert len(bar) - begins == round(length / pixel)
    assert row[begins - 1] == row[shape[1] - margin] == 0  # its edge
    assert len(np.unique(drawn[: shape[0] - margin - 4])) > 2  # the text


def test_lengths_have_the_unit_that_suits_them():
    assert [length_in_words(x) for x in (0.5, 20, 999, 1000)] == ["500 nm", "20 µm", "999 µm", "1 mm"]

"""Which frame is timed."""

import numpy as np
import pytest

from napari_xfusion.lab.study.times import middle_unseen


@pytest.mark.parametrize(
    ("targets", "hr_times", "expected"),
    [
        pytest.param(range(121), range(0, 121, 20), 61, id="the middle one has an HR frame"),
        pytest.param(range(10), (0, 9), 5, id="it has none"),
        pytest.param((3,), (0, 3, 6), 3, id="all are seen"),
        pytest.param((3, 4), (0.4, 3.4), 4, id="between frames"),
    ],
)
def test_the_middle_of_the_unseen_frames_is_timed(targets, hr_times, expected):
    assert middle_unseen(targets, np.array(hr_times, float)) == expected

"""The frame on screen first, then its neighbours, then the rest; whatever is looked at meanwhile."""

import pytest

from napari_xfusion.ui.fusion.order import NearestFirst


@pytest.mark.parametrize(
    ("looked_at", "missing", "expected"),
    [
        pytest.param(0, range(4), [0, 1, 2, 3], id="from the beginning"),
        pytest.param(3, range(4), [3, 2, 1, 0], id="from the end"),
        pytest.param(2, range(6), [2, 3, 1, 4, 0, 5], id="outward, later first"),
        pytest.param(5, [0, 1, 8, 9], [8, 9, 1, 0], id="in a gap"),
        pytest.param(99, [0, 1], [1, 0], id="beyond the end"),
        pytest.param(-9, [0, 1], [0, 1], id="before the beginning"),
        pytest.param(0, [], [], id="nothing missing"),
    ],
)
def test_frames_come_by_their_distance(looked_at, missing, expected):
    assert list(NearestFirst(looked_at)(missing)) == expected


def test_it_follows_the_slider_and_forgets_no_frame():
    order = NearestFirst(0)
    frames = order(range(10))
    got = [next(frames), next(frames)]
    order.look_at(8)
    got += [next(frames), next(frames)]
    order.look_at(3)
    got += frames
    assert got[:5] == [0, 1, 8, 9, 3]
    assert sorted(got) == [*range(10)]

"""Films that are fused when they are read: the same frames as a run, shared, bounded, and closed in time."""

import threading

import numpy as np
import pytest

from napari_xfusion.core import film as film_module
from napari_xfusion.core.film import FusedFilm, difference, lr_consistency
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.run import fuse
from napari_xfusion.core.types import Region
from napari_xfusion.errors import DeviceError, ModelError, PairingError
from tests.films import moving_discs, stack, two_cameras

TRUTH = (moving_discs(12) * 4000 + 200).astype(np.float32)
LR, HR, TIMES = two_cameras(TRUTH)


def open_film(method="backprojection", **settings) -> FusedFilm:
    return FusedFilm(Plan(method=method, hr_times=TIMES, **settings), stack(LR, "lr"), stack(HR, "hr"))


@pytest.mark.parametrize("method", ["bicubic", "flow", "bayesian"])
def test_frames_in_any_order_are_those_of_a_run(method):
    film = open_film(method)
    run = {frame.index: frame for frame in fuse(film.plan, LR, HR)}
    for t in (7, 0, 11, 7):
        np.testing.assert_array_equal(film.images().frame(t), run[t].image)


def test_a_region_is_that_of_the_plan():
    film = open_film(region=Region(8, 24, 12, 40))
    np.testing.assert_array_equal(film.images().frame(3), next(fuse(film.plan, LR, HR, targets=[3])).image)
    assert film.images().shape == (12, 16, 28)


def test_views_share_the_frames():
    film = open_film("bayesian")
    made = film.frame(5)
    assert film.images().frame(5) is made.image
    assert film.std().frame(5) is made.std
    assert film.known(5) is made
    assert film.known(6) is None


def test_frames_kept_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(film_module, "KEPT_BYTES", 3 * TRUTH[0].nbytes)
    film = open_film()
    for t in range(8):
        film.frame(t)
    assert [t for t in range(8) if film.known(t) is not None] == [5, 6, 7]


def test_threads_get_the_same_frames():
    film, found = open_film("flow"), {}

    def read(t):
        found[t] = film.images().frame(t % 12)

    threads = [threading.Thread(target=read, args=(t,)) for t in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = [frame.image for frame in fuse(film.plan, LR, HR)]
    for t, image in found.items():
        np.testing.assert_array_equal(image, run[t % 12])


def test_a_closed_film_makes_no_frame():
    film = open_film()
    film.close()
    with pytest.raises(DeviceError, match="closed"):
        film.frame(0)


@pytest.mark.parametrize(
    ("view", "method"),
    [("std", "flow"), ("attention", "bayesian")],
)
def test_what_a_method_does_not_know_is_told(view, method):
    film = open_film(method)
    with pytest.raises(ModelError, match=method):
        film.std() if view == "std" else film.attention("hr-")


def test_films_that_do_not_pair_are_told_at_once():
    with pytest.raises(PairingError):
        FusedFilm(Plan(), stack(LR), stack(HR))


def test_backprojection_agrees_better_with_lr_than_bicubic():
    back, cubic = open_film(), open_film("bicubic")
    rms = {
        film.plan.method: float(np.sqrt(np.mean(lr_consistency(film.images(), film.pair).frame(6) ** 2)))
        for film in (back, cubic)
    }
    assert rms["backprojection"] < rms["bicubic"]


def test_consistency_of_the_truth_is_nothing():
    film = open_film()
    left = lr_consistency(stack(TRUTH), film.pair)
    assert left.shape == LR.shape
    assert np.abs(left.frame(5)).max() < 2e-3  # of a grey scale of 1: LR was matched by a robust line


def test_difference_is_signed_and_in_camera_units():
    minus = difference(stack(TRUTH), open_film("bicubic").images())
    expected = TRUTH[4] - next(fuse(Plan(method="bicubic", hr_times=TIMES), LR, HR, targets=[4])).image
    np.testing.assert_allclose(minus.frame(4), expected, atol=1e-2)

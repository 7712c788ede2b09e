"""The pool: the same samples however they are drawn, gone on with after a stop, told when it does not fit."""

import threading

import numpy as np
import pytest

from napari_xfusion.errors import InputError, OutputError
from napari_xfusion.lab.scenes import KINDS, expose
from napari_xfusion.lab.train.pool import FILE, PLAN, STEP, Pool, PoolPlan, fill_pool, sources_of

PLAN_OF_70 = PoolPlan(data=("scenes",), count=70, crop=32, seed=5)


def fill(plan, folder, *, processes=1, stop=None, progress=lambda *_: None):
    return fill_pool(plan, folder, processes=processes, stop=stop or threading.Event(), progress=progress)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    return fill(PLAN_OF_70, folder), folder


def test_two_processes_draw_the_same_bytes_as_one(filled, tmp_path):
    _, folder = filled
    fill(PLAN_OF_70, tmp_path, processes=2)
    assert (tmp_path / FILE).read_bytes() == (folder / FILE).read_bytes()


def test_a_sample_is_what_was_drawn_but_for_sixteen_bits(filled):
    pool, _ = filled
    for i in (0, 33, 69):
        drawn, kept = PLAN_OF_70.draw(i), pool[i]
        for name in ("lr", "hr", "truth"):
            np.testing.assert_allclose(getattr(kept, name), getattr(drawn, name), atol=0.51 * STEP)
            assert getattr(kept, name).dtype == np.float32
        np.testing.assert_array_equal(kept.times, drawn.times)
        assert not kept.recorded


def test_every_kind_gives_as_many_and_no_two_samples_are_the_same(filled):
    pool, _ = filled
    assert [source.name for source in sources_of(PLAN_OF_70)] == list(KINDS)
    assert [PLAN_OF_70.source_of(i) for i in range(len(KINDS) + 1)] == [*range(len(KINDS)), 0]
    assert len({pool[i].truth.tobytes() for i in range(70)}) == 70


def test_parts_and_seeds_share_no_sample():
    plans = [PLAN_OF_70.model_copy(update=change) for change in ({}, {"part": "held-out"}, {"seed": 6})]
    assert len({plan.draw(3).truth.tobytes() for plan in plans}) == 3


def test_a_stopped_pool_is_completed(filled, tmp_path):
    counted, stop = [], threading.Event()

    def progress(done, total):
        counted.append((done, total))
        if done:
            stop.set()

    assert fill(PLAN_OF_70, tmp_path, stop=stop, progress=progress) is None
    assert counted == [(0, 70), (32, 70)]
    assert len(Pool(PLAN_OF_70, tmp_path).missing()) == 38
    assert fill(PLAN_OF_70, tmp_path) is not None
    assert (tmp_path / FILE).read_bytes() == (filled[1] / FILE).read_bytes()


def test_half_a_record_is_drawn_again(filled, tmp_path):
    (tmp_path / PLAN).write_bytes((filled[1] / PLAN).read_bytes())
    whole = (filled[1] / FILE).read_bytes()
    torn = bytearray(whole)
    half = PLAN_OF_70.record.itemsize // 2
    torn[-half:] = bytes(half)
    (tmp_path / FILE).write_bytes(torn)
    assert Pool(PLAN_OF_70, tmp_path).missing() == [69]
    fill(PLAN_OF_70, tmp_path)
    assert (tmp_path / FILE).read_bytes() == whole


@pytest.mark.parametrize("change", [{"seed": 6}, {"count": 71}, {"crop": 48}, {"data": ("scenes:crack",)}])
def test_another_pool_is_told(filled, tmp_path, change):
    fill(PLAN_OF_70.model_copy(update={"count": 2}), tmp_path)
    with pytest.raises(InputError, match="same data"):
        fill(PLAN_OF_70.model_copy(update=change), tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00"])
def test_a_damaged_pool_is_told(filled, tmp_path, content):
    (tmp_path / PLAN).write_bytes((filled[1] / PLAN).read_bytes())
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match="pool of samples"):
        fill(PLAN_OF_70, tmp_path)


def test_a_place_that_is_none_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="another folder"):
        fill(PLAN_OF_70, tmp_path / "file")


def test_every_use_of_a_sample_has_its_own_noise_and_turn(filled):
    pool, _ = filled
    seen = [expose(pool[0], np.random.default_rng(seed)) for seed in range(30)]
    assert len({sample.truth.tobytes() for sample in seen}) == 8
    assert len({sample.hr.tobytes() for sample in seen}) == 30
    assert {np.isinf(sample.b0) for sample in seen} == {True, False}

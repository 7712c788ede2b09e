"""A sample seen as two sequences: methods that take windows get what the sample holds."""

import threading

import numpy as np
import pytest

from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.lab.scenes import KINDS, draw_sample
from napari_xfusion.lab.train.batches import Batches, ahead, collate
from napari_xfusion.lab.train.pool import PoolPlan, fill_pool
from napari_xfusion.lab.train.task import TASKS, as_rig
from tests.sequences import binned


@pytest.fixture
def sample():
    return draw_sample(KINDS["advected"], np.random.default_rng(3), 32)


def test_the_frame_group_of_a_sample_is_the_sample(sample):
    reader, target = as_rig(sample)
    group = reader.group(target, sample.separation)
    np.testing.assert_array_equal([frame.image for frame in group.lr], sample.lr)
    np.testing.assert_array_equal([frame.image for frame in group.hr], sample.hr)
    np.testing.assert_array_equal(group.lr_at_hr, sample.hr_lr)
    times = np.array([frame.time for frame in (*group.lr, *group.hr)])
    np.testing.assert_array_equal(times - group.reference.time, sample.times)


def test_its_noise_is_that_of_lr_about_binned_hr():
    for seed in range(20):
        sample = draw_sample(KINDS["advected"], np.random.default_rng(seed), 128, apart=0.0)
        found = as_rig(sample)[0].rig.lr_noise
        residual = sample.hr_lr - binned(sample.hr)
        assert found == pytest.approx(residual.std(), rel=0.5, abs=2e-3)


def test_interpolation_of_a_sample_is_what_its_formula_says(sample):
    reader, target = as_rig(sample)
    with make_fuser(make_plan(method="interpolation")).open(reader) as stream:
        (frame,) = stream.fuse([target], threading.Event())
    a, b = -sample.times[3], sample.times[4]
    between = (b * sample.hr[0] + a * sample.hr[1]) / (a + b)
    expected = between + reader.rig.grids.up(sample.lr[1] - binned(between[None])[0])
    np.testing.assert_allclose(frame.image, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "shapes"),
    [
        ("edvr", {"lr": (2, 3, 1, 8, 8), "truth": (2, 1, 32, 32)}),
        ("edvr-stf", {"lr": (2, 3, 1, 8, 8), "hr": (2, 2, 1, 32, 32), "truth": (2, 1, 32, 32)}),
    ],
)
def test_what_a_network_is_fed(sample, variant, shapes):
    batch = collate([sample, sample], TASKS[variant])
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == shapes
    np.testing.assert_array_equal(batch["truth"][1, 0], sample.truth)


def test_a_batch_depends_on_its_number_and_shares_make_it_up(tmp_path):
    pool = fill_pool(
        PoolPlan(data=("scenes:spray",), count=8, crop=32), tmp_path, processes=1, stop=threading.Event()
    )
    make = [
        Batches(pool, TASKS["edvr"], 1, 6, share)
        for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
    ]
    whole, even, odd = (batches(5)["lr"] for batches in make)
    assert make[0](5)["lr"].equal(whole)
    assert whole[::2].equal(even)
    assert whole[1::2].equal(odd)
    assert not make[0](6)["lr"].equal(whole)


def test_ahead_keeps_the_order_and_passes_errors_on():
    def make(k):
        if k == 30:
            raise ValueError(k)
        return k

    made = ahead(make, range(40), 3)
    assert [next(made) for _ in range(30)] == list(range(30))
    with pytest.raises(ValueError, match="30"):
        next(made)

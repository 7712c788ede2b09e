"""A small pool that every test of the loop shares, and a plan that uses it."""

import threading
from pathlib import Path

import pytest

from napari_xfusion.lab.train.loop import Trained, train
from napari_xfusion.lab.train.plan import TrainPlan, make_train_plan

TINY = {"channels": 4, "extract": 1, "reconstruct": 1, "groups": 2}


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="session")
def plan():
    def make(**settings: object) -> TrainPlan:
        defaults = {
            "variant": "edvr-stf",
            "sizes": TINY,
            "samples": 32,
            "held_out": 7,
            "crop": 32,
            "batch": 2,
        }
        return make_train_plan(**{**defaults, "rate": 1e-3, "iterations": 24, **settings})

    return make


@pytest.fixture(scope="session")
def trained(pool):
    def run(plan: TrainPlan, folder: Path, **settings: object) -> Trained:
        return train(plan, folder, **{"stop": threading.Event(), "pool": pool, "device": "cpu", **settings})

    return run


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Numbers are compared to the last bit, and small networks are no quicker on more."""

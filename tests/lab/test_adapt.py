"""A network adapted to a recording is better on HR frames that it was not trained on, or is not kept."""

import threading

import numpy as np
import pytest
import torch

from napari_xfusion.core.holdout.left_out import LeftOut, judged
from napari_xfusion.core.networks.cards import model_of, read_header
from napari_xfusion.core.networks.lite import Inputs
from napari_xfusion.core.networks.weights import load_model
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.session import rig_of
from napari_xfusion.errors import InputError, OutputExistsError
from napari_xfusion.lab import adapt as adapting
from napari_xfusion.lab.adapt import adapt, crop, example, judge
from tests.sequences import binned, moving_discs

STEP = 4
TRUTH = moving_discs(29, (64, 80), seed=2)
LR = binned(TRUTH)
HR = (TRUTH[::STEP] + np.random.default_rng(0).normal(0, 0.01, TRUTH[::STEP].shape)).astype(np.float32)
PLAN = make_plan(hr_step=STEP, correct=())
STOP = threading.Event()


def test_an_adapted_model_is_better_or_not_written(tmp_path):
    model = tmp_path / "own.safetensors"
    gains = []
    found = adapt(PLAN, LR, HR, model, iterations=8, stop=STOP, gained=gains.append)
    assert gains == sorted(gains)
    assert len(gains) == adapting.ROUNDS
    assert gains[-1] == pytest.approx(found.gain)
    assert (found.trained, found.aside) == (4, 2)
    assert model.exists() == (found.model is not None) == (found.gain >= max(0.02, found.gain_error))
    assert found.gain >= 0  # the weights to start from are among those that are compared


def test_a_model_that_is_better_is_kept_with_a_card_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "LEAST_GAIN", -1.0)
    monkeypatch.setattr(adapting, "standard_error", lambda _gain: None)
    model = tmp_path / "own.safetensors"
    found = adapt(PLAN, LR, HR, model, iterations=4, stop=STOP)
    card, _ = read_header(model)
    assert "trained further on 4 HR frames" in card.training
    rig = rig_of(PLAN, LR, HR)
    kept = [example(LeftOut(judged(PLAN), rig), k) for k in (2, 5)]
    assert judge(load_model(model).network, kept).mean() == pytest.approx(found.before + found.gain, abs=1e-4)
    with pytest.raises(OutputExistsError):
        adapt(PLAN, LR, HR, model, iterations=4, stop=STOP)


def test_a_crop_is_turned_with_all_that_belongs_to_it():
    one = example(LeftOut(judged(PLAN), rig_of(PLAN, LR, HR)), 3)
    part = crop(one, np.random.default_rng(5))
    ((weight, inputs),) = part.parts
    assert weight == 1
    assert part.truth.shape == (1, 1, 64, 64)
    assert inputs.lr.shape == (1, 3, 16, 16)
    small = torch.nn.functional.avg_pool2d(part.truth, 4)
    assert (small - inputs.lr[:, 1:2]).abs().mean() < 0.02
    assert isinstance(inputs, Inputs)


def test_between_two_lr_frames_the_mixture_is_compared():
    plan = make_plan(hr_times=[STEP * k + 0.25 * (k > 0) for k in range(8)][:7], correct=())
    one = example(LeftOut(judged(plan), rig_of(plan, LR, HR[:7])), 3)
    assert [weight for weight, _ in one.parts] == [0.75, 0.25]
    network = load_model(model_of(PLAN)).network
    assert judge(network, [one])[0] > 25


def test_too_few_frames_are_refused_and_a_stopped_one_writes_nothing(tmp_path):
    with pytest.raises(InputError) as raised:
        adapt(PLAN, LR[:17], HR[:5], tmp_path / "own.safetensors", stop=STOP)
    assert "at least 6" in raised.value.expected
    stopped = threading.Event()
    stopped.set()
    assert adapt(PLAN, LR, HR, tmp_path / "own.safetensors", stop=stopped) is None
    assert not list(tmp_path.iterdir())

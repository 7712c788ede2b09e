"""The score of a recording: numbers, recommendation, wrong times and shifts, too few HR frames."""

import json

import numpy as np
import pytest

from napari_xfusion.core.holdout.score import FrameScore, MethodScore, Score, choose, score_methods
from napari_xfusion.core.plan import make_plan
from napari_xfusion.errors import InputError
from tests.sequences import binned, moving_discs

NOISE, FRAMES, STEP = 0.01, 41, 8
TRUTH = moving_discs(FRAMES, (80, 96), seed=3)
HR = (TRUTH[::STEP] + np.random.default_rng(0).normal(0, NOISE, TRUTH[::STEP].shape)).astype(np.float32)
LR = binned(TRUTH)
METHODS = ("bicubic", "interpolation", "flow")


def scored(lr=LR, hr=HR, times=None, methods=METHODS, **options):
    plan = make_plan(hr_times=times or tuple(float(t) for t in range(0, FRAMES, STEP))[: len(hr)], correct=())
    return score_methods(plan, lr, hr, methods=methods, **options)


@pytest.fixture(scope="module")
def found():
    return scored()


def test_methods_are_judged_on_each_hr_frame(found):
    assert [each.method for each in found.methods] == list(METHODS)
    flow = found.of("flow")
    assert [frame.frame for frame in flow.frames] == [1, 2, 3, 4]
    assert [(step.count, step.frames, step.gap) for step in flow.steps] == [
        (1, 4, 16),
        (2, 4, 24),
        (3, 6, 32),
    ]
    assert flow.psnr == pytest.approx(np.mean([frame.psnr for frame in flow.frames]))
    assert flow.worst[0].psnr == min(frame.psnr for frame in flow.frames)
    assert found.of("bicubic").exponent == 0
    assert found.choice.method == "flow"
    assert found.offset is None


def test_the_ceiling_is_the_noise_of_hr(found):
    span = np.subtract(*np.percentile(HR, (99.65, 0.35)))
    assert found.ceiling == pytest.approx(-20 * np.log10(NOISE / span), abs=1)


def test_a_score_is_saved_as_json(found, tmp_path):
    found.save(tmp_path / "score.json")
    assert Score.load(tmp_path / "score.json") == found
    json.loads((tmp_path / "score.json").read_text(), parse_constant=pytest.fail)
    (tmp_path / "score.json").write_text("{}")
    with pytest.raises(InputError):
        Score.load(tmp_path / "score.json")


@pytest.mark.parametrize("late", [1.0, -1.0])
def test_wrong_times_are_found(late):
    times = tuple(STEP * k + late for k in range(1, 5))  # inside when they are moved
    offset = scored(hr=HR[1:5], times=times).offset
    assert offset is not None
    assert (offset.kind, offset.late) == ("time", pytest.approx(late, abs=0.3))
    assert offset.gain > 0.1


def test_a_shift_is_found():
    wide = moving_discs(FRAMES, (80, 100), seed=3) - 0.4 * np.arange(100, dtype=np.float32) / 100
    offset = scored(binned(wide[:, :, 2:98]), wide[::STEP, :, :96]).offset
    assert offset is not None
    assert (offset.kind, offset.down) == ("shift", 0)
    assert offset.right == pytest.approx(2, abs=0.6)
    assert offset.gain > 0.1


def test_too_few_hr_frames():
    with pytest.raises(InputError) as raised:
        scored(hr=HR[:2])
    assert (raised.value.found, "at least 3" in raised.value.expected) == ("2", True)
    once = scored(hr=HR[:3], methods=("bicubic",))
    assert "few-left-out" in {warning.code for warning in once.warnings}
    assert once.best.psnr_error is None
    assert once.choice.runner_up is None


def test_a_stopped_score_is_none():
    class AtOnce:
        def is_set(self):
            return True

    assert scored(stop=AtOnce()) is None


def of(method, cost, *psnr):
    frames = tuple(FrameScore(frame=k, time=k, psnr=p, aad=1, ssim=None) for k, p in enumerate(psnr))
    mean = float(np.mean(psnr))
    values = {"psnr": mean, "psnr_error": None, "aad": 1, "ssim": None, "steps": (), "unseen": mean + 1}
    return MethodScore(method=method, frames=frames, exponent=0.4, error_map=((0.1,),), cost=cost, **values)


@pytest.mark.parametrize(
    ("scores", "method", "margin", "clear"),
    [
        pytest.param([of("lite", 9, 40, 42), of("flow", 3, 39, 41)], "lite", 1, True, id="clear"),
        pytest.param([of("lite", 9, 40, 42), of("flow", 3, 39.96, 41.96)], "flow", -0.04, False, id="equal"),
        pytest.param([of("lite", 9, 40, 42), of("flow", 3, 41, 40.84)], "flow", -0.08, False, id="scatter"),
        pytest.param([of("lite", 9, 40, 42), of("flow", 3, 41, 40.5)], "lite", 0.25, False, id="too much"),
        pytest.param([of("lite", 9, 40), of("flow", 3, 39.6)], "flow", -0.4, False, id="one frame"),
        pytest.param([of("flow", 3, 39)], "flow", None, True, id="one method"),
    ],
)
def test_the_best_method_is_chosen_and_the_fastest_of_equal_ones(scores, method, margin, clear):
    choice = choose(scores)
    assert (choice.method, choice.clear) == (method, clear)
    assert choice.margin == (None if margin is None else pytest.approx(margin))

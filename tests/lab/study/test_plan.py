"""The plan of a study: presets, sweeps, and what a file may not say."""

import json

import pytest

from napari_xfusion.core.networks.cards import describe, find_model
from napari_xfusion.errors import InputError
from napari_xfusion.lab.study import StudyPlan, preset, read_plan
from napari_xfusion.lab.study.cells import weights_of
from napari_xfusion.lab.study.plan import Series
from tests.lab.study.conftest import small_plan


@pytest.mark.parametrize(
    ("name", "frames", "noise", "steps", "separations"),
    [
        pytest.param(
            "full", 120, [20, 30, 40, 50, 60, None], [2, 10, 20, "ends"], [1, 2, 3], id="the paper's"
        ),
        pytest.param("quick", 120, [20, 40, None], [2, 20, "ends"], [1, 2], id="quick"),
        pytest.param("full", 14, [20, 30, 40, 50, 60, None], [2, 10, 20, "ends"], [1, 2, 3], id="14 frames"),
        pytest.param("quick", 3, [20, 40, None], [2, "ends"], [1, 2], id="three frames"),
    ],
)
def test_presets_hold_the_sweeps_of_the_paper(name, frames, noise, steps, separations):
    plan = preset(name, frames)
    swept = {
        setting: [getattr(c, setting) for c in plan.sweep(setting).values()]
        for setting in ("lr_psnr", "hr_step", "separation")
    }
    assert swept == {"lr_psnr": noise, "hr_step": steps, "separation": separations}
    assert plan.conditions["base"].shortest <= frames
    assert [s.name for s in plan.series][:5] == [
        "bicubic",
        "interpolation",
        "flow",
        "bayesian",
        "bayesian-paper",
    ]


def test_models_at_hand_are_in_a_preset_and_large_ones_by_request_only(tiny_model, monkeypatch):
    from napari_xfusion.core.networks.cards import models_folder

    models_folder().mkdir(parents=True)
    (models_folder() / "beam.safetensors").write_bytes(tiny_model.read_bytes())
    (models_folder() / "broken.safetensors").write_bytes(b"nothing")
    names = [series.name for series in preset("quick", 50).series]
    assert "beam" in names
    assert "broken" not in names
    monkeypatch.setattr("napari_xfusion.lab.study.plan.LARGEST", 10)
    assert "beam" not in [series.name for series in preset("quick", 50).series]


def test_a_network_without_a_named_model_takes_the_bundled_one():
    assert weights_of(Series(method="lite")) == describe(find_model("lite")).sha256
    assert weights_of(Series(method="flow")) is None


def test_a_sequence_that_is_too_short_for_any_study_is_told():
    with pytest.raises(InputError, match="3 frames"):
        preset("quick", 2)


def test_a_plan_comes_back_from_its_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(small_plan().model_dump_json())
    assert read_plan(path) == small_plan()


def broken(**changes):
    return json.loads(small_plan().model_dump_json()) | changes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{", "plan: Invalid JSON", id="no JSON"),
        pytest.param(broken(base="other"), "base 'other' is none of", id="base that is not there"),
        pytest.param(broken(series=[]), "series", id="no method"),
        pytest.param(broken(series=[{"method": "magic"}]), "series.0.method", id="unknown method"),
        pytest.param(broken(series=[{"method": "flow"}] * 2), "two series are called flow", id="twice"),
        pytest.param(
            broken(series=[{"method": "flow", "clusters": 0.1}]), "no clusters to set", id="clusters of flow"
        ),
        pytest.param(broken(series=[{"method": "flow", "model": "x"}]), "no model", id="model of flow"),
        pytest.param(broken(conditions={"base": {"hr_step": 1}}), "hr_step", id="HR step of 1"),
        pytest.param(broken(frames=[5, 5]), "hold no frame", id="no frame"),
        pytest.param(broken(speed="high"), "speed", id="unknown setting"),
    ],
)
def test_a_plan_that_cannot_be_is_told_by_its_setting(content, said, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as told:
        read_plan(path)
    assert said in str(told.value)
    assert str(path) in str(told.value)


def test_a_plan_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="expected a study plan"):
        read_plan(tmp_path / "none.json")


def test_only_what_differs_in_one_setting_is_in_its_sweep():
    both = {"base": {"hr_step": 4}, "a": {"hr_step": 2}, "b": {"hr_step": 2, "lr_psnr": 30}}
    plan = StudyPlan.model_validate({"series": [{"method": "flow"}], "conditions": both})
    assert list(plan.sweep("hr_step")) == ["a", "base"]
    assert list(plan.sweep("lr_psnr")) == ["base"]

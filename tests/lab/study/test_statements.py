"""What is said of the paper's statements follows from the numbers in the table, and changes with them."""

from pathlib import Path

import numpy as np
import pytest

from napari_xfusion.core.recordings import Recording
from napari_xfusion.lab.study.cells import ImageSequence
from napari_xfusion.lab.study.results import SequenceResults
from napari_xfusion.lab.study.statements import statements
from napari_xfusion.lab.study.table import SCHEMA, Table
from tests.lab.study.conftest import small_plan

SEQUENCE = ImageSequence("sequence", Recording(Path("sequence.tif"), "tiff"), "0", 13, (8, 8))
STEPS = {"base": 4, "noisy": 4, "often": 2, "ends": 12, "apart": 4}
PAPER = {
    "bicubic": {"base": 30, "noisy": 25, "often": 30, "ends": 30, "apart": 30},
    "bayesian-paper": {"base": 33, "noisy": 26, "often": 40, "ends": 31, "apart": 33},
    "edvr": {"base": 32, "noisy": 29, "often": 32, "ends": 32, "apart": 31},
    "edvr-stf": {"base": 37, "noisy": 31, "often": 41, "ends": 33, "apart": 36},
}
"""Median PSNR by series and condition, as the paper would have it."""


def results(medians, attention=lambda since, step: (1 - since / step, since / step)):
    plan = small_plan(series=[{"method": name} for name in medians])
    columns: dict[str, list] = {name: [] for name in SCHEMA.names}
    for series, by_condition in medians.items():
        for condition, psnr in by_condition.items():
            for frame in range(13):
                step = STEPS[condition]
                seen, since = frame % step == 0, frame % step
                back, ahead = attention(since, step) if series == "edvr-stf" else (np.nan, np.nan)
                # Seen frames must not count.
                row = {"movie": "sequence", "condition": condition, "series": series, "method": series}
                row |= {"frame": frame, "seen": seen, "psnr": 99.0 if seen else psnr + 0.1 * (frame % 2)}
                row |= {"attention_hr-": back, "attention_hr+": ahead}
                for name, column in columns.items():
                    column.append(row.get(name, np.nan))
    table = Table({name: np.array(values) for name, values in columns.items()})
    return SequenceResults(SEQUENCE, plan, table, table.chosen(np.zeros(len(table), bool)), (), ())


def verdicts(found):
    return {statement.text: statement.holds for statement in statements(found)}


def test_numbers_like_the_papers_bear_all_its_statements_out():
    assert set(verdicts(results(PAPER)).values()) == {True}


@pytest.mark.parametrize(
    ("series", "condition", "psnr", "fails"),
    [
        pytest.param("bayesian-paper", "base", 29, "Every method is above bicubic", id="bicubic"),
        pytest.param("bayesian-paper", "base", 38, "The Bayesian median is below EDVR-STF", id="bayesian"),
        pytest.param("edvr", "base", 38, "EDVR-STF is above EDVR", id="edvr"),
        pytest.param(
            "edvr", "ends", 34, "EDVR-STF is above EDVR with the first and last HR frame only", id="ends"
        ),
        pytest.param(
            "bayesian-paper",
            "noisy",
            30,
            "The Bayesian method is below EDVR in strong noise and above it at low LR noise",
            id="crossing",
        ),
        pytest.param("edvr-stf", "noisy", 38, "Quality rises with the LR PSNR", id="noise"),
        pytest.param("edvr-stf", "often", 36, "Quality falls with the HR step", id="step"),
        pytest.param(
            "edvr", "apart", 33, "Quality of the networks falls with the separation", id="separation"
        ),
    ],
)
def test_one_number_turns_its_statement(series, condition, psnr, fails):
    medians = {name: dict(values) for name, values in PAPER.items()}
    medians[series][condition] = psnr
    assert verdicts(results(medians))[fails] is False


@pytest.mark.parametrize(
    ("attention", "holds"),
    [
        pytest.param(lambda since, step: (1 - since / step, since / step), True, id="as in the paper"),
        pytest.param(lambda since, step: (1.0, since / step), False, id="backward stays"),
        pytest.param(lambda since, step: (1 - since / step, 0.5 - 0.1 * since), False, id="forward falls"),
        pytest.param(
            lambda since, step: (-0.4 - since / step, -1.4 + since / step), True, id="negative scores"
        ),
        pytest.param(lambda since, _: (1 - 1e-3 * since, 1 + 1e-3 * since), False, id="hardly at all"),
    ],
)
def test_attention(attention, holds):
    found = verdicts(results(PAPER, attention))
    assert found["Attention decreases after the previous HR frame and increases towards the next"] is holds


def test_what_needs_a_network_is_not_tested_without_one():
    found = results({name: PAPER[name] for name in ("bicubic", "bayesian-paper")})
    untested = [s for s in statements(found) if s.holds is None]
    assert len(untested) == 6
    assert all(s.found for s in untested)


def test_the_numbers_are_said():
    said = {s.text: s.found for s in statements(results(PAPER))}
    assert "bicubic 30.10" in said["Every method is above bicubic"]
    assert "edvr-stf 37.10" in said["Every method is above bicubic"]
    assert "41.10 → 37.10" in said["Quality falls with the HR step"]

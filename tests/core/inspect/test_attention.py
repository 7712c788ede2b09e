"""Attention scores: normalised as the paper has them, as histograms and as CSV."""

import csv

import numpy as np
import pytest

from napari_xfusion.core.inspect.attention import histogram, normalise, write_attention

BACKWARD = [4.0, 3.0, 2.0, 1.0, 8.0, 6.0, 4.0, 2.0, 5.0]
FORWARD = [1.0, 2.0, 3.0, 4.0, 2.0, 4.0, 6.0, 8.0, 5.0]


def test_scores_are_divided_by_the_backward_score_at_the_hr_frame():
    normal = normalise(range(9), BACKWARD, FORWARD, (0, 4, 8))
    assert normal.relative.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert normal.backward.tolist() == [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 1]
    assert normal.forward.tolist() == [0.25, 0.5, 0.75, 1, 0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize(
    ("frames", "hr_times", "nan"),
    [
        pytest.param(range(1, 9), (0, 4, 8), [0, 1, 2], id="HR time not fused"),
        pytest.param(range(9), (2, 8), [], id="targets before the first HR frame are left out"),
    ],
)
def test_what_has_no_hr_score_is_nan(frames, hr_times, nan):
    normal = normalise(frames, BACKWARD[-len(frames) :], FORWARD[-len(frames) :], hr_times)
    assert np.flatnonzero(np.isnan(normal.backward)).tolist() == nan
    assert (normal.frame >= hr_times[0]).all()


@pytest.mark.parametrize(
    ("moved_by", "of"),
    [(0.0, "score"), (-2.5, "weight"), (-3.9, "weight"), (-4.0, "weight"), (-20.0, "weight")],
    ids=["positive", "of both signs", "near zero at an HR frame", "zero at an HR frame", "negative"],
)
def test_attention_falls_also_where_scores_are_negative(moved_by, of):
    normal = normalise(
        range(9), [score + moved_by for score in BACKWARD], [score + moved_by for score in FORWARD], (0, 4, 8)
    )
    assert normal.of == of
    for start in (0, 4):
        interval = slice(start, start + 4)
        assert normal.backward[start] == 1
        assert (np.diff(normal.backward[interval]) < 0).all()
        assert (np.diff(normal.forward[interval]) > 0).all()


def test_weights_are_those_of_the_sigmoid():
    normal = normalise([0, 1], [0.0, -np.log(3)], [-np.log(3), 0.0], (0,))
    assert normal.backward == pytest.approx([1, 0.5])
    assert normal.forward == pytest.approx([0.5, 1])


def test_histogram_counts_every_finite_score_once():
    normal = normalise(range(9), BACKWARD, FORWARD, (0, 4, 8))
    counts, score_edges, frame_edges = histogram(normal.relative, normal.backward, bins=4)
    assert counts.shape == (4, 4)
    assert counts.sum() == 9
    assert counts[:, 0].tolist() == [0, 0, 0, 3]
    assert (score_edges[0], score_edges[-1]) == (0.25, 1)
    assert frame_edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("scores", [[], [np.nan, np.nan], [0.5, 0.5]])
def test_histogram_of_odd_scores(scores):
    counts, _, _ = histogram(np.arange(len(scores)), np.asarray(scores, float))
    assert counts.sum() == np.isfinite(scores).sum()


def test_csv_has_a_row_per_target_and_leaves_out_what_does_not_exist(tmp_path):
    frames = [
        {
            "frame": t,
            "seen": t == 1,
            "scores": {"hr-": {"raw": b, "sigmoid": 0.5}, "lr": {"raw": 2, "sigmoid": 0.9}},
        }
        for t, b in enumerate(BACKWARD[:4])
    ]
    write_attention(tmp_path / "a.csv", frames, (1, 3))
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["hr- raw"] for row in rows] == ["4", "3", "2", "1"]
    assert [row["backward"] for row in rows] == ["", "1", "0.666667", "1"]
    assert {row["normalised"] for row in rows} == {"score"}
    assert {row["forward"] for row in rows} == {""}
    assert {row["hr+ raw"] for row in rows} == {""}

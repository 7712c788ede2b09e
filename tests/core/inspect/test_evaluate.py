"""A sequence against the truth: scale, seen and unseen, summary and CSV."""

import csv

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from napari_xfusion.core.inspect.evaluate import evaluate
from napari_xfusion.errors import InputError
from tests.sequences import moving_discs, stack

TRUTH = (moving_discs(10) * 4000 + 200).astype(np.uint16)
RESULT = np.clip(TRUTH + np.random.default_rng(0).normal(0, 50, TRUTH.shape), 0, 65535).astype(np.uint16)


def test_numbers_are_on_the_truths_grey_scale():
    rows = evaluate(stack(TRUTH), stack(RESULT)).rows
    low, high = np.percentile(TRUTH, (0.35, 99.65))
    for row in rows:
        a, b = (np.clip((x[row.frame] - low) / (high - low), 0, 1) for x in (TRUTH, RESULT))
        assert row.metrics.psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-3)
        assert row.metrics.aad == pytest.approx(255 * np.abs(a - b).mean(), rel=1e-4)


def test_seen_frames_are_those_at_hr_times():
    evaluation = evaluate(stack(TRUTH), stack(RESULT), hr_times=(0, 4, 9))
    assert [row.frame for row in evaluation.rows if row.seen] == [0, 4, 9]
    summary = evaluation.summary()
    assert summary["all"]["frames"] == 10
    assert summary["unseen"]["frames"] == 7
    unseen = [row.metrics.psnr for row in evaluation.rows if not row.seen]
    assert summary["unseen"]["psnr"] == pytest.approx(
        {"mean": np.mean(unseen), "median": np.median(unseen), "max": np.max(unseen)}
    )


def test_without_hr_times_unseen_is_not_claimed():
    assert evaluate(stack(TRUTH), stack(RESULT)).summary()["unseen"] is None


def test_a_part_of_the_sequence_is_compared_at_its_place():
    rows = evaluate(stack(TRUTH), stack(RESULT[3:6]), first=3).rows
    whole = evaluate(stack(TRUTH), stack(RESULT)).rows
    assert rows == whole[3:6]


def test_frames_identical_to_the_truth_are_counted_and_left_out_of_psnr():
    mixed = np.concatenate([TRUTH[:3], RESULT[3:]])
    summary = evaluate(stack(TRUTH), stack(mixed)).summary()["all"]
    noisy = [row.metrics.psnr for row in evaluate(stack(TRUTH), stack(RESULT)).rows[3:]]
    assert summary["identical"] == 3
    assert summary["psnr"]["mean"] == pytest.approx(np.mean(noisy))
    assert summary["ssim"]["max"] == pytest.approx(1)


def test_equal_sequences_have_no_finite_psnr():
    summary = evaluate(stack(TRUTH), stack(TRUTH)).summary()["all"]
    assert summary["psnr"] == {"mean": None, "median": None, "max": None}
    assert summary["aad"]["mean"] == 0


def test_csv(tmp_path):
    evaluate(stack(TRUTH), stack(RESULT), hr_times=(0, 9)).write_csv(tmp_path / "m.csv")
    with (tmp_path / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["frame", "seen", "psnr", "aad", "ssim", "ssim_gaussian"]
    assert [row["seen"] for row in rows] == ["1", *["0"] * 8, "1"]


@pytest.mark.parametrize(
    "result",
    [pytest.param(RESULT[:, :-1], id="another size"), pytest.param(np.repeat(RESULT, 2, 0), id="longer")],
)
def test_sequences_that_do_not_fit_are_told(result):
    with pytest.raises(InputError, match="same size and length"):
        evaluate(stack(TRUTH), stack(result))

"""The Bayesian fusers against dense linear algebra, textbook formulas and sequences that follow the model."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import vq
from scipy.ndimage import gaussian_filter

from napari_xfusion.core.methods.base import GroupFuser
from napari_xfusion.core.methods.bayesian import (
    PRIOR_PIXELS,
    ROUNDING,
    BayesianStream,
    ChangeModel,
    Interval,
    bayesian,
    fit_change,
    to_blocks,
)
from napari_xfusion.core.methods.bayesian_paper import bayesian_paper, fit_conditional
from napari_xfusion.core.methods.interpolation import interpolation
from napari_xfusion.core.methods.kmeans import Clusters, cluster_count, cluster_pixels
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import FrameGroup, FrameReader, Grids, Mapping, fit_mapping
from napari_xfusion.core.rig.frames import Frame, FrameKey
from napari_xfusion.core.types import FusedFrame
from tests.sequences import binned, reader_of, stack

BOTH = pytest.mark.parametrize("fuser", [bayesian, bayesian_paper], ids=["bayesian", "bayesian-paper"])


def make_reader(lr: np.ndarray, hr: np.ndarray, hr_times: tuple[float, ...]) -> FrameReader:
    plan = make_plan(hr_times=hr_times, grey="none")
    return reader_of(stack(lr.astype(np.float32)), stack(hr.astype(np.float32)), plan)


def fuse(fuser: GroupFuser, reader: FrameReader, *targets: int) -> list[FusedFrame]:
    with fuser.open(reader) as stream:
        return list(stream.fuse(targets, Event()))


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.mean((image - truth) ** 2)))


def walk(rng: np.random.Generator, frames: int, shape: tuple[int, int], step: float) -> np.ndarray:
    """A sequence that follows the model: pixels walk at random, half of each step smooth over LR pixels."""
    texture = np.kron(rng.uniform(0.2, 0.8, (shape[0] // 4, shape[1] // 4)), np.ones((4, 4)))
    common = gaussian_filter(rng.standard_normal((frames, *shape)), (0, 6, 6))
    own = rng.standard_normal((frames, *shape))
    steps = step * np.sqrt(0.5) * (common / common.std() + own)
    return np.clip(texture + steps.cumsum(axis=0), 0, 1)


def blob(position: float, shape: tuple[int, int] = (96, 128)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (
        0.3 + 0.2 * np.sin(x / 3) * np.sin(y / 5) + 0.3 * np.exp(-((x - position) ** 2 + (y - 48) ** 2) / 80)
    )


def one_cluster(shape: tuple[int, int]) -> Clusters:
    return Clusters(np.zeros(shape, dtype=np.int32), np.array([float(shape[0] * shape[1])]))


def group_of(lr: tuple[np.ndarray, np.ndarray, np.ndarray], position: float) -> FrameGroup:
    """A group whose LR frames at t_a, t, t_b are ``lr``, the target at ``position`` between the HR times 0 and 1."""
    before, target, after = (frame.astype(np.float32) for frame in lr)
    reference = Frame(FrameKey(0, 0), position, lambda: target)
    hr = Frame(FrameKey(1, 0), 0.0, lambda: before), Frame(FrameKey(1, 1), 1.0, lambda: after)
    return FrameGroup(
        position, reference, (reference,), hr, {0.0: before, 1.0: after}.__getitem__, lr_noise=0.0
    )


# --- clusters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        pytest.param((100, 256), 8, id="paper case 1"),
        pytest.param((256, 256), 13, id="paper case 2"),
        pytest.param((3, 3), 1, id="never none"),
    ],
)
def test_number_of_clusters_is_the_papers(shape: tuple[int, int], count: int) -> None:
    assert cluster_count(shape) == count


def test_clusters_find_separate_groups() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (40, 50))
    centres = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1], [1, 0, 0]], dtype=np.float32)
    series = [centres[truth, i] + rng.normal(0, 0.02, truth.shape).astype(np.float32) for i in range(3)]
    clusters = cluster_pixels(series, 4)
    for label in range(4):
        assert len(np.unique(truth[clusters.labels == label])) == 1


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    count=st.integers(1, 9),
    levels=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_clusters_cover_any_frames(seed: int, height: int, width: int, count: int, levels: int) -> None:
    """Any size, more clusters than different pixels, constant frames: each pixel has its nearest centre."""
    rng = np.random.default_rng(seed)
    series = [rng.integers(0, levels, (height, width)).astype(np.float32) for _ in range(3)]
    clusters = cluster_pixels(series, count)
    assert clusters.labels.shape == (height, width)
    assert clusters.sizes.sum() == height * width
    assert 1 <= len(clusters.sizes) <= count
    means = clusters.mean(series[0])
    assert np.allclose(means @ clusters.sizes, series[0].sum())


def test_clusters_are_as_tight_as_an_independent_kmeans() -> None:
    """Within 10 % of the inertia of the best of many random starts of SciPy's k-means."""
    from scipy.cluster.vq import kmeans

    rng = np.random.default_rng(1)
    series = [rng.gamma(2, 0.2, (60, 70)).astype(np.float32) for _ in range(3)]
    points = np.stack([s.ravel() for s in series], axis=1)
    clusters = cluster_pixels(series, 6)
    mean = np.stack([clusters.mean(s) for s in series], axis=1)
    ours = np.mean((points - mean[clusters.labels.ravel()]) ** 2)
    best = kmeans(points, 6, iter=20, rng=np.random.default_rng(2))[0]
    assert ours < 1.1 * np.mean(vq(points, best)[1] ** 2) / 3


# --- the model against the textbook -------------------------------------------------------------------


def test_weight_and_prior_are_those_of_the_best_unbiased_mixture() -> None:
    """w = C^-1 1 / (1' C^-1 1) and p + r = 1 / (1' C^-1 1), with C the covariance of the two changes."""
    rng = np.random.default_rng(3)
    shape = (200, 250)
    base = rng.uniform(0, 1, shape)
    first, second = rng.multivariate_normal([0.01, -0.03], [[0.004, 0.001], [0.001, 0.009]], shape).transpose(
        2, 0, 1
    )
    series = base, base + first, base + first - second
    group = group_of(series, position=0.3)
    before, after = group.lr_at_hr
    interval = Interval(before, after - before, np.zeros_like(before), after - before)
    model = fit_change(one_cluster(shape), group, interval, block=16)

    changes = np.stack([first.ravel(), second.ravel()])
    inverse = np.linalg.inv(np.cov(changes))
    weights = inverse.sum(axis=1) / inverse.sum()
    confidence = base.size / (base.size + PRIOR_PIXELS)
    assert model.weight[0] == pytest.approx(weights[1], abs=1e-3)
    assert model.prior[0] == pytest.approx(1 / inverse.sum(), rel=1e-3)
    assert model.drift[0] == pytest.approx(confidence * weights @ changes.mean(axis=1), abs=1e-4)
    assert model.noise[0] < 1e-12


def test_conditional_is_that_of_a_multivariate_normal() -> None:
    rng = np.random.default_rng(4)
    mean, root = np.array([0.4, 0.5, 0.6]), rng.normal(0, 0.1, (3, 3))
    covariance = root @ root.T + 0.002 * np.eye(3)
    sample = rng.multivariate_normal(mean, covariance, (400, 500)).astype(np.float32)
    model = fit_conditional(one_cluster((400, 500)), tuple(np.moveaxis(sample, 2, 0)))

    known = np.linalg.inv(covariance[np.ix_([0, 2], [0, 2])])
    weights = covariance[1, [0, 2]] @ known
    found = np.array([model.before[0], model.after[0]])
    assert found == pytest.approx(weights, abs=0.02)
    assert model.offset[0] == pytest.approx(mean[1] - weights @ mean[[0, 2]], abs=0.02)
    # The precision matrix knows the conditional variance by itself.
    assert model.variance[0] == pytest.approx(1 / np.linalg.inv(covariance)[1, 1], rel=0.02)


def dense_update(prior: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Gain (N,) and posterior covariance (N, N) of N pixels seen by their mean, in full matrices."""
    n = len(prior)
    look = np.full((1, n), 1 / n)
    gain = prior @ look.T @ np.linalg.inv(look @ prior @ look.T + noise)
    return gain[:, 0], (np.eye(n) - gain @ look) @ prior


@given(prior=st.floats(1e-5, 1.0), noise=st.floats(1e-6, 1.0), roughness=st.floats(0, 20))
def test_change_update_is_the_dense_kalman_step(prior: float, noise: float, roughness: float) -> None:
    """Prior of a 4x4 block: its mean varies by p, its pixels about the mean by roughness * p."""
    n = 16
    ones = np.ones((n, n))
    covariance = prior * ones + roughness * prior * (np.eye(n) - ones / n) * n / (n - 1)
    gain, posterior = dense_update(covariance, noise)
    zero = np.zeros(1)
    model = ChangeModel(zero, zero, np.array([prior]), zero, np.array([noise]), np.array([roughness]))
    assert gain == pytest.approx(np.full(n, model.gain[0]))
    assert np.diag(posterior) == pytest.approx(np.full(n, model.posterior[0]))


def test_paper_fuser_is_the_dense_computation_on_a_block() -> None:
    """One cluster, one 4x4 block among others: image and std from full matrices and inverses."""
    rng = np.random.default_rng(5)
    sequence = walk(rng, 5, (8, 8), 0.05)
    lr = np.clip(binned(sequence) + rng.normal(0, 0.02, (5, 2, 2)), 0, 1).astype(np.float32)
    hr = sequence[[0, 4]].astype(np.float32)
    (frame,) = fuse(bayesian_paper, make_reader(lr, hr, (0, 4)), 2)

    series = lr[[0, 2, 4]].reshape(3, -1).astype(np.float64)
    mean, covariance = series.mean(axis=1), np.cov(series, bias=True)
    known = np.linalg.inv(covariance[np.ix_([0, 2], [0, 2])] + ROUNDING * np.eye(2))
    variance = max(covariance[1, 1] - covariance[1, [0, 2]] @ known @ covariance[[0, 2], 1], ROUNDING)
    noise = np.mean((lr[[0, 4]] - binned(hr)) ** 2)
    gain, posterior = dense_update(variance * np.eye(16), noise)
    block = hr[:, :4, 4:].reshape(2, 16)
    prior = mean[1] + covariance[1, [0, 2]] @ known @ (block - mean[[0, 2], None])
    expected = prior + gain * (lr[2, 0, 1] - prior.mean())
    assert frame.image[:4, 4:].ravel() == pytest.approx(expected, abs=2e-5)
    assert frame.std is not None
    assert frame.std[:4, 4:].ravel() == pytest.approx(np.sqrt(np.diag(posterior)), rel=1e-3)


# --- the fusers on sequences ------------------------------------------------------------------------------


@BOTH
def test_at_an_hr_time_the_hr_frame_is_the_result(fuser: GroupFuser) -> None:
    rng = np.random.default_rng(6)
    sequence = walk(rng, 9, (32, 40), 0.02)
    lr = np.clip(binned(sequence) + rng.normal(0, 0.05, (9, 8, 10)), 0, 1)
    for frame in fuse(fuser, make_reader(lr, sequence[::4], (0, 4, 8)), 0, 4, 8):
        assert np.array_equal(frame.image, sequence[frame.index].astype(np.float32))
        assert frame.std is not None
        assert not frame.std.any()


@BOTH
@pytest.mark.parametrize(
    ("lr_shape", "hr_shape"),
    [
        pytest.param((1, 1), (1, 1), id="one pixel"),
        pytest.param((1, 1), (4, 4), id="one LR pixel"),
        pytest.param((9, 12), (9, 12), id="scale 1"),
        pytest.param((9, 12), (18, 24), id="scale 2"),
        pytest.param((9, 12), (26, 35), id="scale 2.9"),
        pytest.param((9, 12), (35, 47), id="scale 4, unfinished last pixel"),
    ],
)
def test_any_scale_gives_finite_frames_everywhere(
    fuser: GroupFuser, lr_shape: tuple[int, int], hr_shape: tuple[int, int]
) -> None:
    """Also before the first HR frame, after the last and between LR frames; std is never negative."""
    rng = np.random.default_rng(7)
    reader = make_reader(rng.uniform(0, 1, (8, *lr_shape)), rng.uniform(0, 1, (3, *hr_shape)), (1, 2.5, 6))
    frames = fuse(fuser, reader, *range(8))
    assert [f.index for f in frames] == list(range(8))
    for frame in frames:
        assert frame.std is not None
        assert frame.image.shape == frame.std.shape == hr_shape
        assert frame.image.dtype == frame.std.dtype == np.float32
        assert np.isfinite(frame.image).all()
        assert (frame.std >= 0).all()


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_constant_sequence_stays_constant(fuser: GroupFuser, value: float) -> None:
    reader = make_reader(np.full((5, 6, 7), value), np.full((2, 24, 28), value), (0, 4))
    for frame in fuse(fuser, reader, *range(5)):
        assert frame.image == pytest.approx(np.full((24, 28), value), abs=1e-6)


def test_still_sequence_with_lr_noise_gives_the_hr_frame() -> None:
    """Where nothing changes LR noise must not come through, interpolation lets all of it through."""
    rng = np.random.default_rng(8)
    static = blob(60.0)
    lr = np.clip(binned(np.repeat(static[None], 9, axis=0)) + rng.normal(0, 0.05, (9, 24, 32)), 0, 1)
    reader = make_reader(lr, np.stack([static, static]), (0, 8))
    (ours,), (floor,) = fuse(bayesian, reader, 3), fuse(interpolation, reader, 3)
    assert psnr(ours.image, static) > psnr(floor.image, static) + 10
    assert psnr(ours.image, static) > 38


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_moving_blob_is_no_worse_than_interpolation(noise: float) -> None:
    """About equal without LR noise, better with it."""
    rng = np.random.default_rng(9)
    sequence = np.stack([blob(40.0 + 2 * t) for t in range(9)])
    lr = np.clip(binned(sequence) + noise * rng.standard_normal((9, 24, 32)), 0, 1)
    reader = make_reader(lr, sequence[[0, 8]], (0, 8))
    for ours, floor in zip(
        fuse(bayesian, reader, 2, 4, 6), fuse(interpolation, reader, 2, 4, 6), strict=True
    ):
        gained = psnr(ours.image, sequence[ours.index]) - psnr(floor.image, sequence[ours.index])
        assert gained > (-0.3 if noise == 0 else 0.5)


def test_without_noise_the_result_bins_to_the_lr_frame() -> None:
    """Then r is 0 and the gain 1, whatever the clusters; in blocks of the smooth enlargement's accuracy."""
    sequence = np.stack([blob(40.0 + 2 * t) for t in range(9)])
    reader = make_reader(binned(sequence), sequence[[0, 8]], (0, 8))
    (frame,) = fuse(bayesian, reader, 3)
    (paper,) = fuse(bayesian_paper, reader, 3)
    assert np.abs(binned(frame.image[None]) - binned(sequence[[3]])).max() < 0.02
    assert np.abs(binned(paper.image[None]) - binned(sequence[[3]])).max() < 1e-3


def test_a_fade_linear_in_time_is_recovered_exactly() -> None:
    """The line of the changes takes the right share of each HR frame, although LR is noisy."""
    rng = np.random.default_rng(10)
    first, last = blob(30.0), blob(90.0)
    share = np.linspace(0, 1, 11)[:, None, None]
    sequence = (1 - share) * first + share * last
    lr = np.clip(binned(sequence) + rng.normal(0, 0.01, (11, 24, 32)), 0, 1)
    (frame,) = fuse(bayesian, make_reader(lr, sequence[[0, 10]], (0, 10)), 7)
    assert psnr(frame.image, sequence[7]) > 45


def test_a_flash_moves_every_pixel() -> None:
    """A change of brightness that no HR frame saw is a drift, found in spite of noise."""
    rng = np.random.default_rng(11)
    sequence = np.repeat(0.6 * blob(60.0)[None], 9, axis=0)
    sequence[4] += 0.2
    lr = np.clip(binned(sequence) + rng.normal(0, 0.05, (9, 24, 32)), 0, 1)
    (frame,) = fuse(bayesian, make_reader(lr, sequence[[0, 8]], (0, 8)), 4)
    assert abs(float(np.mean(frame.image - sequence[4]))) < 0.01
    assert psnr(frame.image, sequence[4]) > 30


def test_lr_bias_is_not_taken_for_change() -> None:
    """An LR camera that reads 0.05 too bright at all times leaves a static sequence as HR saw it."""
    static = 0.8 * blob(60.0)
    lr = np.repeat(binned(static[None]) + 0.05, 9, axis=0)
    (frame,) = fuse(bayesian, make_reader(lr, np.stack([static, static]), (0, 8)), 4)
    assert np.abs(frame.image - static).max() < 1e-3


def test_weights_stay_between_the_hr_frames() -> None:
    """A change that overshoots: extrapolating would put weight -2 on an HR frame."""
    rng = np.random.default_rng(12)
    texture, change = rng.uniform(0.2, 0.4, (20, 30)), rng.uniform(0, 0.1, (20, 30))
    series = texture, texture + 3 * change, texture + change
    group = group_of(series, position=0.5)
    before, after = group.lr_at_hr
    interval = Interval(before, after - before, np.zeros_like(before), after - before)
    assert fit_change(one_cluster((20, 30)), group, interval, block=16).weight[0] == 1.0


def test_tiny_and_empty_clusters_fall_back_to_linear_in_time() -> None:
    rng = np.random.default_rng(13)
    group = group_of(tuple(rng.uniform(0, 1, (3, 10, 10))), position=0.25)
    labels = np.zeros((10, 10), dtype=np.int32)
    labels[0, 0] = 1
    clusters = Clusters(labels, np.array([99.0, 1.0, 0.0]))
    before, after = group.lr_at_hr
    interval = Interval(before, after - before, np.zeros_like(before), after - before)
    model = fit_change(clusters, group, interval, block=16)
    assert model.weight[1:] == pytest.approx([0.25, 0.25])
    assert model.drift[2] == 0
    assert np.isfinite(model.posterior).all()


@BOTH
def test_the_same_target_gives_the_same_bytes_in_any_order(fuser: GroupFuser) -> None:
    rng = np.random.default_rng(14)
    sequence = walk(rng, 13, (40, 48), 0.02)
    reader = make_reader(binned(sequence), sequence[::4], (0, 4, 8, 12))
    np.random.seed(0)  # noqa: NPY002 - the global generator must play no part
    forward = {f.index: f for f in fuse(fuser, reader, *range(13))}
    np.random.seed(1)  # noqa: NPY002 - the same
    for frame in fuse(fuser, reader, *rng.permutation(13).tolist(), 5, 5):
        assert frame.image.tobytes() == forward[frame.index].image.tobytes()
        assert frame.std is not None
        assert frame.std.tobytes() == forward[frame.index].std.tobytes()


@pytest.mark.parametrize("noise", [0.003, 0.01])
@pytest.mark.parametrize("target", [1, 4, 7])
def test_std_covers_the_truth_where_the_model_holds(noise: float, target: int) -> None:
    """About 68.3 % of the pixels within one standard deviation, 95.4 % within two, over four sequences."""
    error = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        sequence = walk(rng, 9, (160, 192), 0.01)
        lr = np.clip(binned(sequence) + rng.normal(0, noise, (9, 40, 48)), 0, 1)
        (frame,) = fuse(bayesian, make_reader(lr, sequence[[0, 8]], (0, 8)), target)
        error.append(np.abs(frame.image - sequence[target]) / frame.std)
    assert np.mean(np.array(error) <= 1) == pytest.approx(0.683, abs=0.04)
    assert np.mean(np.array(error) <= 2) == pytest.approx(0.954, abs=0.02)


def test_std_grows_with_the_distance_to_the_hr_frames() -> None:
    sequence = walk(np.random.default_rng(16), 9, (160, 192), 0.01)
    stds = [
        float(f.std.mean())
        for f in fuse(bayesian, make_reader(binned(sequence), sequence[[0, 8]], (0, 8)), 0, 1, 2, 4)
    ]
    assert all(a < b for a, b in pairwise(stds))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_blocks_at_whole_scales_are_repeats(scale: int) -> None:
    image = np.random.default_rng(17).random((5, 7), dtype=np.float32)
    sizes = (5, 7), (5 * scale, 7 * scale)
    grids = Grids(*sizes, fit_mapping(*sizes))
    assert np.array_equal(to_blocks(image, grids), np.kron(image, np.ones((scale, scale), np.float32)))


def test_blocks_at_a_broken_scale_take_the_pixel_under_each_centre() -> None:
    grids = Grids((2, 2), (5, 5), Mapping.scaled((2.5, 2.5)))
    image = np.array([[0, 1], [2, 3]], dtype=np.float32)
    assert to_blocks(image, grids)[:, 0].tolist() == [0, 0, 2, 2, 2]


def test_the_number_of_clusters_can_be_chosen() -> None:
    """The study varies it; more clusters than pixels is allowed."""
    sequence = walk(np.random.default_rng(18), 5, (16, 16), 0.02)
    reader = make_reader(binned(sequence), sequence[[0, 4]], (0, 4))
    with BayesianStream(reader, fraction=50.0) as stream:
        (frame,) = stream.fuse([2], Event())
    assert np.isfinite(frame.image).all()

"""Sources of samples: which words mean what, and what the paper's D9 to D11 say of samples from sequences."""

from collections import Counter

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_xfusion.errors import InputError
from napari_xfusion.lab.scenes import KINDS, expose
from napari_xfusion.lab.scenes.sample import RANGE, draw_times
from napari_xfusion.lab.train.clips import Sequences, find_clips, open_clip, open_sources, part_of
from tests.sequences import binned, moving_discs


@pytest.fixture
def numbered(tmp_path):
    """A sequence whose pixels tell frame, row and column: t + y/64 + x/4096, in 16 bits and more."""
    t, y, x = np.mgrid[:200, :48, :56]
    path = tmp_path / "numbered.tif"
    tifffile.imwrite(path, (t + y / 64 + x / 4096).astype(np.float32), photometric="minisblack")
    return path


@pytest.mark.parametrize("part", ["training", "held-out"])
def test_samples_of_a_sequence_are_those_of_the_paper(numbered, part):
    """D11: s in 1..3, each HR offset s times 1..20, HR and LR at these times, all inside the part."""
    sequence = tifffile.imread(numbered)
    low, high = np.percentile(sequence[np.linspace(0, 199, 16).round().astype(int)], (0.35, 99.65))
    source, frames, targets = Sequences((numbered,), halve=False), part_of(200, part), set()
    for seed in range(60):
        clean = source.draw(np.random.default_rng(seed), 32, part)
        s = int(clean.times[2])
        assert s in (1, 2, 3)
        np.testing.assert_array_equal(clean.times[:3], [-s, 0, s])
        steps = np.abs(clean.times[3:]) / s
        assert np.array_equal(steps, steps.round())
        assert 1 <= steps.min() <= steps.max() <= 20
        assert clean.recorded
        target, top, left = place_of(clean.truth, low, high)
        targets.add(target)
        for image, time in ((clean.truth, 0), (clean.hr[0], clean.times[3]), (clean.hr[1], clean.times[4])):
            assert target + int(time) in frames
            cut = sequence[target + int(time), top : top + 32, left : left + 32]
            np.testing.assert_allclose(image, np.clip((cut - low) / (high - low), *RANGE), atol=1e-5)
        np.testing.assert_allclose(clean.lr[1], binned(clean.truth[None])[0], atol=1e-6)
        np.testing.assert_allclose(clean.lr[3:], binned(clean.hr), atol=1e-6)
    assert len(targets) > 10


def place_of(image, low, high):
    """Frame, row and column of an image's first pixel, from its grey value; targets are never clipped."""
    value = float(image[0, 0]) * (high - low) + low + 1e-4
    t, rest = divmod(value, 1)
    y, rest = divmod(rest * 64, 1)
    return int(t), int(y), int(rest * 64)


def test_all_times_that_fit_are_as_likely():
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(np.abs(draw_times(rng, 4)[2:]).astype(int)) for _ in range(7000))
    expected = {(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 1, 3), (1, 3, 1), (1, 2, 2), (2, 2, 2)}
    assert set(drawn) == expected
    assert max(drawn.values()) < 1.25 * min(drawn.values())


def test_no_frame_serves_both_parts():
    for count in (15, 100, 501):
        training, held_out = (part_of(count, part) for part in ("training", "held-out"))
        assert [*training, *held_out] == list(range(count))
        assert min(len(training), len(held_out)) >= 3


def test_the_frames_of_a_sequence_get_no_more_of_the_hr_cameras_noise(numbered):
    clean = Sequences((numbered,), halve=False).draw(np.random.default_rng(0), 32, "training")
    for seed in range(4):
        sample = expose(clean, np.random.default_rng(seed))
        assert sorted(sample.hr[1].ravel()) in [sorted(hr.ravel()) for hr in clean.hr]
        np.testing.assert_array_equal(sample.seen, sample.truth)


def write_reds(folder, clips=2, frames=15, shape=(40, 48)):
    """Colour PNG as REDS has it: a folder for each clip; red, green and blue differ."""
    rng = np.random.default_rng(0)
    for clip in range(clips):
        place = folder / f"{clip:03d}"
        place.mkdir(parents=True)
        for t in range(frames):
            frame = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
            (place / f"{t:08d}.png").write_bytes(imagecodecs.png_encode(frame))
    return folder


def test_reds_as_published_becomes_luma(tmp_path):
    reds = write_reds(tmp_path / "train_sharp")
    assert [clip.name for clip in find_clips(reds)] == ["000", "001"]
    (sequences,) = open_sources([str(reds)])
    sequences.check(32)
    stack = open_clip(sequences.clips[1], halve=False)
    assert stack.shape == (15, 40, 48)
    colours = imagecodecs.png_decode((reds / "001" / "00000003.png").read_bytes()).astype(float)
    luma = colours @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    np.testing.assert_allclose(stack.frame(3), luma, atol=0.51)
    assert sequences.draw(np.random.default_rng(0), 32, "training").truth.shape == (32, 32)


def test_halving_is_the_mean_of_four_pixels(numbered):
    sequence = tifffile.imread(numbered)
    stack = open_clip(numbered, halve=True)
    assert stack.shape == (200, 24, 28)
    np.testing.assert_allclose(stack.frame(7), sequence[7].reshape(24, 2, 28, 2).mean((1, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["scenes"], list(KINDS)),
        (["scenes:powder", "scenes:crack", "scenes:powder"], ["powder", "crack", "powder"]),
        (["scenes", "scenes:crack"], [*KINDS, "crack"]),
        (["sequence.tif", "scenes:powder", "other.tif"], ["powder", "sequences"]),
    ],
)
def test_words_name_sources(words, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [source.name for source in open_sources(words)] == names


def test_a_folder_of_stacks_is_a_folder_of_sequences(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", moving_discs(15), photometric="minisblack")
    assert [clip.name for clip in find_clips(tmp_path)] == ["a.tif", "b.tif"]
    for source in open_sources([str(tmp_path)]):
        source.check(48)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda p: tifffile.imwrite(p, moving_discs(14)), "at least 15 frames", id="too short"),
        pytest.param(
            lambda p: tifffile.imwrite(p, moving_discs(15, (32, 64))), "smaller crop", id="too small"
        ),
        pytest.param(
            lambda p: p.write_bytes(b"\0\0\0\x20ftypisom nothing".ljust(32)),
            "movie",
            id="movie without a track",
        ),
        pytest.param(
            lambda p: p.write_bytes(b"no sequence at all"), "another kind of file", id="no sequence"
        ),
        pytest.param(lambda _: None, "no such file", id="not there"),
        pytest.param(lambda p: p.mkdir(), "no TIFF or PNG frame", id="empty folder"),
        pytest.param(lambda p: (p / "notes").mkdir(parents=True), "no TIFF or PNG frame", id="wrong folder"),
    ],
)
def test_sequences_that_will_not_do_are_told(tmp_path, make, said):
    path = tmp_path / "sequence"
    make(path)
    with pytest.raises(InputError, match=said):
        for source in open_sources([str(path)]):
            source.check(48)


def test_a_kind_that_is_none_is_told():
    with pytest.raises(InputError, match="powder"):
        open_sources(["scenes:dust"])

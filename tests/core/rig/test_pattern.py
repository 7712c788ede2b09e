"""Sensitivities of the pixels of LR are told from noise, from edges, and from what HR does."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from napari_xfusion.core.rig.pattern import Pattern
from napari_xfusion.core.rig.photometry import Photometry
from tests.core.rig.shots import SCALE, codes, shot
from tests.tables import crossed

H, W = 32, 40


def uneven(kind, size, shape=(H, W)):
    rng = np.random.default_rng(5)
    widths = {"pixels": shape, "rows": (shape[0], 1), "columns": (1, shape[1])}
    return 1 + size * np.broadcast_to(rng.standard_normal(widths[kind]), shape)


@pytest.mark.parametrize(
    ("kind", "size", "seed"), crossed(["pixels", "rows", "columns"], [0.03, 0.05], [0, 2, 7])
)
def test_a_pattern_of_lr_is_found_and_corrected(kind, size, seed):
    pair, gains = shot(seed), uneven(kind, size)
    rig = replace(pair, lr=pair.lr * gains).rig()
    assert codes(rig) == {"pattern"}
    found = rig.fast.photometry.pattern.sensitivity
    assert np.std(found / gains) < 0.8 * size
    assert np.corrcoef(found.ravel(), gains.ravel())[0, 1] > 0.75


def blurred(light):
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 0.6) for frame in light])


def shifted(light):
    return np.roll(light, 1, axis=2)


def not_patterns():
    hr = uneven("pixels", 0.04, (H * SCALE, W * SCALE))
    return {
        "nothing": lambda pair: pair,
        "LR blurred": lambda pair: replace(pair, lr=blurred(pair.lr)),
        "LR elsewhere": lambda pair: replace(
            pair, lr=shifted(pair.truth).reshape(-1, H, 4, W, 4).mean((2, 4))
        ),
        "of HR": lambda pair: replace(pair, hr=pair.hr * hr),
    }


@pytest.mark.parametrize(("name", "seed"), crossed(list(not_patterns()), [0, 1, 2, 3, 5]))
def test_what_is_no_pattern_of_lr_is_left(name, seed):
    rig = not_patterns()[name](shot(seed)).rig()
    assert rig.fast.photometry.pattern is None


def test_a_pattern_is_saved_as_one_byte_per_pixel():
    gains = uneven("pixels", 0.05)
    pattern = Pattern.of(gains, black=0.1)
    again = Photometry.model_validate_json(Photometry(pattern=pattern).model_dump_json())
    assert again.pattern == pattern
    np.testing.assert_allclose(pattern.sensitivity, gains, atol=0.001)
    light = np.random.default_rng(1).random((H, W)).astype(np.float32)
    np.testing.assert_allclose(again(0, 0.1 + light * gains), 0.1 + light, atol=0.002)


@pytest.mark.parametrize("steps", ["AAAA", "no base64!", ""])
def test_a_pattern_of_another_size_is_refused(steps):
    with pytest.raises(ValidationError):
        Pattern(black=0.0, shape=(2, 2), step=0.001, steps=steps)

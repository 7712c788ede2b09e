"""What a recording looks like in numbers, and how it differs from those of a training."""

import numpy as np
import pytest

from napari_xfusion.core.networks.familiar import TRAITS, traits_of, unusual
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.session import rig_of
from tests.sequences import binned

STEP, T = 8, 25
H, W = 96, 128
GROUND = np.random.default_rng(0).normal(0, 1, (H, W + 200)).astype(np.float32)


def traits(*, speed=0.0, noise=0.0, smooth=4.0):
    """Traits of a picture that moves to the left by ``speed`` HR pixels a frame."""
    import cv2

    ground = cv2.GaussianBlur(GROUND, (0, 0), smooth)
    ground /= ground.std()
    shifts = [np.float32([[1, 0, -speed * t], [0, 1, 0]]) for t in range(T)]
    truth = np.stack([cv2.warpAffine(ground, shift, (W, H), flags=cv2.INTER_CUBIC) for shift in shifts])
    seen = truth[::STEP] + noise * np.random.default_rng(1).standard_normal((4, H, W))
    plan = make_plan(hr_step=STEP, correct=())
    return traits_of(FrameReader(rig_of(plan, binned(truth), seen.astype(np.float32))))


def test_motion_is_in_hr_pixels_per_lr_frame():
    assert traits(speed=1.5)["motion"] == pytest.approx(1.5, rel=0.15)
    assert traits()["motion"] < 0.05


def test_change_is_that_of_lr_from_an_hr_frame_to_the_next():
    assert traits()["change"] < 1e-3
    assert traits(speed=0.5)["change"] < traits(speed=1.5)["change"]


def test_noise_of_hr_is_no_fine_structure():
    clean, noisy = traits(), traits(noise=0.05)
    assert noisy["hr-noise"] > 5 * clean["hr-noise"]
    assert noisy["fineness"] == pytest.approx(clean["fineness"], abs=0.02)
    assert traits(smooth=1.0)["fineness"] > 5 * clean["fineness"]


def test_what_lies_outside_is_named():
    found = {trait.name: 1.0 for trait in TRAITS}
    usual = {"motion": (0.0, 0.5), "contrast": (2.0, 3.0), "fineness": (0.5, 1.5)}
    contrast, motion = unusual(found, usual)
    assert (contrast.code, motion.code) == ("unfamiliar", "unfamiliar")
    assert "less contrast" in str(contrast)
    assert "faster motion" in str(motion)
    assert "0 to 0.5" in str(motion)

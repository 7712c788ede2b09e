"""The map of pixels that are not used as recorded says what was wrong with each."""

import numpy as np

from napari_xfusion.core.rig.filled import BLIND, FRAME, HIT, PIXEL, REASONS, filled
from tests.core.rig.shots import COUNT, shot

SPIKED = (5, 20, 30)


def faults(recording):
    recording[:, 7, 9] = 60000
    recording[12] = 0
    rng = np.random.default_rng(0)
    for frame in recording[15:]:
        frame.ravel()[rng.choice(frame.size, 4, replace=False)] += 20000
    recording[SPIKED] += 20000


def round_field(recording):
    y, x = np.indices(recording.shape[1:])
    recording[:, (y - 64) ** 2 + (x - 80) ** 2 > 78**2] = 200


def test_every_reason_has_its_number():
    rig = shot(1).rig(lr_faults=faults)
    found = filled(rig, rig.fast)
    assert (len(found), found.shape[1:]) == (COUNT, rig.fast.shape[1:])
    assert (found.frame(12) == REASONS.index(FRAME)).all()
    assert found.frame(3)[7, 9] == REASONS.index(PIXEL)
    assert found.frame(SPIKED[0])[SPIKED[1:]] == REASONS.index(HIT)
    assert np.isnan(found.frame(3)).mean() > 0.99


def test_what_a_camera_does_not_see_is_marked_in_its_own_pixels():
    rig = shot(1).rig(hr_faults=round_field)
    blind = filled(rig, rig.hr).frame(2) == REASONS.index(BLIND)
    assert blind[:6, :6].all()
    assert not blind[40:90, 40:120].any()
    assert np.isnan(filled(rig, rig.fast).frame(2)).all()


def test_a_camera_in_order_has_nothing_filled_in():
    rig = shot(1).rig()
    for camera in (rig.fast, rig.hr):
        assert np.isnan(filled(rig, camera).frame(4)).all()

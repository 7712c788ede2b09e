"""The HR step and start from what both recordings show: the true ones, or a refusal with the reason."""

import numpy as np
import pytest

from napari_xfusion.core.calibration import Calibration, CameraFacts
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.step import find_step
from napari_xfusion.errors import ClockError
from tests.two_clocks import SHAPE, cameras, flickering, static, swinging

CASES = {
    "integers": {"step": 3.0, "start": 2.0, "count": 30},
    "a half": {"step": 6.5, "start": 3.2},
    "a tenth": {"step": 7.3, "start": 5.0},
    "HR began before LR": {"step": 7.0, "start": -10.4, "count": 14},
    "HR ends after LR": {"step": 9.0, "start": 30.0},
    "as fast as LR": {"step": 1.0, "start": 0.0, "count": 100},
    "swinging": {"scene": swinging, "step": 7.0, "start": 10.3},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_step_and_start_are_found(case):
    found = find_step(*cameras(**case))
    assert found.step == pytest.approx(case["step"], abs=0.02)
    assert found.start == pytest.approx(case["start"], abs=0.2)
    assert found.explained > 0.9


REFUSED = {
    "static": ({"scene": static}, "at no HR step"),
    "brightness alone": ({"scene": flickering}, "at no HR step"),
    "too noisy": ({"psnr": 10}, "at no HR step"),
    "repeated": ({"scene": swinging, "step": 8.0, "start": 2.0, "count": 11}, "as well"),
    "few": ({"count": 3}, "3 HR frames do not tell their times"),
}


@pytest.mark.parametrize(("case", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_the_content_does_not_tell_is_refused(case, reason):
    with pytest.raises(ClockError, match=reason):
        find_step(*cameras(**case))


def test_a_rig_file_places_the_cameras_and_all_frames_are_counted():
    lr, hr = cameras(step=7.0, start=10.3)
    turned = as_stack(np.stack([hr.frame(k)[::-1, ::-1] for k in range(len(hr))]))
    mapping = Mapping(linear=((-4, 0), (0, -4)), shift=(SHAPE[0] - 2.5, SHAPE[1] - 2.5))
    rig = Calibration(lr=CameraFacts.of(lr), hr=CameraFacts.of(turned), mapping=mapping, way="manual")
    counted = []
    found = find_step(lr, turned, rig, progress=lambda done, total: counted.append((done, total)))
    assert (found.step, found.start) == (7.0, 10.3)
    assert counted[-1] == (len(lr) + len(hr),) * 2
    with pytest.raises(ClockError):
        find_step(lr, turned)

"""The interval of a number contains what further HR frames give, and needs enough of them."""

import numpy as np
import pytest

from napari_xfusion.core.holdout.measured import measured_interval
from napari_xfusion.core.inspect.measure import conformal_interval, measure
from napari_xfusion.core.inspect.places import Line, Measure
from napari_xfusion.core.methods import make_fuser
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse
from napari_xfusion.core.session import rig_of
from napari_xfusion.errors import InputError
from tests.sequences import binned, stack

STEP = 4
TRUTH = np.stack(
    [100 / (1 + np.exp(-(np.arange(64) - 12 - 0.9 * t) / 1.5)) * np.ones((32, 1)) for t in range(33)]
).astype(np.float32)
EDGE = Measure(what="edge", place=Line(start=(15.5, 0), stop=(15.5, 63)))


def test_it_is_the_quantile_of_the_errors_at_frames_left_out():
    plan = make_plan(method="interpolation", hr_step=STEP, correct=())
    lr, hr = binned(TRUTH), TRUTH[::STEP]
    found = measured_interval(plan, rig_of(plan, lr, hr), make_fuser(plan), EDGE, coverage=0.75)
    truth, fused = measure(stack(TRUTH), EDGE).values, []
    for k in range(1, len(hr) - 1):
        others = [i for i in range(len(hr)) if i != k]
        left_out = make_plan(method="interpolation", hr_times=[float(STEP * i) for i in others], correct=())
        (frame,) = fuse(left_out, lr, hr[others], targets=[STEP * k])
        fused.append(measure(stack(frame.image[None]), EDGE).values[0])
    expected = conformal_interval(fused, truth[STEP:-STEP:STEP], 0.75)
    assert found.frames == 7
    assert found.half_width == pytest.approx(expected.half_width, abs=0.02)  # grey scales differ a little


def test_too_few_hr_frames_are_refused():
    plan = make_plan(method="interpolation", hr_times=[0, 8, 16, 24], correct=())
    rig = rig_of(plan, binned(TRUTH), TRUTH[[0, 8, 16, 24]])
    with pytest.raises(InputError, match="at least 5 usable HR frames"):
        measured_interval(plan, rig, make_fuser(plan), EDGE)

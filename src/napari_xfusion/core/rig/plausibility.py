"""Warnings about HR times and sizes that are possible, but contradict what is known of the recordings.

Nothing is corrected: the texts give the numbers and what they probably mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings.viewer import ORIENTATIONS
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import XFusionWarning

UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "minutes": 60.0}
"""In which HR times are given by mistake, in seconds."""
MOST_OUTSIDE = 0.2
"""Share of the targets without two HR neighbours from which on a warning is given."""
FORGIVEN = 0.5
"""LR frames by which an HR time may lie outside the LR sequence."""
STEP_TOLERANCE = 0.02
"""Relative difference between the step of the HR times and the ratio of the frame intervals."""
PIXEL_TOLERANCE = 0.01
"""Relative difference between the ratio of the pixel sizes and that of the frame sizes."""

Times = NDArray[np.float64]


def time_warnings(lr: Stack, hr: Stack, times: Times, plan: Plan) -> tuple[XFusionWarning, ...]:
    """Warnings about HR ``times`` (N,) in LR frame numbers, two at least and increasing."""
    shortest = float(np.diff(times).min())
    close = []
    if shortest < 1 - 1e-6:
        meaning = _BY_CLOCK if plan.clock else likely_meaning(times, lr) or _NOT_SECONDS
        text = f"HR frames are {shortest:.4g} LR frames apart ({listing(times)}), closer than LR frames. {meaning}"
        close.append(XFusionWarning("hr-times-close", text))
    return (*(close or _coverage(lr, times, plan)), *_intervals(lr, hr, times, plan))


_NOT_SECONDS = "HR times are LR frame numbers, not seconds."
_BY_CLOCK = "So says the clock of the rig file; synchronise these recordings if that is wrong."


def size_warnings(lr: Stack, hr: Stack, mapping: Mapping) -> tuple[XFusionWarning, ...]:
    """Warnings about the ratio of the frame sizes, which is that of ``mapping``: of the axes, and of pixel sizes."""
    (height, width), (y, x) = hr.shape[1:], mapping.scale
    found = _scales(lr.shape[1:], hr.shape[1:], mapping.scale)
    if lr.pixel_size is not None and hr.pixel_size is not None:
        ratio = lr.pixel_size / hr.pixel_size
        pairs = ((y, height), (x, width))
        if all(abs(ratio / scale - 1) > PIXEL_TOLERANCE + 0.5 / side for scale, side in pairs):
            text = (
                f"the pixel sizes of the files, {lr.pixel_size:.4g} and {hr.pixel_size:.4g} um, make {ratio:.4g} HR "
                f"pixels per LR pixel, the frame sizes make {y:.4g} x {x:.4g}. A pixel size is wrong, or the fields "
                f"of view differ ({ratio / y:.3g} times as high in LR); crop both recordings to the same field of view."
            )
            found.append(XFusionWarning("pixel-sizes", text))
    return tuple(found)


def orientation_warnings(lr: Stack, hr: Stack) -> tuple[XFusionWarning, ...]:
    """A warning where the files say that one of the recordings is stored flipped or turned against the other."""
    fast, slow = (dict(each.metadata.viewer).get("orientation", "1") for each in (lr, hr))
    if fast == slow:
        return ()
    text = (
        f"the TIFF orientations differ: {fast} ({ORIENTATIONS.get(fast, 'upright')}) of LR, {slow} "
        f"({ORIENTATIONS.get(slow, 'upright')}) of HR. If the files are right, LR and HR lie flipped or turned upon "
        "each other; turn the frames of one of them."
    )
    return (XFusionWarning("orientations-differ", text),)


def same_warnings(lr: Stack, hr: Stack) -> tuple[XFusionWarning, ...]:
    """A warning where LR and HR are one file or folder, whatever the names it has."""
    places = [each.recording.path for each in (lr, hr) if each.recording is not None]
    try:
        same = len(places) == 2 and places[0].samefile(places[1])
    except OSError:  # removed by now
        return ()
    text = f"LR and HR are the same recording, {lr.source}. Give two recordings of one event."
    return (XFusionWarning("same-recording", text),) if same else ()


def _scales(lr: tuple[int, int], hr: tuple[int, int], scale: tuple[float, float]) -> list[XFusionWarning]:
    """A warning where both axes have different scales, or all but a row and a column have an integer one."""
    (h, w), (height, width), (y, x) = lr, hr, scale
    nearest = round((y + x) / 2)
    sizes = f"LR {h}x{w} and HR {height}x{width} make {y:.4g} and {x:.4g} HR pixels per LR pixel"
    if y != nearest and max(abs(height / nearest - h), abs(width / nearest - w)) <= 1:
        text = (
            f"{sizes}; a row or column of LR seems to be missing or too many, as {nearest} would fit both axes but for "
            "one LR pixel. Crop both recordings to the same field of view: LR is stretched otherwise."
        )
        return [XFusionWarning("axes-scale", text)]
    if y != x and max(abs(height / x - h), abs(width / y - w)) > max(0.5, 1.01 / max(y, x)):
        text = (
            f"the two axes have different scales: {sizes}. If a row or column of LR is missing or too many, crop both "
            "recordings to the same field of view."
        )
        return [XFusionWarning("axes-scale", text)]
    return []


def likely_meaning(times: Times, lr: Stack) -> str:
    """A sentence on what HR ``times`` (N,) are that do not fit the LR recording as frame numbers; '' if unknown."""
    interval, last = lr.clock.interval, len(lr) - 1
    if interval is not None:
        for unit, seconds in UNITS.items():
            frames = times * seconds / interval
            if _covers(frames, last):
                made = f"LR's {interval:.4g} s per frame make them LR frames {listing(frames)}"
                return f"These look like {unit}: {made}."
    for first in (0, 1):
        if len(times) < last / 2 and np.array_equal(times, first + np.arange(len(times))):
            return "These look like numbers of the HR frames; numbers of LR frames are needed."
    if times[-1] - 1 <= last < times[-1] and times[0] >= 1:
        return "LR frames are numbered from 0; these look like numbers from 1."
    return ""


def listing(times: Times) -> str:
    """The first few times for a message."""
    shown = ", ".join(f"{t:.6g}" for t in times[:6])
    return shown + (", ..." if len(times) > 6 else "")


def _covers(frames: Times, last: int) -> bool:
    """Whether times are inside a recording, span half of it, and are not closer than its frames."""
    inside = frames[0] > -0.5 and frames[-1] < last + 0.5
    return bool(inside and np.diff(frames).min() >= 1 - 1e-6 and frames[-1] - frames[0] >= last / 2)


def _coverage(lr: Stack, times: Times, plan: Plan) -> list[XFusionWarning]:
    """A warning where HR covers a part of the targets only, and more than the next HR frame is missing."""
    targets = np.asarray(plan.targets(len(lr)))
    if plan.clock is not None:  # HR frames outside LR are left out
        times = times[(times >= -FORGIVEN) & (times <= len(lr) - 1 + FORGIVEN)]
    before, after = int((targets < times[0]).sum()), int((targets > times[-1]).sum())
    if before + after <= MOST_OUTSIDE * len(targets) or max(before, after) < np.diff(times).max():
        return []
    where = [f"{before} before the first HR frame (LR frame {times[0]:.6g})"] if before else []
    where += [f"{after} after the last HR frame (LR frame {times[-1]:.6g})"] if after else []
    meaning = _BY_CLOCK if plan.clock else likely_meaning(times, lr)
    if not meaning:
        step = (len(lr) - 1) / (len(times) - 1)
        meaning = f"{len(times)} HR frames would cover LR at a step of {step:.4g}; check {{hr_step}} or {{hr_times}}."
    text = f"{before + after} of {len(targets)} targets have one HR neighbour only: {' and '.join(where)}. {meaning}"
    return [XFusionWarning("hr-coverage", text)]


def _intervals(lr: Stack, hr: Stack, times: Times, plan: Plan) -> list[XFusionWarning]:
    """A warning where HR times contradict the frame intervals of both files."""
    fast, slow = lr.clock.interval, hr.clock.interval
    if fast is None or slow is None or not hr.clock.is_regular:
        return []
    steps, expected = len(times) - 1, slow / fast
    actual = float(times[-1] - times[0]) / steps
    if steps * abs(actual - expected) <= max(1.0, STEP_TOLERANCE * steps * expected):
        return []
    text = (
        f"the HR frames are {actual:.4g} LR frames apart on average, but the frame intervals of the files "
        f"({fast:.4g} s and {slow:.4g} s) make {expected:.4g}."
    )
    meaning = _BY_CLOCK if plan.clock else likely_meaning(times, lr)
    return [XFusionWarning("hr-interval", f"{text} {meaning}" if meaning else text)]

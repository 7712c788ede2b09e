"""From two recordings to a rig."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_xfusion.core.grey import fill_invalid, sample_frames
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.frames import interpolate
from napari_xfusion.core.rig.grey import fit_grey
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.rig.mapping import Mapping, fit_mapping
from napari_xfusion.core.rig.misfit import misfit_warnings
from napari_xfusion.core.rig.plausibility import (
    orientation_warnings,
    same_warnings,
    size_warnings,
    time_warnings,
)
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.rig.timing import find_hr_times
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import PairingError

COMMON_TIMES = 8
"""HR frames at whose times LR is compared with binned HR."""


def make_rig(plan: Plan, lr: Stack, hr: Stack) -> Rig:
    """The rig of two recordings as ``plan`` says; reads a few frames.

    Raises PairingError before any computing when the recordings, or the plan's frames and region, do not fit.
    """
    mapping = place_lr(lr, hr)
    hr_times = find_hr_times(lr, hr, plan)
    _check_frames(plan, lr, hr)
    down = Grids(lr.shape[1:], hr.shape[1:], mapping).down

    def lr_at(time: float) -> NDArray[Any]:
        return interpolate(lambda i: fill_invalid(lr.frame(i))[0], time)

    times = {float(hr_times[k]): k for k in sample_frames(len(hr), COMMON_TIMES)}
    common = [(lr_at(time), fill_invalid(hr.frame(k))[0]) for time, k in times.items()]
    grey = fit_grey(plan.grey, (lr, hr), common, down)
    binned = [(time, down(grey.hr.to_grey(high))) for time, (_, high) in zip(times, common, strict=True)]
    misfits = misfit_warnings(binned, lambda time: grey.lr.to_grey(lr_at(time)), len(lr) - 1)
    return Rig(
        fast=Camera.of(lr, grey.lr, clock=lr.clock, mapping=mapping, noise=grey.lr_noise),
        sharp=(Camera.of(hr, grey.hr, clock=lr.clock.at(hr_times)),),
        grey_rule=grey.rule,
        correlation=grey.correlation,
        warnings=(
            *lr.metadata.warnings,
            *hr.metadata.warnings,
            *same_warnings(lr, hr),
            *time_warnings(lr, hr, hr_times, plan),
            *size_warnings(lr, hr, mapping),
            *orientation_warnings(lr, hr),
            *grey.notes,
            *misfits,
        ),
    )


def place_lr(lr: Stack, hr: Stack) -> Mapping:
    """Where LR pixels lie on the HR grid; reads no frame. Raises PairingError, see ``fit_mapping``."""
    return fit_mapping(lr.shape[1:], hr.shape[1:])


def tell_apart(a: Stack, b: Stack) -> tuple[Stack, Stack] | None:
    """Which of two recordings is LR and which HR, or None where they are no such pair; reads no frame.

    HR has the smaller pixels and fewer frames, of the same field of view.
    """
    lr, hr = sorted((a, b), key=lambda stack: stack.shape[1] * stack.shape[2])
    if len(hr) >= len(lr) or len(hr) < 2 or lr.shape[1:] == hr.shape[1:]:
        return None
    try:
        place_lr(lr, hr)
    except PairingError:
        return None
    return lr, hr


def _check_frames(plan: Plan, lr: Stack, hr: Stack) -> None:
    """Raise PairingError where the plan asks for frames or pixels that the recordings do not have."""
    if plan.frames is not None and plan.frames[1] > len(lr):
        raise PairingError(
            setting="frames",
            expected=f"frames inside the LR sequence, 0:{len(lr)}",
            found=f"{plan.frames[0]}:{plan.frames[1]}",
            hint="choose frames of the LR sequence",
        )
    if plan.region is not None and (plan.region.bottom > hr.shape[1] or plan.region.right > hr.shape[2]):
        raise PairingError(
            setting="region",
            expected=f"a region inside the HR frame, 0:{hr.shape[1]},0:{hr.shape[2]}",
            found=str(plan.region),
            hint="choose pixels of the HR frame",
        )

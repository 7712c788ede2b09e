"""From two recordings to a rig."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.grey import Affine, fill_invalid, sample_frames
from napari_xfusion.core.mapping import Mapping, fit_mapping
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.blur import (
    LEAST_STILL,
    MOST_PAIRS,
    Blur,
    Pair,
    blur_of,
    find_blur,
    moved_pair,
    static,
)
from napari_xfusion.core.rig.brightness import Blocks, follow_brightness
from napari_xfusion.core.rig.camera import Camera
from napari_xfusion.core.rig.examine import examine
from napari_xfusion.core.rig.field import fit_field
from napari_xfusion.core.rig.frames import FrameReader, mean_during
from napari_xfusion.core.rig.grey import correlation, fit_grey, spread
from napari_xfusion.core.rig.grids import Grids
from napari_xfusion.core.rig.health import Health, grown, mask_of, repaired
from napari_xfusion.core.rig.known import known
from napari_xfusion.core.rig.misfit import Jump, Misfit, Placement, misfit_warnings
from napari_xfusion.core.rig.pattern import find_pattern, grain
from napari_xfusion.core.rig.photometry import Photometry, robust_gain
from napari_xfusion.core.rig.plausibility import (
    orientation_warnings,
    same_warnings,
    size_warnings,
    time_warnings,
)
from napari_xfusion.core.rig.registration import SMALLEST_SIDE, before_split, find_misfit
from napari_xfusion.core.rig.rig import Rig
from napari_xfusion.core.rig.scan import grid_of, hidden, scan, too_long
from napari_xfusion.core.rig.timing import CLOSEST, Times, find_hr_times
from napari_xfusion.core.types import SCALE, Image, Stack
from napari_xfusion.errors import PairingError, XFusionWarning

COMMON_TIMES = 8
"""HR frames at whose times LR is compared with binned HR."""
MOST_TIMES = 32
"""The same for what is a property of each pixel."""
LEAST_FOUND = 0.1
"""Share of the pixels at which HR must be found again along the motion for the blur to be measured on them."""
SHARP: Blur = (0.0, 0.0)
NOTHING_IN_COMMON = 0.25
"""Correlation of LR with the binned HR images up to which they may be of two events."""
TELLING = (
    "same-recording",
    "constant",
    "orientations-differ",
    "hr-times-close",
    "hr-coverage",
    "no-match",
    "bad-frames",
    "unlike",
    "spikes",
    "bad-pixels",
)
"""Codes of warnings that support this, the most telling first."""
MOST_WORSE = 0.01
"""Correlation that may be lost where nothing is left of a misfit when it is taken into account."""
REFINEMENTS = 4
"""Times that a misfit is taken into account and what is left of it measured again, at most."""


def make_rig(plan: Plan, lr: Stack, hr: Stack) -> Rig:
    """The rig of two recordings as ``plan`` says; reads a few frames.

    Where LR is shifted or turned against HR, or HR times are off, all else is measured again without that; of it, the
    rig has what the plan corrects. Raises PairingError before any computing when the recordings, or the plan's frames
    and region, do not fit.
    """
    grid = place_lr(lr, hr, plan.calibration)
    recordings = _Recordings(plan, lr, hr, grid, find_hr_times(lr, hr, plan))
    _check_frames(plan, lr, hr)
    said = (
        *lr.metadata.warnings,
        *hr.metadata.warnings,
        *same_warnings(lr, hr),
        *time_warnings(lr, hr, recordings.stated, plan),
        *(() if plan.calibration else (*size_warnings(lr, hr, grid), *orientation_warnings(lr, hr))),
    )
    rig, seen, measured = recordings.settled()
    wanted = measured.only(plan.correct)
    if wanted != measured:
        rig = _compared(FrameReader(recordings.placed(rig, wanted)))
    misfits = misfit_warnings(seen, wanted, lr.shape[1:], plan)
    rig = rig.model_copy(update={"warnings": (*said, *rig.warnings, *misfits)})
    if not misfits:
        _require_one_event(rig)
    return rig


def _require_one_event(rig: Rig) -> None:
    """Raise PairingError where the cameras show nothing in common and more than that is wrong."""
    text = {warning.code: warning.text for warning in rig.warnings}
    if "poor-agreement" not in text or rig.correlation > NOTHING_IN_COMMON:
        return
    others = [text[code] for code in TELLING if code in text]
    if others and min(rig.grids.lr_shape) >= SMALLEST_SIDE:
        raise PairingError(
            "LR and HR",
            problem=" ".join(
                [f"they show nothing in common (correlation {rig.correlation:.2f}).", *others[:2]]
            ).rstrip("."),
            hint="check that both are of one event, their orientation and {hr_times}, or set {grey} to percentile",
        )


def _steady(rig: Rig) -> bool:
    """Whether the brightness of no frame was corrected."""
    return not any(camera.photometry.lines for camera in rig.cameras.values())


def _doubted(recordings: _Recordings, rig: Rig) -> tuple[Rig, Misfit | None]:
    """``rig``, whose pixels or frames look wrong, or the one of all pixels, and the misfit of that.

    Where LR does not lie on HR, fine structure looks like bad pixels, and HR frames as of something else. Where its
    response is no line, dark parts do.
    """
    whole, misfit = recordings.as_recorded.pair(Misfit())
    frames = any(camera.health.frames for camera in rig.cameras.values())
    if whole.fast.photometry.response[0] and not frames and whole.correlation > rig.correlation:
        rig = whole
    return rig, misfit


def _settle(recordings: _Recordings) -> tuple[Rig, Misfit, Misfit]:
    """The rig where the cameras agree, the misfit that is seen, and the one that this rig takes into account."""
    shape, place = recordings.lr.shape[1:], Misfit()
    rig, misfit = recordings.pair(place)
    certain = misfit is not None or all(camera.health.good for camera in rig.cameras.values())
    if not certain:
        rig, misfit = _doubted(recordings, rig)
    if misfit is None or not recordings.matters(misfit):
        return rig, place, place
    seen = misfit if certain else place
    for _ in range(REFINEMENTS):
        tried = place.then(misfit, shape)
        if len(recordings.inside(tried)) < 2:
            break
        found, rest = recordings.pair(tried)
        worse = rig.correlation - found.correlation
        if rest is None and certain:
            # What looked like flicker at wrong times, and followed HR, may be gone at the right ones.
            explained = _steady(found) and not _steady(rig)
            worse -= math.inf if explained else MOST_WORSE
        if worse > 0:
            break
        rig, place, seen, certain = found, tried, tried, True
        if rest is None:
            break
        misfit = rest
    return rig, seen, place


def _rest(reader: FrameReader, pairs: Sequence[tuple[Image, Image]]) -> Misfit | None:
    """What misfit is left of the reader's rig, whose frames of common times are ``pairs``."""
    rig, last = reader.rig, len(reader.rig) - 1
    numbers = rig.common_exposures(COMMON_TIMES)
    binned = [(float(rig.hr_times[k]), high) for k, (_, high) in zip(numbers, pairs, strict=True)]
    misfit, split = find_misfit(binned, reader.lr_at, last)
    if split is None:
        return misfit
    placement = Placement() if misfit is None else misfit.placement
    first, before = numbers[split.first], numbers[split.first - 1]
    comparable = rig.common_exposures(len(rig.exposures))
    while between := [k for k in comparable if before < k < first]:
        some = [between[j] for j in sample_frames(len(between), COMMON_TIMES)]
        seen = [(float(rig.hr_times[k]), reader.binned_hr(k)) for k in some]
        count = before_split(seen, reader.lr_at, last, placement, split)
        before, first = [before, *some, first][count : count + 2]
    jump = Jump(rig.exposures[first].frame, split.after - split.before)
    if rig.hr_times[first] - rig.hr_times[before] - jump.late < CLOSEST:
        return misfit  # some HR frame was taken while LR took none, at no time that LR knows
    return Misfit(placement, float(split.before), (jump,))


@dataclass(frozen=True, eq=False)
class _Recordings:
    """Two recordings, and how they are assumed to fit."""

    plan: Plan
    lr: Stack
    hr: Stack
    grid: Mapping
    """Of LR pixels to the HR grid, by the rig file or the sizes of the frames."""
    stated: Times
    """HR times in LR frame numbers, by the plan or the file."""

    def settled(self) -> tuple[Rig, Misfit, Misfit]:
        """As ``_settle``, which looks at recordings once, however often they are paired."""
        plan = self.plan
        takes_weights = METHODS[plan.method].takes_weights
        settings = plan.calibration, plan.grey, plan.correct, plan.keep_flicker, takes_weights
        stacks = self.lr, self.hr

        def find() -> tuple[Rig, Misfit, Misfit]:
            rig, seen, place = _settle(self)
            return rig.closed(), seen, place

        rig, seen, place = known(stacks, ("settled", *settings, self.stated.tobytes()), find)
        return rig.reading(*stacks), seen, place

    @property
    def as_recorded(self) -> Self:
        """The same with all frames and pixels."""
        correct = tuple(flaw for flaw in self.plan.correct if flaw not in ("frames", "pixels"))
        return replace(self, plan=self.plan.model_copy(update={"correct": correct}))

    @property
    def divisions(self) -> int | None:
        """See ``Rig.divisions``."""
        if self.plan.calibration is None:
            sides = [scale * side for scale, side in zip(self.grid.scale, self.lr.shape[1:], strict=True)]
            complete = np.allclose(sides, self.hr.shape[1:])  # HR sees all of the last LR pixels
            if not complete or not METHODS[self.plan.method].takes_weights:
                return None
        return divisions_for(self.grid.scale)

    @property
    def stated_blur(self) -> Blur | None:
        """See ``Camera.blur``, of LR, by the rig file."""
        calibration = self.plan.calibration
        if calibration is None or calibration.blur is None:
            return None
        return blur_of(calibration.blur, calibration.mapping)

    def hr_times(self, misfit: Misfit) -> Times:
        """The times (N,) of all HR frames."""
        return misfit.hr_times(self.stated, len(self.lr) - 1)

    def inside(self, misfit: Misfit) -> NDArray[np.intp]:
        """Numbers of the HR frames that were taken during the LR recording."""
        times = self.hr_times(misfit)
        return np.flatnonzero((times >= 0) & (times <= len(self.lr) - 1))

    def placed(self, rig: Rig, misfit: Misfit) -> Rig:
        """``rig`` with this misfit taken into account."""
        clock = self.lr.clock.at(self.hr_times(misfit))
        mapping = misfit.mapping(self.grid, self.lr.shape[1:])
        fast = rig.fast.model_copy(update={"mapping": mapping})
        sharp = rig.hr.model_copy(update={"clock": clock})
        return rig.replaced(fast=fast, sharp=(sharp,))

    def pair(self, misfit: Misfit) -> tuple[Rig, Misfit | None]:
        """The rig with this misfit taken into account, and what is left of it."""
        stated = self.stated_blur
        reader = self._matched(misfit, stated or SHARP)
        if self.plan.calibration is not None and stated is None and any(blur := self._blur(reader)):
            reader = self._matched(misfit, blur)  # against HR that is sharper, contrast and noise are others
        pairs = _pairs(reader)
        rest, even = _rest(reader, pairs), correct_field(reader, self.plan, pairs)
        if even is not reader:
            pairs = _pairs(even)
            if self.matters(rest):
                # A response that is no line looks a little like a misfit; but a misfit is no shading.
                still = _rest(even, pairs)
                if not self.matters(still):
                    rest = still
        if not self.matters(rest):
            reader = correct_pattern(even, self.plan, pairs)
        corrected = not all(camera.photometry.good for camera in reader.rig.cameras.values())
        return (_compared(reader) if corrected else reader.rig), rest

    def matters(self, misfit: Misfit | None) -> bool:
        """Whether there is a misfit, and one that is large enough to be taken into account."""
        return misfit is not None and misfit.matters(self.lr.shape[1:])

    def _blur(self, reader: FrameReader) -> Blur:
        """See ``Camera.blur``, of LR, as it is measured."""
        rig, lr = reader.rig, reader.lr_frame
        seen, pairs = ~grown(_unseen(rig)), []
        for time, k in sorted(
            ((float(rig.hr_times[k]), k) for k in rig.common_exposures(COMMON_TIMES)), key=_between_frames
        ):
            near = round(time)
            other = near if near == time else near + (1 if time > near else -1)
            hr, good = reader.hr_frame(k), seen & static(lr(near), lr(other))
            if good.sum() >= LEAST_STILL * seen.sum():
                pairs.append(Pair(reader.lr_at(time), hr, good))
            elif len(pairs) < MOST_PAIRS:
                pair = moved_pair((lr(near), lr(other)), abs(time - near), hr, rig.grids)
                if (pair.good & seen).sum() >= LEAST_FOUND * seen.sum():
                    pairs.append(pair._replace(good=pair.good & seen))
        return find_blur(pairs, rig.grids)

    def _matched(self, misfit: Misfit, blur: Blur) -> FrameReader:
        """Frames without bad frames and pixels, on one grey scale, without flicker and drift."""
        plan, hr_times = self.plan, self.hr_times(misfit)
        grids = Grids.of(self.lr.shape[1:], self.hr.shape[1:], self.divisions)
        grids = replace(grids, blur=blur)
        mapping = misfit.mapping(self.grid, grids.lr_shape)
        align = Alignment(grids, mapping, self.hr.shape[1:])
        seen = examine(self.lr, self.hr, hr_times, align, plan.correct)
        lr, hr = repaired(self.lr, seen.lr), _aligned(repaired(self.hr, seen.hr), align)
        blind = [mask_of(health.blind, grids.lr_shape) for health in (seen.lr, seen.hr)]
        blind[1] |= align.blind
        if blind[1].any():
            hr = repaired(hr, Health(pixels=tuple(np.flatnonzero(grids.enlarged(blind[1])).tolist())))

        sharp = Camera.of(self.hr, Affine(0.0, 1.0), clock=self.lr.clock.at(hr_times), health=seen.hr)
        exposure = sharp.exposure_in(self.lr.clock)

        def lr_at(time: float) -> NDArray[Any]:
            return mean_during(lambda i: fill_invalid(lr.frame(i))[0], time, exposure, last=len(lr) - 1)

        usable = np.intersect1d(seen.hr.usable(len(hr)), self.inside(misfit))
        usable = usable[seen.lr.comparable(hr_times[usable])]
        times = {
            float(hr_times[k]): k for k in (int(usable[j]) for j in sample_frames(len(usable), COMMON_TIMES))
        }
        common = [(lr_at(time), fill_invalid(hr.frame(k))[0]) for time, k in times.items()]
        if seen.line is not None and (blind[0].any() or blind[1].any()):
            common = [_complete(low, high, seen.line, blind, grids) for low, high in common]
        sequences = _without_frames(lr, seen.lr), _without_frames(hr, seen.hr)
        grey = fit_grey(plan.grey, sequences, common, grids.down)
        clock = self.lr.clock
        fast = Camera.of(self.lr, grey.lr, clock=clock, mapping=mapping, health=seen.lr, noise=grey.lr_noise)
        rig = Rig(
            fast=fast.model_copy(update={"blur": blur}),
            sharp=(sharp.model_copy(update={"grey": grey.hr}),),
            grey_rule=grey.rule,
            divisions=self.divisions,
            correlation=grey.correlation,
            warnings=(*seen.warnings, *grey.notes),
        )
        return correct_brightness(FrameReader(rig), plan)


def _between_frames(timed: tuple[float, int]) -> float:
    """LR frames to the nearest one."""
    return abs(timed[0] - round(timed[0]))


def correct_brightness(reader: FrameReader, plan: Plan) -> FrameReader:
    """Frames without flicker and drift, where ``plan`` asks for that."""
    rig = reader.rig
    if rig.grey_rule != "match" or "brightness" not in plan.correct:
        return reader
    if any(too_long(camera.open()) for camera in (rig.fast, rig.hr)):
        return reader
    blocks = _blocks(rig, rig.fast), _blocks(rig, rig.hr)
    found = follow_brightness(*blocks, rig.hr_times, keep=plan.keep_flicker)
    if not found.warnings:
        return reader
    seen, binned = (
        np.stack(each)[:, ~_unseen(rig)].ravel()
        for each in zip(*_pairs(_with(reader, found.lr, found.hr)), strict=True)
    )
    lr = found.lr if found.lr.lines else Photometry(lines=((1.0, 0.0),) * len(rig))
    return _with(reader, lr.with_line(*robust_gain(seen, binned)), found.hr, found.warnings)


def correct_field(reader: FrameReader, plan: Plan, pairs: Sequence[tuple[Image, Image]]) -> FrameReader:
    """Frames with LR's illumination and response as HR's, where ``plan`` asks for that.

    ``pairs`` are LR frames and binned HR frames of common times.
    """
    rig = reader.rig
    if rig.grey_rule != "match":
        return reader
    field, warnings = fit_field(pairs, plan.correct, ~_unseen(rig))
    if field.good:
        return reader
    update = {"response": field.response, "shading": field.shading}
    return _with(reader, rig.fast.photometry.model_copy(update=update), rig.hr.photometry, warnings)


def correct_pattern(reader: FrameReader, plan: Plan, pairs: Sequence[tuple[Image, Image]]) -> FrameReader:
    """Frames without the fixed pattern of LR, where ``plan`` asks for that.

    ``pairs`` are those of ``correct_field``, of this reader.
    """
    rig = reader.rig
    if rig.grey_rule != "match" or "pattern" not in plan.correct:
        return reader
    seen, black = ~_unseen(rig), _black(rig.hr)
    if find_pattern(pairs, seen, black) is None:  # before HR is looked at closely
        return reader
    mean_hr = np.mean([reader.hr_frame(k) for k in rig.common_exposures(COMMON_TIMES)], axis=0)
    of_hr = grain(mean_hr, black) / math.sqrt(math.prod(rig.fast.mapping.scale))
    if find_pattern(pairs, seen, black, of_hr) is None:
        return reader
    found = find_pattern(_pairs(reader, MOST_TIMES), seen, black, of_hr)
    if found is None:
        return reader
    photometry = rig.fast.photometry.model_copy(update={"pattern": found})
    size = float(np.std(found.sensitivity[seen]))
    text = f"the pixels of LR differ in sensitivity by {size:.1%}, the same in every frame; it is corrected."
    return _with(reader, photometry, rig.hr.photometry, [XFusionWarning("pattern", text)])


def _with(
    reader: FrameReader, lr: Photometry, hr: Photometry, warnings: Sequence[XFusionWarning] = ()
) -> FrameReader:
    """The frames with this photometry, which such warnings say."""
    rig = reader.rig
    fast = rig.fast.model_copy(update={"photometry": lr})
    sharp = (rig.hr.model_copy(update={"photometry": hr}), *rig.sharp[1:])
    update = {"fast": fast, "sharp": sharp, "warnings": (*rig.warnings, *warnings)}
    return FrameReader(rig.model_copy(update=update), reader)


def _compared(reader: FrameReader) -> Rig:
    """The reader's rig, with LR's noise and its correlation with HR after corrections."""
    rig = reader.rig
    seen, binned = (np.stack(each) for each in zip(*_pairs(reader), strict=True))
    fast = rig.fast.model_copy(update={"noise": spread(seen - binned)})
    return rig.model_copy(update={"fast": fast, "correlation": correlation(seen, binned)})


def _pairs(reader: FrameReader, count: int = COMMON_TIMES) -> list[tuple[Image, Image]]:
    """LR frames (h, w) and HR frames binned to (h, w), of up to ``count`` common times."""
    rig = reader.rig
    numbers = rig.common_exposures(count)
    return [(reader.lr_during(k), reader.binned_hr(k)) for k in numbers]


def _blocks(rig: Rig, camera: Camera) -> Blocks:
    """Coarse images of the usable frames of a camera, without what one of the cameras does not see."""
    shape = rig.grids.lr_shape
    if camera is rig.hr:
        usable = np.array([exposure.frame for exposure in rig.exposures])
        coarse = scan(camera.open(), shape, rig.alignment)
    else:
        coarse, usable = scan(camera.open(), shape), camera.health.usable(len(camera))
    values = coarse.blocks[usable][:, ~hidden(_unseen(rig), grid_of(shape))] + np.float64(coarse.zero)
    grey = camera.grey
    return Blocks((values - grey.zero) / grey.span, usable, len(camera), _black(camera))


def _black(camera: Camera) -> float:
    """Grey value of no light: that of a stored 0 where the recording says nothing."""
    return ((camera.open().metadata.camera.black or 0) - camera.grey.zero) / camera.grey.span


def _without_frames(stack: Stack, health: Health) -> Stack:
    """The recording without its bad frames, which nothing needs to fill in."""
    usable = health.usable(len(stack)).tolist()
    if len(usable) == len(stack) or not usable:
        return stack
    return stack.derive(lambda i: stack.frame(usable[i]), (len(usable), *stack.shape[1:]), stack.dtype)


def _aligned(hr: Stack, align: Alignment) -> Stack:
    """The HR recording on the grid on which methods fuse."""
    if not align.needed:
        return hr
    dtype = align.place(hr.frame(0)).dtype
    shape = (len(hr), *align.grids.hr_shape)
    return hr.derive(lambda i: align.place(fill_invalid(hr.frame(i))[0]), shape, dtype, metadata=hr.metadata)


def _unseen(rig: Rig) -> NDArray[np.bool_]:
    """The LR pixels (h, w) that one of the cameras does not see."""
    blind = [number for camera in rig.cameras.values() for number in camera.health.blind]
    return mask_of([*blind, *rig.fast.health.pixels], rig.grids.lr_shape) | rig.alignment.blind


def _complete(
    low: NDArray[Any], high: NDArray[Any], line: Affine, blind: Sequence[NDArray[np.bool_]], grids: Grids
) -> tuple[NDArray[Any], NDArray[Any]]:
    """An LR and an HR frame of one moment, each as the other one shows it where it sees nothing."""
    # Float32 holds values about these.
    middle = np.float64(np.median(high))
    below = line.zero + line.span * middle
    expected = line.span * grids.down((high - middle).astype(np.float32)) + below
    seen = grids.up(((low - below) / line.span).astype(np.float32)) + middle
    return np.where(blind[0], expected, low), np.where(grids.enlarged(blind[1]), seen, high)


def place_lr(lr: Stack, hr: Stack, calibration: Calibration | None = None) -> Mapping:
    """Where LR pixels lie on the HR grid, by the rig file where there is one; reads no frame.

    Raises PairingError where it is of other sizes, and see ``fit_mapping``.
    """
    if calibration is None:
        return fit_mapping(lr.shape[1:], hr.shape[1:])
    calibration.check_fits(lr.shape[1:], hr.shape[1:])
    return calibration.mapping


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


def divisions_for(scale: tuple[float, float]) -> int:
    """Parts into which LR pixels are divided along each axis, where they are ``scale`` HR pixels wide.

    Networks are at their best on the scale that they were trained with, whatever that of the cameras is
    (benchmarks/rig.py); other methods are as good on any.
    """
    mean = math.sqrt(scale[0] * scale[1])
    return SCALE if SCALE / 2 <= mean <= 1.5 * SCALE else max(1, math.ceil(mean))


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

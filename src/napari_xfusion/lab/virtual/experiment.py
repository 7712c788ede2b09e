"""The virtual experiment (paper, D3-D8): simulates both cameras from one sharp, fast sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core import degrade
from napari_xfusion.core.calibration import Calibration
from napari_xfusion.core.grey import Affine, fill_invalid, percentile_map, sample_frames
from napari_xfusion.core.types import SCALE, Image, Metadata, Stack
from napari_xfusion.errors import InputError, XFusionWarning
from napari_xfusion.lab.virtual import noise
from napari_xfusion.lab.virtual.disturbances import UNDISTURBED, Disturbances
from napari_xfusion.lab.virtual.faulty import FaultyCamera, expose_hr, place_lr
from napari_xfusion.lab.virtual.optics import Exposures, View, check_rig, cropped, timed

MOST_FRAMES = 64
"""Number of frames sampled for percentiles and noise; smaller for large frames, see `_sample`."""
_MOST_PIXELS = 2**25
Binning = Literal["mean", "bicubic"]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Two sequences of one event and the truth; frames are computed when they are read."""

    movie: Stack
    """The original sequence."""
    lr: Stack
    """(T, H/4, W/4): uint16 for sequences of 8 and 16 bit, else float32."""
    hr: Stack
    """(T_hr, H, W) in the dtype of the sequence; its ``metadata.hr_times`` are ``hr_times``."""
    truth: Stack
    """(T, H, W): what the LR frames show, sharp and undisturbed: the sequence, cropped to sides that are multiples
    of 4, without dropped LR frames."""
    hr_times: tuple[int, ...]
    """Number of the frame of the sequence that each HR frame shows; equal to ``hr.metadata.hr_times`` without
    disturbances."""
    grey: Affine
    """Maps the 0.35 and 99.65 percentiles of the sequence to 0 and 1: the scale of the noise."""
    lr_factor: int
    """Grey value of lr for each grey value of hr: 257 for 8-bit sequences, else 1."""
    binning: Binning
    b0: float | None
    """Photons at grey value 1, or None without noise."""
    lr_psnr: float | None
    """LR PSNR in dB over the sampled frames, noisy LR as stored against clean LR; None without noise."""
    seed: int
    disturbances: Disturbances
    calibration: Calibration | None
    """Through which the cameras look at the sequence; None where LR is the sequence reduced four times."""
    notes: tuple[XFusionWarning, ...]
    """Changes of the sequence that the user should know, one sentence each."""


def simulate(
    movie: Stack,
    hr_step: int | None = None,
    *,
    hr_last: bool = True,
    lr_psnr: float | None = None,
    b0: float | None = None,
    binning: Binning = "mean",
    seed: int = 0,
    disturbances: Disturbances = UNDISTURBED,
    calibration: Calibration | None = None,
) -> Experiment:
    """Simulate two cameras from ``movie`` (T, H, W), with HR frames at 0, hr_step, 2 hr_step, ...

    With ``hr_last`` the last frame of the sequence is an HR frame, too. LR is ``movie`` reduced four times. With a
    ``calibration``, HR is the middle of the sequence, and LR the mean over the area of each LR pixel as its mapping
    places it; where it has a clock, that gives the HR frames instead of ``hr_step``. Noise is Poisson with ``b0``
    photons at grey value 1, or as many as give ``lr_psnr`` dB. The noise of a frame depends only on ``seed`` and its
    number. ``disturbances`` change the recordings with their noise. Raises InputError for sequences that are too
    small, contradictory settings and an unreachable PSNR.
    """
    _check(movie, hr_step, lr_psnr, b0)
    _check_words(movie, binning, seed)
    if calibration is not None:
        check_rig(movie, calibration, hr_step, binning, disturbances)
    clock = None if calibration is None else calibration.clock
    movie = movie if clock is None else timed(movie, clock)
    truth, notes = _cropped(movie) if calibration is None else (cropped(movie, calibration.hr.shape)[0], ())
    exposures = None if clock is None else Exposures(clock, len(movie))
    kept = _hr_frames(len(movie), hr_step, hr_last) if exposures is None else exposures.nearest
    grey, _ = percentile_map(truth, len(_sample(*truth.shape)))
    reduce = _reduction(truth, binning) if calibration is None else _view(movie, calibration)
    place = place_lr(disturbances, math.sqrt(math.prod(reduce.scale)))
    camera = _Camera(truth if calibration is None else movie, reduce, grey, seed, place)
    reached = None
    if b0 is not None or lr_psnr is not None:
        sample = {i: camera.clean(i) for i in _sample(*camera.shape)}
        _need_light(movie, sample)
        if lr_psnr is not None:
            b0, reached = noise.solve_b0(sample, lr_psnr, seed, grid=camera.grid, where=movie.source)
        elif b0 is not None:
            reached = noise.lr_psnr(sample, b0, seed, grid=camera.grid)
    notes += _notes(truth, camera, kept, lr_psnr, reached)
    white = grey.zero + grey.span
    fast = FaultyCamera(disturbances, "lr", camera.shape[1:], white * camera.factor, seed)
    lr, shown = fast.record(camera.sequence(b0), range(len(truth)), len(truth))
    if exposures is None:
        hr, kept = _record_hr(truth, kept, disturbances, white, seed)
    else:
        slow = FaultyCamera(disturbances, "hr", truth.shape[1:], white, seed)
        hr, numbers = slow.record(exposures.stack(truth), kept, len(truth))
        kept = tuple(kept[i] for i in numbers)
    return Experiment(
        movie=movie,
        lr=lr,
        hr=hr,
        truth=truth if len(shown) == len(truth) else _selected(truth, shown),
        hr_times=kept,
        grey=grey,
        lr_factor=camera.factor,
        binning=binning,
        b0=b0,
        lr_psnr=reached,
        seed=seed,
        disturbances=disturbances,
        calibration=calibration,
        notes=notes,
    )


class _Reduction(NamedTuple):
    """How an LR image comes from one of the sequence."""

    apply: Callable[[Image], Image]
    shape: tuple[int, int]
    """(h, w)."""
    scale: tuple[float, float]
    """HR pixels per LR pixel, down and across."""


def _reduction(movie: Stack, binning: Binning) -> _Reduction:
    (H, W), scale = movie.shape[1:], (float(SCALE), float(SCALE))
    shape = H // SCALE, W // SCALE
    kind = degrade.binning if binning == "mean" else degrade.cubic
    return _Reduction(kind((H, W), shape, scale), shape, scale)


def _view(movie: Stack, calibration: Calibration) -> _Reduction:
    shape, mapping = calibration.lr.shape, calibration.mapping
    _, corner = cropped(movie, calibration.hr.shape)
    return _Reduction(View.of(mapping, shape, movie.shape[1:], corner=corner), shape, mapping.scale)


class _Camera:
    """The fast camera: LR frames of a sequence, clean in [0, 1] or as stored."""

    def __init__(
        self, movie: Stack, reduce: _Reduction, grey: Affine, seed: int, place: Callable[[Image], Image]
    ) -> None:
        self.movie, self.grey, self.seed, self.place = movie, grey, seed, place
        self.reduce, self.shape = reduce.apply, (len(movie), *reduce.shape)
        self._side = math.sqrt(math.prod(reduce.scale))
        whole = movie.dtype.kind == "u" and movie.dtype.itemsize <= 2
        self.dtype = np.dtype(np.uint16 if whole else np.float32)
        self.factor = 257 if movie.dtype == np.uint8 else 1
        self.grid = (-grey.zero / grey.span, 1 / grey.span / self.factor) if whole else None

    def units(self, i: int) -> Image:
        """Return frame ``i`` reduced, in grey values of the sequence; NaN and infinite pixels are filled first."""
        frame, _ = fill_invalid(self.movie.frame(i))
        return self.reduce(self.place(frame.astype(np.float32)))

    def clean(self, i: int) -> Image:
        """Return LR frame ``i`` without noise, on the scale of the noise, clipped to [0, 1]."""
        scaled: Image = np.clip(self.grey.to_grey(self.units(i)), 0, 1)
        return scaled

    def sequence(self, b0: float | None) -> Stack:
        """Return the LR sequence as stored, with the noise of ``b0`` photons at grey value 1."""

        def read(i: int) -> NDArray[Any]:
            if b0 is None:
                units = self.units(i)
            else:
                noisy = noise.poisson_noise(self.clean(i), b0, noise.frame_rng(self.seed, i))
                units = self.grey.from_grey(noisy)
            if self.dtype == np.float32:
                return units
            # Only cubic reduction can leave the range, next to edges from black to white.
            return np.clip(np.round(units * np.float32(self.factor)), 0, 65535).astype(np.uint16)

        size = self.movie.pixel_size
        return self.movie.derive(
            read,
            self.shape,
            self.dtype,
            source=f"{self.movie.source} (LR)",
            pixel_size=None if size is None else size * self._side,
        )


def _check(movie: Stack, hr_step: int | None, lr_psnr: float | None, b0: float | None) -> None:
    T, H, W = movie.shape
    wrong = [
        (T < 2, "a sequence of two frames or more", f"{T}", "choose a sequence"),
        (min(H, W) < 8, "frames of at least 8 x 8 pixels", f"{H} x {W}", "choose a larger sequence"),
        (movie.dtype.kind not in "uif", "grey values", str(movie.dtype), "convert the sequence to numbers"),
        (
            hr_step is not None and hr_step < 1,
            "an HR step of 1 or more",
            str(hr_step),
            "use every n-th frame, such as 10",
        ),
        (
            lr_psnr is not None and b0 is not None,
            "an LR PSNR or b0, not both",
            f"{lr_psnr} dB and {b0}",
            "leave one of them out",
        ),
        (
            lr_psnr is not None and not np.isfinite(lr_psnr),
            "a finite LR PSNR",
            f"{lr_psnr}",
            "omit it for no noise",
        ),
        (
            b0 is not None and not noise.B0_RANGE[0] <= b0 <= noise.B0_RANGE[1],
            f"b0 from {noise.B0_RANGE[0]:g} to {noise.B0_RANGE[1]:g} photons",
            str(b0),
            "give the photons that a pixel of the brightest grey value collects",
        ),
    ]
    for is_wrong, expected, found, do in wrong:
        if is_wrong:
            raise InputError(movie.source, expected=expected, found=found, hint=do)


def _check_words(movie: Stack, binning: str, seed: int) -> None:
    if binning not in get_args(Binning):
        raise InputError(
            movie.source, expected="binning mean or bicubic", found=binning, hint="choose one of them"
        )
    if seed < 0:
        raise InputError(
            movie.source, expected="a seed of 0 or more", found=str(seed), hint="choose another seed"
        )


def _need_light(movie: Stack, sample: dict[int, Image]) -> None:
    """Raise InputError for a constant sequence, which is black on the scale of the noise and shows no noise."""
    if not any(image.any() for image in sample.values()):
        raise InputError(
            movie.source,
            problem="the sequence has one grey value throughout, so noise has no scale",
            hint="simulate without noise or choose another sequence",
        )


def _cropped(movie: Stack) -> tuple[Stack, tuple[XFusionWarning, ...]]:
    T, H, W = movie.shape
    h, w = H // SCALE * SCALE, W // SCALE * SCALE
    if (h, w) == (H, W):
        return replace(movie, metadata=Metadata()), ()
    truth = movie.derive(lambda i: movie.frame(i)[:h, :w], (T, h, w), movie.dtype)
    text = f"The sequence was cropped from {H} x {W} to {h} x {w} pixels, at the bottom and the right."
    return truth, (XFusionWarning("cropped", text),)


def _record_hr(
    truth: Stack, times: tuple[int, ...], disturbances: Disturbances, white: float, seed: int
) -> tuple[Stack, tuple[int, ...]]:
    """Return the HR recording, and the number of the frame of ``truth`` that each of its frames shows.

    The stated times are those of ``times``, one after the other, even where HR frames are dropped, and late.
    """
    exposed = _selected(truth, times, lambda t: expose_hr(truth, disturbances.hr_exposure, t))
    camera = FaultyCamera(disturbances, "hr", truth.shape[1:], white, seed)
    hr, kept = camera.record(exposed, times, len(truth))
    frames = len(truth) - len(set(disturbances.lr.dropped))
    stated = [t + disturbances.hr_late for t in times[: len(kept)]]
    inside = [i for i, t in enumerate(stated) if 0 <= t <= frames - 1]
    if not inside:
        raise InputError(
            setting="hr_late",
            problem="no HR frame has a time inside the LR sequence",
            hint="choose a smaller disturbance",
        )
    stated = [float(stated[i]) for i in inside]
    clock = truth.clock.at(stated) if disturbances.hr_late else truth.clock.select(tuple(map(int, stated)))
    recorded = hr.derive(
        lambda i: hr.frame(inside[i]),
        (len(inside), *hr.shape[1:]),
        hr.dtype,
        source=f"{truth.source} (HR)",
        clock=clock,
        metadata=Metadata(hr_times=tuple(stated)),
    )
    return recorded, tuple(times[kept[i]] for i in inside)


def _selected(
    truth: Stack, frames: tuple[int, ...], read: Callable[[int], NDArray[Any]] | None = None
) -> Stack:
    """Return these frames of ``truth``, or what ``read`` makes of them."""
    of = read or truth.frame
    return truth.derive(
        lambda k: of(frames[k]),
        (len(frames), *truth.shape[1:]),
        truth.dtype,
        clock=truth.clock.select(frames),
    )


def _hr_frames(T: int, step: int | None, last: bool) -> tuple[int, ...]:
    if step is None:
        raise InputError(
            setting="hr_step",
            problem="the times of the HR frames are not given",
            hint="give {hr_step}, or a rig file with a clock",
        )
    kept = list(range(0, T, step))
    return tuple(kept + [T - 1] * (last and kept[-1] != T - 1))


def _sample(T: int, H: int, W: int) -> list[int]:
    """Return the numbers of the sampled frames: at most 64, fewer if frames are large, to limit memory."""
    return sample_frames(T, min(MOST_FRAMES, max(2, _MOST_PIXELS // (H * W))))


def _notes(
    truth: Stack, camera: _Camera, kept: tuple[int, ...], asked: float | None, reached: float | None
) -> tuple[XFusionWarning, ...]:
    notes = []
    if camera.factor != 1:
        notes.append(
            XFusionWarning(
                "grey-factor",
                f"LR grey values are {camera.factor} times those of HR: 8 bit would add rounding noise.",
            )
        )
    if len(kept) == 1:
        notes.append(XFusionWarning("one-hr-frame", "Only the first frame is an HR frame."))
    if asked is not None and reached is not None and abs(reached - asked) > 0.1:
        notes.append(
            XFusionWarning(
                "lr-psnr",
                f"LR PSNR is {reached:.2f} dB instead of {asked:g}: the sequence has few pixels.",
            )
        )
    if truth.dtype.kind == "f":
        sample = _sample(*truth.shape)
        missing = sum(fill_invalid(truth.frame(i))[1] for i in sample)
        if missing:
            text = (
                f"{missing} pixels in the {len(sample)} sampled frames are NaN, infinite or fill values: "
                "unchanged in truth and HR, filled from their nearest neighbours before LR is computed."
            )
            notes.append(XFusionWarning("invalid-pixels", text))
    return tuple(notes)

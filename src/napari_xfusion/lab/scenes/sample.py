"""Training samples: the frames of both cameras of a scene, and the truth (paper, M1, D3, D7, D11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core import degrade
from napari_xfusion.core.grey import PERCENTILES
from napari_xfusion.core.types import SCALE, Image
from napari_xfusion.lab.scenes import scene
from napari_xfusion.lab.scenes.scene import Kind, make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances, Faults
from napari_xfusion.lab.virtual.faulty import FaultyCamera
from napari_xfusion.lab.virtual.noise import poisson_noise

HR_PHOTONS = (500.0, 2e6)
"""Range of photons detected by an HR pixel of grey value 1, from grainy to without visible noise."""
HR_READ_NOISE = 9.0
"""Standard deviation of a black HR pixel, in photons."""
FREE_OF_NOISE = 0.4
"""Share of the samples whose LR frames have no photon noise of their own."""
ONE_EXPOSURE = 0.5
"""Share of the samples whose LR frames are binned from noisy HR frames, as in a virtual experiment."""
OWN_FRAME = 0.05
"""Share of the targets that have an HR frame at their own time."""
APART = 0.15
"""Share of the simulated samples whose cameras do not fit: LR is shifted against HR, and less sharp than its pixels."""
SHIFT, BLUR = 0.5, 1.6
"""The largest shift along each axis, and standard deviation of the blur of LR there, in HR pixels."""
FAULTY = 0.15
"""Share of the simulated samples whose cameras have faults."""
FAULTS = Faults(flicker=0.02, pattern=0.03, stripes=0.01)
"""The most of each, about what pairing leaves of larger ones."""
LONE = 0.04
"""Share of the targets before the first HR frame or after the last, which then serves as both."""

RANGE = (-1.0, 3.0)
"""Grey values to which samples are clipped: percentiles of a sequence are 0 and 1, bright fringes far above."""
SEPARATIONS = (1, 2, 3)
"""Distances of the three LR input frames, in LR frames (D11)."""
FARTHEST = 20
"""Largest number of separations from the target to an HR frame (D11)."""
LONGEST = 2 * SEPARATIONS[-1] * FARTHEST
"""Largest number of LR frames between the two HR frames of a sample."""
FURTHER = 6
"""HR frames beyond the previous and the next one in samples for methods that use them."""
SHORT = 30
"""Largest number of LR frames between two HR frames in half of those samples; others hardly have further ones."""
_STEPS = np.array(
    [(s, s * a, s * b) for s in SEPARATIONS for a, b in np.ndindex(FARTHEST + 1, FARTHEST + 1) if a * b]
)


class Clean(NamedTuple):
    """One target and its input frames, without the noise of the cameras; grey values in RANGE, float32."""

    lr: Image
    """(5 + M, h, w): LR frames at ``times``."""
    hr: Image
    """(2 + M, H, W): previous and next HR frame, and M further ones."""
    truth: Image
    """(H, W): the HR frame at the target."""
    times: NDArray[np.float32]
    """(5 + M,): in LR frames relative to the target: -s, 0, s, -a, b, further ones; NaN where there is none."""
    recorded: bool
    """Whether the frames were recorded, and already contain the noise of an HR camera."""


class Sample(NamedTuple):
    """One target and its input frames as recorded; grey units, float32. H = W is the crop."""

    lr: Image
    """(3, h, w), h = H/4: LR frames at -s, 0 and s, with noise of ``b0``."""
    hr: Image
    """(2, H, W): previous and next HR frame, with the noise of the HR camera."""
    hr_lr: Image
    """(2, h, w): LR frames at the times of ``hr``, with noise of ``b0``."""
    truth: Image
    """(H, W): the HR image at time 0 without noise."""
    seen: Image
    """(H, W): the same with noise, as the truth of a real sequence."""
    times: NDArray[np.float32]
    """(5,): times of lr and hr in LR frames relative to the target: -s, 0, s, -a, b."""
    separation: int
    """s, 1 to 3."""
    b0: float
    """Photons of an LR pixel of grey value 1; infinite without noise."""
    hr_photons: float
    """Photons of an HR pixel of grey value 1; infinite for sequences, whose noise is unknown."""
    far: Image
    """(M, H, W): HR frames before the previous and after the next one; none for networks that use two."""
    far_lr: Image
    """(M, h, w): LR frames at their times."""
    far_times: NDArray[np.float32]
    """(M,): these times in LR frames relative to the target."""


def draw_sample(
    kind: Kind, rng: np.random.Generator, crop: int = 256, *, apart: float = APART, faulty: float = FAULTY
) -> Sample:
    """Draw a scene of ``kind``, a target and its input frames, with noise; see `draw_clean` and `expose`."""
    return expose(draw_clean(kind, rng, crop, apart=apart), rng, faulty)


def draw_clean(
    kind: Kind,
    rng: np.random.Generator,
    crop: int = 256,
    *,
    longest: int = LONGEST,
    further: int = 0,
    apart: float = APART,
) -> Clean:
    """Draw a scene of ``kind``, a target and its input frames, all without noise.

    ``crop`` is the side of HR frames in pixels, a multiple of 4; ``longest`` see `draw_times`, ``further`` see
    `with_further`; ``apart`` is the probability that the cameras do not fit.
    """
    if further and rng.random() < 0.5:
        longest = min(longest, SHORT)
    times = with_further(draw_times(rng, longest), further, (-scene.LONGEST, scene.LONGEST))
    drawn = make_scene(kind, (crop, crop), rng)
    there = np.isfinite(times)
    sequence = np.zeros((len(times), crop, crop), np.float32)
    sequence[there] = _grey(np.stack([drawn.image(float(t)) for t in times[there]]), rng)
    sample = clean_sample(sequence, times, recorded=False)
    return sample._replace(lr=_binned(_apart(sequence, rng))) if rng.random() < apart else sample


def with_further(times: NDArray[np.float32], further: int, span: tuple[float, float]) -> NDArray[np.float32]:
    """The times (5 + further,) of `draw_times` with further HR frames at the same step, those before and after in turn.

    NaN where they lie outside ``span``.
    """
    before, after = float(times[3]), float(times[4])
    step = after - before
    steps = [step * (i // 2 + 1) for i in range(further)]
    more = np.array([before - x if i % 2 == 0 else after + x for i, x in enumerate(steps)], np.float32)
    more[(more < span[0]) | (more > span[1])] = np.nan
    return np.concatenate([times, more]).astype(np.float32)


def draw_times(rng: np.random.Generator, longest: int = LONGEST) -> NDArray[np.float32]:
    """Draw the times (5,) of input frames, see ``Clean.times``: HR at s times 1 to 20 on either side (D11).

    The HR frames are at most ``longest`` LR frames apart, 2 or more; all possible choices are equally likely.
    """
    fitting = _STEPS[_STEPS[:, 1] + _STEPS[:, 2] <= longest]
    s, before, after = fitting[rng.integers(len(fitting))]
    return np.array([-s, 0, s, -before, after], np.float32)


def clean_sample(sequence: Image, times: NDArray[np.float32], *, recorded: bool) -> Clean:
    """Make a sample from the sharp frames ``sequence`` (5 + M, H, W) at ``times``; H and W are multiples of 4.

    LR frames are their means over 4 x 4 pixels (D3).
    """
    return Clean(_binned(sequence), sequence[3:], sequence[1], times, recorded)


def expose(clean: Clean, rng: np.random.Generator, faulty: float = FAULTY) -> Sample:
    """Simulate the cameras on ``clean``, rotated and mirrored at random, all frames together (D11), or run backwards.

    b0 is 10 to a power of 1 to 7, the same for all LR frames of a sample (D7); a share of the samples has no LR noise.
    Frames of a sequence contain the noise of its camera, and no HR noise is added. ``faulty`` is the share of the
    simulated samples with flicker, stripes and a fixed pattern of each camera. A few targets have an HR frame at their
    own time, or lie outside the HR sequence.
    """
    turn = _draw_turn(rng)
    if rng.random() < 0.5:
        clean = _backwards(clean)
    lr, hr, truth = (turn(frames) for frames in (clean.lr, clean.hr, clean.truth))
    b0 = float("inf") if rng.random() < FREE_OF_NOISE else float(10 ** rng.uniform(1, 7))
    seen, photons = truth, float("inf")
    if not clean.recorded:
        photons = float(np.exp(rng.uniform(*np.log(HR_PHOTONS))))
        clear = hr
        hr, seen = (_hr_camera(sequence, photons, rng) for sequence in (hr, truth))
        if rng.random() < ONE_EXPOSURE:
            noise = (_hr_camera(lr[[0, 2]], photons, rng) - lr[[0, 2]]) / SCALE
            shared, *others = _binned(np.stack([seen - truth, *(hr - clear)]))
            lr = lr + np.stack([noise[0], shared, noise[1], *others])
    if np.isfinite(b0):
        lr = poisson_noise(lr, b0, rng)
    own = seen
    if not clean.recorded and rng.random() < faulty:
        lr, (own, *others) = _with_faults(lr, rng), _with_faults(np.stack([seen, *hr]), rng)
        hr = np.stack(others)
    times, s = clean.times[:5].copy(), int(clean.times[2])
    there = np.isfinite(clean.times[5:])
    chance = rng.random()
    far, far_lr, far_times = hr[2:], lr[5:], clean.times[5:]
    hr, lr = hr[:2], lr[:5]
    if chance < OWN_FRAME:
        times[3], hr, lr = 0, np.stack([own, hr[1]]), lr[[0, 1, 2, 1, 4]]
    elif chance < OWN_FRAME + LONE:
        only = int(rng.integers(2))
        times[3:], hr, lr = times[3 + only], hr[[only] * 2], lr[[0, 1, 2, 3 + only, 3 + only]]
        there &= far_times < times[3] if only == 0 else far_times > times[3]
    return Sample(
        lr[:3], hr, lr[3:], truth, seen, times, s, b0, photons, far[there], far_lr[there], far_times[there]
    )


def _grey(sequence: Image, rng: np.random.Generator) -> Image:
    """Map ``sequence`` (T, H, W) to a range of grey values that is typical of a crop, clipped to RANGE.

    The percentiles of a sequence are 0 and 1 (D4), those of a crop lie between; a crop with very low
    contrast stays at low contrast.
    """
    low, high = np.percentile(sequence[:, ::2, ::2], PERCENTILES)
    contrast = rng.uniform(0.1, 1.0) ** 0.5
    black = rng.uniform(0, 1 - contrast)
    scaled = (sequence - np.float32(low)) * np.float32(contrast / max(high - low, 0.05)) + np.float32(black)
    grey: Image = np.clip(scaled, *RANGE)
    return grey


def _apart(sequence: Image, rng: np.random.Generator) -> Image:
    """The HR frames (T, H, W) as an LR camera sees them that is shifted against HR, and blurs more than its pixels."""
    along, across = rng.uniform(-SHIFT, SHIFT, 2)
    blur = rng.uniform(0.1, BLUR)
    move = np.array([[1, 0, across], [0, 1, along]])
    size = sequence.shape[:0:-1]
    shifted = (
        cv2.warpAffine(x, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT) for x in sequence
    )
    return np.stack([cv2.GaussianBlur(x, (0, 0), blur) for x in shifted])


def _with_faults(frames: Image, rng: np.random.Generator) -> Image:
    """Frames (T, H, W) of one camera with faults of up to FAULTS; 0 is taken for no light."""
    drawn = Faults(
        **{name: most * rng.random() for name, most in FAULTS.model_dump(exclude_defaults=True).items()}
    )
    camera = FaultyCamera(Disturbances(hr=drawn), "hr", frames.shape[1:], 1.0, int(rng.integers(2**32)))
    return np.stack([camera.apply(frame, k, 0.0) for k, frame in enumerate(frames)]).astype(np.float32)


def _draw_turn(rng: np.random.Generator) -> Callable[[Image], Image]:
    """Mirror in x, mirror in y, rotate by 90 degrees, each for half of the samples (D11)."""
    across, down, turned = rng.random(3) < 0.5

    def turn(frames: Image) -> Image:
        frames = frames[..., ::-1] if across else frames
        frames = frames[..., ::-1, :] if down else frames
        return np.ascontiguousarray(np.rot90(frames, axes=(-2, -1)) if turned else frames)

    return turn


def _backwards(clean: Clean) -> Clean:
    """The same with time reversed."""
    further = range(5, len(clean.times))
    lr, hr = [2, 1, 0, 4, 3, *further], [1, 0, *(i - 3 for i in further)]
    return clean._replace(lr=clean.lr[lr], hr=clean.hr[hr], times=-clean.times[lr])


def _binned(sequence: Image) -> Image:
    """Bin HR frames (T, H, W) to LR frames (T, H/4, W/4): the mean over 4 x 4 pixels (D3)."""
    H, W = sequence.shape[1:]
    down = degrade.binning((H, W), (H // SCALE, W // SCALE), (SCALE, SCALE))
    return np.stack([down(frame) for frame in sequence])


def _hr_camera(sequence: Image, photons: float, rng: np.random.Generator) -> Image:
    """Add photon and read noise to ``sequence`` (..., H, W); at these numbers photon noise is nearly normal."""
    light = np.maximum(sequence, 0) / np.float32(photons)
    spread = np.sqrt(light + np.float32((HR_READ_NOISE / photons) ** 2))
    noisy: Image = sequence + spread.astype(np.float32) * rng.standard_normal(
        sequence.shape, dtype=np.float32
    )
    return noisy

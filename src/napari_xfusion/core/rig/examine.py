"""Find the frames and pixels of two cameras that are no image of the event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.grey import Affine
from napari_xfusion.core.rig.alignment import Alignment
from napari_xfusion.core.rig.health import Health, Mask
from napari_xfusion.core.rig.pixels import Pixels, find_pixels
from napari_xfusion.core.rig.scan import Scan, grid_of, hidden, scan, too_long
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import XFusionWarning

LEAST_LIKENESS = 0.3
"""Median correlation of frames with those next to them below which they are not compared."""
UNLIKE = 0.5
"""Share of the median correlation below which a frame shows something else."""
FEWEST_BLOCKS = 64
"""Of a frame; fewer show too little."""
FEW_REPEATS = 0.1
"""Share of frames that may repeat the frame before; more are the habit of a camera or of a copy."""


@dataclass(frozen=True)
class Examination:
    """The findings of both cameras."""

    lr: Health
    hr: Health
    line: Affine | None = None
    """LR values from HR values; None where it was not needed, or there is none."""
    warnings: tuple[XFusionWarning, ...] = ()


def examine(
    lr: Stack, hr: Stack, hr_times: NDArray[np.float64], align: Alignment, which: Sequence[str]
) -> Examination:
    """Look at all frames of ``lr`` and ``hr`` coarsely, and closely at frames of common times.

    ``hr_times`` (K,) are LR frame numbers; ``which`` names what is looked for: ``frames``, ``pixels``. The same pair is
    not looked at twice in a row.
    """
    asked = ref(hr), tuple(hr_times.tolist()), align, tuple(which)
    last = _LAST.get(lr)
    if last is None or last[0] != asked:
        last = _LAST[lr] = asked, _examine(lr, hr, hr_times, align, which)
    return last[1]


_LAST: WeakKeyDictionary[Stack, tuple[object, Examination]] = WeakKeyDictionary()


def _examine(
    lr: Stack, hr: Stack, hr_times: NDArray[np.float64], align: Alignment, which: Sequence[str]
) -> Examination:
    long = [stack for stack in (lr, hr) if too_long(stack)]
    lr_frames: tuple[int, ...] = ()
    hr_frames: tuple[int, ...] = ()
    if "frames" in which and not long:
        shape = lr.shape[1:]
        seen = scan(lr, shape), scan(hr, shape, align)
        lr_frames, hr_frames = _bad_frames(seen, ~hidden(align.blind, grid_of(shape)), hr_times)
    found = Pixels(Health(frames=lr_frames, lasting=True), Health(frames=hr_frames), None)
    if "pixels" in which:
        found = find_pixels((lr, hr), found[:2], hr_times, align)
    warnings = [
        warning
        for name, stack, health in (("LR", lr, found.lr), ("HR", hr, found.hr))
        for warning in _in_words(name, stack, health, align)
    ]
    for stack in long if {"frames", "brightness"} & set(which) else ():
        text = "the recording is so long that bad frames and flicker are not looked for."
        warnings.append(XFusionWarning("not-examined", text, stack.source))
    return Examination(*found, tuple(warnings))


def _in_words(name: str, stack: Stack, health: Health, align: Alignment) -> list[XFusionWarning]:
    found = []
    if health.frames:
        text = (
            f"{name} frames {listing(health.frames)} show something else than the frames around them (closed "
            "shutter, flash, repetition?) and are left out."
        )
        found.append(XFusionWarning("bad-frames", text, stack.source))
    if health.pixels:
        count = len(health.pixels)
        kind = "pixels are" if count > 1 else "pixel is"
        text = f"{count} {name} {kind} dead, hot or part of a time stamp; the neighbours fill in."
        found.append(XFusionWarning("bad-pixels", text, stack.source))
    if health.blind:
        share = len(health.blind) / (align.grids.lr_shape[0] * align.grids.lr_shape[1])
        text = f"{name} shows nothing in {share:.1%} of the field; what is there comes from the other camera alone."
        found.append(XFusionWarning("blind", text, stack.source))
    if health.spike is not None:
        text = (
            f"{name} shows single bright or dark pixels in single frames (hits of the sensor); the neighbours fill "
            "them in."
        )
        found.append(XFusionWarning("spikes", text, stack.source))
    return found


def listing(numbers: Sequence[int], at_most: int = 8) -> str:
    """``3, 7, 12 to 15``, shortened where there are many."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    parts = [str(a) if a == b else f"{a} to {b}" for a, b in runs]
    return ", ".join(parts[:at_most]) + (", ..." if len(parts) > at_most else "")


def _bad_frames(
    scans: tuple[Scan, Scan], common: Mask, hr_times: NDArray[np.float64]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of bad LR and HR frames, by the blocks that both cameras see."""
    lr, hr = (_unit(each.blocks[:, common]) for each in scans)
    if lr.shape[1] < FEWEST_BLOCKS:
        return (), ()
    lr_bad = _unlike(_likeness(lr), lr.shape[1]) | _rare_repeats(scans[0])
    nearest = np.rint(np.clip(hr_times, 0, len(lr) - 1)).astype(int)
    between = np.einsum("kn,kn->k", hr, lr[nearest])
    lost, usable = lr_bad[nearest], np.flatnonzero(~lr_bad)
    if lost.any() and len(usable):
        after = np.searchsorted(usable, nearest[lost])
        around = usable[np.clip([after - 1, after], 0, len(usable) - 1)]
        between[lost] = np.einsum("kn,jkn->jk", hr[lost], lr[around]).max(axis=0)
    comparable = (hr_times >= 0) & (hr_times <= len(lr) - 1)
    hr_bad = _rare_repeats(scans[1])
    unchanged = np.concatenate(
        [[False], (scans[0].blocks[nearest[1:]] == scans[0].blocks[nearest[:-1]]).all(axis=1)]
    )
    hr_bad &= ~unchanged  # nothing changed: what LR shows, HR may repeat
    if comparable.sum() > 2:
        hr_bad |= _unlike(between, lr.shape[1], comparable) & comparable
    if len(hr) - hr_bad.sum() < 2:
        hr_bad[:] = False
    if lr_bad.mean() > 0.5:
        lr_bad[:] = False
    return tuple(np.flatnonzero(lr_bad).tolist()), tuple(np.flatnonzero(hr_bad).tolist())


def _unit(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coarse images without mean, of length 1; those that show nothing are 0."""
    unit: NDArray[np.float64] = blocks - blocks.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    largest = max(blocks.max(initial=1e-30), -blocks.min(initial=0.0))
    unit /= np.maximum(length, 1e-300)  # in place: of long recordings, these are the largest arrays
    unit[(length <= 1e-9 * largest)[:, 0]] = 0
    return unit


def _likeness(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest correlation (T,) of each frame with one of the two before and the two after."""
    best = np.full(len(unit), -1.0)
    for step in (1, 2):
        if len(unit) > step:
            c = np.einsum("tn,tn->t", unit[:-step], unit[step:])
            best[:-step] = np.maximum(best[:-step], c)
            best[step:] = np.maximum(best[step:], c)
    return best


def _unlike(likeness: NDArray[np.float64], blocks: int, among: Mask | None = None) -> Mask:
    """Frames that are no more alike than images of ``blocks`` blocks of noise, where typical ones are."""
    typical = float(np.median(likeness if among is None else likeness[among]))
    unlike: Mask = likeness < min(UNLIKE * typical, 4 / np.sqrt(blocks))
    return unlike if typical > LEAST_LIKENESS else np.zeros_like(unlike)


def _rare_repeats(seen: Scan) -> Mask:
    """Frames that equal the one before, where that is the exception."""
    count = int(seen.repeats.sum())
    rare = seen.noisy and len(seen.repeats) > 3 and count <= max(1, FEW_REPEATS * len(seen.repeats))
    return seen.repeats.copy() if rare else np.zeros(len(seen.repeats), bool)

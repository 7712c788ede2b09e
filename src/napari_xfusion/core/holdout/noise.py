"""The noise of HR frames, which limits every comparison with one."""

from __future__ import annotations

import math

import numpy as np

from napari_xfusion.core.methods.hr_noise import NoiseCurve
from napari_xfusion.core.methods.sharp import SharpFrames
from napari_xfusion.core.rig import FrameReader


def noise_curve(reader: FrameReader) -> NoiseCurve:
    """Variance of one HR pixel against brightness, grey units squared; all of it, not that of fine structure alone."""
    curve = SharpFrames(reader).curve
    pixels = math.prod(reader.rig.grids.scale)
    part = 1 - 1 / pixels if pixels > 1 else 1.0  # what binning leaves is no fine structure
    return NoiseCurve(curve.brightness, curve.variance / part)


def mean_noise(reader: FrameReader, curve: NoiseCurve) -> float:
    """The mean variance of an HR pixel over the frame in the middle of the recording."""
    middle = float(reader.rig.hr_times[len(reader.rig.hr_times) // 2])
    return float(np.mean(curve(reader.lr_at(middle)), dtype=np.float64))

"""How the error grows with the distance to the HR frames, as LR shows it; and what it is at the real gap.

An HR frame that is left out lies twice as far from the next HR frames as the targets of a run do. What a method loses
there is what has changed in the meantime, and LR shows how much that is at any time. With e_a and e_b the mean square
change of LR (without slow variation in space, beyond its noise) since the HR frame before and until the one after,
the change is x = e_a e_b / (e_a + e_b), and the mean square error beyond the noise of the HR frame

    y = c x^p

c comes from the frames that were left out alone, whose gap is nearest to that of a run. p comes from frames that were
left out several times, so that only the gap differs: a ridge estimate about ``EXPONENT``, which it falls back to
where these frames tell nothing (measured on simulated shots, benchmarks/score.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.methods.sharp import without_slow
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.rig.timing import neighbours

EXPONENT, SPREAD = 0.4, 0.15
"""Typical p, and its standard deviation from shot to shot."""
UNKNOWN = 0.02
"""Part of the HR noise, a variance, that an error beyond the noise is taken to have at least."""
UNSEEN = 0.02
"""Part of the LR noise, a variance, that a change of LR is taken to have at least."""
TINY = 1e-9
"""Mean square that counts as none, grey units squared."""
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Growth:
    """Mean square error beyond noise against the change x: exp(level + exponent * (log x - middle))."""

    level: float
    middle: float
    exponent: float

    def __call__(self, change: Values) -> Values:
        """The error at each change."""
        errors: Values = np.exp(self.level + self.exponent * (np.log(change) - self.middle))
        return errors


def fit_growth(frames: Sequence[int], counts: Sequence[int], change: Values, error: Values) -> Growth:
    """The growth of ``error`` (N,), mean squares beyond noise, with ``change`` (N,).

    ``frames`` (N,) were left out, in gaps of ``counts`` (N,) HR frames, some of them of one.
    """
    x, y, which = np.log(change), np.log(error), np.asarray(frames)
    own_x, own_y = x.copy(), y.copy()
    for frame in np.unique(which):
        same = which == frame
        own_x[same] -= x[same].mean()
        own_y[same] -= y[same].mean()
    seen, count = float(own_x @ own_x), len(x) - len(np.unique(which)) - 1
    exponent = EXPONENT
    if seen > TINY and count > 0:
        rest = own_y - float(own_x @ own_y) / seen * own_x
        ridge = float(rest @ rest) / count / SPREAD**2
        exponent = float((own_x @ own_y + ridge * EXPONENT) / (seen + ridge))
    alone = np.asarray(counts) == 1
    return Growth(float(y[alone].mean()), float(x[alone].mean()), float(np.clip(exponent, 0, 1)))


def change_at(reader: FrameReader, time: float, ends: tuple[int, int] | None = None) -> float:
    """The change x at a time, between the HR frames ``ends`` (those next to it by default)."""
    rig = reader.rig
    noise = rig.lr_noise**2
    here = without_slow(reader.lr_at(time))
    changed = []
    for k in sorted(set(ends or neighbours(rig.hr_times, time))):
        there = without_slow(reader.lr_at(float(rig.hr_times[k])))
        square = float(np.mean(np.square(here - there), dtype=np.float64)) - 2 * noise
        changed.append(max(square, UNSEEN * noise, TINY))
    return changed[0] if len(changed) == 1 else changed[0] * changed[1] / (changed[0] + changed[1])

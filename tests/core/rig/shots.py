"""A pair as two real cameras give it, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.lab.scenes import KINDS
from napari_xfusion.lab.scenes.scene import make_scene

COUNT, STEP, SCALE = 61, 10, 4
"""LR frames, LR frames from one HR frame to the next, HR pixels per LR pixel."""
SHAPE = (128, 160)
BLACK, WHITE = 200.0, 3200.0
"""Camera values of no light and of full light."""


@dataclass(frozen=True)
class Shot:
    """Light on the two cameras, 0 to about 1, before noise."""

    truth: np.ndarray
    lr: np.ndarray
    hr: np.ndarray
    seed: int
    noise: float = 0.01

    def cameras(self, lr_faults=None, hr_faults=None):
        """LR and HR in camera values; faults are functions of a recording of 16-bit integers, changed in place."""
        rng = np.random.default_rng(self.seed + 1000)
        recordings = []
        for light, noise, faults in ((self.lr, self.noise, lr_faults), (self.hr, self.noise / 2, hr_faults)):
            noisy = BLACK + (WHITE - BLACK) * (light + noise * rng.standard_normal(light.shape))
            recording = noisy.clip(0, 65535).astype(np.uint16)
            if faults is not None:
                faults(recording)
            recordings.append(recording)
        return recordings

    def rig(self, lr_faults=None, hr_faults=None, **settings):
        """The rig of these cameras."""
        lr, hr = self.cameras(lr_faults, hr_faults)
        plan = make_plan(method="flow", hr_step=STEP, **settings)
        return make_rig(plan, as_stack(lr, name="LR"), as_stack(hr, name="HR"))


@lru_cache(maxsize=3)
def shot(seed=2, noise=0.01):
    """One of the scenes in steady light; seeds 0 to 6 are the kinds. Made once for several tests: read only."""
    rng = np.random.default_rng(seed)
    kind = list(KINDS.values())[seed % len(KINDS)]
    scene = make_scene(kind, tuple(n + 32 for n in SHAPE), rng).steady
    light = np.stack([scene.image(t - COUNT / 2)[16:-16, 16:-16] for t in range(COUNT)]).astype(np.float64)
    low, high = np.percentile(light, (0.35, 99.65))
    light = 0.1 + 0.8 * (light - low) / (high - low)
    h, w = (n // SCALE for n in SHAPE)
    lr = light.reshape(COUNT, h, SCALE, w, SCALE).mean((2, 4))
    light.flags.writeable = lr.flags.writeable = False
    return Shot(light, lr, light[::STEP], seed, noise)


def codes(rig):
    """The warnings of a rig, each once."""
    return {warning.code for warning in rig.warnings}

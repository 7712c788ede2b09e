"""From metal to grey values: x-ray transmission with phase-contrast edges, and the camera.

Lengths are in pixels; each scene defines its pixel size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

from napari_xfusion.core.types import Image


def radiograph(thickness: Image, attenuation: float, fringe: float, source_blur: float = 0.8) -> Image:
    """Return the intensity behind ``thickness`` (H, W) of metal; 1 without metal.

    Beer-Lambert gives the contact image A = exp(-attenuation * thickness). On the way to the camera,
    refraction redistributes intensity according to the curvature of A. For one material, the transport-of-intensity
    equation gives A - fringe * laplacian(A), with ``fringe`` = distance * delta / attenuation in square pixels
    (Paganin et al., J. Microsc. 206, 2002, eq. 9). ``source_blur`` is the standard deviation of the image of the
    source: without it, sharp edges would give unbounded fringes.
    """
    contact = gaussian_filter(np.exp(-attenuation * thickness, dtype=np.float32), source_blur)
    intensity: Image = np.clip(contact - np.float32(fringe) * laplace(contact), 0, None)
    return intensity


@dataclass(frozen=True)
class Camera:
    """A fast camera behind a scintillator."""

    photons: float = 6000.0
    """Photons detected by a pixel in the full beam, per frame."""
    level: float = 2600.0
    """Counts of a pixel in the full beam, above the offset."""
    offset: float = 64.0
    read_noise: float = 4.0
    """Standard deviation of the read noise, counts."""
    bits: int = 12
    blur: float = 0.6
    """Standard deviation of the point spread function of scintillator and lens, pixels."""
    flicker: float = 0.008
    """Relative standard deviation of the beam from frame to frame; a drift of the same size is added."""
    pattern: float = 0.012
    """Relative standard deviation of the pixels' sensitivities, and of the stains on the scintillator."""

    def sequence(self, intensity: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
        """Record frames (T, H, W), in counts, of ``intensity`` (T, H, W), where 1 is the full beam."""
        T, H, W = intensity.shape
        flat = self._flat((H, W), rng)
        beam = 1 + self.flicker * (rng.standard_normal(T) + np.sin(np.linspace(0, 4, T)))
        counts = np.empty((T, H, W), np.uint16)
        for t in range(T):
            seen = gaussian_filter(intensity[t], self.blur) * flat * beam[t]
            light = rng.poisson(seen * self.photons) * (self.level / self.photons)
            noisy = light + self.offset + self.read_noise * rng.standard_normal((H, W))
            counts[t] = np.clip(np.round(noisy), 0, 2**self.bits - 1)
        return counts

    def _flat(self, shape: tuple[int, int], rng: np.random.Generator) -> Image:
        """Return the flat field: a beam wider than high, stains, uneven pixels."""
        H, W = shape
        y, x = np.mgrid[:H, :W].astype(np.float32)
        beam = np.exp(-(((y - 0.42 * H) / (1.1 * H)) ** 2) - ((x - 0.55 * W) / (1.4 * W)) ** 2)
        stains = gaussian_filter(rng.standard_normal(shape), 6) * 12 + gaussian_filter(
            rng.standard_normal(shape), 1.5
        )
        uneven = 1 + self.pattern * (rng.standard_normal(shape) + 0.6 * stains)
        flat: Image = (beam * uneven).astype(np.float32)
        return flat

"""The noise of HR frames, measured where it is known."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import gaussian_filter

from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.methods.hr_noise import finest
from napari_xfusion.core.methods.sharp import SharpFrames
from napari_xfusion.core.plan import make_plan
from tests.sequences import reader_of, stack, two_cameras

SHAPE = (128, 160)


def scene(moves):
    """Texture as a lens blurs it, on a brightness that grows to the right."""
    ramp = np.linspace(0.2, 1.0, SHAPE[1])
    texture = [gaussian_filter(np.random.default_rng(t * moves).normal(size=SHAPE), 1.5) for t in range(9)]
    return ramp * (1 + 0.5 * np.array(texture))


@pytest.mark.parametrize("moves", [0, 1], ids=["standing still", "another texture in every frame"])
@pytest.mark.parametrize("photons", [500, 20_000])
def test_photon_noise_is_found_at_every_brightness(moves, photons):
    clean = np.maximum(scene(moves), 0.01)
    rng = np.random.default_rng(7)
    sequence = (rng.poisson(clean * photons) / photons).astype(np.float32)
    lr, hr, times = two_cameras(sequence, 4)
    reader = reader_of(stack(lr), stack(hr), make_plan(hr_times=times))
    sharp = SharpFrames(reader)
    brightness = np.array([0.3, 0.6, 0.9])
    grey = reader.rig.hr.grey
    found = np.interp(grey.to_grey(brightness), sharp.curve.brightness, sharp.curve.variance) * grey.span**2
    fine = 15 / 16  # what binning leaves
    assert found / (fine * brightness / photons) == pytest.approx(1, abs=0.3)


def test_noise_is_measured_before_hr_is_resampled():
    """LR is turned on HR, and shows a smaller field; interpolated noise would seem to be a sixth of this."""
    truth = Mapping(linear=((2.9, -0.1), (0.1, 2.9)), shift=(6, 14))
    clean, rng = scene(moves=0).astype(np.float32), np.random.default_rng(3)
    low = ndimage.map_coordinates(
        gaussian_filter(clean[0], 1.0), truth.to_output(np.stack(np.indices((36, 46)), -1)).transpose(2, 0, 1)
    )
    noisy = [
        (x + s * rng.normal(size=(9, *x.shape[-2:]))).astype(np.float32)
        for x, s in ((low, 0.01), (clean, 0.05))
    ]
    cameras = {"lr": {"source": "lr", "shape": (36, 46)}, "hr": {"source": "hr", "shape": SHAPE}}
    plan = make_plan(hr_step=1, calibration={**cameras, "mapping": truth, "way": "manual"})
    reader = reader_of(*map(stack, noisy), plan)
    found = SharpFrames(reader).curve.variance * reader.rig.hr.grey.span**2
    assert 0.4 * 0.05**2 < found.min() < found.max() < 0.05**2


def test_white_noise_has_its_own_variance_in_the_finest_structure():
    noise = np.random.default_rng(0).normal(0, 0.1, (256, 256)).astype(np.float32)
    assert finest(noise, (64, 64)).mean() == pytest.approx(0.01, rel=0.05)
    assert finest(noise[:, :1], (64, 1)).max() == 0  # too narrow to tell

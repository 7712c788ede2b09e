"""What is measured of the cameras on a pair, where it is known."""

import numpy as np
import pytest

from napari_xfusion.core.calibration import GreyRelation
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig.blur import blur_of, kernel_of
from napari_xfusion.core.rig.figures import fit_noise, fit_pattern, triple_of, with_figures
from tests.core.rig.shots import SHAPE, shot

MAPPING = Mapping.scaled((4.0, 4.0))
DARK, GAIN, READ = 100, 0.5, 4.0


def photons(light, rng, gain=GAIN, read=READ):
    return DARK + gain * rng.poisson(light / gain) + read * rng.standard_normal(light.shape)


def test_noise_is_a_line_of_brightness_whether_it_moves_or_not():
    rng, x = np.random.default_rng(0), np.linspace(200, 3000, 80)
    wave = [100 * np.sin((np.arange(60)[:, None] + t) / 4 + x / 300) for t in range(24)]
    frames = photons(np.array([x + each for each in wave]), rng)
    found = fit_noise([triple_of(frames[i - 1 : i + 2]) for i in range(1, 23)])
    for value in (500, 1500, 2800):
        assert found.at(value) == pytest.approx(np.sqrt(READ**2 + GAIN * (value - DARK)), rel=0.08)
    assert found.gain == pytest.approx(GAIN, rel=0.2)
    assert fit_noise([triple_of(np.ones((3, 60, 80)))]) is None


def test_a_pattern_is_told_from_noise():
    rng, shape = np.random.default_rng(1), (60, 80)
    seen = np.ones(shape, bool)
    seen[:, :7] = False
    noise = 10 * rng.standard_normal((16, *shape))
    fixed = [s * rng.standard_normal(n) for s, n in ((3, shape), (2, (60, 1)), (1, (1, 80)))]
    found = fit_pattern(noise + sum(fixed), seen)
    assert (found.pixels, found.rows, found.columns) == pytest.approx((3, 2, 1), abs=0.5)
    assert max(fit_pattern(noise, seen).model_dump().values()) < 1


def test_the_figures_of_a_pair_are_in_its_rig_file(tmp_path):
    pair, rng = shot(seed=3), np.random.default_rng(2)
    lr = photons(2000 * pair.lr**1.3, rng)
    hr = (30000 * pair.hr + 200).astype(np.uint16)
    cameras = {"lr": {"source": "lr", "shape": lr.shape[1:]}, "hr": {"source": "hr", "shape": SHAPE}}
    plan = make_plan(hr_step=10, calibration={**cameras, "mapping": MAPPING, "way": "manual"})
    found = with_figures(as_stack(lr.astype(np.float32)), as_stack(hr), plan)
    found.save(tmp_path / "rig.json")
    figures = type(found).load(tmp_path / "rig.json").figures
    assert figures == found.figures
    assert found.blur is None
    assert figures.noise.at(1000) == pytest.approx(np.sqrt(READ**2 + GAIN * 900), rel=0.1)
    at = np.interp(0.5 * 30000 + 200, figures.relation.hr, figures.relation.lr)
    assert at == pytest.approx(2000 * 0.5**1.3 + DARK, rel=0.02)
    assert not figures.relation.is_line
    assert {"noise", "pattern", "relation"} == set(figures.facts())
    assert str(GreyRelation(hr=(0, 10), lr=(5, 25))) == "LR is 2 * HR + 5"


@pytest.mark.parametrize("blur", [(0.4, 0.7), (0.2, 0.2)])
def test_a_kernel_has_the_width_it_was_made_for(blur):
    turned = Mapping(linear=((-2.9, 0.2), (0.2, 2.9)), shift=(200, 0))
    assert blur_of(kernel_of(blur, turned), turned) == pytest.approx(blur, abs=0.01)
